"""A model's own `response_template` says in which form it writes its calls.

The templates are those of models and of the tests of Hugging Face transformers 5.19; one of a form that is nobody's is
read as transformers reads it.
"""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from responses_shim.core.response.tool_markup import Functions, blocks_of, template_form
from responses_shim.core.response.tool_markup.grammar import Block
from responses_shim.core.response.tool_markup.reader import MarkupReader
from responses_shim.core.response.tool_markup.source import Arguments, Call, Text
from tests.core.response.tool_markup.reading import SCHEMAS
from tests.cuts import POSITIONS, cut

Json = dict[str, Any]

OBJECT = {"type": "function", "function": "{content}"}
NAMED = {"type": "function", "function": {"name": "{name}", "arguments": "{content}"}}


def template(**calls: Any) -> Json:
    return {
        "start_anchor": "<|im_start|>assistant\n",
        "fields": {"content": {"close": "<|im_end|>"}, "tool_calls": {"repeats": True, "content": "json", **calls}},
    }


QWEN = template(
    open_pattern=r"<tool_call>\s*<function=(?P<name>\w+)>",
    close="</tool_call>",
    content="xml-inline",
    content_args={"tag_pattern": r"<parameter=(?P<key>\w+)>\s*(?P<value>.*?)\s*</parameter>"},
    transform=NAMED,
)
GEMMA = template(
    open_pattern=r"<\|tool_call>call:(?P<name>\w+)",
    close="<tool_call|>",
    content_args={"unquoted_keys": True, "string_delims": [['<|"|>', '<|"|>']]},
    transform=NAMED,
)
COHERE = template(
    open="<|START_ACTION|>",
    close="<|END_ACTION|>",
    transform_each=True,
    transform={"function": {"name": "{tool_name}", "arguments": "{parameters}"}},
)
INKLING = template(
    open_pattern=r"(?:<\|message_model\|>)?[^<]*<\|content_invoke_tool_json\|>",
    close="<|end_message|>",
    transform={"function": {"name": "{content.name}", "arguments": "{content.args}"}},
)


@pytest.mark.parametrize(
    ("given", "form"),
    [
        (template(open="<tool_call>", close="</tool_call>", transform=OBJECT), "hermes"),
        (QWEN, "qwen3_coder"),
        (GEMMA, "gemma4"),
        (COHERE, "hermes"),
    ],
)
def test_a_block_that_is_known_is_of_the_known_form(given: Json, form: str) -> None:
    assert template_form(given) == (form, ())


XML = template(
    open_pattern=r"<call>\s*<f:(?P<name>\w+)>",
    close=["</call>", "<end>"],
    content="xml-inline",
    content_args={"tag_pattern": r"<arg name=(?P<key>[^>]+)>\n?(?P<value>.*?)\n?</arg>"},
    transform=NAMED,
)
JSON_OBJECT = template(open=["<call>", "<calls>"], close_pattern=r"\s*</call>\n?", transform=OBJECT)
JSON_ARGUMENTS = template(open_pattern=r"\[call (?P<name>[\w.]+)\]\s*", close="[end]", transform=NAMED)
BARE_KEYS = template(
    open_pattern=r"<call (?P<name>\w+)>", close="</call>", content_args={"unquoted_keys": True}, transform=NAMED
)
LOOSE_JSON = template(
    open_pattern=r"<call (?P<name>\w+)>",
    close="</call>",
    content_args={"unquoted_keys": True, "string_delims": [["'''", "'''"]]},
    transform=NAMED,
)


def read(blocks: tuple[Block, ...], pieces: list[str]) -> tuple[str, list[tuple[str, Any]]]:
    """The text and the calls of an answer."""
    reader = MarkupReader((*blocks, *blocks_of("hermes", required=False)), Functions(SCHEMAS))
    found = [piece for text in pieces for piece in reader.feed(text)] + reader.close()
    calls: list[list[str]] = []
    for piece in found:
        if isinstance(piece, Call):
            calls.append([piece.name, ""])
        elif isinstance(piece, Arguments):
            calls[-1][1] += piece.json
    text = "".join(piece.text for piece in found if isinstance(piece, Text))
    return text, [(name, json.loads(arguments)) for name, arguments in calls]


PARIS = ("get_weather", {"city": "Paris", "days": 3})


