"""The nine forms of `tool_choice`, and what a chat host is sent for each."""

from __future__ import annotations

from typing import Any

import pytest

from responses_shim.core.tools import tool_map
from responses_shim.core.tools.names import loosely_spelled
from responses_shim.core.tools.tool_map import ToolMap
from responses_shim.core.wire.report import Report
from responses_shim.errors import InvalidRequest
from tests.core.driver import Json
from tests.oracle import check_error

F: Json = {"type": "function", "name": "f"}
G: Json = {"type": "function", "name": "g"}
C: Json = {"type": "custom", "name": "c"}
WEB: Json = {"type": "web_search", "search_context_size": "low"}
SHELL: Json = {"type": "shell"}
CONTAINER: Json = {"type": "shell", "environment": {"type": "container_auto"}}
CRM: Json = {"type": "namespace", "name": "crm", "tools": [{"type": "function", "name": "find"}, {**C, "name": "note"}]}
ERP: Json = {"type": "namespace", "name": "erp", "tools": [{"type": "function", "name": "find"}]}
SEARCH: Json = {"type": "tool_search", "execution": "client"}
LATER: Json = {"type": "function", "name": "later", "defer_loading": True}
PROGRAMS: Json = {**F, "name": "programs", "allowed_callers": ["programmatic"]}


def choose(tools: Any, choice: Any) -> tuple[ToolMap, str]:
    report = Report()
    return ToolMap(tools, choice, None, report), report.header()


def refusal(tools: Any, choice: Any) -> InvalidRequest:
    with pytest.raises(InvalidRequest) as caught:
        ToolMap(tools, choice, None, Report())
    check_error(caught.value.body())
    return caught.value


def names(tools: ToolMap) -> list[str]:
    return [tool["function"]["name"] for tool in tools.chat_params().get("tools", [])]


def chosen(tools: ToolMap) -> str:
    """The one function that the host is asked to force."""
    choice = tools.chat_params()["tool_choice"]
    assert choice == {"type": "function", "function": {"name": choice["function"]["name"]}}
    assert choice["function"]["name"] in names(tools)
    return str(choice["function"]["name"])


# Modes ---------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("mode", ["none", "auto", "required"])
def test_a_mode_is_passed_on_and_echoed_however_it_is_spelled(mode: str) -> None:
    for spelling in (mode, {"type": mode}, {"type": mode, "disable_parallel_tool_use": True}):
        tools, report = choose([F], spelling)
        assert (tools.chat_params()["tool_choice"], tools.choice.echo) == (mode, mode)
        assert report == ""


def test_no_choice_is_auto_for_the_client_and_left_out_for_the_host() -> None:
    tools, _ = choose([F], None)
    assert "tool_choice" not in tools.chat_params()
    assert tools.choice.echo == "auto"


@pytest.mark.parametrize("mode", ["none", "auto"])
def test_without_tools_a_mode_is_echoed_and_not_sent(mode: str) -> None:
    tools, _ = choose([WEB], mode)
    assert (tools.chat_params(), tools.choice.echo) == ({}, mode)


# One tool ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "choice",
    [
        {"type": "function", "name": "f"},
        {"type": "function", "function": {"name": "f"}},
        {"type": "function", "name": None, "function": {"name": "f"}},
    ],
)
def test_a_named_function_is_nested_for_chat_and_flat_in_the_echo(choice: Json) -> None:
    tools, report = choose([F, G], choice)
    assert chosen(tools) == "f"
    assert tools.choice.echo == {"type": "function", "name": "f"}
    assert names(tools) == ["f", "g"]
    assert report == ""


@pytest.mark.parametrize("choice", [{"type": "custom", "name": "c"}, {"type": "custom", "custom": {"name": "c"}}])
def test_a_custom_tool_is_the_function_that_it_is_offered_as(choice: Json) -> None:
    tools, report = choose([F, C], choice)
    assert chosen(tools) == "c"
    assert tools.choice.echo == {"type": "custom", "name": "c"}
    assert report == 'mapped=("tools[1]" "tool_choice")'


