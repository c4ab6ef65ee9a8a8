"""Every form of tool as a chat function under a name of its own, and each call back to the tool that it is of."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from itertools import count
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from responses_shim.core.request.parse import read_request
from responses_shim.core.request.prepare import to_chat
from responses_shim.core.tools.kinds import CUSTOM, FUNCTION, OWN
from responses_shim.core.tools.tool_map import ToolMap
from responses_shim.core.wire.report import Report
from responses_shim.core.wire.validation import MAX_DEPTH
from responses_shim.errors import InvalidRequest
from tests.core.driver import Json
from tests.oracle import check_error

F: Json = {"type": "function", "name": "f"}
G: Json = {"type": "function", "name": "g"}
WEB: Json = {"type": "web_search", "search_context_size": "low"}
SEARCH: Json = {"type": "tool_search", "execution": "client"}


def space(name: str, *tools: Json, **fields: Any) -> Json:
    return {"type": "namespace", "name": name, "tools": list(tools), **fields}


def custom(name: str, **fields: Any) -> Json:
    return {"type": "custom", "name": name, **fields}


def in_input(*tools: Json) -> list[tuple[Json, str]]:
    """As `inputs.tools_in` finds them."""
    return [(tool, f"input[0].tools[{place}]") for place, tool in enumerate(tools)]


def offer(tools: Any = None, choice: Any = None, parallel: bool | None = None, more: Any = None) -> tuple[ToolMap, str]:
    report = Report()
    return ToolMap(tools, choice, parallel, report, more), report.header()


def refusal(tools: Any, more: Any = None) -> InvalidRequest:
    with pytest.raises(InvalidRequest) as caught:
        ToolMap(tools, None, None, Report(), more)
    check_error(caught.value.body())
    return caught.value


def functions(tools: ToolMap) -> list[Json]:
    return [tool["function"] for tool in tools.params().get("tools", [])]


def names(tools: ToolMap) -> list[str]:
    return [function["name"] for function in functions(tools)]


def item(tools: ToolMap, name: str) -> Json:
    """A call of the function `name` as the item that it comes back as."""
    output = tools.open(name, lambda prefix: f"{prefix}_1", 0, count().__next__, "call_1")
    built: Json = msgspec.to_builtins(output.item("in_progress"))
    return built


def called(tools: ToolMap, name: str) -> tuple[str, str | None, str]:
    told = item(tools, name)
    return told["type"], told.get("namespace"), told["name"]


# Functions -----------------------------------------------------------------------------------------------------------


def test_a_function_is_nested_for_chat_and_flat_in_the_echo() -> None:
    tool = {**F, "description": "Does f", "parameters": {"type": "object"}, "strict": True}
    tools, report = offer([tool])
    function = {name: value for name, value in tool.items() if name != "type"}
    assert tools.params() == {"tools": [{"type": "function", "function": function}]}
    assert tools.echo == [tool]
    assert report == ""


def test_what_a_function_leaves_out_is_left_out_for_chat_and_null_in_the_echo() -> None:
    tools, _ = offer([{**F, "description": None, "parameters": None, "defer_loading": False, "output_schema": {}}])
    assert functions(tools) == [{"name": "f"}]
    echo = {**F, "description": None, "parameters": None, "strict": None, "defer_loading": False, "output_schema": {}}
    assert tools.echo == [echo]


def test_parameters_are_passed_on_as_they_are() -> None:
    """The AI SDK sends `$schema`."""
    parameters = {"$schema": "http://json-schema.org/draft-07/schema#", "type": "object", "x-odd": [1, None]}
    assert functions(offer([{**F, "parameters": parameters}])[0]) == [{"name": "f", "parameters": parameters}]
    assert functions(offer([{**F, "parameters": {}, "strict": False}])[0]) == [
        {"name": "f", "parameters": {}, "strict": False}
    ]


def test_a_tool_in_the_chat_form_is_taken() -> None:
    tools, report = offer(
        [
            {"type": "function", "function": {"name": "f", "parameters": {}}},
            {"type": "custom", "custom": {"name": "c"}},
            space("ns", {"type": "function", "function": {"name": "g"}}),
        ]
    )
    assert names(tools) == ["f", "c", "ns__g"]
    assert tools.echo[0] == {**F, "description": None, "parameters": {}, "strict": None}
    assert tools.echo[1] == custom("c")
    assert report == 'mapped=("tools[0]" "tools[1]" "tools[2].tools[0]")'


def test_parameters_nested_absurdly_deep_are_refused() -> None:
    def nested(depth: int) -> Json:
        inner: Json = {}
        for level in range(depth):
            inner = {"a": inner} if level % 2 else {"a": [inner]}
        return {"parameters": inner}

    assert names(offer([{**F, **nested(MAX_DEPTH // 2)}, {**SEARCH, **nested(9)}])[0]) == ["f", "tool_search"]
    error = refusal([{**F, **nested(MAX_DEPTH)}])
    assert error.message == f"Invalid 'tools[0].parameters': nested more than {MAX_DEPTH} levels deep."
    assert refusal([{**SEARCH, **nested(MAX_DEPTH)}]).param == "tools[0].parameters"
    assert (
        refusal(None, in_input(space("ns", {**F, **nested(MAX_DEPTH)}))).param
        == "input[0].tools[0].tools[0].parameters"
    )


# Custom tools --------------------------------------------------------------------------------------------------------


def test_a_custom_tool_is_a_function_of_one_string() -> None:
    tool = custom("c", description="Does c", format={"type": "text"})
    tools, report = offer([tool])
    (function,) = functions(tools)
    assert (function["name"], function["description"]) == ("c", "Does c")
    assert function["parameters"]["required"] == ["input"]
    assert function["parameters"]["additionalProperties"] is False
    assert function["parameters"]["properties"]["input"]["type"] == "string"
    assert tools.echo == [tool]
    assert called(tools, "c") == ("custom_tool_call", None, "c")
    assert report == 'mapped=("tools[0]")'


def test_a_custom_tool_need_not_say_what_it_does() -> None:
    assert "description" not in functions(offer([custom("c")])[0])[0]


def test_a_grammar_is_told_in_words() -> None:
    lark = {"type": "grammar", "syntax": "lark", "definition": 'start: "a"+'}
    (function,) = functions(offer([custom("c", description="Does c", format=lark)])[0])
    assert function["description"] == 'Does c\n\nThe input must match this Lark grammar:\nstart: "a"+'
    assert "pattern" not in function["parameters"]["properties"]["input"]


def test_a_regular_grammar_is_also_a_pattern_of_the_whole_string() -> None:
    regex = {"type": "grammar", "syntax": "regex", "definition": "a|b"}
    (function,) = functions(offer([custom("c", format=regex)])[0])
    assert function["description"] == "The input must match this regular expression:\na|b"
    pattern = function["parameters"]["properties"]["input"]["pattern"]
    assert [bool(re.search(pattern, text)) for text in ("a", "b", "ab", "xa", "bx")] == [
        True,
        True,
        False,
        False,
        False,
    ]


# The API's own tools -------------------------------------------------------------------------------------------------

OWN_CALLS = {"shell": "shell_call", "local_shell": "local_shell_call", "apply_patch": "apply_patch_call"}


@pytest.mark.parametrize("kind", OWN_CALLS)
def test_a_tool_of_the_api_is_a_function_whose_calls_are_items_of_their_own(kind: str) -> None:
    tool = {"type": kind}
    tools, report = offer([F, tool])
    assert names(tools) == ["f", kind]
    assert functions(tools)[1]["parameters"]["type"] == "object"
    assert item(tools, kind)["type"] == OWN_CALLS[kind]
    assert tools.echo[1] == tool
    assert report == 'mapped=("tools[1]")'


def test_every_tool_of_the_api_is_in_these_tests() -> None:
    assert {kind: form.call for kind, form in OWN.items()} == OWN_CALLS


@pytest.mark.parametrize("environment", [None, {"type": "local"}, {"type": "local", "skills": []}])
def test_a_shell_of_the_clients_is_offered(environment: Any) -> None:
    assert names(offer([{"type": "shell", "environment": environment}])[0]) == ["shell"]


@pytest.mark.parametrize("environment", [{"type": "container_auto"}, {"type": "container_reference"}, {}])
def test_a_shell_in_a_container_is_left_out_and_reported(environment: Any) -> None:
    tools, report = offer([F, {"type": "shell", "environment": environment}])
    assert names(tools) == ["f"]
    assert report == 'dropped=("tools[1]")'


# Tools that are not offered ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "kind", ["web_search", "web_search_preview", "file_search", "computer", "programmatic_tool_calling", "odd"]
)
def test_a_tool_that_nobody_runs_is_left_out_echoed_and_reported(kind: str) -> None:
    tool = {"type": kind, "name": {"of no": "interest"}}
    tools, report = offer([F, tool, G], more=in_input(tool))
    assert names(tools) == ["f", "g"]
    assert tools.echo[1] == tool
    assert report == 'dropped=("tools[1]" "input[0].tools[0]")'


def test_mcp_is_refused_by_name() -> None:
    mcp = {"type": "mcp", "server_label": "docs", "server_url": "https://docs.example"}
    error = refusal([F, mcp])
    assert (error.param, error.code, error.status) == ("tools[1].type", "unsupported_parameter", 400)
    assert "mcp" in error.message
    assert refusal(None, in_input(mcp)).param == "input[0].tools[0].type"


@pytest.mark.parametrize("tool", [F, custom("c"), {"type": "shell"}, {"type": "apply_patch"}])
def test_a_tool_that_only_programs_may_call_is_left_out_and_reported(tool: Json) -> None:
    tools, report = offer([{**tool, "allowed_callers": ["programmatic"]}, G])
    assert names(tools) == ["g"]
    assert report == 'dropped=("tools[0]")'


@pytest.mark.parametrize("callers", [None, [], ["direct"], ["programmatic", "direct"]])
def test_a_tool_that_the_model_may_call_is_offered(callers: Any) -> None:
    tools, _ = offer([{**F, "allowed_callers": callers}, {"type": "shell", "allowed_callers": callers}])
    assert names(tools) == ["f", "shell"]


# Tool search ---------------------------------------------------------------------------------------------------------

LATER: Json = {**F, "defer_loading": True, "description": "Does f"}


def test_a_search_in_the_client_is_a_function_that_tells_what_there_is_to_be_found() -> None:
    tools, report = offer(
        [
            SEARCH,
            LATER,
            custom("c", defer_loading=True),
            space("crm", {**LATER, "name": "find"}, {**LATER, "name": "sort"}, description="All about customers"),
            space("bare", {**LATER, "name": "find"}),
            G,
        ]
    )
    assert names(tools) == ["g", "tool_search"]
    (_, function) = functions(tools)
    assert function["description"].splitlines()[-5:] == [
        "Tools that can be found:",
        "- f: Does f",
        "- c",
        "- crm: All about customers",
        "- bare",
    ]
    assert function["parameters"]["required"] == ["query"]
    assert item(tools, "tool_search")["type"] == "tool_search_call"
    assert report == (
        'mapped=("tools[1].defer_loading" "tools[2].defer_loading" "tools[3].tools[0].defer_loading" '
        '"tools[3].tools[1].defer_loading" "tools[4].tools[0].defer_loading" "tools[0]")'
    )


def test_a_search_keeps_its_own_words_and_parameters() -> None:
    parameters = {"type": "object", "properties": {"query": {"type": "string"}, "limit": {"type": "number"}}}
    tools, _ = offer([{**SEARCH, "description": "Finds tools.", "parameters": parameters}])
    assert functions(tools) == [{"name": "tool_search", "description": "Finds tools.", "parameters": parameters}]


@pytest.mark.parametrize("search", [[], [{"type": "tool_search"}], [{"type": "tool_search", "execution": "server"}]])
def test_where_the_client_does_not_search_deferred_tools_are_offered_at_once(search: list[Json]) -> None:
    tools, report = offer([LATER, *search])
    assert names(tools) == ["f"]
    assert report == ('dropped=("tools[1]")' if search else "")


def test_what_a_search_has_found_is_offered() -> None:
    found = space("crm", {**LATER, "name": "find"})
    tools, _ = offer([SEARCH, space("crm", {**LATER, "name": "find"}, {**LATER, "name": "sort"})], more=in_input(found))
    assert names(tools) == ["tool_search", "crm__find"]
    assert called(tools, "crm__find") == ("function_call", "crm", "find")


def test_a_deferred_tool_that_is_called_without_a_search_is_known_all_the_same() -> None:
    """Its name is told, or stands in the past, and models do not wait."""
    later = {"defer_loading": True}
    tools, _ = offer([SEARCH, custom("c", **later), space("crm", {**F, **later}, custom("my note", **later)), LATER])
    assert called(tools, "c") == ("custom_tool_call", None, "c")
    assert called(tools, "crm__f") == ("function_call", "crm", "f")
    assert called(tools, tools.name_of(CUSTOM, "my note", "crm")) == ("custom_tool_call", "crm", "my note")
    assert called(tools, "f") == ("function_call", None, "f")


def test_a_search_may_come_with_the_input() -> None:
    """Codex has a mode in which all of its tools do."""
    tools, report = offer([LATER], more=in_input(SEARCH, G))
    assert names(tools) == ["g", "tool_search"]
    assert "- f: Does f" in functions(tools)[1]["description"]
    assert report == 'mapped=("tools[0].defer_loading" "input[0].tools[0]")'


def test_a_search_that_comes_with_the_input_replaces_the_other() -> None:
    tools, _ = offer([SEARCH, G], more=in_input({**SEARCH, "description": "Finds tools."}))
    assert names(tools) == ["g", "tool_search"]
    assert functions(tools)[1]["description"] == "Finds tools."


def test_the_model_is_told_the_names_of_what_was_found() -> None:
    found = [
        space("crm", {**F, "description": "Does f"}, custom("c"), {**G, "allowed_callers": ["programmatic"]}),
        {"type": "function", "function": {"name": "h", "description": "Does h"}},
        {"type": "shell", "name": []},
        WEB,
    ]
    tools, _ = offer(None, more=in_input(*found))
    assert [told for tool in found for told in tools.told(tool)] == [
        {"name": "crm__f", "description": "Does f"},
        {"name": "crm__c", "description": None},
        {"name": "h", "description": "Does h"},
        {"name": "shell", "description": None},
    ]


# What is wrong -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("tool", "param", "code"),
    [
        ({}, "type", "missing_required_parameter"),
        ({"type": None}, "type", "missing_required_parameter"),
        ({"function": {"name": "f"}}, "type", "missing_required_parameter"),
        ({"type": 7}, "type", "invalid_value"),
        ({"type": []}, "type", "invalid_value"),
        ({"type": "function"}, "name", "missing_required_parameter"),
        ({"type": "function", "name": ""}, "name", "missing_required_parameter"),
        ({"type": "function", "name": 7}, "name", "invalid_type"),
        ({"type": "function", "name": []}, "name", "invalid_type"),
        ({"type": "function", "function": {}}, "name", "missing_required_parameter"),
        ({"type": "function", "function": {"name": {}}}, "name", "invalid_type"),
        ({**F, "parameters": []}, "parameters", "invalid_type"),
        ({**F, "strict": "yes"}, "strict", "invalid_type"),
        ({**F, "description": 7}, "description", "invalid_type"),
        ({**F, "allowed_callers": ["anyone"]}, "allowed_callers[0]", "invalid_value"),
        ({"type": "custom"}, "name", "missing_required_parameter"),
        ({"type": "custom", "name": ""}, "name", "missing_required_parameter"),
        (custom("c", format={"type": "regex"}), "format.type", "invalid_value"),
        (custom("c", format={"type": "grammar", "syntax": "bnf", "definition": ""}), "format.syntax", "invalid_value"),
        (custom("c", format={"type": "grammar", "syntax": "lark"}), "format.definition", "missing_required_parameter"),
        ({"type": "namespace", "name": "ns"}, "tools", "missing_required_parameter"),
        ({"type": "namespace", "tools": []}, "name", "missing_required_parameter"),
        (space(""), "name", "missing_required_parameter"),
        ({"type": "namespace", "name": "ns", "tools": ["f"]}, "tools[0]", "invalid_type"),
        (space("ns", F, {"type": "function"}), "tools[1].name", "missing_required_parameter"),
        (space("ns", {}), "tools[0].type", "missing_required_parameter"),
        (space("ns", WEB), "tools[0].type", "invalid_value"),
        (space("ns", space("inner", F)), "tools[0].type", "invalid_value"),
        ({"type": "tool_search", "execution": "nobody"}, "execution", "invalid_value"),
        ({**SEARCH, "parameters": "query"}, "parameters", "invalid_type"),
    ],
)
def test_a_wrong_tool_is_named_by_its_path(tool: Json, param: str, code: str) -> None:
    for error, path in ((refusal([F, tool]), "tools[1]"), (refusal(None, in_input(tool)), "input[0].tools[0]")):
        assert (error.param, error.code) == (f"{path}.{param}", code)


KEYS = ["type", "name", "description", "parameters", "strict", "tools", "format", "function", "custom", "namespace"]
KEYS += ["environment", "execution", "allowed_callers", "defer_loading", "mode"]
JUNK = st.recursive(
    st.sampled_from([None, True, 7, "", "f", "function", "custom", "namespace", "shell", "tool_search", "grammar"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(KEYS), inner, max_size=4),
    max_leaves=20,
)
GOOD = [{}, F, custom("c"), space("ns", F, custom("c")), {"type": "shell"}, SEARCH, WEB, LATER]
GOOD += [{"type": "function", "function": F}, {"type": "allowed_tools", "tools": [F]}]
ODD = st.builds(
    lambda tool, odd: {**tool, **odd}, st.sampled_from(GOOD), st.dictionaries(st.sampled_from(KEYS), JUNK, max_size=2)
)
"""Tools, and choices, that have one or two things wrong with them, or none."""


@given(st.lists(ODD, max_size=3), st.none() | st.sampled_from(["auto", "required"]) | ODD, st.lists(ODD, max_size=2))
def test_whatever_is_sent_it_is_taken_or_refused_by_name(tools: list[Json], choice: Any, more: list[Json]) -> None:
    refused: InvalidRequest | None = None
    try:
        offered, _ = offer(tools, choice, more=in_input(*more))
    except InvalidRequest as error:
        refused = error
    if refused is not None:
        check_error(refused.body())
        assert refused.status == 400
        assert (refused.param or "").startswith(("tools[", "tool_choice", "input[0].tools["))
    else:
        assert {told["name"] for tool in more for told in offered.told(tool)} <= set(offered.names())
        assert len(offered.params().get("tools", [])) == len(set(names(offered))) == len(offered.paths())


def test_a_tool_defined_twice_the_same_is_one() -> None:
    tools, _ = offer(
        [F, custom("c"), space("ns", F), F, custom("c"), space("ns", F, G), {"type": "shell"}, {"type": "shell"}]
    )
    assert names(tools) == ["f", "c", "ns__f", "ns__g", "shell"]


@pytest.mark.parametrize(
    ("first", "second", "param"),
    [
        (F, {**F, "description": "another"}, "tools[1].name"),
        (F, {**F, "parameters": {}}, "tools[1].name"),
        (custom("c"), custom("c", description="another"), "tools[1].name"),
        (space("ns", F), space("ns", G, {**F, "strict": True}), "tools[1].tools[1].name"),
    ],
)
def test_a_tool_defined_twice_and_differently_is_refused_by_the_second_path(
    first: Json, second: Json, param: str
) -> None:
    error = refusal([first, second])
    assert (error.param, error.code) == (param, "invalid_value")
    assert error.message.endswith("is defined twice, and differently.")


def test_a_tool_from_the_input_replaces_the_one_before_it_and_keeps_its_place() -> None:
    def described(text: str) -> Json:
        return space("ns", {**F, "description": text})

    tools, _ = offer([described("old"), G], more=in_input(described("newer"), described("newest")))
    assert functions(tools) == [{"name": "ns__f", "description": "newest"}, {"name": "g"}]
    assert tools.paths() == ["input[0].tools[1].tools[0]", "tools[1]"]


# Names ---------------------------------------------------------------------------------------------------------------

VALID = re.compile(r"[A-Za-z0-9_-]{1,64}")


def test_the_tools_of_a_namespace_are_functions_under_both_names() -> None:
    tool = space(
        "crm", {**F, "description": "Does f", "parameters": {}}, custom("c"), description="All about customers"
    )
    tools, report = offer([tool, F])
    assert names(tools) == ["crm__f", "crm__c", "f"]
    about = "crm: All about customers\n\nDoes f"
    assert functions(tools)[0] == {"name": "crm__f", "description": about, "parameters": {}}
    assert "about customers" not in functions(tools)[1].get("description", "")
    assert called(tools, "crm__f") == ("function_call", "crm", "f")
    assert called(tools, "crm__c") == ("custom_tool_call", "crm", "c")
    assert called(tools, "f") == ("function_call", None, "f")
    assert tools.echo[0] == tool
    assert report == 'mapped=("tools[0].tools[0]" "tools[0].tools[1]")'


def test_the_first_function_that_is_offered_tells_what_its_namespace_is_about() -> None:
    crm = space("crm", {**F, "name": "a"}, {**F, "name": "b"}, description="Customers")
    only_b = {"type": "allowed_tools", "mode": "auto", "tools": [{"type": "function", "name": "b"}]}
    tools, _ = offer([crm, space("erp", F, description="")], only_b)
    assert [function["description"] for function in functions(tools)] == ["crm: Customers"]


@pytest.mark.parametrize(
    ("namespace", "name", "begins"),
    [
        ("n" * 30, "f" * 32, "n" * 30 + "__" + "f" * 32),
        ("n" * 30, "f" * 33, "n" * 30 + "__" + "f" * 23 + "_"),
        ("n" * 80, "f", "n" * 55 + "_"),
        ("my server", "get.it", "my_server__get_it_"),
        ("café", "日本", "caf____"),
    ],
)
def test_a_name_that_chat_does_not_take_is_cut_or_replaced_with_a_digest_behind_it(
    namespace: str, name: str, begins: str
) -> None:
    tools, _ = offer([space(namespace, {**F, "name": name})])
    (chat_name,) = names(tools)
    assert VALID.fullmatch(chat_name)
    assert chat_name.startswith(begins)
    assert called(tools, chat_name) == ("function_call", namespace, name)


@pytest.mark.parametrize("name", ["f", "a__b", "a.b/c", "é", "x" * 100, " "])
@pytest.mark.parametrize("kind", ["function", "custom"])
def test_a_tool_outside_a_namespace_keeps_its_name(kind: str, name: str) -> None:
    assert names(offer([{"type": kind, "name": name}])[0]) == [name]


@pytest.mark.parametrize(
    "clashing", [{**F, "name": "a__b"}, custom("a__b"), {"type": "function", "function": {"name": "a__b"}}]
)
def test_also_beside_a_tool_of_a_namespace_that_would_be_called_so(clashing: Json) -> None:
    inside = space("a", {**F, "name": "b"})
    for tools in (
        offer([inside, clashing])[0],
        offer([clashing, inside])[0],
        offer([inside], more=in_input(clashing))[0],
    ):
        (other,) = set(names(tools)) - {"a__b"}
        assert called(tools, "a__b")[1:] == (None, "a__b")
        assert called(tools, other) == ("function_call", "a", "b")


@pytest.mark.parametrize("name", ["f", "f" * 80])
@pytest.mark.parametrize("namespace", [None, "ns"])
def test_a_function_and_a_custom_tool_of_one_name_are_two(namespace: str | None, name: str) -> None:
    both = [{**F, "name": name}, custom(name)]
    for tools_ in (both, both[::-1]):
        tools, _ = offer([space(namespace, *tools_)] if namespace else tools_)
        assert len(set(names(tools))) == 2
        kinds = [called(tools, chat_name) for chat_name in names(tools)]
        assert sorted(kinds) == [("custom_tool_call", namespace, name), ("function_call", namespace, name)]


def test_a_function_named_like_a_tool_of_the_api_is_another() -> None:
    tools, _ = offer([{"type": "shell"}, {**F, "name": "shell"}])
    assert [item(tools, name)["type"] for name in names(tools)] == ["shell_call", "function_call"]


def test_a_past_call_has_the_name_that_its_tool_is_offered_by() -> None:
    tools, _ = offer([{**F, "name": "a__b"}, space("a", {**F, "name": "b"}, custom("b")), custom("a__b")])
    told = [(FUNCTION, "a__b", None), (FUNCTION, "b", "a"), (CUSTOM, "b", "a"), (CUSTOM, "a__b", None)]
    assert [tools.name_of(*identity) for identity in told] == names(tools)


@pytest.mark.parametrize(("namespace", "name"), [("crm", "find"), ("my server", "find"), ("n" * 80, "f" * 80)])
def test_a_past_call_of_a_tool_that_is_gone_has_the_name_that_it_had(namespace: str, name: str) -> None:
    for kind, form in (("function", FUNCTION), ("custom", CUSTOM)):
        before, _ = offer([space(namespace, {"type": kind, "name": name})])
        assert [ToolMap(None, None, None, Report()).name_of(form, name, namespace)] == names(before)


@pytest.mark.parametrize("namespace", [None, ""])
def test_a_past_call_without_a_namespace_keeps_its_name(namespace: str | None) -> None:
    assert ToolMap(None, None, None, Report()).name_of(FUNCTION, "a b" * 30, namespace) == "a b" * 30


def test_a_turn_tells_the_past_by_the_names_that_it_offers() -> None:
    items = [
        {"role": "user", "content": "Hi"},
        {"type": "function_call", "call_id": "1", "namespace": "my server", "name": "find", "arguments": "{}"},
        {"type": "custom_tool_call", "call_id": "2", "name": "c", "input": "x"},
        {"type": "function_call", "call_id": "3", "name": "c", "arguments": "{}"},
        {"type": "shell_call", "call_id": "4", "action": {"commands": ["ls"]}, "status": "completed"},
        *({"type": "function_call_output", "call_id": call_id, "output": ""} for call_id in "1234"),
    ]
    every = [space("my server", {**F, "name": "find"}), custom("c"), {**F, "name": "c"}, {"type": "shell"}]
    for tools in (every, [], every[:1], every[::-1]):
        chat = to_chat(read_request({"model": "m", "input": items, "tools": tools})).chat
        told = [call["function"]["name"] for message in chat["messages"] for call in message.get("tool_calls", ())]
        assert all(
            name.startswith(due) for name, due in zip(told, ["my_server__find_", "c", "c", "shell"], strict=True)
        )
        named = {tool["function"]["name"] for tool in chat.get("tools", ())}
        assert named <= set(told)
        assert told[0] in named or every[0] not in tools


# Names that clash, that are long, that are odd; and on top of them those that the shim makes of them.
NAMES = st.one_of(
    st.sampled_from(
        ["a", "b", "a__b", "b__a", "a__b__a", "_", "__", "shell", "tool_search", "é", "日本", "a.b", "a/b", "a b"]
    ),
    st.integers(50, 80).map(lambda length: "x" * length),
    st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=70),
)
NAMED = st.builds(lambda kind, name: {"type": kind, "name": name}, st.sampled_from(["function", "custom"]), NAMES)
TOOLS = st.lists(
    st.one_of(
        NAMED,
        st.builds(lambda name, tools: space(name, *tools), NAMES, st.lists(NAMED, max_size=4)),
        st.sampled_from([{"type": "shell"}, {"type": "local_shell"}, {"type": "apply_patch"}, SEARCH]),
    ),
    max_size=8,
)


@st.composite
def clashing(draw: st.DrawFn) -> list[Json]:
    """Tools, and more of them that are called as the shim would call those."""
    tools: list[Json] = draw(TOOLS)
    for _ in range(draw(st.integers(0, 3))):
        taken = [name for name in offer(tools)[0].names() if name]
        if taken:
            more = draw(st.lists(st.builds(lambda name: {**F, "name": name}, st.sampled_from(taken)), max_size=3))
            tools = draw(st.permutations([*tools, *more]))
    return tools


def identities(tools: Sequence[Json]) -> Iterator[tuple[str, str | None, str]]:
    """What a call of each is called, by the client's own words."""
    calls = {"function": "function_call", "custom": "custom_tool_call"}
    for tool in tools:
        if tool["type"] in calls:
            yield calls[tool["type"]], None, tool["name"]
        elif tool["type"] == "namespace":
            yield from ((calls[inner["type"]], tool["name"], inner["name"]) for inner in tool["tools"])
        else:
            yield f"{tool['type']}_call", None, tool["type"]


