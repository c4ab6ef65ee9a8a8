"""The translator, called with what a host sends, so that nothing is raised into the host."""

from __future__ import annotations

import logging
from collections.abc import Callable

from responses_shim.core.response.encoder import Frame
from responses_shim.core.response.translator import Translator
from responses_shim.errors import UpstreamError
from responses_shim.runtime.host_code import place_of

logger = logging.getLogger("responses_shim")


def translated(translator: Translator, feed: Callable[[bytes], list[Frame]], data: bytes) -> list[Frame]:
    """The frames that `feed`, of the translator, makes of bytes of the host.

    If it raises, the response fails, and there are none. A host may take an exception of its `send` for a client that
    has gone, and go on as if nothing was missing.
    """
    try:
        return feed(data)
    except Exception as error:
        logger.error("the host's answer could not be translated: %s at %s", type(error).__name__, place_of(error))
        logger.debug("why it could not be translated:", exc_info=error)
        translator.fail(UpstreamError("The host's answer could not be translated."))
        return []