def test_a_client_that_calls_every_tool_a_function_gets_its_custom_tool() -> None:
    assert chosen(choose([F, C], {"type": "function", "name": "c"})[0]) == "c"


def test_where_there_are_both_the_type_decides() -> None:
    both = [F, {**C, "name": "f"}]
    function, custom = (chosen(choose(both, {"type": kind, "name": "f"})[0]) for kind in ("function", "custom"))
    assert function == "f"
    assert custom.startswith("f_")


@pytest.mark.parametrize("kind", ["shell", "local_shell", "apply_patch"])
def test_a_tool_of_the_api_is_chosen_by_its_type(kind: str) -> None:
    tools, report = choose([F, {"type": kind}], {"type": kind})
    assert chosen(tools) == kind
    assert tools.choice.echo == {"type": kind}
    assert report == 'mapped=("tools[1]" "tool_choice")'


def test_a_search_in_the_client_is_chosen_by_its_type() -> None:
    assert chosen(choose([SEARCH], {"type": "tool_search"})[0]) == "tool_search"


@pytest.mark.parametrize(
    ("choice", "name"),
    [
        ({"type": "function", "name": "find", "namespace": "erp"}, "erp__find"),
        ({"type": "function", "function": {"name": "find", "namespace": "erp"}}, "erp__find"),
        ({"type": "function", "name": "erp.find"}, "erp__find"),
        ({"type": "function", "name": "erp__find"}, "erp__find"),
        ({"type": "custom", "name": "note", "namespace": "crm"}, "crm__note"),
        ({"type": "custom", "name": "note"}, "crm__note"),
        ({"type": "function", "name": "note"}, "crm__note"),
    ],
)
def test_a_tool_of_a_namespace_is_chosen_with_it_or_if_only_one_can_be_meant(choice: Json, name: str) -> None:
    tools, report = choose([CRM, ERP], choice)
    assert chosen(tools) == name
    assert tools.choice.echo == {"type": choice["type"], "name": choice.get("function", choice)["name"]}
    assert ('"tool_choice"' in report) == (choice.get("name") != name)


def test_each_name_is_read_once_however_many_are_allowed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Looked for one by one, the tools of a request of 200 kB once held the host's event loop for 14 seconds."""
    read: list[str] = []

    def recorded(name: str) -> str:
        read.append(name)
        return loosely_spelled(name)

    monkeypatch.setattr(tool_map, "loosely_spelled", recorded)
    many = [{**F, "name": f"f{number}"} for number in range(100)]
    tools, _ = choose([{**CRM, "tools": many}], {"type": "allowed_tools", "mode": "auto", "tools": many})
    assert len(names(tools)) == 100
    assert len(read) <= 3 * 100


@pytest.mark.parametrize(
    "choice",
    [
        {"type": "function", "name": "find"},  # of two namespaces
        {"type": "function", "name": "note", "namespace": "erp"},
        {"type": "function", "name": "find", "namespace": "hr"},
        {"type": "custom", "name": "find", "namespace": "crm"},
        {"type": "custom", "name": "f"},
        {"type": "function", "name": "g"},
        {"type": "function", "name": ""},
        {"type": "function", "name": "_"},
    ],
)
def test_a_tool_that_is_not_there_cannot_be_chosen(choice: Json) -> None:
    error = refusal([F, CRM, ERP], choice)
    assert error.message == f"Tool choice {choice['name']!r} is not among the tools of the request."
    assert (error.param, error.code) == ("tool_choice.name", "invalid_value")


@pytest.mark.parametrize("kind", ["shell", "apply_patch", "local_shell", "tool_search"])
def test_a_tool_of_the_api_that_is_not_there_cannot_be_chosen(kind: str) -> None:
    error = refusal([F], {"type": kind})
    assert error.message == f"Tool choice {kind!r} is not among the tools of the request."
    assert error.param == "tool_choice"