@given(clashing())
def test_every_tool_has_a_name_of_its_own_that_leads_back_to_it(tools: list[Json]) -> None:
    offered, _ = offer(tools)
    due = set(identities(tools))
    back = {
        name: (told["type"], told.get("namespace"), told.get("name", told["type"].removesuffix("_call")))
        for name in names(offered)
        for told in [item(offered, name)]
    }
    assert len(names(offered)) == len(due)
    assert set(back.values()) == due
    assert all(VALID.fullmatch(name) for name, (_, namespace, _) in back.items() if namespace is not None)


@given(clashing())
def test_a_name_outside_a_namespace_is_given_to_who_has_it_first(tools: list[Json]) -> None:
    offered, _ = offer(tools)
    named: dict[str, str] = {}
    searches = [tool for tool in tools if tool == SEARCH]  # it is offered last, for it tells of the others
    for kind, namespace, name in identities([tool for tool in tools if tool != SEARCH] + searches):
        if namespace is None:
            named.setdefault(name, kind)
    assert {name: item(offered, name)["type"] for name in named} == named


@given(clashing())
def test_the_same_tools_have_the_same_names_again(tools: list[Json]) -> None:
    assert functions(offer(tools)[0]) == functions(offer(json.loads(json.dumps(tools)))[0])


