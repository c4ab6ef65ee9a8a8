"""Prefix caches: a prompt begins with the prompt before and what the model wrote to it, byte for byte.

An engine that has the beginning of a prompt in its cache reads only the rest. If one byte comes back otherwise than the
model wrote it, the engine reads everything after it again, in every turn. So OpenAI's own SDK drives the complete shim
here, turn by turn, over a host that renders a real chat template: the prompt of a turn, and what the model wrote then,
must be the beginning of the next prompt. It makes no difference whether the client sends all items again, or names what
the store has.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import anyio
import httpx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from openai import AsyncOpenAI

from responses_shim import ResponsesShim
from tests.caller import post
from tests.conformance.templates import Call, Dialect, TemplateHost, Turn

Json = dict[str, Any]

SEALED = "reasoning.encrypted_content"

# The dialect of some hosts, and the settings of the shim for them.
HOSTS: dict[str, tuple[Dialect, Json]] = {
    "reasoning, arguments as objects": (Dialect("reasoning", reads_json=True), {}),
    "reasoning, arguments as text": (Dialect("reasoning", reads_json=False), {}),
    "white space round calls": (Dialect("reasoning", reads_json=True, leaves_white_space=True), {}),
    "a line end before calls, as with vLLM": (
        Dialect("reasoning", reads_json=True, leaves_line_end=True),
        {"host": "vllm"},
    ),
    "reasoning_content, arguments as objects": (Dialect("reasoning_content", reads_json=True), {}),
    "reasoning in the text": (Dialect(None, reads_json=True), {"reasoning_replay": "think"}),
    "reasoning in the text, llama.cpp": (
        Dialect(None, reads_json=False),
        {"host": "llama-cpp", "tool_markup": "off"},
    ),
    "calls in the text": (Dialect("reasoning", reads_json=True, leaves_calls=True), {"tool_markup": "detect"}),
    "calls and reasoning in the text, llama.cpp": (
        Dialect(None, reads_json=False, leaves_calls=True),
        {"host": "llama-cpp"},
    ),
    "reasoning in the text, anywhere": (
        Dialect(None, reads_json=False),
        {"host": "llama-cpp", "tool_markup": "off", "think_tags": "anywhere"},
    ),
}

# The forms in which clients may ask for reasoning.
REASONING_FORMS: dict[str, Json] = {
    "raw reasoning": {},
    "a summary": {"reasoning": {"summary": "auto"}},
    "a seal": {"include": [SEALED], "store": False},
    "a summary and a seal": {"include": [SEALED], "store": False, "reasoning": {"summary": "auto"}},
}


def unchanged(item: Any) -> Any:
    """As in the SDK's documentation: `history += response.output`."""
    return item


def with_every_null(item: Any) -> Json:
    dumped: Json = item.model_dump(mode="json")
    return dumped


def without_ids(item: Any) -> Json:
    """As Codex keeps its history: no ids, no status, and of sealed reasoning nothing but the seal."""
    dumped: Json = item.model_dump(mode="json", exclude_none=True, exclude={"id", "status"})
    if "encrypted_content" in dumped:
        dumped |= {"summary": [], "content": None}
    return dumped


KEPT = {keep.__name__: keep for keep in (unchanged, with_every_null, without_ids)}

TOOLS: list[Json] = [
    {"type": "function", "name": "weather", "parameters": {"type": "object", "properties": {"city": {}}}},
    {"type": "custom", "name": "python", "format": {"type": "text"}},
    {
        "type": "namespace",
        "name": "files",
        "description": "Files.",
        "tools": [{"type": "function", "name": "read"}, {"type": "custom", "name": "write"}],
    },
    {"type": "shell"},
    {"type": "web_search"},
]
OUTPUTS = {
    "function_call": "function_call_output",
    "custom_tool_call": "custom_tool_call_output",
    "shell_call": "shell_call_output",
}


@dataclass(frozen=True)
class Exchange:
    """A question, and the turns until its answer: all but the last call tools."""

    question: str
    turns: Sequence[Turn]
    output: Any = "4"


