"""What a run awaits before it closes a round, and then the response: a check, token ids, the store."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable

import anyio

from responses_shim.core.response.encoder import Frame
from responses_shim.core.response.stream import RoundResult
from responses_shim.core.response.translator import Translator
from responses_shim.core.wire.responses import Response
from responses_shim.errors import ShimError
from responses_shim.hosts.profile import Chat
from responses_shim.runtime.answer_check import AnswerCheck
from responses_shim.runtime.interfaces import NextRound

logger = logging.getLogger("responses_shim")


class Ending:
    """What is awaited at the end of the rounds of one response, and at its own; the parameters are those of `Run`.

    Who awaits it may be a task of the host's, which gives up when it likes. So each method can be called again after it
    was cancelled, and then does what is left to do.
    """

    __slots__ = ("_answer_check", "_next_round", "_prompt_tokens", "_save", "_translator")

    def __init__(
        self,
        translator: Translator,
        *,
        answer_check: AnswerCheck | None,
        prompt_tokens: Callable[[Chat], Awaitable[list[int] | None]] | None,
        next_round: NextRound,
        save: Callable[[Response], Awaitable[None]] | None,
    ) -> None:
        self._translator = translator
        self._answer_check = answer_check
        self._prompt_tokens = prompt_tokens
        self._next_round = next_round
        self._save = save

    async def check_answer(self) -> list[Frame]:
        """Check the answer that was held back: the frames that send it, or drop it if it is not in its format."""
        translator = self._translator
        if self._answer_check is None:
            return []
        answer = translator.held_answer
        if answer is None:
            return translator.pass_on_text()
        try:
            text = await self._answer_check.check(answer)
        except ShimError as error:
            frames = translator.drop_answer()
            translator.fail(error)
            return frames
        return translator.send_answer(text) if text is not None else translator.drop_answer()

    async def find_prompt_tokens(self, chat: Chat, seconds: float) -> None:
        """Get the token ids of the prompt, where they are wanted and the host's stream did not have them."""
        if self._prompt_tokens is None or not self._translator.lacks_prompt_tokens:
            return
        try:
            with anyio.move_on_after(seconds):
                if (token_ids := await self._prompt_tokens(chat)) is not None:
                    self._translator.set_prompt_tokens(token_ids)
        except Exception as error:
            logger.warning("the token ids of the prompt could not be fetched: %s", type(error).__name__)

    def request_after(self, result: RoundResult) -> Callable[[], Awaitable[Chat]] | None:
        """What makes the chat request of another round: to have a wrong answer again, or as `next_round` says.

        None if no round follows, as after a failure.
        """
        if self._translator.error is not None:
            return None
        again = self._answer_check.next_round(result) if self._answer_check is not None else None
        return again or self._next_round(result)

    def begin_round(self) -> None:
        """Have the translator begin another round."""
        self._translator.begin_round(self._answer_check.fallback if self._answer_check is not None else None)

    async def save(self, *, begun: bool) -> None:
        """Have the response kept, as it will be in its terminal event; it fails if it cannot be.

        A failed response of which nothing was sent is not kept; `begun` says whether anything was.
        """
        translator = self._translator
        if self._save is None:
            return
        translator.settle()
        if translator.error is not None and not begun:
            return
        try:
            await self._save(translator.response)
        except ShimError as error:
            translator.fail(error)