@given(clashing().filter(lambda tools: SEARCH not in tools), st.integers(0, 9))
def test_tools_from_the_input_have_the_names_that_they_would_have_anyway(tools: list[Json], place: int) -> None:
    assert functions(offer(tools[:place], more=in_input(*tools[place:]))[0]) == functions(offer(tools)[0])


@given(clashing())
def test_a_past_call_is_told_by_the_name_of_its_tool(tools: list[Json]) -> None:
    offered, _ = offer(tools)
    forms = {"function_call": FUNCTION, "custom_tool_call": CUSTOM}
    for kind, namespace, name in identities(tools):
        if kind in forms:
            assert called(offered, offered.name_of(forms[kind], name, namespace)) == (kind, namespace, name)


# What a model makes of a name ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("namespace", "name", "spellings"),
    [
        ("crm", "find", ["crm__find", "crm.find", "crm/find", "crm:find", "crm::find", "crm_find", "find"]),
        ("multi_agent_v1", "spawn_agent", ["multi_agent_v1__spawn_agent", "multi_agent_v1.spawn_agent", "spawn_agent"]),
        ("mcp__docs", "_search", ["mcp__docs___search", "mcp__docs__search", "mcp__docs_search", "_search", "search"]),
        ("my server", "mcp__get", ["my_server__mcp__get", "my server.mcp__get", "mcp__get", "mcp.get"]),
    ],
)
def test_a_tool_of_a_namespace_is_known_by_what_models_call_it(namespace: str, name: str, spellings: list[str]) -> None:
    tools, _ = offer([space(namespace, {**F, "name": name}), G])
    for spelling in spellings:
        assert called(tools, spelling) == ("function_call", namespace, name)


