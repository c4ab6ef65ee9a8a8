"""Calls of every kind of tool in a stream: how hosts tell them apart, which are not allowed, and how they end."""

from __future__ import annotations

import json
from typing import Any

import pytest

from responses_shim.core.tools.tool_map import ToolMap
from responses_shim.core.wire.report import Report
from tests.core import driver
from tests.core.driver import Json, Played, play
from tests.oracle import check_stream
from tests.scripted import call, chunk

F: Json = {"type": "function", "name": "f"}
G: Json = {"type": "function", "name": "g"}
C: Json = {"type": "custom", "name": "c"}
CRM: Json = {"type": "namespace", "name": "crm", "tools": [{**F, "name": "find"}, {**C, "name": "note"}]}
OWN: list[Json] = [{"type": "shell"}, {"type": "local_shell"}, {"type": "apply_patch"}]
SEARCH: Json = {"type": "tool_search", "execution": "client"}
EVERY = [F, G, C, CRM, *OWN, SEARCH]
STOP = chunk(finish_reason="tool_calls")


def answer(
    *chunks: bytes,
    tools: list[Json] | None = None,
    choice: Any = None,
    parallel: bool | None = None,
    slow: bool = False,
) -> Played:
    """The response to these chunks, from a request with these tools or with one of each kind."""
    tool_map = ToolMap(EVERY if tools is None else tools, choice, parallel, Report())
    return driver.answer(*chunks, tools=tool_map, slow=slow)


def calls(*entries: Json) -> bytes:
    return chunk(tool_calls=list(entries))


def arguments_of(item: Json) -> Any:
    """The arguments, input, commands or path of a call, wherever an item of its kind has them."""
    if item["type"] == "apply_patch_call":
        return item["operation"]["path"]
    action = item.get("action", {})
    return item.get("input", item.get("arguments", action.get("commands", action.get("command"))))


Summary = tuple[str, str, str | None, str | None, Any]
"""An item in short: its type, the prefix of its id, namespace, name, and what `arguments_of` gives."""

# A call of each kind: the host's name for the tool, the arguments, and the item that the call becomes.
EACH: dict[str, tuple[str, str, Summary]] = {
    "function": ("f", '{"a": 1}', ("function_call", "fc", None, "f", '{"a": 1}')),
    "custom": ("c", '{"input": "a\\nb"}', ("custom_tool_call", "ctc", None, "c", "a\nb")),
    "function in a namespace": ("crm__find", "{}", ("function_call", "fc", "crm", "find", "{}")),
    "custom in a namespace": ("crm__note", '{"input": "a"}', ("custom_tool_call", "ctc", "crm", "note", "a")),
    "shell": ("shell", '{"commands": ["ls", "pwd"]}', ("shell_call", "sh", None, None, ["ls", "pwd"])),
    "local shell": ("local_shell", '{"command": ["ls"]}', ("local_shell_call", "lsh", None, None, ["ls"])),
    "patch": (
        "apply_patch",
        '{"type": "delete_file", "path": "a"}',
        ("apply_patch_call", "apc", None, None, "a"),
    ),
    "search": ("tool_search", '{"query": "q"}', ("tool_search_call", "tsc", None, None, {"query": "q"})),
    "unknown": ("h", "{}", ("function_call", "fc", None, "h", "{}")),
}


def summary_of(item: Json) -> Summary:
    prefix = item["id"].rpartition("_")[0]
    return item["type"], prefix, item.get("namespace"), item.get("name"), arguments_of(item)


# Every kind ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", EACH)
def test_a_call_becomes_an_item_of_the_kind_of_its_tool(kind: str) -> None:
    name, arguments, expected = EACH[kind]
    for size in (1, 5, len(arguments)):
        pieces = [arguments[start : start + size] for start in range(0, len(arguments), size)]
        played = answer(calls(call(0, "a", name)), *[calls(call(0, arguments=piece)) for piece in pieces], STOP)
        (item,) = played.output
        assert summary_of(item) == expected
        assert (item["call_id"], item["status"]) == ("a", "completed")
        assert [ended.call_id for ended in played.rounds[0].calls] == ["a"]


