"""The tools of a request as chat functions, each under a name of its own that leads back to it."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from responses_shim.core.tools.base import ToolIdentity
from responses_shim.core.tools.kinds import CUSTOM, FUNCTION
from responses_shim.core.tools.names import MAX_NAME, function_name, loosely_spelled
from tests.core.driver import Json
from tests.core.prepared import prepared
from tests.core.tools.declared import (
    SEARCH,
    WEB,
    F,
    G,
    custom,
    functions,
    identity,
    in_input,
    in_namespace,
    item,
    names,
    refusal,
    tool_map,
)

# Several declarations of one tool ------------------------------------------------------------------------------------


def test_a_tool_that_is_defined_twice_alike_is_offered_once() -> None:
    tools, _ = tool_map(
        [
            F,
            custom("c"),
            in_namespace("ns", F),
            F,
            custom("c"),
            in_namespace("ns", F, G),
            {"type": "shell"},
            {"type": "shell"},
        ]
    )
    assert names(tools) == ["f", "c", "ns__f", "ns__g", "shell"]


@pytest.mark.parametrize(
    ("first", "second", "param"),
    [
        (F, {**F, "description": "another"}, "tools[1].name"),
        (F, {**F, "parameters": {}}, "tools[1].name"),
        (custom("c"), custom("c", description="another"), "tools[1].name"),
        (in_namespace("ns", F), in_namespace("ns", G, {**F, "strict": True}), "tools[1].tools[1].name"),
    ],
)
def test_a_tool_that_is_defined_twice_and_differently_is_refused(first: Json, second: Json, param: str) -> None:
    error = refusal([first, second])
    assert (error.param, error.code) == (param, "invalid_value")
    assert error.message.endswith("is defined twice, and differently.")


def test_a_tool_from_the_input_replaces_the_one_before_it_where_that_is() -> None:
    def described(text: str) -> Json:
        return in_namespace("ns", {**F, "description": text})

    tools, _ = tool_map([described("old"), G], from_input=in_input(described("newer"), described("newest")))
    assert functions(tools) == [{"name": "ns__f", "description": "newest"}, {"name": "g"}]
    assert tools.paths() == ["input[0].tools[1].tools[0]", "tools[1]"]


# Names ---------------------------------------------------------------------------------------------------------------

VALID = re.compile(r"[A-Za-z0-9_-]{1,64}")


def test_the_tools_of_a_namespace_are_functions_under_both_names() -> None:
    tool = in_namespace(
        "crm",
        {**F, "description": "Does f", "parameters": {"type": "object"}},
        custom("c"),
        description="All about customers",
    )
    tools, report = tool_map([tool, F])
    assert names(tools) == ["crm__f", "crm__c", "f"]
    about = "crm: All about customers\n\nDoes f"
    assert functions(tools)[0] == {"name": "crm__f", "description": about, "parameters": {"type": "object"}}
    assert "about customers" not in functions(tools)[1].get("description", "")
    assert identity(tools, "crm__f") == ("function_call", "crm", "f")
    assert identity(tools, "crm__c") == ("custom_tool_call", "crm", "c")
    assert identity(tools, "f") == ("function_call", None, "f")
    assert tools.echo[0] == tool
    assert report == 'mapped=("tools[0].tools[0]" "tools[0].tools[1]")'


def test_the_first_function_that_is_offered_has_the_description_of_its_namespace() -> None:
    crm = in_namespace("crm", {**F, "name": "a"}, {**F, "name": "b"}, description="Customers")
    only_b = {"type": "allowed_tools", "mode": "auto", "tools": [{"type": "function", "name": "b"}]}
    tools, _ = tool_map([crm, in_namespace("erp", F, description="")], only_b)
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
def test_a_name_that_hosts_do_not_take_is_changed_and_has_a_digest(namespace: str, name: str, begins: str) -> None:
    tools, _ = tool_map([in_namespace(namespace, {**F, "name": name})])
    (function,) = names(tools)
    assert VALID.fullmatch(function)
    assert function.startswith(begins)
    assert identity(tools, function) == ("function_call", namespace, name)


@pytest.mark.parametrize("name", ["f", "a__b", "get-it", "x" * 64])
@pytest.mark.parametrize("kind", ["function", "custom"])
def test_a_tool_outside_a_namespace_keeps_a_name_that_hosts_take(kind: str, name: str) -> None:
    assert names(tool_map([{"type": kind, "name": name}])[0]) == [name]


@pytest.mark.parametrize(
    ("name", "begins"),
    [("a.b/c", "a_b_c_"), ("é", "__"), ("x" * 65, "x" * 55 + "_"), ("x" * 128, "x" * 55 + "_"), (" ", "__")],
    ids=lambda name: name[:9],
)
@pytest.mark.parametrize("kind", ["function", "custom"])
def test_another_name_is_shortened_for_the_host_and_led_back(kind: str, name: str, begins: str) -> None:
    """OpenAI's API allows names of 128 characters, chat completions 64."""
    tool = {"type": kind, "name": name}
    tools, report = tool_map([tool], {"type": kind, "name": name})
    (function,) = names(tools)
    assert VALID.fullmatch(function)
    assert function.startswith(begins)
    item_type = "function_call" if kind == "function" else "custom_tool_call"
    assert identity(tools, function) == identity(tools, name) == (item_type, None, name)
    assert report == 'mapped=("tools[0]" "tool_choice")'
    assert tools.choice.chat == {"type": "function", "function": {"name": function}}
    assert tools.choice.echo == tool
    assert tools.echo[0]["name"] == name