def output_of(item: Any, output: Any) -> Json:
    """The output of a call, as the client sends it."""
    if item.type == "shell_call":
        output = [{"stdout": "a\n", "stderr": "", "outcome": {"type": "exit", "exit_code": 0}}]
    return {"type": OUTPUTS[item.type], "call_id": item.call_id, "output": output}


# How the model gets to know what was before: all of it is sent, or what the store has is named.
WAYS = ("sent again", "previous_response_id", "conversation", "item_reference")


async def converse(
    shim: ResponsesShim, exchanges: Sequence[Exchange], keep: Any, way: str = WAYS[0], **options: Any
) -> list[Any]:
    """Go through a conversation in which every other turn is streamed. Returns the items of the model's turns."""
    items: list[Any] = []
    history: list[Any] = []
    stored: Json = {} if way == WAYS[0] else {"store": True}

    async def served(scope: Any, receive: Any, send: Any) -> None:
        await shim({**scope, "app": shim.app}, receive, send)

    # The SDK is typed for httpx2, whose interface this is too.
    http: Any = httpx.AsyncClient(transport=httpx.ASGITransport(served), trust_env=False)
    async with AsyncOpenAI(base_url="http://shim/v1", api_key="key", http_client=http, max_retries=0) as client:

        async def ask(stream: bool) -> Any:
            fields: Json = {"model": "m", "input": history, "instructions": "Be brief.", "tools": TOOLS, **options}
            fields |= stored
            if not stream:
                return await client.responses.create(**fields)
            events: list[Any] = [event async for event in await client.responses.create(**fields, stream=True)]
            return events[-1].response

        if way == "conversation":
            stored["conversation"] = (await client.conversations.create()).id
        for exchange in exchanges:
            history.append({"role": "user", "content": exchange.question})
            for number, _ in enumerate(exchange.turns):
                response = await ask(stream=number % 2 == 1)
                assert response.status == "completed", response.error
                items += response.output
                if way in ("previous_response_id", "conversation"):
                    history.clear()
                elif way == "item_reference":
                    history += [{"type": "item_reference", "id": item.id} for item in response.output]
                else:
                    history += [keep(item) for item in response.output]
                if way == "previous_response_id":
                    stored["previous_response_id"] = response.id
                history += [output_of(item, exchange.output) for item in response.output if item.type in OUTPUTS]
    return items


def conversation(
    host: str, exchanges: Sequence[Exchange], keep: Any = unchanged, way: str = WAYS[0], **options: Any
) -> TemplateHost:
    """The host, after a conversation with it."""
    dialect, settings = HOSTS[host]
    app = TemplateHost(dialect, [turn for exchange in exchanges for turn in exchange.turns])
    shim = ResponsesShim(app, **{"auth_probe": "off", **settings})  # the host takes any request for one of the model
    anyio.run(lambda: converse(shim, exchanges, keep, way, **options))
    return app


def check(host: TemplateHost) -> None:
    """Check that each prompt begins with every earlier one, and with what the model wrote to it."""
    assert len(host.prompts) == len(host.turns)
    for number, (prompt, written) in enumerate(zip(host.prompts, host.written, strict=True)):
        for later in host.prompts[number + 1 :]:
            assert later.startswith(prompt)
            assert later[len(prompt) :].startswith(written), f"turn {number} comes back as {later[len(prompt) :]!r}"


def custom(name: str, text: str) -> Call:
    """A call of a custom tool as a model writes it: JSON with spaces, as in templates, and with as few escapes."""
    return Call(name, json.dumps({"input": text}, ensure_ascii=False))


