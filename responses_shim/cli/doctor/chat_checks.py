"""Checks of the server's own chat API: what the shim has to work with.

What a server does not do here is `missing`, also where the shim makes up for it: the checks of the Responses API show
what clients get in the end. `broken` is only what no client of the chat API could live with.
"""

from __future__ import annotations

from responses_shim.cli.doctor.checks import Check
from responses_shim.cli.doctor.findings import Finding, broken, missing, ok, untested
from responses_shim.cli.doctor.lookup import Json
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
    chat_tool,
    follows_schema,
    image,
    user,
)
from responses_shim.cli.doctor.subject import Subject, failure
from responses_shim.cli.doctor.turns import Turn, one_line
from responses_shim.core.wire.chat import REASONING
from responses_shim.hosts import PROFILES


async def _answer(subject: Subject) -> Finding:
    turn = await subject.chat()
    if turn.answer.status == 404:
        return broken(f"No such route as /chat/completions, or no such model: the answer {turn.problem}.", "model")
    if bad := failure(turn, "A chat request"):
        return bad
    if not (turn.text or turn.reasoning or turn.calls):
        return broken("A chat request has an answer without any text, or one that is not in the form of chat.", "url")
    return ok(f"Answered in {turn.answer.seconds:.1f} s.")


async def _stream(subject: Subject) -> Finding:
    turn = await subject.streamed_chat()
    if bad := failure(turn, "A streamed chat request"):
        return bad if turn.answer.status else Finding(bad.grade, bad.reason, "stream")
    if not turn.answer.is_stream:
        kind = turn.answer.content_type or "no content type"
        return broken(f"Asked to stream, it answers with {kind}, not with text/event-stream.", "stream")
    if turn.answer.unreadable:
        return broken(f"{turn.answer.unreadable} events of the stream are not JSON.", "stream")
    if not (turn.text or turn.reasoning):
        return broken("The stream has no text in it.", "stream")
    return ok(f"{len(turn.answer.frames)} events.")


async def _pace(subject: Subject) -> Finding:
    turn = await subject.streamed_chat(messages=user(COUNT))
    return arrives_at_once(turn, await subject.streamed_chat(limit=1, messages=user(COUNT)))


async def _end(subject: Subject) -> Finding:
    turn = await subject.streamed_chat()
    if not turn.answer.is_stream:
        return untested("It does not stream.")
    if turn.answer.problem:
        return broken(f"A streamed answer {turn.answer.problem}.", "truncated")
    if turn.error:
        return untested(f"The stream ends with an error: {turn.error}")
    if not turn.finish:
        return broken("The stream ends without a finish_reason: nobody can tell whether it is complete.", "truncated")
    return ok(f"finish_reason {turn.finish!r}{'' if turn.done else ', no [DONE]'}.")


async def _usage(subject: Subject) -> Finding:
    turn = await subject.streamed_chat()
    if not turn.answer.is_stream:
        return untested("It does not stream.")
    if turn.prompt_tokens is None or turn.answer_tokens is None:
        return missing("A stream has no usage, though stream_options.include_usage asks for it.", "usage")
    return ok(f"{turn.prompt_tokens} tokens in, {turn.answer_tokens} out.")


async def _limit(subject: Subject) -> Finding:
    turn = await subject.streamed_chat(limit=SHORT, messages=user(COUNT))
    if bad := failure(turn, "A chat request with a token limit"):
        return bad
    if turn.answer_tokens is not None and turn.answer_tokens > 2 * SHORT:
        return missing(f"A limit of {SHORT} tokens has no effect: the answer has {turn.answer_tokens}.", "limit")
    if turn.was_cut:
        return ok(f"An answer that the limit cuts has the finish_reason {turn.finish!r}.")
    if turn.answer_tokens == SHORT:
        return missing(f"An answer that the limit cut has the finish_reason {turn.finish!r}.", "limit")
    return untested("The model ended its answer before the limit.")


# Tools -----------------------------------------------------------------------------------------------------------


async def _ask_for_call(subject: Subject, choice: object, *tools: Json) -> Turn:
    return await subject.streamed_chat(
        messages=user(WEATHER_QUESTION),
        tools=[chat_tool(tool) for tool in tools or (WEATHER,)],
        tool_choice=choice,
        limit=CALLS,
    )


def call_problem(turn: Turn) -> Finding | None:
    """A finding for calls that cannot be made: without a name, or with arguments that are no JSON object."""
    for call in turn.calls:
        if not call.name:
            return broken("A call has no name.", "tools")
        if not isinstance(call.parsed, dict) and not turn.was_cut:
            return broken(f"The arguments of a call are no JSON object: {one_line(call.arguments, 80)}", "merged_calls")
    return None


