"""Reasoning that the client keeps for us: sealed on the way out, opened when it comes back.

A client with `store: false` asks for `include: ["reasoning.encrypted_content"]`, carries the token in its history and
sends it back (Codex does, in every request). The token holds the reasoning text itself, so nothing is stored here.

**Promised.** Who lacks the key can neither read a token nor make one. A token opens for the owner it was made for, and
for nobody else. A token that was damaged, cut or added to, that another service made, or whose key is no longer listed
is as good as none: it is left out, never an error, since clients carry their history from one service to another.

**Not promised.** A client can send its own old tokens again: as often, in whatever order and in whichever conversation
it likes, to any model. It could write other text into its history as well; what comes back is the client's word, with
the shim's seal on who may say it. All who show no credential are one owner. A token tells how long its text is. It
does not age: it opens until its key is taken off the list.

**Form.** `rs1.`, eight characters that name the key, then in URL-safe base64: 24 random bytes, the text under
AES-256-GCM, its tag. Version, name of the key and owner are authenticated with it. Only the one spelling is taken.

**How many messages a key is good for.** Half of the random bytes go into the message's own AES key, the other half are
its nonce. So two messages have to agree in all 192 bits to do harm; after 2^80 of them that has a chance of 2^-33. With
one AES key and a nonce of 96 bits that would be so after 2^32, which a fleet that seals a thousand messages a second
reaches in 50 days. No operator has to count, and rotation is for keys that have leaked.
"""

from __future__ import annotations

import base64
import hmac
import secrets
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from responses_shim.errors import ConfigurationError
from responses_shim.settings import Settings

_VERSION = "rs1."
_HEAD = len(_VERSION) + 8
_NONCE = 24


class Sealer:
    """Seals and opens with keys made from `keys`: the first seals, all open. At least one.

    ConfigurationError, which names the extra, where `cryptography` is not installed.
    """

    def __init__(self, keys: Sequence[str]) -> None:
        try:
            from cryptography.hazmat.primitives.ciphers.aead import AESGCM
        except ImportError:
            raise ConfigurationError(
                "secret_keys: cryptography is not installed: pip install 'responses-shim[encryption]'"
            ) from None
        self._cipher = AESGCM
        self._roots = {_head(key): _derive(key.encode(), b"reasoning") for key in keys}
        self._newest = _head(keys[0])

    def seal(self, owner: bytes, text: str) -> str:
        """A token of URL-safe ASCII, a third longer than `text` and never the same twice."""
        nonce = secrets.token_bytes(_NONCE)
        cipher = self._cipher(_derive(self._roots[self._newest], b"message" + nonce[:12]))
        data = text.encode("utf-8", "surrogatepass")
        return self._newest + _encode(nonce + cipher.encrypt(nonce[12:], data, self._newest.encode() + owner))

    def open(self, owner: bytes, sealed: str) -> str | None:
        """The text, or None for anything that was not sealed for `owner` with one of the keys. Never raises.

        What is not ours is told by its first twelve characters; beyond that the work is linear in the length.
        """
        from cryptography.exceptions import InvalidTag

        head = sealed[:_HEAD]
        root = self._roots.get(head)
        if root is None:
            return None
        body = sealed[_HEAD:]
        try:
            box = base64.urlsafe_b64decode(body + "=" * (-len(body) % 4))
            if _encode(box) != body:
                return None
            nonce = box[:_NONCE]
            cipher = self._cipher(_derive(root, b"message" + nonce[:12]))
            data = cipher.decrypt(nonce[12:], box[_NONCE:], head.encode() + owner)
            return data.decode("utf-8", "surrogatepass")
        except (InvalidTag, ValueError, OverflowError):  # forged; no base64 or too short; beyond what OpenSSL takes
            return None


@dataclass(frozen=True)
class Keys:
    """What one shim derives from `Settings.secret_keys`, or from a key of its own, made now, where there are none.

    `owner_keys` are for the HMAC that tells owners apart, one per secret, the newest first. Who an owner is depends on
    the key, so after a rotation a client is known by one name per key: seal for the first, open for any of them.
    `sealer` is None where nobody has set a key and `cryptography` is not installed: then nothing is sealed.
    """

    owner_keys: tuple[bytes, ...] = field(repr=False)
    sealer: Sealer | None

    @classmethod
    def load(cls, settings: Settings) -> Keys:
        """ConfigurationError where keys are set that nothing here can seal with."""
        listed = [key.get_secret_value() for key in settings.secret_keys] or [secrets.token_urlsafe(32)]
        try:
            sealer = Sealer(listed)
        except ConfigurationError:
            if settings.secret_keys:
                raise
            sealer = None
        return cls(tuple(_derive(key.encode(), b"owner") for key in listed), sealer)

    def open(self, owners: Iterable[bytes], sealed: str) -> str | None:
        """The text of a token that was sealed for one of `owners`, the names of one client; else None."""
        if self.sealer is None:
            return None
        opened = (self.sealer.open(owner, sealed) for owner in owners)
        return next((text for text in opened if text is not None), None)


def _head(key: str) -> str:
    """How a token of this key begins: the version, and a name of the key that tells nothing about it."""
    return _VERSION + _encode(_derive(key.encode(), b"key id")[:6])


def _derive(secret: bytes, purpose: bytes) -> bytes:
    """32 bytes for one purpose and no other: HKDF-SHA256 without salt (RFC 5869), which needs one block only.

    It is here, and not from `cryptography`, because owners are told apart without that too.
    """
    extracted = hmac.digest(b"", secret, "sha256")
    return hmac.digest(extracted, b"responses-shim " + purpose + b"\x01", "sha256")


def _encode(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode("ascii")