HOSTED = [
    "file_search",
    "web_search",
    "web_search_preview",
    "web_search_preview_2025_03_11",
    "computer",
    "computer_use",
    "computer_use_preview",
    "image_generation",
    "code_interpreter",
    "programmatic_tool_calling",
    "mcp",
    "namespace",
    "odd",
]


@pytest.mark.parametrize("kind", HOSTED)
def test_a_tool_that_nobody_runs_cannot_be_forced(kind: str) -> None:
    for tools in ([F], [F, {"type": kind}]) if kind not in ("mcp", "namespace") else ([F],):
        error = refusal(tools, {"type": kind, "server_label": "docs"})
        assert error.message == f"Unsupported parameter: no such tool of type '{kind}' can be called here."
        assert (error.param, error.code, error.status) == ("tool_choice", "unsupported_parameter", 400)


@pytest.mark.parametrize(
    ("tool", "choice"),
    [
        (CONTAINER, {"type": "shell"}),
        ({"type": "apply_patch", "allowed_callers": ["programmatic"]}, {"type": "apply_patch"}),
        ({"type": "tool_search"}, {"type": "tool_search"}),
        (PROGRAMS, {"type": "function", "name": "programs"}),
        (LATER, {"type": "function", "name": "later"}),
        ({**C, "defer_loading": True}, {"type": "custom", "name": "c"}),
    ],
)
def test_a_tool_that_was_left_out_cannot_be_forced(tool: Json, choice: Json) -> None:
    error = refusal([SEARCH, tool] if tool["type"] != "tool_search" else [tool], choice)
    assert (error.param, error.code) == ("tool_choice", "unsupported_parameter")


# Some of the tools ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("mode", "sent"), [({}, "auto"), ({"mode": "auto"}, "auto"), ({"mode": "required"}, "required")]
)
def test_of_allowed_tools_only_those_are_offered(mode: Json, sent: str) -> None:
    allowed = [{"type": "function", "name": "g"}]
    tools, report = choose([F, G, WEB], {"type": "allowed_tools", "tools": allowed, **mode})
    assert names(tools) == ["g"]
    assert tools.paths() == ["tools[1]"]
    assert tools.chat_params()["tool_choice"] == sent
    assert tools.choice.echo == {"type": "allowed_tools", "mode": sent, "tools": allowed}
    assert [tool["type"] for tool in tools.echo] == ["function", "function", "web_search"]
    assert report == 'dropped=("tools[2]"), mapped=("tool_choice")'


def test_allowed_tools_are_also_taken_in_chats_form() -> None:
    allowed = {"mode": "required", "tools": [{"type": "function", "function": {"name": "g"}}]}
    tools, _ = choose([F, G], {"type": "allowed_tools", "allowed_tools": allowed})
    assert (names(tools), tools.chat_params()["tool_choice"]) == (["g"], "required")
    assert tools.choice.echo == {"type": "allowed_tools", **allowed}


def test_every_form_of_tool_can_be_allowed() -> None:
    allowed = [
        {"name": "f"},
        C,
        SHELL,
        {"type": "tool_search"},
        {"type": "function", "name": "find", "namespace": "crm"},
        {"type": "custom", "name": "note"},
        {"type": "function", "function": {"name": "find", "namespace": "erp"}},
    ]
    every = [F, G, C, SHELL, {"type": "apply_patch"}, CRM, ERP, SEARCH]
    tools, _ = choose(every, {"type": "allowed_tools", "tools": allowed})
    assert names(tools) == ["f", "c", "shell", "crm__find", "crm__note", "erp__find", "tool_search"]


