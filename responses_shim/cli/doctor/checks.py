"""What a check is, and how it is run: within its time, and without a server being able to make it fail."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Literal

from responses_shim.cli.doctor.advice import advice_for
from responses_shim.cli.doctor.connection import NotAsked
from responses_shim.cli.doctor.findings import MAX_REASON, Finding, Result, untested
from responses_shim.cli.doctor.subject import Subject
from responses_shim.cli.transcript import printable

Need = Literal["chat", "responses"]
"""What a check asks, if it can be made only where that is answered."""


@dataclass(frozen=True)
class Check:
    """One thing to find out about a server.

    - `name`: what `--only` and the reports call it, `chat.usage`; what is before the dot is its group
    - `title`: what holds where the check is `ok`
    - `run`: finds it out
    - `needs`: the API that must be answered for it
    """

    name: str
    title: str
    run: Callable[[Subject], Awaitable[Finding]]
    needs: Need | None = None

    @property
    def group(self) -> str:
        """The part of the name before the dot."""
        return self.name.partition(".")[0]


async def run_check(check: Check, subject: Subject) -> Result:
    """The result of one check. Raises nothing: a fault of the check itself is a result too."""
    start = time.monotonic()
    try:
        finding = await _finding(check, subject)
    except NotAsked as not_asked:
        finding = untested(str(not_asked))
    except Exception as error:
        finding = untested(f"This check itself failed, which is a fault of doctor: {type(error).__name__}: {error}")
    return Result(
        check.name,
        check.title,
        finding.grade,
        _clean(finding.reason, subject.connection.api_key),
        advice_for(finding.advice, subject.host.kind, await subject.mount()),
        round(time.monotonic() - start, 2),
    )


async def _finding(check: Check, subject: Subject) -> Finding:
    if check.needs == "chat" and not await subject.serves_chat():
        return untested("Chat requests are not answered.")
    if check.needs == "responses" and not await subject.serves_responses():
        return untested("Create requests are not answered at /responses.")
    return await check.run(subject)


def _clean(reason: str, key: str | None) -> str:
    """The reason in one line, without control characters and without the key, which a server may have repeated."""
    if key:
        reason = reason.replace(key, "********")
    line = " ".join(printable(reason).split())
    return line if len(line) <= MAX_REASON else f"{line[:MAX_REASON]}…"
