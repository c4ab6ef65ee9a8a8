"""Encrypt reasoning that the client keeps for us (`encrypted_content`), and decrypt it when the client sends it back.

A client with `store: false` asks for `include: ["reasoning.encrypted_content"]`, keeps the token in its history and
sends it back with the next request (Codex does so in every one). The token contains the text of the reasoning, so the
shim stores nothing.

**What is guaranteed.** Without the key, nobody can read a token or make one. A token opens for the owner that it was
made for, and for nobody else. A token that is damaged, cut or extended, that another service made, or whose key is not
listed any more, is left out of the request. It is never an error, since clients take their history from one service to
another.

**What is not guaranteed.** A client can send its old tokens again: as often as it likes, in any order, in any
conversation, to any model. (It could as well write any other text into its history. A token only proves that this owner
got this reasoning from here.) All clients without credentials are one owner. The length of a token shows the length of
its text. A token never expires; it opens until its key is taken off the list.

**Format.** `rs1.`, then an id of the key in eight characters, then in URL-safe base64 without padding: 24 random bytes,
the text encrypted with AES-256-GCM, its authentication tag. Version, key id and owner are authenticated too (as
additional data). Each token has one spelling only: base64 that decodes to the same bytes but is written otherwise is
refused.

**How many messages one key may encrypt.** Half of the random bytes go into an AES key for this message alone, the other
half are its nonce. So two messages have to agree in all 192 bits before that does harm; after 2^80 messages the chance
of that is 2^-33. With a single AES key and a random nonce of 96 bits it would be as high after 2^32 messages, which a
fleet that seals a thousand a second reaches in 50 days. So no operator has to count messages, and keys are rotated only
when one may have leaked.
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
_PREFIX_LENGTH = len(_VERSION) + 8
_NONCE_LENGTH = 24


class Sealer:
    """Encrypts texts with the first of its keys, and decrypts what was encrypted with any of them.

    `keys` are secrets of any length, at least one. Raises ConfigurationError that names the extra to install if
    `cryptography` is missing.
    """

    def __init__(self, keys: Sequence[str]) -> None:
        try:
            from cryptography.hazmat.primitives.ciphers.aead import AESGCM
        except ImportError:
            raise ConfigurationError(
                "secret_keys: cryptography is not installed: pip install 'responses-shim[encryption]'"
            ) from None
        self._cipher = AESGCM
        self._root_keys = {_token_prefix(key): _derive(key.encode(), b"reasoning") for key in keys}
        self._newest = _token_prefix(keys[0])

    def seal(self, owner: bytes, text: str) -> str:
        """Encrypt `text` for `owner`: a token of URL-safe ASCII, a third longer than the text and different each time.

        The text may contain half surrogate pairs.
        """
        nonce = secrets.token_bytes(_NONCE_LENGTH)
        cipher = self._cipher(_derive(self._root_keys[self._newest], b"message" + nonce[:12]))
        data = text.encode("utf-8", "surrogatepass")
        return self._newest + _encode(nonce + cipher.encrypt(nonce[12:], data, self._newest.encode() + owner))

    def open(self, owner: bytes, token: str) -> str | None:
        """The text of a token; None unless it was sealed for `owner` with one of the keys. Raises nothing.

        A foreign token is recognised by its first twelve characters, however long it is.
        """
        from cryptography.exceptions import InvalidTag

        prefix, body = token[:_PREFIX_LENGTH], token[_PREFIX_LENGTH:]
        root_key = self._root_keys.get(prefix)
        if root_key is None:
            return None
        try:
            decoded = base64.urlsafe_b64decode(body + "=" * (-len(body) % 4))
            if _encode(decoded) != body:
                return None
            nonce = decoded[:_NONCE_LENGTH]
            cipher = self._cipher(_derive(root_key, b"message" + nonce[:12]))
            data = cipher.decrypt(nonce[12:], decoded[_NONCE_LENGTH:], prefix.encode() + owner)
            return data.decode("utf-8", "surrogatepass")
        except (InvalidTag, ValueError, OverflowError):  # forged; no base64, or too short; too long for OpenSSL
            return None


@dataclass(frozen=True)
class Keys:
    """The keys that a shim derives from the setting `secret_keys`; from a random one of its own if none is set.

    - `owner_keys`: a key for the HMAC that makes owner ids (see `asgi.owner`) per secret, the newest first, 32 bytes
      each. A client has one owner id under each: seal for the first, open for any.
    - `sealer`: None if no secret is set and `cryptography` is not installed; then nothing is sealed.
    """

    owner_keys: tuple[bytes, ...] = field(repr=False)
    sealer: Sealer | None

    @classmethod
    def load(cls, settings: Settings) -> Keys:
        """The keys for these settings. Raises ConfigurationError if secrets are set but `cryptography` is missing."""
        secret_keys = [key.get_secret_value() for key in settings.secret_keys] or [secrets.token_urlsafe(32)]
        try:
            sealer = Sealer(secret_keys)
        except ConfigurationError:
            if settings.secret_keys:
                raise
            sealer = None
        return cls(tuple(owner_key(key.encode()) for key in secret_keys), sealer)

    def open(self, owners: Iterable[bytes], token: str) -> str | None:
        """The text of a token that was sealed for one of `owners`, the ids of one client; None for any other token."""
        if self.sealer is None:
            return None
        opened = (self.sealer.open(owner, token) for owner in owners)
        return next((text for text in opened if text is not None), None)


def owner_key(secret: bytes) -> bytes:
    """The key for the HMAC that makes owner ids, from a secret."""
    return _derive(secret, b"owner")


def _token_prefix(key: str) -> str:
    """How every token of a key begins: the version, and the key's id, from which the key cannot be computed."""
    return _VERSION + _encode(_derive(key.encode(), b"key id")[:6])


def _derive(secret: bytes, purpose: bytes) -> bytes:
    """A key of 32 bytes for one purpose: HKDF-SHA256 (RFC 5869) without salt, whose first block is enough.

    It is not taken from `cryptography`, because owner ids are needed without that package too.
    """
    extracted = hmac.digest(b"", secret, "sha256")
    return hmac.digest(extracted, b"responses-shim " + purpose + b"\x01", "sha256")


def _encode(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode("ascii")