async def _tools(subject: Subject) -> Finding:
    turn = await _ask_for_call(subject, "auto")
    if not turn.succeeded:
        return missing(f"A request with tools fails: the answer {turn.problem}.", "tools")
    if turn.calls:
        return call_problem(turn) or ok(f"It calls {turn.calls[0].name}.")
    if turn.has_call_markup:
        return missing(f"A call comes as text: {one_line(turn.text, 80)}", "tools")
    return untested("Not seen: the model answered with text, which it may.")


async def _tools_required(subject: Subject) -> Finding:
    return _enforced(await _ask_for_call(subject, "required"), "tool_choice: required")


async def _tools_named(subject: Subject) -> Finding:
    turn = await _ask_for_call(subject, {"type": "function", "function": {"name": "get_time"}}, WEATHER, TIME)
    return _enforced(turn, "A tool_choice that names a function", "get_time")


def _enforced(turn: Turn, what: str, name: str | None = None) -> Finding:
    if not turn.succeeded:
        return missing(f"{what} fails: the answer {turn.problem}.", "tool_choice")
    if not turn.calls:
        return missing(f"{what} is not enforced: there is no call.", "tool_choice")
    if name is not None and turn.calls[0].name != name:
        return missing(f"{what} is not enforced: {name} was asked for, {turn.calls[0].name} called.", "tool_choice")
    return call_problem(turn) or ok(f"It calls {turn.calls[0].name}.")


async def _parallel(subject: Subject) -> Finding:
    turn = await _cities(subject)
    if turn.merged:
        return missing("Two calls have the same index, by which clients tell them apart.", "merged_calls")
    if problem := call_problem(turn):
        return problem
    if len(turn.calls) > 1:
        return ok(f"{len(turn.calls)} calls in one answer.")
    return untested(f"Not seen: the model made {len(turn.calls)} calls.")


async def _call_ids(subject: Subject) -> Finding:
    turns = [await _ask_for_call(subject, "auto"), await _ask_for_call(subject, "required"), await _cities(subject)]
    calls = [call for turn in turns for call in turn.calls]
    if not calls:
        return untested("No call was seen.")
    if not all(call.id for call in calls):
        return missing("A call has no id.", "call_ids")
    if any(len({call.id for call in turn.calls}) < len(turn.calls) for turn in turns):
        return missing("Two calls of one answer have the same id.", "call_ids")
    return ok("Each call has an id of its own.")


async def _cities(subject: Subject) -> Turn:
    """The turn that answers a question about two cities, for which two calls are to be made."""
    tools = [chat_tool(WEATHER)]
    return await subject.streamed_chat(messages=user(CITIES_QUESTION), tools=tools, limit=CALLS)


# Reasoning -------------------------------------------------------------------------------------------------------


async def _reasoning(subject: Subject) -> Finding:
    turn = await subject.streamed_chat()
    if turn.reasoning_field in REASONING:
        return ok(f"It comes in the field {turn.reasoning_field}.")
    if turn.reasoning_field:
        return missing(f"It comes in the field {turn.reasoning_field!r}, which is not read.", "reasoning_field")
    if turn.has_think_tags:
        return missing("It comes between <think> tags in the text.", "think_tags")
    return untested("Not seen: the model did not think, or did not show it.")


def _messages_with_call(message: Json) -> list[Json]:
    """The messages of a chat in which the model has made a call, whose output has come."""
    call = {"id": "call_1", "type": "function", "function": {"name": "get_weather", "arguments": '{"city": "Paris"}'}}
    return [
        *user(WEATHER_QUESTION),
        {"role": "assistant", "content": "", "tool_calls": [call], **message},
        {"role": "tool", "tool_call_id": "call_1", "content": "sunny"},
    ]


async def _replay(subject: Subject) -> Finding:
    """Past reasoning reaches the prompt if it makes the prompt longer: no answer of the model is needed to see that."""
    plain = await _prompt_tokens(subject, {})
    if plain is None:
        return untested("The server gives no number of prompt tokens, by which it would show.")
    field = await _prompt_tokens(subject, {"reasoning": THOUGHT, "reasoning_content": THOUGHT})
    if field is not None and field > plain:
        return ok(f"In a field of the message it reaches the prompt ({field - plain} tokens).")
    text = await _prompt_tokens(subject, {"content": f"<think>{THOUGHT}</think>"})
    if text is None or text <= plain:
        return missing("It does not reach the prompt, in a field of the message or between <think> tags.", "no_replay")
    profile = PROFILES.get(subject.host.kind)
    if profile is not None and profile.policy.reasoning_replay == "think":
        return ok("Between <think> tags it reaches the prompt, and so the shim sends it to this kind of server.")
    return missing("In a field of the message it does not reach the prompt; between <think> tags it does.", "replay")