def test_a_namespace_that_is_allowed_allows_its_members() -> None:
    choice = {"type": "allowed_tools", "tools": [F, {"type": "namespace", "name": "crm"}]}
    tools, report = choose([F, G, CRM, ERP], choice)
    assert names(tools) == ["f", "crm__find", "crm__note"]
    assert "tool_choice.tools" not in report
    assert tools.choice.echo == {**choice, "mode": "auto"}
    required = {"type": "allowed_tools", "mode": "required", "tools": choice["tools"][1:]}
    assert choose([F, CRM], required)[0].chat_params()["tool_choice"] == "required"


def test_an_allowed_namespace_must_be_there_and_is_reported_if_nothing_of_it_is_offered() -> None:
    def allowed(**namespace: Any) -> Json:
        return {"type": "allowed_tools", "tools": [{"type": "namespace", **namespace}]}

    assert refusal([F], allowed(name="crm")).param == "tool_choice.tools[0].name"
    assert refusal([F], allowed()).param == "tool_choice.tools[0].name"
    tools, report = choose([F, {**CRM, "tools": [WEB]}], allowed(name="crm"))
    assert tools.chat_params() == {}
    assert '"tool_choice.tools[0]"' in report.split("mapped")[0]


def test_an_allowed_tool_that_is_not_offered_is_reported() -> None:
    allowed = [
        F,
        WEB,
        {"type": "shell"},
        {"type": "mcp", "server_label": "docs"},
        {"type": "function", "name": "later"},
    ]
    choice = {"type": "allowed_tools", "tools": [*allowed, {"type": "function", "name": "programs"}, {"type": None}]}
    tools, report = choose([F, CONTAINER, SEARCH, LATER, PROGRAMS], choice)
    assert names(tools) == ["f"]
    assert [f'"tool_choice.tools[{index}]"' in report.split("mapped")[0] for index in range(7)] == [False] + [True] * 6


def test_allowed_tools_that_nobody_runs_leave_nothing_to_offer() -> None:
    assert choose([F, WEB], {"type": "allowed_tools", "tools": [WEB]})[0].chat_params() == {}
    assert choose([F], {"type": "allowed_tools", "tools": []})[0].chat_params() == {}


@pytest.mark.parametrize("name", ["g", "crm__find", "crm.find", "note"])
def test_a_tool_of_the_request_that_is_not_allowed_may_not_be_called(name: str) -> None:
    tools, _ = choose([F, G, CRM], {"type": "allowed_tools", "tools": [F]})
    assert tools.refusal("f") is None
    assert tools.refusal(name) == f"The model called '{name}', which tool_choice does not allow."


@pytest.mark.parametrize("choice", ["none", {"type": "none"}])
def test_no_tool_may_be_called_where_the_choice_is_none(choice: Any) -> None:
    tools, _ = choose([F, G], choice)
    assert tools.refusal("f") == "The model called 'f', but tool_choice is 'none'."
    assert tools.refusal("h") == "The model called 'h', but tool_choice is 'none'."


@pytest.mark.parametrize(
    ("tools", "choice"),
    [([], None), ([], "auto"), ([WEB], None), ([F, WEB], {"type": "allowed_tools", "tools": [WEB]})],
)
def test_no_tool_may_be_called_where_none_is_offered(tools: Any, choice: Any) -> None:
    assert choose(tools, choice)[0].refusal("h") == "The model called 'h', but no tool was offered."


def test_a_call_of_no_tool_in_the_request_is_for_the_client_to_judge() -> None:
    assert choose([F, G], {"type": "allowed_tools", "tools": [F]})[0].refusal("h") is None


@pytest.mark.parametrize("choice", [None, "auto", {"type": "function", "name": "f"}])
def test_no_other_choice_forbids_a_call(choice: Any) -> None:
    """A host may take them as it likes."""
    assert choose([F, G], choice)[0].refusal("g") is None


# What cannot be met, and what is not valid ----------------------------------------------------------------------------

REQUIRED_NOTHING = "Tool choice 'required' needs at least one tool that can be called here."


