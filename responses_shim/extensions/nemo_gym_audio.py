"""Audio files that a row of training data names (NeMo Gym), as data URLs.

A client chooses the path, so only what truly lies below `audio_root` is read, links followed. Whether there is
anything elsewhere is not told: every path that cannot be read gives the same error.
"""

from __future__ import annotations

import base64
import os

import anyio.to_thread

from responses_shim.core.wire.validation import unsupported
from responses_shim.errors import InvalidRequest
from responses_shim.extensions.nemo_gym import SideChannel, audio_type
from responses_shim.settings import Settings


async def audio_urls(side: SideChannel, settings: Settings) -> list[str]:
    """The sound of a request as URLs that hold it.

    Raises InvalidRequest that names the key: without `audio_root`, for a path with nothing to read below it, a name
    that does not tell the format, and what is larger than `max_file`, or all together than `max_body`.
    """
    paths = side.paths()
    return await anyio.to_thread.run_sync(_read_all, paths, settings) if paths else side.audio


def _read_all(paths: list[tuple[str, str]], settings: Settings) -> list[str]:
    urls = []
    left = settings.max_body  # a request is as large as if it had brought its files along
    for path, param in paths:
        if settings.audio_root is None:
            raise unsupported(param, "audio files are not read here (setting audio_root); send 'metadata.audio_data'.")
        media = audio_type(path, param)
        limit = min(settings.max_file, left)
        data = _read(settings.audio_root, path, param, limit + 1)
        if len(data) > limit:
            raise InvalidRequest(
                f"The audio has more than the {limit} bytes allowed here.", param=param, code="file_too_large"
            )
        left -= len(data)
        urls.append(f"data:{media};base64,{base64.b64encode(data).decode()}")
    return urls


def _read(root: str, path: str, param: str, size: int) -> bytes:
    root = os.path.realpath(root)
    try:
        file = os.path.realpath(os.path.join(root, path))
        if os.path.commonpath([root, file]) == root and os.path.isfile(file):
            with open(file, "rb") as opened:
                return opened.read(size)
    except (OSError, ValueError):
        pass
    raise InvalidRequest("There is no such file below audio_root.", param=param, code="invalid_value")