def test_two_names_that_are_alike_once_shortened_stay_two() -> None:
    given = ["a.b", "a/b", "a b", "x" * 100, "x" * 101]
    tools, _ = tool_map([custom(name) for name in given])
    assert len(set(names(tools))) == len(given)
    assert [identity(tools, function)[2] for function in names(tools)] == given
    assert [identity(tools, name) for name in given] == [("custom_tool_call", None, name) for name in given]


@pytest.mark.parametrize(
    "clashing", [{**F, "name": "a__b"}, custom("a__b"), {"type": "function", "function": {"name": "a__b"}}]
)
def test_it_does_so_beside_a_tool_of_a_namespace_that_would_have_that_name(clashing: Json) -> None:
    inside = in_namespace("a", {**F, "name": "b"})
    for tools in (
        tool_map([inside, clashing])[0],
        tool_map([clashing, inside])[0],
        tool_map([inside], from_input=in_input(clashing))[0],
    ):
        (other,) = set(names(tools)) - {"a__b"}
        assert identity(tools, "a__b")[1:] == (None, "a__b")
        assert identity(tools, other) == ("function_call", "a", "b")


@pytest.mark.parametrize("name", ["f", "f" * 80])
@pytest.mark.parametrize("namespace", [None, "ns"])
def test_a_function_and_a_custom_tool_of_one_name_are_two(namespace: str | None, name: str) -> None:
    both = [{**F, "name": name}, custom(name)]
    for declared in (both, both[::-1]):
        tools, _ = tool_map([in_namespace(namespace, *declared)] if namespace else declared)
        assert len(set(names(tools))) == 2
        kinds = [identity(tools, function) for function in names(tools)]
        assert sorted(kinds) == [("custom_tool_call", namespace, name), ("function_call", namespace, name)]


def test_a_function_named_like_a_tool_of_the_api_is_another() -> None:
    tools, _ = tool_map([{"type": "shell"}, {**F, "name": "shell"}])
    assert [item(tools, name)["type"] for name in names(tools)] == ["shell_call", "function_call"]


def test_a_past_call_has_the_name_that_its_tool_is_offered_by() -> None:
    tools, _ = tool_map([{**F, "name": "a__b"}, in_namespace("a", {**F, "name": "b"}, custom("b")), custom("a__b")])
    called = [(FUNCTION, "a__b", None), (FUNCTION, "b", "a"), (CUSTOM, "b", "a"), (CUSTOM, "a__b", None)]
    assert [tools.function_name(ToolIdentity(*call)) for call in called] == names(tools)


@pytest.mark.parametrize(("namespace", "name"), [("crm", "find"), ("my server", "find"), ("n" * 80, "f" * 80)])
def test_a_past_call_of_a_tool_that_is_gone_has_the_name_that_it_had(namespace: str, name: str) -> None:
    now, _ = tool_map()
    for kind in (FUNCTION, CUSTOM):
        before, _ = tool_map([in_namespace(namespace, {"type": kind.tool_type, "name": name})])
        assert [now.function_name(ToolIdentity(kind, name, namespace))] == names(before)


@pytest.mark.parametrize("namespace", [None, ""])
@pytest.mark.parametrize("name", ["find", "a b" * 30])
def test_a_past_call_without_a_namespace_has_the_name_that_it_would_be_offered_by(
    namespace: str | None, name: str
) -> None:
    call = FUNCTION.identify({"name": name, "namespace": namespace}, "input[0]")
    assert [tool_map()[0].function_name(call)] == names(tool_map([{**F, "name": name}])[0])