@pytest.mark.parametrize(
    ("tools", "choice"),
    [
        (None, "required"),
        ([WEB], "required"),
        ([WEB], {"type": "required"}),
        ([CONTAINER], "required"),
        ([F, WEB], {"type": "allowed_tools", "mode": "required", "tools": [WEB]}),
        ([F], {"type": "allowed_tools", "mode": "required", "tools": []}),
    ],
)
def test_a_call_cannot_be_required_where_nothing_can_be_called(tools: Any, choice: Any) -> None:
    error = refusal(tools, choice)
    assert (error.message, error.param, error.code) == (REQUIRED_NOTHING, "tool_choice", "invalid_value")


def test_an_allowed_tool_that_is_not_there_is_named() -> None:
    error = refusal([F], {"type": "allowed_tools", "tools": [F, G]})
    assert error.message == "Tool choice 'g' is not among the tools of the request."
    assert error.param == "tool_choice.tools[1].name"
    assert refusal([F], {"type": "allowed_tools", "tools": [F, SHELL]}).param == "tool_choice.tools[1]"


@pytest.mark.parametrize("mode", ["maybe", "AUTO", "", "any"])
def test_an_unknown_mode_is_answered_with_the_known_ones(mode: str) -> None:
    error = refusal([F], mode)
    assert error.message == f"Invalid value: {mode!r}. Supported values are: 'none', 'auto' and 'required'."
    assert (error.param, error.code) == ("tool_choice", "invalid_value")


@pytest.mark.parametrize("mode", ["none", None, 7, [], {}])
def test_allowed_tools_have_two_modes(mode: Any) -> None:
    error = refusal([F], {"type": "allowed_tools", "mode": mode, "tools": [F]})
    assert error.message == f"Invalid value: {mode!r}. Supported values are: 'auto' and 'required'."
    assert (error.param, error.code) == ("tool_choice.mode", "invalid_value")


@pytest.mark.parametrize(
    ("choice", "param", "code"),
    [
        ({}, "tool_choice.type", "missing_required_parameter"),
        ({"type": None}, "tool_choice.type", "missing_required_parameter"),
        ({"type": []}, "tool_choice.type", "missing_required_parameter"),
        ({"type": "function"}, "tool_choice.name", "missing_required_parameter"),
        ({"type": "function", "name": 7}, "tool_choice.name", "invalid_type"),
        ({"type": "function", "name": "f", "namespace": 7}, "tool_choice.namespace", "invalid_type"),
        ({"type": "function", "function": "f"}, "tool_choice.name", "missing_required_parameter"),
        ({"type": "function", "function": {}}, "tool_choice.name", "missing_required_parameter"),
        ({"type": "custom"}, "tool_choice.name", "missing_required_parameter"),
        ({"type": "allowed_tools"}, "tool_choice.tools", "missing_required_parameter"),
        ({"type": "allowed_tools", "tools": {}}, "tool_choice.tools", "invalid_type"),
        ({"type": "allowed_tools", "tools": ["f"]}, "tool_choice.tools[0]", "invalid_type"),
        (
            {"type": "allowed_tools", "tools": [{"type": "function"}]},
            "tool_choice.tools[0].name",
            "missing_required_parameter",
        ),
        ({"type": "allowed_tools", "tools": [F, {"name": []}]}, "tool_choice.tools[1].name", "invalid_type"),
    ],
)
def test_what_is_wrong_with_a_choice_is_named_by_its_path(choice: Json, param: str, code: str) -> None:
    error = refusal([F], choice)
    assert (error.param, error.code) == (param, code)


def test_a_namespace_may_be_allowed_again_and_again() -> None:
    empty = {"type": "namespace", "name": "empty", "tools": []}
    allowed = [{"type": "namespace", "name": name} for name in ("crm", "empty", "crm", "empty")]
    tools, report = choose([CRM, empty, F], {"type": "allowed_tools", "mode": "auto", "tools": allowed})
    assert tools.choice.allowed == frozenset({"crm__find", "crm__note"})
    assert 'dropped=("tool_choice.tools[1]" "tool_choice.tools[3]")' in report