def test_calls_of_every_kind_may_be_interleaved() -> None:
    halves = [(arguments[: len(arguments) // 2], arguments[len(arguments) // 2 :]) for _, arguments, _ in EACH.values()]
    names = [name for name, _, _ in EACH.values()]
    first = [call(index, f"id-{index}", names[index], half) for index, (half, _) in enumerate(halves)]
    second = [call(index, arguments=half) for index, (_, half) in enumerate(halves)]
    for chunks in (
        [calls(*first), calls(*reversed(second))],
        [calls(*first, *second)],
        [*map(calls, first), *map(calls, second)],
    ):
        played = answer(*chunks, STOP)
        assert [summary_of(item) for item in played.output] == [expected for _, _, expected in EACH.values()]
        assert [item["call_id"] for item in played.output] == [f"id-{index}" for index in range(len(EACH))]


def test_interleaved_calls_of_custom_tools_each_stream_their_own_input() -> None:
    played = answer(
        calls(call(0, "a", "c", '{"input": "on'), call(1, "b", "crm__note", '{"input')),
        calls(call(1, arguments='": "tw'), call(0, arguments='e"}')),
        calls(call(1, arguments='o"}')),
        STOP,
    )
    deltas = [(event["output_index"], event["delta"]) for event in played.payloads if "delta" in event]
    assert deltas == [(0, "on"), (0, "e"), (1, "tw"), (1, "o")]


def test_a_call_whose_name_comes_late_opens_with_its_name() -> None:
    played = answer(
        calls(call(0, "a", None, '{"inp')),
        calls(call(0, None, None, 'ut": "te')),
        calls(call(0, None, "c", 'xt"}')),
        STOP,
    )
    assert [summary_of(item) for item in played.output] == [("custom_tool_call", "ctc", None, "c", "text")]


def test_text_after_a_call_is_a_message_of_its_own() -> None:
    played = answer(chunk("One."), calls(call(0, "a", "shell", '{"commands": ["ls"]}')), chunk("Two."), STOP)
    assert [item["type"] for item in played.output] == ["message", "shell_call", "message"]


@pytest.mark.parametrize("spelling", ["crm__find", "crm.find", "crm/find", "crm:find", "find"])
def test_a_tool_of_a_namespace_is_found_however_the_model_spells_it(spelling: str) -> None:
    (item,) = answer(calls(call(0, "a", spelling, "{}")), STOP).output
    assert (item["namespace"], item["name"]) == ("crm", "find")


def test_a_second_round_has_calls_of_its_own() -> None:
    first = [calls(call(0, "a", "c", '{"input": "x"}')), STOP]
    second = [calls(call(0, "b", "shell", '{"commands": ["ls"]}')), STOP]
    played = play(first, second, tools=ToolMap(EVERY, None, False, Report()))
    check_stream(played.payloads)
    assert [arguments_of(item) for item in played.output] == ["x", ["ls"]]
    assert [[item.call_id for item in ended.calls] for ended in played.rounds] == [["a"], ["b"]]


def test_calls_without_ids_get_one_each_and_keep_it() -> None:
    names = [name for name, _, _ in EACH.values()]
    for empty in (None, ""):
        played = answer(calls(*[call(index, empty, name, "{}") for index, name in enumerate(names)]), STOP)
        ids = [item["call_id"] for item in played.output]
        assert len(set(ids)) == len(names)
        assert all(id.startswith("call_") for id in ids)


def test_a_host_that_gives_all_its_calls_one_index_tells_them_apart_by_name_and_id() -> None:
    """Each call at once; each in pieces of which the first has name and id; name and id with every piece, in turns."""
    at_once = [call(0, "a", "f", "{}"), call(0, "b", "c", '{"input": "x"}'), call(0, "c", "f", "[]")]
    pieces = [call(0, "a", "f"), call(0, arguments="{}"), call(0, "b", "c", '{"input'), call(0, arguments='": "x"}')]
    turns = [call(0, "a", "f", "{"), call(0, "b", "c", '{"input'), call(0, "a", "f", "}"), call(0, "b", "c", '": "x"}')]
    for entries in (at_once, [*pieces, at_once[2]], [*turns, at_once[2]]):
        for chunks in ([calls(*entries)], [calls(entry) for entry in entries]):
            played = answer(*chunks, STOP)
            assert [(item["call_id"], arguments_of(item)) for item in played.output] == [
                ("a", "{}"),
                ("b", "x"),
                ("c", "[]"),
            ]


def test_another_id_without_a_name_begins_no_other_call() -> None:
    """Hosts exist that make an id for every delta; the name comes once."""
    played = answer(calls(call(0, "a", "f", "{")), calls(call(0, "b", None, "}")), calls(call(1, "c", "f", "[]")), STOP)
    assert [(item["call_id"], arguments_of(item)) for item in played.output] == [("a", "{}"), ("c", "[]")]


# `parallel_tool_calls: false` ----------------------------------------------------------------------------------------

HOSTS: dict[str, list[bytes]] = {
    "by index": [
        calls(call(0, "a", "f", '{"x"')),
        calls(call(1, "b", "g", "{}")),
        calls(call(0, arguments=": 1}"), call(1, arguments=" ")),
        calls(call(2, "c", "shell", '{"commands": ["rm"]}')),
    ],
    "by index, in one chunk": [calls(call(0, "a", "f", '{"x": 1}'), call(1, "b", "f", "{}"), call(2, "c", "c", "{}"))],
    "by an index from one": [calls(call(1, "a", "f", '{"x": 1}')), calls(call(2, "b", "f", "{}"))],
    "all by one index": [
        calls(call(0, "a", "f", '{"x"')),
        calls(call(0, arguments=": 1}")),
        calls(call(0, "b", "g", "{}")),
        calls(call(0, arguments=" ")),
    ],
    "by id": [
        calls(call(None, "a", "f", '{"x"')),
        calls(call(None, "b", "g", "{")),
        calls(call(None, "a", None, ": 1}")),
        calls(call(None, "b", None, "}")),
    ],
    "by id, repeated with every piece": [
        calls(call(None, "a", "f", '{"x"'), call(None, "a", "f", ": 1}"), call(None, "b", "f", "{}"))
    ],
    "by name": [
        calls(call(None, None, "f", '{"x"')),
        calls(call(None, None, None, ": 1}")),
        calls(call(None, None, "f", "{}")),
        calls(call(None, None, None, " ")),
    ],
    "by name, each at once": [calls(call(None, None, "f", '{"x": 1}')), calls(call(None, None, "f", "{}"))],
    "with the name late": [
        calls(call(0, "a", None, '{"x"'), call(1, "b", None, "{")),
        calls(call(0, None, "f", ": 1}"), call(1, None, "g", "}")),
    ],
}


@pytest.mark.parametrize("host", HOSTS)
def test_without_parallel_calls_only_the_first_call_is_an_item_however_hosts_tell_them_apart(host: str) -> None:
    played = answer(*HOSTS[host], STOP, parallel=False)
    (item,) = played.output
    assert (item["name"], item["arguments"], item["status"]) == ("f", '{"x": 1}', "completed")
    assert played.response["status"] == "completed"
    assert played.stream.ignored_calls > 0


@pytest.mark.parametrize("host", HOSTS)
@pytest.mark.parametrize("parallel", [None, True])
def test_with_parallel_calls_every_call_is_an_item(host: str, parallel: bool | None) -> None:
    played = answer(*HOSTS[host], STOP, parallel=parallel)
    assert len(played.output) > 1
    assert played.output[0]["arguments"] == '{"x": 1}'
    assert played.stream.ignored_calls == 0


def test_an_ignored_call_closes_no_item() -> None:
    """Neither the message that is being written, nor the end of the one call that counts."""
    played = answer(
        calls(call(0, "a", "c", '{"input": "x')),
        chunk("Then"),
        calls(call(1, "b", "shell", '{"commands"')),
        chunk(" this."),
        calls(call(0, arguments='y"}')),
        STOP,
        parallel=False,
    )
    assert [item["type"] for item in played.output] == ["custom_tool_call", "message"]
    assert arguments_of(played.output[0]) == "xy"
    assert played.output[1]["content"][0]["text"] == "Then this."


# Calls that tool_choice does not allow -------------------------------------------------------------------------------

ONLY_F = {"type": "allowed_tools", "tools": [F]}


@pytest.mark.parametrize("name", ["g", "c", "crm__find", "crm.note", "find", "shell", "apply_patch", "tool_search"])
def test_a_call_of_a_tool_that_is_not_allowed_fails_the_response_and_is_no_item(name: str) -> None:
    played = answer(calls(call(0, "a", name, '{"input": "x"}')), STOP, choice=ONLY_F)
    assert played.response["status"] == "failed"
    assert played.response["error"]["message"] == f"The model called {name!r}, which tool_choice does not allow."
    assert played.output == []
    assert played.rounds[0].calls == []


@pytest.mark.parametrize("name", ["f", "h"])
def test_a_call_of_an_allowed_or_of_an_unknown_tool_is_an_item(name: str) -> None:
    assert [item["name"] for item in answer(calls(call(0, "a", name, "{}")), STOP, choice=ONLY_F).output] == [name]


def test_what_comes_before_and_after_a_call_that_is_not_allowed_is_the_same_in_one_chunk_and_in_many() -> None:
    entries = [call(0, "a", "f", "{"), call(1, "b", "g", "{}"), call(2, "c", "f", "{}"), call(0, arguments="}")]
    together, apart = (
        answer(*chunks, chunk("Well."), STOP, choice=ONLY_F)
        for chunks in ([calls(*entries)], [calls(entry) for entry in entries])
    )
    assert together.payloads == apart.payloads
    (item,) = apart.output
    assert (item["arguments"], item["status"]) == ("{", "incomplete")


def test_a_call_whose_name_comes_late_may_turn_out_not_to_be_allowed() -> None:
    played = answer(calls(call(0, "a", None, "{}")), calls(call(0, None, "g")), STOP, choice=ONLY_F)
    assert played.output == []
    assert played.response["status"] == "failed"


@pytest.mark.parametrize(
    ("tools", "choice", "reason"),
    [
        (EVERY, "none", "tool_choice is 'none'"),
        ([], None, "no tool was offered"),
        ([{"type": "web_search"}], None, "no tool was offered"),
    ],
)
@pytest.mark.parametrize("name", ["f", "heard_of_by_nobody"])
def test_a_call_that_nobody_asked_for_fails_the_response(
    tools: list[Json], choice: Any, reason: str, name: str
) -> None:
    played = answer(chunk("Well."), calls(call(0, "a", name, "{}")), STOP, tools=tools, choice=choice)
    assert played.response["status"] == "failed"
    assert played.response["error"]["message"] == f"The model called {name!r}, but {reason}."
    assert [item["type"] for item in played.output] == ["message"]
    assert played.rounds[0].calls == []


# Calls that are cut --------------------------------------------------------------------------------------------------

CUT: dict[str, tuple[str, str, Any]] = {
    "function": ("f", '{"a": "b', '{"a": "b'),
    "custom": ("c", '{"input": "*** Begin\\nPa', "*** Begin\nPa"),
    "custom in the middle of an escape": ("c", '{"input": "a\\ud83d\\u', "a"),
    "custom before its input": ("c", '{"inp', ""),
    "custom with another key": ("c", '{"patch": "*** Begin', ""),
    "custom in a namespace": ("crm.note", '{"input": "a', "a"),
    "shell": ("shell", '{"commands": ["rm -r /tmp', []),
    "shell without JSON": ("shell", "rm -r /tmp", []),
    "local shell": ("local_shell", '{"command": ["rm", "-r", "/tmp', []),
    "patch": ("apply_patch", '{"type": "update_file", "path": "a", "diff": "-x', ""),
    "search": ("tool_search", '{"query": "ma', {}),
}


@pytest.mark.parametrize("kind", CUT)
@pytest.mark.parametrize("finish", ["length", "content_filter", "abort", None])
def test_a_call_that_is_cut_is_incomplete_and_shows_no_json_of_ours(kind: str, finish: str | None) -> None:
    name, arguments, left = CUT[kind]
    end = [chunk(finish_reason=finish)] if finish else []
    played = answer(calls(call(0, "a", name, arguments)), *end)
    (item,) = played.output
    assert (arguments_of(item), item["status"]) == (left, "incomplete")
    assert played.response["status"] == ("incomplete" if finish in ("length", "content_filter") else "failed")
    assert not any("shell_call_command" in event for event in played.types)


def test_of_calls_that_are_cut_only_the_last_is_incomplete() -> None:
    """Models write calls one after the other, as a rule: those before the last had ended."""
    played = answer(
        calls(call(0, "a", "shell", '{"commands": ["ls"]}'), call(1, "b", "c", '{"input": "x')),
        chunk(finish_reason="length"),
    )
    assert [(arguments_of(item), item["status"]) for item in played.output] == [
        (["ls"], "completed"),
        ("x", "incomplete"),
    ]


# Arguments that are not what was asked for ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "arguments", "expected"),
    [
        ("shell", "ls -la", ["ls -la"]),
        ("shell", '{"command": ["bash", "-lc", "ls"]}', ["bash -lc ls"]),
        ("local_shell", "ls -la", ["bash", "-lc", "ls -la"]),
        ("local_shell", "{not json", []),
        ("local_shell", '{"command": [', []),
        ("apply_patch", "*** Begin Patch", ""),
        ("tool_search", "mail", {}),
        ("c", "print(1)", "print(1)"),
        ("c", '{"code": "print(1)"}', "print(1)"),
        ("c", '"print(1)"', "print(1)"),
        ("c", "", ""),
        ("f", "not json", "not json"),
    ],
)
def test_unexpected_arguments_still_make_a_call(name: str, arguments: str, expected: Any) -> None:
    (item,) = answer(calls(call(0, "a", name, arguments)), STOP).output
    assert (arguments_of(item), item["status"]) == (expected, "completed")


@pytest.mark.parametrize("depth", [970, 980, 990, 100_000])
def test_arguments_that_are_nested_too_deep_are_dropped_and_the_stream_goes_on(depth: int) -> None:
    """A depth that Python just manages to read may be one that it cannot write."""
    nested = '{"query": ' + "[" * depth + "]" * depth + "}"
    assert [arguments_of(item) for item in answer(calls(call(0, "a", "tool_search", nested)), STOP).output] == [{}]


def test_arguments_that_a_host_sends_as_an_object_are_read() -> None:
    entry = {"index": 0, "id": "a", "function": {"name": "c", "arguments": {"input": 'a "b"'}}}
    assert [arguments_of(item) for item in answer(calls(entry), STOP).output] == ['a "b"']


def test_json_in_the_input_of_a_custom_tool_stays_as_it_is() -> None:
    text = json.dumps({"input": "x", "more": [1, 2]}, indent=1)
    (item,) = answer(calls(call(0, "a", "c", json.dumps({"input": text}))), STOP).output
    assert arguments_of(item) == text


@pytest.mark.parametrize(
    ("name", "arguments", "more", "expected"),
    [
        ("f", "{}", "xy", "{}xy"),
        ("c", '{"input": "a"}', "xy", "a"),
        ("c", '{"patch": "a"}', "xy", '{"patch": "a"}xy'),
        ("c", '{"input": ""}', "", ""),
    ],
)
def test_arguments_that_a_complete_call_has_had_are_no_other_call_and_any_others_are(
    name: str, arguments: str, more: str, expected: str
) -> None:
    """By its id, with what has come behind its end in pieces."""

    def piece(arguments: str, name: str | None = None) -> bytes:
        return calls(call(None, "a", name, arguments))

    played = answer(
        piece(arguments, name),
        *map(piece, more),
        piece(arguments + more, name),
        piece('{"input": "zz"}', name),
        STOP,
    )
    assert arguments_of(played.output[0]) == expected
    assert len(played.output) == 2
