"""Sees to it that an answer beside tools is in the format that the client asked for, with at most one more chat call.

The format was described to the model in words, to which it may not have kept. So its answer, which was held back, is
checked:

    {"city": "Paris"}                   valid: it is sent as it came, byte for byte
    ```json                             not valid, but what is in the fence is: that is sent
    {"city": "Paris"}
    ```
    The city is Paris.                  not valid: another round asks for it, without tools, under `response_format`

The answer of that other round is checked too. If it is not valid either, the response fails: with `strict`, and for
`json_object`, which promises nothing but JSON. A schema without `strict` asks for no more than a good try, so then that
answer is sent as it is; and if the other round fails, the first answer is.

Without the extra `schema` nothing can be checked against a schema, only that it is JSON. With `strict` every answer is
then asked for in another round, and the host is trusted to enforce the schema.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Iterator
from functools import partial
from typing import Any

import anyio
import msgspec
from anyio.lowlevel import RunVar

from responses_shim.core.request.answer_format import AnswerFormat
from responses_shim.core.response.stream import RoundResult
from responses_shim.core.wire.lenient_json import JSON_ERRORS
from responses_shim.core.wire.requests import JsonSchemaFormat
from responses_shim.core.wire.responses import Response
from responses_shim.errors import UpstreamError
from responses_shim.hosts.profile import Chat
from responses_shim.runtime.json_schema import SchemaCheck, schema_check
from responses_shim.runtime.offload import offload

logger = logging.getLogger("responses_shim")

MAX_CHECKS = 4
"""How many schemas and answers are checked at a time. The others wait: a check may take seconds if it is made to."""

_LIMITER: RunVar[anyio.CapacityLimiter] = RunVar("responses_shim.answer_checks")


def _limiter() -> anyio.CapacityLimiter:
    """The limiter for checks: one for all requests of an event loop, since the machine is the host's."""
    try:
        return _LIMITER.get()
    except LookupError:
        limiter = anyio.CapacityLimiter(MAX_CHECKS)
        _LIMITER.set(limiter)
        return limiter


async def load_schema(answer_format: AnswerFormat) -> SchemaCheck | None:
    """The check for the schema of a format; None if it has none, or the extra `schema` is not installed.

    Raises InvalidRequest if the schema is invalid, or cannot be checked.
    """
    if not isinstance(answer_format, JsonSchemaFormat):
        return None
    return await offload(partial(schema_check, answer_format.schema), _limiter())


class AnswerCheck:
    """Checks the answers of one response, and asks for one that is not in the format once more.

    - `answer_format`, `schema`: the format, and what checks its schema (see `load_schema`)
    - `response`: the response, whose usage says how many tokens have been spent
    - `ask_again`: makes the chat request of the other round from the number of output tokens spent so far
    - `on_repaired`: called when an answer was not in the format and has been made so
    - `verbatim`: the text of an answer is never changed, and no answer stands in for another, since what belongs to a
      text token by token is wanted too

    A run calls `check` with each answer that was held back, and `next_round` after each round.
    """

    def __init__(
        self,
        answer_format: AnswerFormat,
        schema: SchemaCheck | None,
        response: Response,
        *,
        ask_again: Callable[[int], Chat],
        on_repaired: Callable[[], None],
        verbatim: bool = False,
    ) -> None:
        self.fallback: str | None = None
        """The answer to send if the other round fails; None if the response is to fail then."""
        self._schema = schema
        self._has_schema = isinstance(answer_format, JsonSchemaFormat)
        self._must_hold = not isinstance(answer_format, JsonSchemaFormat) or bool(answer_format.strict)
        self._response = response
        self._ask_again = ask_again
        self._on_repaired = on_repaired
        self._verbatim = verbatim
        self._asked_again = False
        self._round_due = False

    async def check(self, text: str) -> str | None:
        """The text to send for an answer; None if another round is to answer.

        Raises UpstreamError if there will be no answer in the format.
        """
        if self._has_schema and self._schema is None and self._must_hold and not self._asked_again:
            self._leave_to_another_round(text)
            return None
        valid, problem = await offload(partial(self._find_valid, text), _limiter())
        if valid is not None:
            if self._asked_again or valid != text:
                how = "asked for again" if self._asked_again else "cut out of its text"
                logger.info("the answer of %s was %s, to have it in its format", self._response.id, how)
                self._on_repaired()
            return valid
        if not self._asked_again:
            self._leave_to_another_round(text)
            return None
        if not self._must_hold:
            logger.info("the answer of %s is not in its format, and is sent as it is", self._response.id)
            return text
        raise UpstreamError(
            "The model gave no answer in text.format, not even when the host was asked to enforce it. "
            f"Of the last answer: {problem}.",
            param="text.format",
        )

    def _leave_to_another_round(self, text: str) -> None:
        self._asked_again = self._round_due = True
        if not self._must_hold and not self._verbatim and text.strip():
            self.fallback = text

    def next_round(self, result: RoundResult) -> Callable[[], Awaitable[Chat]] | None:
        """What makes the chat request of the other round, if one is due (a `NextRound` of the run)."""
        due, self._round_due = self._round_due, False
        return self._other_round if due else None

    async def _other_round(self) -> Chat:
        usage = self._response.usage
        return self._ask_again(usage.output_tokens if usage is not None else 0)

    def _find_valid(self, text: str) -> tuple[str | None, str | None]:
        """The answer in the text, and if there is none, why the text is none."""
        problem = self._problem(text)
        if problem is None:
            return text, None
        for inner in () if self._verbatim else unwrapped(text):
            if self._problem(inner) is None:
                return inner, None
        return None, problem

    def _problem(self, text: str) -> str | None:
        """Why a text is not an answer in the format; None if it is."""
        try:
            value: Any = msgspec.json.decode(text.encode())
        except JSON_ERRORS:
            return "it is not JSON" if text.strip() else "it is empty"
        if not self._has_schema:
            return None if isinstance(value, dict) else "it is not a JSON object"
        return self._schema.problem(value) if self._schema is not None else None


def unwrapped(text: str) -> Iterator[str]:
    """What may be the answer in a text that has more than that: without a byte order mark; in its only code fence."""
    if text.startswith("\ufeff"):
        yield text[1:]
    pieces = text.split("```")
    if len(pieces) == 3:
        language, _, fenced = pieces[1].partition("\n")
        if language.strip().lower() in ("", "json"):
            yield fenced.strip()
