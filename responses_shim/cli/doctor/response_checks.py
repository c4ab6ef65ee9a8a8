"""Checks of the Responses API: what clients get, whoever answers there."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from responses_shim.cli.doctor.chat_checks import call_problem, schema_finding
from responses_shim.cli.doctor.checks import Check
from responses_shim.cli.doctor.findings import Finding, broken, missing, ok, untested
from responses_shim.cli.doctor.lookup import Json, at, object_at, objects_at, quoted, text_at
from responses_shim.cli.doctor.pace import arrives_at_once
from responses_shim.cli.doctor.questions import (
    CALLS,
    CITIES_QUESTION,
    CITY_QUESTION,
    CITY_SCHEMA,
    COUNT,
    SHORT,
    THOUGHT,
    TIME,
    WEATHER,
    WEATHER_QUESTION,
)
from responses_shim.cli.doctor.stream_rules import RULES, Rule
from responses_shim.cli.doctor.subject import Subject, failure
from responses_shim.cli.doctor.turns import Call, Turn, one_line

REQUIRED_KEYS = ("id", "object", "created_at", "status", "model", "output", "usage", "error", "incomplete_details")
"""Keys that every response has; the last three may be null."""


async def _create(subject: Subject) -> Finding:
    turn = await subject.response()
    if bad := failure(turn, "A create request"):
        return bad
    response = object_at(turn.answer.json)
    if absent := [key for key in REQUIRED_KEYS if key not in response]:
        return broken(f"The response lacks {', '.join(absent)}.", "api")
    if response["object"] != "response" or not isinstance(response["output"], list):
        return broken("The answer is no response object.", "api")
    if turn.finish not in ("completed", "incomplete"):
        return broken(f"The response has the status {turn.finish!r}.", "api")
    if not (turn.text or turn.reasoning):
        return broken("The response has no text in it.", "api")
    return ok(f"Answered in {turn.answer.seconds:.1f} s, {turn.finish}.")


async def _ids(subject: Subject) -> Finding:
    turn = await subject.response()
    if not turn.succeeded:
        return untested(f"The answer {turn.problem}.")
    ids = [text_at(item, "id") for item in objects_at(turn.answer.json, "output")]
    if not text_at(turn.answer.json, "id") or not all(ids):
        return broken("The response, or an item of it, has no id.", "api")
    if len(set(ids)) < len(ids):
        return broken("Two items have the same id.", "api")
    return ok(f"{text_at(turn.answer.json, 'id')[:8]}…")


async def _stream(subject: Subject) -> Finding:
    turn = await subject.response(stream=True)
    if turn.answer.status != 200:
        return failure(turn, "A streamed create request") or untested("It has no answer.")
    if not turn.answer.is_stream:
        kind = turn.answer.content_type or "no content type"
        return broken(f"Asked to stream, it answers with {kind}, not with text/event-stream.", "stream")
    if turn.answer.problem:
        return broken(f"A streamed answer {turn.answer.problem}.", "truncated")
    if turn.answer.unreadable or not turn.answer.events:
        return broken(f"{turn.answer.unreadable} of {len(turn.answer.frames)} events are not JSON.", "api")
    if turn.error:
        return broken(f"The response fails: {turn.error}", "truncated")
    return ok(f"{len(turn.answer.events)} events.")


async def _end_marker(subject: Subject) -> Finding:
    turn = await subject.response(stream=True)
    if not turn.answer.is_stream:
        return untested("It does not stream.")
    if turn.answer.frames[-1:] == [b"[DONE]"]:
        return ok("The last frame is [DONE].")
    return missing("There is no [DONE] at the end; most clients do not need it.")


async def _pace(subject: Subject) -> Finding:
    turn = await subject.response(stream=True, input=COUNT)
    return arrives_at_once(turn, await subject.response(stream=True, input=COUNT, limit=SHORT))


async def _usage(subject: Subject) -> Finding:
    turn = await subject.response(stream=True)
    if not turn.succeeded:
        return untested(f"The answer {turn.problem}.")
    if turn.prompt_tokens is None or turn.answer_tokens is None:
        return missing("The response has no usage.", "usage")
    return ok(f"{turn.prompt_tokens} tokens in, {turn.answer_tokens} out.")


async def _limit(subject: Subject) -> Finding:
    """An answer that the limit cuts is `incomplete`, streamed or not."""
    streamed = await subject.response(stream=True, input=COUNT, limit=SHORT)
    plain = await subject.response(input=COUNT, limit=SHORT)
    if not (streamed.succeeded and plain.succeeded):
        return untested(f"The answer {streamed.problem or plain.problem}.")
    ends = {streamed.finish, plain.finish}
    last = text_at(streamed.answer.events, -1, "type")
    if ends == {"completed"} and (plain.answer_tokens is None or plain.answer_tokens < SHORT):
        return untested("The model ended its answer before the limit.")
    if ends != {"incomplete"}:
        return broken(f"An answer that the limit cut is {' and '.join(sorted(ends))}, not incomplete.", "limit")
    if last != "response.incomplete":
        return broken(f"The stream of an answer that the limit cut ends with a {last}.", "api")
    if at(plain.answer.json, "incomplete_details", "reason") != "max_output_tokens":
        return broken("incomplete_details does not give max_output_tokens as the reason.", "api")
    return ok("An answer that the limit cuts is incomplete.")


# The rules of a stream ---------------------------------------------------------------------------------------------


async def _text_stream(subject: Subject) -> Turn:
    return await subject.response(stream=True)


async def _call_stream(subject: Subject) -> Turn:
    return await subject.response(
        stream=True, input=WEATHER_QUESTION, tools=[WEATHER], tool_choice="required", limit=CALLS
    )


SPECIMENS: dict[str, Callable[[Subject], Awaitable[Turn]]] = {"a text": _text_stream, "a call": _call_stream}
"""The streams that are looked at, by what they are of."""


def _rule_check(rule: Rule) -> Check:
    """The check that a rule holds of each specimen."""

    async def run(subject: Subject) -> Finding:
        seen = []
        for of, ask in SPECIMENS.items():
            turn = await ask(subject)
            if turn.answer.status != 200 or not turn.answer.is_stream or not turn.answer.events:
                continue
            if problem := rule.problem(turn.answer.events):
                return broken(f"In the stream of {of}, {problem}.", "api")
            seen.append(of)
        return ok(f"Seen in the stream of {' and in that of '.join(seen)}.") if seen else untested("Nothing streams.")

    return Check(rule.name, rule.title, run, "responses")


# Tools and the rest ------------------------------------------------------------------------------------------------


async def _tools(subject: Subject) -> Finding:
    turn = await subject.response(stream=True, input=WEATHER_QUESTION, tools=[WEATHER], limit=CALLS)
    if bad := failure(turn, "A request with a tool"):
        return bad
    if turn.calls:
        return call_problem(turn) or ok(f"It calls {turn.calls[0].name}.")
    if turn.has_call_markup:
        return broken(f"A call comes as text: {one_line(turn.text, 80)}", "tools")
    return untested("Not seen: the model answered with text, which it may.")


async def _tools_required(subject: Subject) -> Finding:
    return _enforced(await _call_stream(subject), "tool_choice: required", "get_weather")


async def _tools_named(subject: Subject) -> Finding:
    choice = {"type": "function", "name": "get_time"}
    turn = await subject.response(
        stream=True, input=WEATHER_QUESTION, tools=[WEATHER, TIME], tool_choice=choice, limit=CALLS
    )
    return _enforced(turn, "A tool_choice that names a function", "get_time")


def _enforced(turn: Turn, what: str, name: str) -> Finding:
    if not turn.succeeded:
        return missing(f"{what} fails: the answer {turn.problem}.", "tool_choice")
    if turn.has_call_markup and not turn.calls:
        return broken(f"A call comes as text: {one_line(turn.text, 80)}", "tools")
    if not turn.calls:
        return missing(f"{what} is not enforced: there is no call.", "tool_choice")
    if turn.calls[0].name != name:
        return broken(f"{what} is not enforced: {name} was asked for, {turn.calls[0].name} called.", "tool_choice")
    return call_problem(turn) or ok(f"It calls {name}.")


async def _parallel(subject: Subject) -> Finding:
    turn = await subject.response(stream=True, input=CITIES_QUESTION, tools=[WEATHER], limit=CALLS)
    if not turn.succeeded:
        return untested(f"The answer {turn.problem}.")
    if problem := call_problem(turn):
        return problem
    if len(turn.calls) < 2:
        return untested(f"Not seen: the model made {len(turn.calls)} calls.")
    if len({call.id for call in turn.calls}) < len(turn.calls):
        return broken("Two calls have the same call_id.", "api")
    return ok(f"{len(turn.calls)} calls in one answer.")


def _past_call(call: Call, reasoning: str = "") -> list[Json]:
    """The input of a turn in which the output of a call has come. The reasoning, if any, came before the call."""
    thought = {"type": "reasoning", "summary": [], "content": [{"type": "reasoning_text", "text": reasoning}]}
    return [
        {"role": "user", "content": WEATHER_QUESTION},
        *([thought] if reasoning else []),
        {"type": "function_call", "call_id": call.id, "name": call.name, "arguments": call.arguments},
        {"type": "function_call_output", "call_id": call.id, "output": "Sunny, 21 degrees."},
    ]


A_CALL = Call("call_1", "get_weather", '{"city": "Paris"}')


async def _round_trip(subject: Subject) -> Finding:
    """The output of a call goes back to the model, which goes on."""
    made = (await _call_stream(subject)).calls
    call = made[0] if made and made[0].id and made[0].name and isinstance(made[0].parsed, dict) else A_CALL
    turn = await subject.response(input=_past_call(call), tools=[WEATHER])
    if bad := failure(turn, "A request with a call and its output"):
        return bad
    if not (turn.text or turn.reasoning or turn.calls):
        return broken("After the output of a call the response is empty.", "api")
    return ok("The model goes on after the output of a call.")


async def _custom(subject: Subject) -> Finding:
    tool = {"type": "custom", "name": "note", "description": "Writes a note down. Its input is the text of the note."}
    turn = await subject.response(input="Use note to write down: feed the cat.", tools=[tool], limit=CALLS)
    if not turn.succeeded:
        return missing(f"A request with a custom tool fails: the answer {turn.problem}.", "api")
    if "custom_tool_call" in turn.item_types:
        return ok("Its call comes back as a custom_tool_call.")
    if any(call.name == tool["name"] for call in turn.calls):
        return broken("Its call comes back as a function_call, which the client does not know.", "api")
    return untested("Accepted; not seen that the model calls it.")


async def _reasoning(subject: Subject) -> Finding:
    turn = await subject.response(stream=True)
    chat = await subject.streamed_chat()
    if turn.has_think_tags:
        return broken("The model's thinking comes as text, with its tags.", "think_tags")
    if turn.reasoning:
        return ok("It comes as an item of its own.")
    if chat.reasoning and turn.succeeded:
        return broken(f"Chat has it, in the field {chat.reasoning_field}; the response has none.", "reasoning_field")
    return untested("Not seen: the model did not think, or did not show it.")


async def _replay(subject: Subject) -> Finding:
    """As in chat: past reasoning reaches the prompt if it makes the prompt longer."""
    plain = await subject.response(stream=True, input=_past_call(A_CALL), tools=[WEATHER], limit=SHORT)
    with_it = await subject.response(stream=True, input=_past_call(A_CALL, THOUGHT), tools=[WEATHER], limit=SHORT)
    if not (plain.succeeded and with_it.succeeded):
        return untested(f"The answer {plain.problem or with_it.problem}.")
    if plain.prompt_tokens is None or with_it.prompt_tokens is None:
        return untested("There is no number of input tokens, by which it would show.")
    if with_it.prompt_tokens > plain.prompt_tokens:
        return ok(f"It reaches the prompt ({with_it.prompt_tokens - plain.prompt_tokens} tokens).")
    return missing("A reasoning item that the client sends back does not reach the prompt.", "no_replay")


async def _json_schema(subject: Subject) -> Finding:
    text = {"format": {"type": "json_schema", "name": "city", "schema": CITY_SCHEMA, "strict": True}}
    return schema_finding(await subject.response(input=CITY_QUESTION, text=text), "text.format")


async def _logprobs(subject: Subject) -> Finding:
    turn = await subject.response(limit=SHORT, include=["message.output_text.logprobs"], top_logprobs=2)
    if not turn.succeeded:
        return missing(f"A request for them fails: the answer {turn.problem}.", "logprobs")
    return ok("They come.") if turn.logprobs else missing("A request for them has none in its answer.", "logprobs")


async def _created_at(subject: Subject) -> Finding:
    turn = await subject.response()
    created = at(turn.answer.json, "created_at")
    if not turn.succeeded:
        return untested(f"The answer {turn.problem}.")
    if not isinstance(created, int | float) or not 1_500_000_000 < created < 5_000_000_000:
        return broken(f"created_at is {quoted(created, 40)}, no time in Unix seconds.", "api")
    return ok("created_at is in Unix seconds.")


CHECKS = (
    Check("responses.create", "a response is created", _create, "responses"),
    Check("responses.ids", "the response and its items have ids", _ids, "responses"),
    Check("responses.created_at", "the time of the response is in seconds", _created_at, "responses"),
    Check("responses.stream", "responses stream", _stream, "responses"),
    *(_rule_check(rule) for rule in RULES),
    Check("responses.end_marker", "a stream ends with [DONE]", _end_marker, "responses"),
    Check("responses.pace", "the stream arrives as it is written", _pace, "responses"),
    Check("responses.usage", "responses have the usage", _usage, "responses"),
    Check("responses.limit", "an answer that the limit cuts is incomplete", _limit, "responses"),
    Check("responses.tools", "the model's calls come as items", _tools, "responses"),
    Check("responses.tools_required", "tool_choice: required is enforced", _tools_required, "responses"),
    Check("responses.tools_named", "a named tool_choice is enforced", _tools_named, "responses"),
    Check("responses.tools_parallel", "several calls in one answer can be distinguished", _parallel, "responses"),
    Check("responses.round_trip", "the output of a call reaches the model", _round_trip, "responses"),
    Check("responses.custom_tool", "custom tools are taken", _custom, "responses"),
    Check("responses.reasoning", "reasoning is an item of its own", _reasoning, "responses"),
    Check("responses.replay", "past reasoning reaches the model", _replay, "responses"),
    Check("responses.json_schema", "an answer can be held to a JSON schema", _json_schema, "responses"),
    Check("responses.logprobs", "log-probabilities come", _logprobs, "responses"),
)
