"""Who is asking: a name for the owner of what a request leaves behind, made from the credentials it shows.

Whether the credentials are good is the host's to say. Two requests with the same credentials have the same owner, so
what was made with one key is found by that key only. Credentials that are renewed (a token that expires, a session
cookie) make a new owner; where that must not be, a proxy in front names the user in a header that the settings trust.
"""

from __future__ import annotations

import hmac
from collections.abc import Iterable

from responses_shim.settings import Settings

ANONYMOUS = bytes(32)
"""The owner of every request without a credential: the same under every key."""

_CREDENTIALS = frozenset({b"authorization", b"x-api-key", b"api-key", b"cookie"})


def owner_of(headers: Iterable[tuple[bytes, bytes]], settings: Settings, key: bytes) -> bytes:
    """32 bytes: HMAC-SHA256 under `key` of the credential headers, whatever order they came in; or ANONYMOUS.

    `owner_header` counts in addition, so that it can tell the users of one API key apart but gives nobody what is
    another's. With `trust_owner_header` it alone counts: whoever can set it is whom it names.
    """
    told = frozenset(() if settings.owner_header is None else [settings.owner_header.encode("ascii")])
    counted = told if settings.trust_owner_header else told | _CREDENTIALS
    lowered = ((name.lower(), value) for name, value in headers)
    shown = sorted((name, _plain(name, value)) for name, value in lowered if name in counted)
    if not shown:
        return ANONYMOUS
    # Each part with its length before it, so that no two lists of headers read alike.
    parts = (b"%d:%b%d:%b" % (len(name), name, len(value), value) for name, value in shown)
    return hmac.digest(key, b"".join(parts), "sha256")


def _plain(name: bytes, value: bytes) -> bytes:
    """`Bearer x` and `bearer x` are one credential (RFC 9110 §11.1). A bare key, without a scheme, is as it is."""
    scheme, space, rest = value.partition(b" ")
    return scheme.lower() + space + rest if name == b"authorization" and space else value