EXCHANGES = [
    Exchange("Hello, who are you?", [Turn("", "Nobody.\n")]),
    Exchange(
        "What is the weather?",
        [
            Turn("Which city?\n\nParis.", "Let me see.", [Call("weather", '{"city": "Paris"}')]),
            Turn("Two more.", "", [Call("weather", '{"city": "Orléans"}'), custom("python", 'print("é\\n")\n# {}\n')]),
            Turn(
                "", "", [Call("files__read", '{"path": "/a/b", "lines": [1, 2.5, null]}'), custom("files__write", "")]
            ),
            Turn("", "And:\n", [Call("shell", '{"commands": ["ls -la", "pwd"]}')]),
            Turn("\nEnough.\n", "\n\nIt is **sunny**: 25 °C < 30 °C. 😀"),
        ],
        output="25",
    ),
    Exchange("And tomorrow?", [Turn("Hm.", "Who knows?")]),
]


@pytest.mark.parametrize("keep", KEPT)
@pytest.mark.parametrize("form", REASONING_FORMS)
@pytest.mark.parametrize("host", HOSTS)
def test_each_prompt_begins_with_the_one_before_and_what_was_written_to_it(host: str, form: str, keep: str) -> None:
    check(conversation(host, EXCHANGES, KEPT[keep], **REASONING_FORMS[form]))


@pytest.mark.parametrize("way", WAYS[1:])
@pytest.mark.parametrize("form", REASONING_FORMS)
@pytest.mark.parametrize("host", HOSTS)
def test_each_prompt_begins_with_the_one_before_if_the_items_come_from_the_store(
    host: str, form: str, way: str
) -> None:
    check(conversation(host, EXCHANGES, way=way, **REASONING_FORMS[form]))


WRITTEN = ['{"city":"Paris"}', '{ "city" :\t"Paris" }', '{"city": "Par', "Paris"]


@pytest.mark.parametrize(
    ("host", "arguments"),
    [
        *(("reasoning in the text, llama.cpp", arguments) for arguments in WRITTEN),
        *(("reasoning, arguments as text", arguments) for arguments in WRITTEN[:2]),  # what is no JSON is made so
    ],
)
def test_the_arguments_of_a_function_come_back_as_they_were_written(host: str, arguments: str) -> None:
    turns = [Turn("", "", [Call("weather", arguments)]), Turn("", "Sunny.")]
    check(conversation(host, [Exchange("Weather?", turns)]))


def test_a_call_without_arguments_comes_back_with_an_empty_object() -> None:
    """Clients parse the arguments, and so do hosts: here the prompt is not what the model wrote."""
    turns = [Turn("", "", [Call("weather", "")]), Turn("", "Sunny.")]
    host = conversation("reasoning, arguments as text", [Exchange("Weather?", turns)])
    assert '"arguments": }' in host.written[0]
    assert '"arguments": {}}' in host.prompts[1]


def test_reasoning_between_sentences_comes_back_between_them() -> None:
    turn = Turn("Hm.", "One <think>Is it?</think>or two.\n<think>Two.</think> Two.", [Call("weather")])
    check(conversation("reasoning in the text, anywhere", [Exchange("How many?", [turn, Turn("", "Two.")])]))


CAT = Turn("It has whiskers.", "A cat.")


def test_an_image_that_a_tool_puts_out_is_in_the_same_message_in_every_turn() -> None:
    output = [
        {"type": "input_text", "text": "A cat."},
        {"type": "input_image", "image_url": "data:image/png;base64,AA=="},
    ]
    turns = [Turn("", "", [Call("weather"), Call("weather", '{"city": "Rome"}')]), Turn("", "", [Call("weather")]), CAT]
    host = conversation("reasoning, arguments as objects", [Exchange("What is there?", turns, output), *EXCHANGES])
    check(host)
    assert host.prompts[1].count("<|image_pad|>") == 2


@pytest.mark.parametrize(("system_messages", "holds"), [("fold", False), ("keep", True)])
def test_a_later_developer_message_keeps_the_prefix_only_if_it_stays_where_it_is(
    system_messages: Any, holds: bool
) -> None:
    """Most templates allow it only at the beginning. There it changes the first message, and so the whole prefix."""
    host = TemplateHost(Dialect("reasoning", reads_json=True, developers=holds), [CAT, Turn("", "Chat.")])
    history: list[Json] = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "What is it?"}]

    async def ask() -> None:
        shim = ResponsesShim(host, system_messages=system_messages)
        first_turn = await post(shim, "/v1/responses", {"model": "m", "input": history})
        later = [*first_turn.json["output"], {"role": "developer", "content": "Speak French."}]
        await post(shim, "/v1/responses", {"model": "m", "input": [*history, *later, {"role": "user", "content": "?"}]})

    anyio.run(ask)
    first, second = host.prompts
    assert second.startswith(first + host.written[0]) is holds
    assert second.startswith("<|im_start|>system\nBe brief.\n\nSpeak French.") is not holds