@pytest.mark.parametrize(
    ("given", "answer", "calls"),
    [
        (XML, "<call><f:get_weather><arg name=city>\nParis\n</arg><arg name=days>3</arg></call>", [PARIS]),
        (XML, "<call>\n<f:get_time></call>\n<call><f:get_time><end>", [("get_time", {})] * 2),
        (
            XML,
            "<call><f:write_file><arg name=content>if a < b: </call>\n</arg> and more</call>",
            [("write_file", {"content": "if a < b: </call>"})],
        ),
        (JSON_ARGUMENTS, '[call get_weather] {"city": "Paris", "days": 3}[end]', [PARIS]),
        (JSON_ARGUMENTS, "[call get_time][end]", [("get_time", {})]),
        (JSON_OBJECT, '<call>{"name": "get_time"}</call><calls>{"name": "get_time"}\n</call>', [("get_time", {})] * 2),
        (BARE_KEYS, '<call get_weather>{city: "Paris", days: 3}</call>', [PARIS]),
        (LOOSE_JSON, "<call get_weather>{city:'''Paris''',days:3}</call>", [PARIS]),
    ],
)
def test_a_form_of_the_models_own_is_read(given: Json, answer: str, calls: list[Any]) -> None:
    form, blocks = template_form(given)
    assert form is None
    for pieces in ([answer], list(answer)):
        assert read(blocks, ["So: ", *pieces]) == ("So: ", calls)
    assert read((), [answer])[1] == []


@given(st.text("ab \n<>&{}'\"é😀", max_size=20), POSITIONS)
def test_a_value_in_a_form_of_the_models_own_may_be_cut_anywhere(value: str, positions: list[int]) -> None:
    answer = f"<call><f:write_file><arg name=content>\n{value}\n</arg></call>"
    for pieces in ([answer], list(answer), cut(answer, positions)):
        assert read(template_form(XML).blocks, pieces) == ("", [("write_file", {"content": value})])


@pytest.mark.parametrize(
    "given",
    [
        None,
        {},
        {"fields": 7},
        {"fields": {"content": {}}},
        INKLING,  # what is before its marker may be anything
        template(),
        template(open="<call>", content="kv-lines", transform=OBJECT),
        template(open="<call>", transform={"function": {"name": "{who}", "arguments": "{what}"}}),
        template(open="<call>", transform={"function": 7}),
        template(open="<c", close="</c", transform=OBJECT),  # anything may begin so
        template(open="call:", close=";", transform=OBJECT),
        template(open_pattern=r"<call .*(?P<name>\w+)>", transform=NAMED),
        template(open_pattern=r"<call (?P<name>\w+)>", transform=OBJECT),
        template(open_pattern=r"<call (?P<name>\w+)>", close_pattern="a|b", transform=NAMED),
        template(open_pattern=r"<call (?P<name>\w+)>", content="text", transform=NAMED),
        template(open_pattern=r"<call (?P<name>\w+)>", content="xml-inline", transform=NAMED),
        template(
            open_pattern=r"<call (?P<name>\w+)>",
            content="xml-inline",
            content_args={"tag_pattern": r"<(?P<key>\w+)>(?P<value>.*?)</(?P=key)>"},
            transform=NAMED,
        ),
        template(
            open_pattern=r"<call (?P<name>\w+)>",
            content="xml-inline",
            content_args={"tag_pattern": r"(?P<key>\w+)=(?P<value>.*?)"},
            transform=NAMED,
        ),
        template(open_pattern=r"<call (?P<name>\w+)>", content_args={"string_delims": [["<", ">"]]}, transform=NAMED),
        template(open_pattern=r"<call (?P<name>\w+) (?P<name>\w+)>", transform=NAMED),
        template(open_pattern=r"\s*<call (?P<name>\w+)>", transform=NAMED),
        template(open_pattern=r"<call (?P<name>\w+)>", close_pattern=r"</call>\s*(?P<key>\w+)", transform=NAMED),
        template(
            open_pattern=r"<call (?P<name>\w+)>",
            content="xml-inline",
            content_args={"tag_pattern": r"<(?P<value>\w+)=(?P<key>.*?)>"},
            transform=NAMED,
        ),
        template(open_pattern="<call " + "(?P<name>\\w+)" * 200, transform=NAMED),
    ],
)
def test_what_cannot_be_translated_is_left_alone(given: Any) -> None:
    assert template_form(given) == (None, ())
