"""What the model was shown and then wrote is the beginning of what it is shown next, to the last byte.

An engine that finds the beginning of a prompt in its cache reads the rest only. One byte that comes back otherwise than
the model wrote it, and the whole conversation from there on is read again, in every turn. So the whole shim is driven
here turn by turn, by OpenAI's own SDK, with a host that renders a real chat template: what it rendered for a turn, and
what its model wrote then, must be the beginning of what it renders for the next.
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

# How hosts speak, and what the shim is told of them.
HOSTS: dict[str, tuple[Dialect, Json]] = {
    "reasoning, arguments as objects": (Dialect("reasoning", reads_json=True), {}),
    "reasoning, arguments as text": (Dialect("reasoning", reads_json=False), {}),
    "reasoning_content, arguments as objects": (Dialect("reasoning_content", reads_json=True), {}),
    "thoughts in the text": (Dialect(None, reads_json=True), {"reasoning_replay": "think"}),
    "thoughts in the text, llama.cpp": (Dialect(None, reads_json=False), {"host": "llama-cpp"}),
    "thoughts in the text, anywhere": (
        Dialect(None, reads_json=False),
        {"host": "llama-cpp", "think_tags": "anywhere"},
    ),
}

# What clients ask for, and so how reasoning comes to them.
ASKED: dict[str, Json] = {
    "raw reasoning": {},
    "a summary": {"reasoning": {"summary": "auto"}},
    "a seal": {"include": [SEALED], "store": False},
    "a summary and a seal": {"include": [SEALED], "store": False, "reasoning": {"summary": "auto"}},
}


def as_they_are(item: Any) -> Any:
    """As the SDK's documentation has it: `history += response.output`."""
    return item


def with_every_null(item: Any) -> Json:
    dumped: Json = item.model_dump(mode="json")
    return dumped


def without_ids(item: Any) -> Json:
    """As Codex keeps its history: no ids, no status, and of reasoning that was sealed nothing else."""
    dumped: Json = item.model_dump(mode="json", exclude_none=True, exclude={"id", "status"})
    if "encrypted_content" in dumped:
        dumped |= {"summary": [], "content": None}
    return dumped


KEPT = {keep.__name__: keep for keep in (as_they_are, with_every_null, without_ids)}

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
    """A question, and the turns until it is answered: all but the last call tools."""

    question: str
    turns: Sequence[Turn]
    output: Any = "4"


def answer_to(item: Any, output: Any) -> Json:
    if item.type == "shell_call":
        output = [{"stdout": "a\n", "stderr": "", "outcome": {"type": "exit", "exit_code": 0}}]
    return {"type": OUTPUTS[item.type], "call_id": item.call_id, "output": output}


async def talk(shim: ResponsesShim, exchanges: Sequence[Exchange], keep: Any, **asked: Any) -> list[Any]:
    """The whole conversation; every other turn is streamed. Returns the items of the model's turns."""
    items: list[Any] = []
    history: list[Any] = []
    # The SDK is typed for httpx2, whose interface this is too.
    http: Any = httpx.AsyncClient(transport=httpx.ASGITransport(shim), trust_env=False)
    async with AsyncOpenAI(base_url="http://shim/v1", api_key="key", http_client=http, max_retries=0) as client:

        async def ask(stream: bool) -> Any:
            fields: Json = {"model": "m", "input": history, "instructions": "Be brief.", "tools": TOOLS, **asked}
            if not stream:
                return await client.responses.create(**fields)
            events: list[Any] = [event async for event in await client.responses.create(**fields, stream=True)]
            return events[-1].response

        for exchange in exchanges:
            history.append({"role": "user", "content": exchange.question})
            for number, _ in enumerate(exchange.turns):
                response = await ask(stream=number % 2 == 1)
                assert response.status == "completed", response.error
                items += response.output
                history += [keep(item) for item in response.output]
                history += [answer_to(item, exchange.output) for item in response.output if item.type in OUTPUTS]
    return items


def conversation(host: str, exchanges: Sequence[Exchange], keep: Any = as_they_are, **asked: Any) -> TemplateHost:
    dialect, options = HOSTS[host]
    app = TemplateHost(dialect, [turn for exchange in exchanges for turn in exchange.turns])
    anyio.run(lambda: talk(ResponsesShim(app, **options), exchanges, keep, **asked))
    return app


def check(host: TemplateHost) -> None:
    assert len(host.prompts) == len(host.turns)
    for number, (prompt, written) in enumerate(zip(host.prompts, host.written, strict=True)):
        for after in host.prompts[number + 1 :]:
            assert after.startswith(prompt)
            assert after[len(prompt) :].startswith(written), f"turn {number} comes back as {after[len(prompt) :]!r}"