def test_past_calls_have_the_names_that_the_tools_are_offered_by() -> None:
    items = [
        {"role": "user", "content": "Hi"},
        {"type": "function_call", "call_id": "1", "namespace": "my server", "name": "find", "arguments": "{}"},
        {"type": "custom_tool_call", "call_id": "2", "name": "c", "input": "x"},
        {"type": "function_call", "call_id": "3", "name": "c", "arguments": "{}"},
        {"type": "shell_call", "call_id": "4", "action": {"commands": ["ls"]}, "status": "completed"},
        *({"type": "function_call_output", "call_id": call_id, "output": ""} for call_id in "1234"),
    ]
    every = [in_namespace("my server", {**F, "name": "find"}), custom("c"), {**F, "name": "c"}, {"type": "shell"}]
    for tools in (every, [], every[:1], every[::-1]):
        chat = prepared(input=items, tools=tools).chat
        called = [call["function"]["name"] for message in chat["messages"] for call in message.get("tool_calls", ())]
        begin = ["my_server__find_", "c", "c", "shell"]
        assert all(name.startswith(prefix) for name, prefix in zip(called, begin, strict=True))
        offered = {tool["function"]["name"] for tool in chat.get("tools", ())}
        assert offered <= set(called)
        assert called[0] in offered or every[0] not in tools


# Names that clash, that are long, that are odd; `clashing` adds those that the shim makes of them.
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
        st.builds(lambda name, tools: in_namespace(name, *tools), NAMES, st.lists(NAMED, max_size=4)),
        st.sampled_from([{"type": "shell"}, {"type": "local_shell"}, {"type": "apply_patch"}, SEARCH]),
    ),
    max_size=8,
)


@st.composite
def clashing(draw: st.DrawFn) -> list[Json]:
    """Tools, and more of them whose names are those that the shim would give to the first."""
    tools: list[Json] = draw(TOOLS)
    for _ in range(draw(st.integers(0, 3))):
        taken = [name for name in tool_map(tools)[0].names() if name]
        if taken:
            more = draw(st.lists(st.builds(lambda name: {**F, "name": name}, st.sampled_from(taken)), max_size=3))
            tools = draw(st.permutations([*tools, *more]))
    return tools


def identities(tools: Sequence[Json]) -> Iterator[tuple[str, str | None, str]]:
    """Call type, namespace and name of each tool, as the client knows it."""
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
    offered, _ = tool_map(tools)
    declared = set(identities(tools))
    calls = {name: item(offered, name) for name in names(offered)}
    found = {
        name: (call["type"], call.get("namespace"), call.get("name", call["type"].removesuffix("_call")))
        for name, call in calls.items()
    }
    assert len(names(offered)) == len(declared)
    assert set(found.values()) == declared
    assert all(VALID.fullmatch(name) for name, (_, namespace, _) in found.items() if namespace is not None)


@given(clashing())
def test_a_name_outside_a_namespace_goes_to_the_tool_that_has_it_first(tools: list[Json]) -> None:
    offered, _ = tool_map(tools)
    first: dict[str, str] = {}
    searches = [tool for tool in tools if tool == SEARCH]  # which is offered last, for it lists the others
    for kind, namespace, name in identities([tool for tool in tools if tool != SEARCH] + searches):
        if namespace is None:
            first.setdefault(name, kind)
    assert {name: item(offered, name)["type"] for name in first} == first


@given(clashing())
def test_the_same_tools_have_the_same_names_again(tools: list[Json]) -> None:
    assert functions(tool_map(tools)[0]) == functions(tool_map(json.loads(json.dumps(tools)))[0])


@given(clashing().filter(lambda tools: SEARCH not in tools), st.integers(0, 9))
def test_tools_from_the_input_have_the_names_that_they_would_have_anyway(tools: list[Json], split: int) -> None:
    assert functions(tool_map(tools[:split], from_input=in_input(*tools[split:]))[0]) == functions(tool_map(tools)[0])


@given(clashing())
def test_a_past_call_leads_to_its_tool_by_the_name_that_it_is_shown_under(tools: list[Json]) -> None:
    offered, _ = tool_map(tools)
    kinds = {"function_call": FUNCTION, "custom_tool_call": CUSTOM}
    for call_type, namespace, name in identities(tools):
        if call_type in kinds:
            function = offered.function_name(ToolIdentity(kinds[call_type], name, namespace))
            assert identity(offered, function) == (call_type, namespace, name)


