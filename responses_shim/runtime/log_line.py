"""The log line of a run: ids, times and counts, and nothing of what was said."""

from __future__ import annotations

import logging

from responses_shim.core.response.translator import Translator

logger = logging.getLogger("responses_shim")


def log_end(translator: Translator, seconds: float, *, retries: int, abandoned: bool) -> None:
    """Log, at level INFO, how a run has ended.

    `retries` counts the chat calls that were made again; `abandoned`: nobody wanted the rest of it.
    """
    if not logger.isEnabledFor(logging.INFO):
        return
    response = translator.response
    ignored = ((translator.ignored_calls, "calls"), (translator.ignored_annotations, "annotations"))
    logger.info(
        "%s %s in %.3f s, %d items, %s output tokens%s%s%s",
        response.id,
        "abandoned" if abandoned else response.status,
        seconds,
        len(response.output),
        response.usage.output_tokens if response.usage else "?",
        f", {retries} retries" if retries else "",
        "".join(f", {count} {what} ignored" for count, what in ignored if count),
        f": {translator.error.failure_code}" if translator.error else "",
    )