@pytest.mark.parametrize("name", ["find", "crm_", "crm", "", "_", "Crm__find2", "g "])
def test_a_name_that_could_mean_several_or_nothing_is_that_of_a_function(name: str) -> None:
    tools, _ = offer([space("crm", {**F, "name": "find"}), space("erp", {**F, "name": "find"}), {**G, "name": "__"}, G])
    assert called(tools, name) == ("function_call", None, name)


def test_a_name_that_is_offered_means_what_it_says() -> None:
    tools, _ = offer([space("crm", {**F, "name": "find"}), {**F, "name": "find"}])
    assert called(tools, "find") == ("function_call", None, "find")


# What goes to the host besides ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("tools", [None, [], [WEB], [{"type": "shell", "environment": {}}], [space("ns")]])
def test_without_functions_nothing_is_sent(tools: Any) -> None:
    assert offer(tools, "auto", True)[0].params() == {}


@pytest.mark.parametrize("parallel", [True, False])
def test_parallel_calls_are_passed_on_with_tools(parallel: bool) -> None:
    assert offer([F], None, parallel)[0].params()["parallel_tool_calls"] is parallel
    assert "parallel_tool_calls" not in offer([F])[0].params()


@pytest.mark.parametrize(("parallel", "single"), [(None, False), (True, False), (False, True)])
def test_only_without_parallel_calls_is_there_but_one(parallel: bool | None, single: bool) -> None:
    assert offer([F], None, parallel)[0].single is single


def test_each_function_has_the_path_of_its_tool() -> None:
    tools, _ = offer([WEB, F, space("ns", G, custom("c"))], more=in_input({"type": "shell"}))
    paths = ["tools[1]", "tools[2].tools[0]", "tools[2].tools[1]", "input[0].tools[0]"]
    assert (names(tools), tools.paths()) == (["f", "ns__g", "ns__c", "shell"], paths)