# How models spell names ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("namespace", "name", "spellings"),
    [
        ("crm", "find", ["crm__find", "crm.find", "crm/find", "crm:find", "crm::find", "crm_find", "find"]),
        ("multi_agent_v1", "spawn_agent", ["multi_agent_v1__spawn_agent", "multi_agent_v1.spawn_agent", "spawn_agent"]),
        ("mcp__docs", "_search", ["mcp__docs___search", "mcp__docs__search", "mcp__docs_search", "_search", "search"]),
        ("my server", "mcp__get", ["my_server__mcp__get", "my server.mcp__get", "mcp__get", "mcp.get"]),
    ],
)
def test_a_tool_of_a_namespace_is_found_in_the_spellings_of_models(
    namespace: str, name: str, spellings: list[str]
) -> None:
    tools, _ = tool_map([in_namespace(namespace, {**F, "name": name}), G])
    for spelling in spellings:
        assert identity(tools, spelling) == ("function_call", namespace, name)


@pytest.mark.parametrize("name", ["find", "crm_", "crm", "", "_", "Crm__find2", "g "])
def test_a_name_that_could_mean_several_tools_or_none_is_that_of_a_function(name: str) -> None:
    tools, _ = tool_map(
        [in_namespace("crm", {**F, "name": "find"}), in_namespace("erp", {**F, "name": "find"}), {**G, "name": "__"}, G]
    )
    assert identity(tools, name) == ("function_call", None, name)


def test_a_name_that_is_offered_means_that_tool() -> None:
    tools, _ = tool_map([in_namespace("crm", {**F, "name": "find"}), {**F, "name": "find"}])
    assert identity(tools, "find") == ("function_call", None, "find")


def test_calls_are_read_without_the_declarations() -> None:
    tools, _ = tool_map([in_namespace("crm", {**F, "name": "find"}), custom("write")])
    tools.forget_declarations()
    assert identity(tools, "crm.find") == ("function_call", "crm", "find")
    assert identity(tools, "write") == ("custom_tool_call", None, "write")
    assert tools.refusal("nobody") is None


# The rest of the chat request ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("tools", [None, [], [WEB], [{"type": "shell", "environment": {}}], [in_namespace("ns")]])
def test_without_functions_nothing_is_sent(tools: Any) -> None:
    assert tool_map(tools, "auto", True)[0].chat_params() == {}


@pytest.mark.parametrize("parallel", [True, False])
def test_parallel_calls_are_passed_on_with_tools(parallel: bool) -> None:
    assert tool_map([F], None, parallel)[0].chat_params()["parallel_tool_calls"] is parallel
    assert "parallel_tool_calls" not in tool_map([F])[0].chat_params()


@pytest.mark.parametrize(("parallel", "single"), [(None, False), (True, False), (False, True)])
def test_a_turn_has_a_single_call_only_without_parallel_calls(parallel: bool | None, single: bool) -> None:
    assert tool_map([F], None, parallel)[0].single is single


def test_each_function_has_the_path_of_its_tool() -> None:
    tools, _ = tool_map([WEB, F, in_namespace("ns", G, custom("c"))], from_input=in_input({"type": "shell"}))
    paths = ["tools[1]", "tools[2].tools[0]", "tools[2].tools[1]", "input[0].tools[0]"]
    assert (names(tools), tools.paths()) == (["f", "ns__g", "ns__c", "shell"], paths)


def test_a_name_of_megabytes_is_shortened_and_still_its_own() -> None:
    names = [function_name("crm", "a. " * 1_000_000 + end) for end in ("", "x", "y")]
    assert len({*names}) == 3
    assert all(len(name) <= MAX_NAME and re.fullmatch(r"[A-Za-z0-9_-]+", name) for name in names)
    assert len(loosely_spelled("a. " * 1_000_000)) < 2000


def test_the_schemas_of_the_functions_that_may_be_called() -> None:
    schema = {"type": "object", "properties": {"a": {"type": "string"}}}
    tools = [{"type": "function", "name": "f", "parameters": schema}, {"type": "function", "name": "g"}]
    assert prepared(tools=tools).tools.schemas() == {"f": schema, "g": {}}
    choice = {"type": "allowed_tools", "mode": "auto", "tools": [{"type": "function", "name": "f"}]}
    assert prepared(tools=tools, tool_choice=choice).tools.schemas() == {"f": schema}
