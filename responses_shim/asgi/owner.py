"""Owner ids and admission keys: who a client is, as far as its credentials show it.

What the shim seals for one owner (reasoning, see `runtime.sealing`) opens for that owner only. Two requests with the
same credentials have the same owner. Whether the credentials are valid is for the host to decide.

A credential that is renewed (a token that expires, a session cookie) makes a new owner. Where that is not wanted, a
proxy in front puts the user's name into a header, and the settings say that this header is to be trusted.
"""

from __future__ import annotations

import hmac
from collections.abc import Iterable

from responses_shim.asgi.headers import CREDENTIALS
from responses_shim.settings import Settings

ANONYMOUS = bytes(32)
"""The owner of every request without a credential; the same under every key."""

# No host lets a client in or keeps it out by these: they differ from request to request, or say nothing of the client.
_NO_CREDENTIALS = frozenset(
    {
        *(b"connection", b"date", b"expect", b"idempotency-key", b"keep-alive", b"priority", b"range", b"te"),
        *(b"transfer-encoding", b"user-agent", b"x-request-id", b"x-client-request-id"),
        *(b"traceparent", b"tracestate", b"baggage", b"b3", b"sentry-trace", b"uber-trace-id", b"x-correlation-id"),
        *(b"cf-ray", b"x-amzn-trace-id", b"x-cloud-trace-context", b"x-request-start"),  # a proxy's, for its log
    }
)
_NO_CREDENTIAL_PREFIXES = (
    b"accept",
    b"content-",
    b"if-",
    b"sec-",
    b"x-b3-",
    b"x-codex-",
    b"x-datadog-",
    b"x-stainless-",
)


def owner_of(headers: Iterable[tuple[bytes, bytes]], settings: Settings, key: bytes) -> bytes:
    """The owner id of a client: 32 bytes, an HMAC-SHA256 under `key` of its credential headers; or `ANONYMOUS`.

    The order of the headers does not matter. The header that `owner_header` names is hashed together with the
    credentials: it tells the users of one API key apart, and a client without that key cannot pose as any of them.
    With `trust_owner_header` that header alone is hashed, so that whoever can set it can pose as anybody.
    """
    owner_header = frozenset(() if settings.owner_header is None else [settings.owner_header.encode("ascii")])
    names = owner_header if settings.trust_owner_header else owner_header | CREDENTIALS
    credentials = [(lower, _normalized(lower, value)) for name, value in headers if (lower := name.lower()) in names]
    credentials.sort()
    return _digest(credentials, key) if credentials else ANONYMOUS


def cache_key_of(headers: Iterable[tuple[bytes, bytes]], settings: Settings, key: str) -> str:
    """A client's `prompt_cache_key` in a form that no other client's has: 64 hexadecimal digits.

    It is the same in each process that serves the host, which share one prefix cache, and after a restart. So it is no
    HMAC under a key of this process, but a hash of the credentials: who does not know these cannot guess it.
    """
    owner = owner_of(headers, settings, b"prompt_cache_key")
    return hmac.digest(owner, key.encode("utf-8", "surrogatepass"), "sha256").hex()


def admission_key(headers: Iterable[tuple[bytes, bytes]], address: str, key: bytes) -> bytes:
    """Whom a host's answer to a probe holds for: 32 bytes, the same for requests that a host cannot tell apart.

    It is an HMAC-SHA256 under `key` of the client's `address` and of its headers, credentials and Origin among them,
    except those by which no host lets anybody in. A header that nobody has heard of counts: it may be a credential.
    """
    lowered = [(name.lower(), value) for name, value in headers]
    telling = sorted(
        (name, value)
        for name, value in lowered
        if name not in _NO_CREDENTIALS and not name.startswith(_NO_CREDENTIAL_PREFIXES)
    )
    return _digest([(b"", address.encode("utf-8", "replace")), *telling], key)


def _digest(pairs: Iterable[tuple[bytes, bytes]], key: bytes) -> bytes:
    """An HMAC-SHA256 of names and values."""
    # Each name and value with its length before it, so that no two lists of headers give the same bytes.
    parts = (b"%d:%b%d:%b" % (len(name), name, len(value), value) for name, value in pairs)
    return hmac.digest(key, b"".join(parts), "sha256")


def _normalized(name: bytes, value: bytes) -> bytes:
    """The value with an authorization scheme in lower case: `Bearer x` and `bearer x` are the same (RFC 9110 §11.1).

    A key without a scheme before it has no such part.
    """
    scheme, space, rest = value.partition(b" ")
    return scheme.lower() + space + rest if name == b"authorization" and space else value