def test_reasoning_that_the_client_does_not_send_back_breaks_the_prefix() -> None:
    """No server can help that. It shows that the other tests here can fail."""

    def drop_reasoning(item: Any) -> Any:
        return {"type": "reasoning", "summary": []} if item.type == "reasoning" else item

    host = conversation("reasoning, arguments as objects", EXCHANGES, drop_reasoning)
    with pytest.raises(AssertionError, match="turn 1 comes back as 'Let me see"):
        check(host)


# Any conversation ----------------------------------------------------------------------------------------------------

WORDS = st.text(alphabet='aé😀 \n"\\{}<>/:&', max_size=12)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-9, 9) | WORDS,
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(WORDS, inner, max_size=2),
    max_leaves=4,
)
CALLS = st.one_of(
    st.builds(
        lambda name, arguments: Call(name, json.dumps(arguments, ensure_ascii=False)),
        st.sampled_from(["weather", "files__read", "unheard_of"]),
        st.dictionaries(WORDS, JSON, max_size=2),
    ),
    st.builds(custom, st.sampled_from(["python", "files__write"]), WORDS),
    st.builds(lambda commands: Call("shell", json.dumps({"commands": commands}, ensure_ascii=False)), st.lists(WORDS)),
)


def turns(least: int, most: int) -> st.SearchStrategy[Turn]:
    return st.builds(Turn, WORDS, WORDS, st.lists(CALLS, min_size=least, max_size=most))


CONVERSATIONS = st.lists(
    st.builds(
        lambda question, calling, last, output: Exchange(question, [*calling, last], output),
        WORDS,
        st.lists(turns(1, 3), max_size=3),
        turns(0, 0),
        WORDS,
    ),
    min_size=1,
    max_size=3,
)


def possible(turn: Turn, dialect: Dialect) -> Turn:
    """The turn without what cannot come back: a turn of nothing leaves no item to send.

    White space before a call belongs to its markup. With tags in the text, white space alone is no reasoning, and
    before reasoning it belongs to the tags. A call of an unknown function in the text is text, and text comes before
    calls.
    """
    tags_in_text = dialect.field is None
    calls = [call for call in turn.calls if call.name != "unheard_of" or not dialect.leaves_calls]
    reasoning, text = (part if part.strip() or not tags_in_text else "" for part in (turn.reasoning, turn.text))
    if calls and not text.strip():
        text = ""
    return Turn(reasoning, text if reasoning or text or calls else "!", calls)


def possible_exchange(exchange: Exchange, dialect: Dialect) -> Exchange:
    """The exchange of such turns. It ends with the first that makes no call: there the user is asked again."""
    turns = [possible(turn, dialect) for turn in exchange.turns]
    end = next(number for number, turn in enumerate(turns, start=1) if not turn.calls)
    return Exchange(exchange.question, turns[:end], exchange.output)


@settings(max_examples=50, deadline=None)
@given(
    st.sampled_from(sorted(HOSTS)),
    st.sampled_from(sorted(REASONING_FORMS)),
    st.sampled_from(sorted(KEPT)),
    st.sampled_from(WAYS),
    CONVERSATIONS,
)
def test_the_prefix_is_kept_in_any_conversation(
    host: str, form: str, keep: str, way: str, exchanges: list[Exchange]
) -> None:
    dialect = HOSTS[host][0]
    possible_exchanges = [possible_exchange(exchange, dialect) for exchange in exchanges]
    check(conversation(host, possible_exchanges, KEPT[keep], way, **REASONING_FORMS[form]))