async def _prompt_tokens(subject: Subject, message: Json) -> int | None:
    turn = await subject.chat(messages=_messages_with_call(message), tools=[chat_tool(WEATHER)], limit=1)
    return turn.prompt_tokens if turn.succeeded else None


# The rest --------------------------------------------------------------------------------------------------------


async def _json_schema(subject: Subject) -> Finding:
    schema = {"name": "city", "schema": CITY_SCHEMA, "strict": True}
    turn = await subject.chat(
        messages=user(CITY_QUESTION), response_format={"type": "json_schema", "json_schema": schema}
    )
    return schema_finding(turn, "response_format")


def schema_finding(turn: Turn, field: str) -> Finding:
    """What the answer to a question with `CITY_SCHEMA` shows. `field` is the one that asked for it."""
    if not turn.succeeded:
        return missing(f"A request with a JSON schema in {field} fails: the answer {turn.problem}.", "json_schema")
    if follows_schema(turn.text):
        return ok("The answer follows the schema.")
    if turn.was_cut:
        return untested("The token limit cut the answer.")
    return missing(f"{field} is ignored: the answer is {one_line(turn.text, 60)!r}.", "json_schema")


async def _logprobs(subject: Subject) -> Finding:
    turn = await subject.streamed_chat(limit=SHORT, logprobs=True, top_logprobs=2)
    if not turn.succeeded:
        return missing(f"A request for them fails: the answer {turn.problem}.", "logprobs")
    return ok("They come.") if turn.logprobs else missing("A request for them has none in its answer.", "logprobs")


async def _token_ids(subject: Subject) -> Finding:
    turn = await subject.streamed_chat(limit=SHORT, return_token_ids=True)
    if not turn.succeeded:
        return missing(f"A request for them fails: the answer {turn.problem}.", "token_ids")
    if turn.token_ids:
        return ok(f"They come{', those of the prompt too' if turn.prompt_token_ids else ', but not of the prompt'}.")
    return missing("A request for them has none in its answer.", "token_ids")


async def _images(subject: Subject) -> Finding:
    text = {"type": "text", "text": "What is this?"}
    picture = {"type": "image_url", "image_url": {"url": image(64)}}
    plain = await subject.chat(limit=1, messages=[{"role": "user", "content": [text]}])
    seen = await subject.chat(limit=1, messages=[{"role": "user", "content": [text, picture]}])
    if not seen.succeeded:
        return missing(f"A request with an image fails: the answer {seen.problem}.", "images")
    if plain.prompt_tokens is None or seen.prompt_tokens is None:
        return untested("They are accepted; whether the model sees them cannot be known without a number of tokens.")
    if seen.prompt_tokens <= plain.prompt_tokens:
        return missing("An image is left out in silence: the prompt is no longer with it.", "images")
    return ok(f"An image is {seen.prompt_tokens - plain.prompt_tokens} tokens of the prompt.")


CHECKS = (
    Check("chat.answer", "chat requests are answered", _answer),
    Check("chat.stream", "chat streams", _stream, "chat"),
    Check("chat.pace", "the stream arrives as it is written", _pace, "chat"),
    Check("chat.end", "a stream has a proper end", _end, "chat"),
    Check("chat.usage", "a stream has the usage", _usage, "chat"),
    Check("chat.limit", "a token limit holds, and shows", _limit, "chat"),
    Check("chat.tools", "the model's calls come as calls", _tools, "chat"),
    Check("chat.tools_required", "tool_choice: required is enforced", _tools_required, "chat"),
    Check("chat.tools_named", "a named tool_choice is enforced", _tools_named, "chat"),
    Check("chat.tools_parallel", "several calls in one answer can be distinguished", _parallel, "chat"),
    Check("chat.call_ids", "calls have ids", _call_ids, "chat"),
    Check("chat.reasoning", "reasoning is separate from the text", _reasoning, "chat"),
    Check("chat.replay", "past reasoning reaches the model", _replay, "chat"),
    Check("chat.json_schema", "an answer can be held to a JSON schema", _json_schema, "chat"),
    Check("chat.logprobs", "log-probabilities come", _logprobs, "chat"),
    Check("chat.token_ids", "token ids come", _token_ids, "chat"),
    Check("chat.images", "images are taken", _images, "chat"),
)