def custom(name: str, text: str) -> Call:
    """A call as a model writes it: JSON as templates show it, with spaces, and no more escapes than needed."""
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
@pytest.mark.parametrize("asked", ASKED)
@pytest.mark.parametrize("host", HOSTS)
def test_a_whole_conversation_only_ever_grows(host: str, asked: str, keep: str) -> None:
    check(conversation(host, EXCHANGES, KEPT[keep], **ASKED[asked]))


WRITTEN = ['{"city":"Paris"}', '{ "city" :\t"Paris" }', '{"city": "Par', "", "Paris"]


@pytest.mark.parametrize(
    ("host", "arguments"),
    [
        *(("thoughts in the text, llama.cpp", arguments) for arguments in WRITTEN),
        *(("reasoning, arguments as text", arguments) for arguments in WRITTEN[:2]),  # what is no JSON is made so
    ],
)
def test_the_arguments_of_a_function_come_back_as_they_were_written(host: str, arguments: str) -> None:
    turns = [Turn("", "", [Call("weather", arguments)]), Turn("", "Sunny.")]
    check(conversation(host, [Exchange("Weather?", turns)]))


def test_thoughts_between_sentences_come_back_in_their_places() -> None:
    turn = Turn("Hm.", "One <think>Is it?</think>or two.\n<think>Two.</think> Two.", [Call("weather")])
    check(conversation("thoughts in the text, anywhere", [Exchange("How many?", [turn, Turn("", "Two.")])]))


CAT = Turn("It has whiskers.", "A cat.")


def test_an_image_that_a_tool_puts_out_stays_where_it_was_moved() -> None:
    seen = [
        {"type": "input_text", "text": "A cat."},
        {"type": "input_image", "image_url": "data:image/png;base64,AA=="},
    ]
    turns = [Turn("", "", [Call("weather"), Call("weather", '{"city": "Rome"}')]), Turn("", "", [Call("weather")]), CAT]
    host = conversation("reasoning, arguments as objects", [Exchange("What is there?", turns, seen), *EXCHANGES])
    check(host)
    assert host.prompts[1].count("<|image_pad|>") == 2


@pytest.mark.parametrize(("folded", "holds"), [("fold", False), ("keep", True)])
def test_words_of_a_developer_that_come_later_belong_in_their_place_if_the_template_has_one(
    folded: Any, holds: bool
) -> None:
    """Folded, which most templates ask for, they change the first message, and with it everything that is cached."""
    host = TemplateHost(Dialect("reasoning", reads_json=True, developers=holds), [CAT, Turn("", "Chat.")])
    history: list[Json] = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "What is it?"}]

    async def ask() -> None:
        shim = ResponsesShim(host, system_messages=folded)
        whole = await post(shim, "/v1/responses", {"model": "m", "input": history})
        later = [*whole.json["output"], {"role": "developer", "content": "Speak French."}]
        await post(shim, "/v1/responses", {"model": "m", "input": [*history, *later, {"role": "user", "content": "?"}]})

    anyio.run(ask)
    first, second = host.prompts
    assert second.startswith(first + host.written[0]) is holds
    assert second.startswith("<|im_start|>system\nBe brief.\n\nSpeak French.") is not holds


def test_thoughts_that_the_client_does_not_send_back_are_missed() -> None:
    """No server can help that: so this is what the tests here look for."""

    def forgetful(item: Any) -> Any:
        return {"type": "reasoning", "summary": []} if item.type == "reasoning" else item

    host = conversation("reasoning, arguments as objects", EXCHANGES, forgetful)
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


def sayable(turn: Turn, bare: bool) -> Turn:
    """Not nothing at all, which leaves no item to send back. In `bare` text white space alone is no thought, and before
    a thought or a call it belongs to the tags.
    """
    thought, text = (said if said.strip() or not bare else "" for said in (turn.thought, turn.text))
    return Turn(thought, text if thought or text or turn.calls else "!", turn.calls)


@settings(max_examples=50, deadline=None)
@given(st.sampled_from(sorted(HOSTS)), st.sampled_from(sorted(ASKED)), st.sampled_from(sorted(KEPT)), CONVERSATIONS)
def test_any_conversation_only_ever_grows(host: str, asked: str, keep: str, exchanges: list[Exchange]) -> None:
    bare = HOSTS[host][0].field is None
    sayable_exchanges = [
        Exchange(exchange.question, [sayable(turn, bare) for turn in exchange.turns], exchange.output)
        for exchange in exchanges
    ]
    check(conversation(host, sayable_exchanges, KEPT[keep], **ASKED[asked]))
