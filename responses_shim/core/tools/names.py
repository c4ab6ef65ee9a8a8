"""The names of tools as chat functions, and the spellings of them that models use.

Hosts take function names of at most 64 characters: letters, digits, `_` and `-`.
"""

from __future__ import annotations

import hashlib
import re

MAX_NAME = 64

_MAX_READ = 1024  # characters of a name that are looked at: no API takes a name of more than 128

_NOT_IN_NAMES = re.compile(r"[^A-Za-z0-9_-]")
_SEPARATORS = re.compile(r"[\W_]+")
_DIGEST = 8


def function_name(namespace: str | None, name: str) -> str:
    """The name of a tool as a chat function: `crm__find` for `find` of the namespace `crm`.

    A tool outside a namespace keeps its name, if hosts take it: OpenAI's API allows longer ones than chat completions.
    Characters that they do not take become `_`, and a name that is changed or too long gets a digest of what it was, so
    that two tools never share a name.
    """
    joined = f"{namespace}__{name}" if namespace else name
    clean = _NOT_IN_NAMES.sub("_", joined[:_MAX_READ])
    if clean == joined and len(joined) <= MAX_NAME:
        return joined
    return with_digest(clean, "function", namespace, name)


def with_digest(function: str, kind: str, namespace: str | None, name: str) -> str:
    """The function's name, shortened; at its end eight hexadecimal digits of a hash of it and the tool's identity."""
    identity = "\0".join((function, kind, namespace or "", name))
    digest = hashlib.sha256(identity.encode()).hexdigest()[:_DIGEST]
    return f"{function[: MAX_NAME - _DIGEST - 1]}_{digest}"


def loosely_spelled(name: str) -> str:
    """The name with every run of separators as one `_`: `crm.find`, `crm/find` and `crm__find` are `crm_find`."""
    return _SEPARATORS.sub("_", name[:_MAX_READ]).strip("_")
