"""Whether a stream arrives as it is written, or all at once, as behind a proxy that collects it."""

from __future__ import annotations

from responses_shim.cli.doctor.findings import Finding, broken, ok, untested
from responses_shim.cli.doctor.turns import Turn

MIN_EVENTS = 8
"""The fewest events of a stream by which this can be seen."""
MIN_SECONDS = 0.25
"""The least time that the stream must have taken: an answer that was quick may well come at once."""


def arrives_at_once(turn: Turn, short: Turn) -> Finding:
    """What the times of arrival show. `short` answers the same question with one token.

    If a stream's first bytes come with its last, and much later than those of a short answer, then something has kept
    them: reading the prompt takes as long for both.
    """
    if not (turn.succeeded and turn.answer.is_stream):
        return untested("There is no complete stream to look at.")
    answer = turn.answer
    first, last = (answer.reads[0], answer.reads[-1]) if answer.reads else (0.0, 0.0)
    if len(answer.frames) < MIN_EVENTS or last < MIN_SECONDS:
        return untested(f"The stream is too short, or too quick, to tell: {len(answer.frames)} events in {last:.2f} s.")
    if last - first > 0.1 * last:
        return ok(f"{len(answer.frames)} events, the first after {first:.2f} s, the last after {last:.2f} s.")
    if not short.succeeded or short.answer.seconds > 0.5 * last:
        return untested(f"All events came at once after {last:.2f} s; so does a short answer.")
    return broken(
        f"All {len(answer.frames)} events came at once, after {last:.2f} s; a short answer takes "
        f"{short.answer.seconds:.2f} s.",
        "buffering",
    )
