"""Sealed reasoning: a token opens for its owner with its key, and any other way to use one gives nothing."""

from __future__ import annotations

import base64
import string
import sys
from typing import Any

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from hypothesis import example, given, settings
from hypothesis import strategies as st

from responses_shim import ConfigurationError, Settings
from responses_shim.runtime.sealing import Keys, Sealer

NEW, OLD, OTHER = "a-newer-secret-key", "an-older-secret-key", "somebody-elses-key"
OWNER = bytes(range(32))
TEXT = "The user wants a poem. 😀"
URL_SAFE = set(string.ascii_letters + string.digits + "-_.")

property_test = settings(deadline=None, max_examples=200)
sealer = Sealer([NEW])
TOKEN = sealer.seal(OWNER, TEXT)
texts = st.text(st.characters(exclude_categories=()), max_size=200)


# Sealing and opening -------------------------------------------------------------------------------------------------


@property_test
@given(texts, st.binary(max_size=40))
@example("", b"")
@example("half a pair: \ud83d", OWNER)
@example("\0\r\n\ufeff\ufffd\U0010ffff", OWNER)
def test_a_sealed_text_is_opened_unchanged(text: str, owner: bytes) -> None:
    assert sealer.open(owner, sealer.seal(owner, text)) == text


@pytest.mark.parametrize("size", [1 << 20, (1 << 20) + 1])
def test_a_long_text_is_opened_unchanged(size: int) -> None:
    text = "ab" * size
    assert sealer.open(OWNER, sealer.seal(OWNER, text)) == text


def test_a_token_opens_after_a_restart_with_the_same_key() -> None:
    assert Sealer([NEW]).open(OWNER, Sealer([NEW]).seal(OWNER, TEXT)) == TEXT


@property_test
@given(texts)
def test_a_token_is_url_safe_and_has_its_own_prefix(text: str) -> None:
    token = sealer.seal(OWNER, text)
    assert token.startswith("rs1.")
    assert set(token) <= URL_SAFE


def test_no_two_tokens_are_the_same() -> None:
    tokens = [sealer.seal(OWNER, TEXT) for _ in range(200)]
    starts = {token[12:28] for token in tokens}  # the part that the message's own key is made of
    assert len(set(tokens)) == len(starts) == 200


@property_test
@given(st.text(string.ascii_letters, min_size=6, max_size=100))
def test_a_token_shows_neither_text_nor_key_nor_owner(text: str) -> None:
    token = sealer.seal(OWNER, text)
    box = base64.urlsafe_b64decode(token[12:] + "==")
    for hidden in (text.encode(), NEW.encode(), OWNER[:6]):
        assert hidden not in box
        assert hidden not in token.encode()
        assert base64.urlsafe_b64encode(hidden).rstrip(b"=") not in token.encode()


# Tokens that do not open ---------------------------------------------------------------------------------------------


@property_test
@given(st.data())
def test_a_token_with_any_character_changed_does_not_open(data: st.DataObject) -> None:
    token = sealer.seal(OWNER, data.draw(st.text(max_size=12)))
    index = data.draw(st.integers(0, len(token) - 1))
    other = data.draw(st.characters(exclude_categories=()).filter(lambda character: character != token[index]))
    assert sealer.open(OWNER, token[:index] + other + token[index + 1 :]) is None


@pytest.mark.parametrize("text", ["", "a", "ab", "abc"])
def test_another_spelling_of_the_last_character_does_not_open(text: str) -> None:
    """Base64 does not use up to four bits of it, and most decoders ignore those."""
    token = sealer.seal(OWNER, text)
    opened = [last for last in sorted(URL_SAFE | {"=", "+", "/"}) if sealer.open(OWNER, token[:-1] + last) is not None]
    assert opened == [token[-1]]


def test_a_token_that_was_cut_does_not_open() -> None:
    token = sealer.seal(OWNER, TEXT)
    for end in range(len(token)):
        assert sealer.open(OWNER, token[:end]) is None
        assert sealer.open(OWNER, token[end + 1 :]) is None


@property_test
@given(st.data())
def test_a_token_with_anything_added_does_not_open(data: st.DataObject) -> None:
    token = sealer.seal(OWNER, TEXT)
    added = data.draw(st.text(st.sampled_from("=\n .+/A"), min_size=1, max_size=4) | texts.filter(bool))
    index = data.draw(st.integers(0, len(token)))
    assert sealer.open(OWNER, token[:index] + added + token[index:]) is None


@property_test
@given(st.binary(max_size=40), st.binary(max_size=40))
@example(b"", b"A")
@example(OWNER, OWNER + b"\0")
def test_a_token_opens_for_its_owner_only(owner: bytes, other: bytes) -> None:
    opened = sealer.open(other, sealer.seal(owner, TEXT))
    assert opened == (TEXT if other == owner else None)


def test_a_token_made_of_two_does_not_open() -> None:
    one, other = sealer.seal(OWNER, TEXT), sealer.seal(OWNER, TEXT)
    for index in range(13, len(one)):
        if one[:index] != other[:index] and one[index:] != other[index:]:
            assert sealer.open(OWNER, one[:index] + other[index:]) is None


@property_test
@given(texts | st.builds("".join, st.lists(st.sampled_from(["rs1.", sealer.seal(OWNER, ""), "=", "A"]), max_size=5)))
@example("gAAAAABo")
@example("rs1.")
@example(sealer.seal(OWNER, "")[:12])
@example(sealer.seal(OWNER, "")[:12] + "A")
@example(sealer.seal(OWNER, "")[:12] + "é")
@example(sealer.seal(OWNER, "")[:12] + "\ud83d")
def test_a_foreign_token_is_none_and_no_error(foreign: str) -> None:
    assert sealer.open(OWNER, foreign) in (None, "")
    assert Sealer([OTHER]).open(OWNER, foreign) is None


def test_a_foreign_token_is_not_even_decoded(monkeypatch: pytest.MonkeyPatch) -> None:
    token = sealer.seal(OWNER, TEXT)
    foreign = ["gAAAAABo" * 500_000, "rs2." + token[4:], token[:4] + "A" + token[4:]]
    monkeypatch.setattr("responses_shim.runtime.sealing.base64", None)
    assert [sealer.open(OWNER, each) for each in foreign] == [None] * 3
    with pytest.raises(AttributeError):
        sealer.open(OWNER, token)


def test_a_token_too_long_for_the_library_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    token = sealer.seal(OWNER, TEXT)

    class Refusing:
        def __init__(self, key: bytes) -> None:
            pass

        def decrypt(self, nonce: bytes, data: bytes, associated: bytes) -> bytes:
            raise OverflowError("Data or associated data too long. Max 2**31 - 1 bytes")

    monkeypatch.setattr(sealer, "_cipher", Refusing)
    assert sealer.open(OWNER, token) is None


# Keys ----------------------------------------------------------------------------------------------------------------


def test_the_first_key_seals_and_the_others_open() -> None:
    old = Sealer([OLD]).seal(OWNER, TEXT)
    rotated = Sealer([NEW, OLD])
    assert rotated.open(OWNER, old) == TEXT
    assert Sealer([NEW]).open(OWNER, rotated.seal(OWNER, TEXT)) == TEXT
    assert Sealer([OLD]).open(OWNER, rotated.seal(OWNER, TEXT)) is None


def test_a_token_of_a_key_that_is_not_listed_does_not_open() -> None:
    old = Sealer([OLD]).seal(OWNER, TEXT)
    assert Sealer([NEW]).open(OWNER, old) is None
    assert Sealer([NEW, OTHER]).open(OWNER, old) is None


def test_a_token_with_the_id_of_another_key_does_not_open() -> None:
    old, new = Sealer([OLD]).seal(OWNER, TEXT), Sealer([NEW]).seal(OWNER, TEXT)
    assert Sealer([NEW, OLD]).open(OWNER, new[:12] + old[12:]) is None


def test_a_key_may_be_listed_twice() -> None:
    twice = Sealer([NEW, NEW])
    assert twice.open(OWNER, twice.seal(OWNER, TEXT)) == TEXT


def hkdf(secret: bytes, purpose: bytes) -> bytes:
    return HKDF(hashes.SHA256(), 32, None, b"responses-shim " + purpose).derive(secret)


def test_the_format_is_the_documented_one() -> None:
    """The token is opened step by step, with the library's own HKDF. Another format would need another version."""
    token = sealer.seal(OWNER, TEXT)
    prefix, box = token[:12], base64.urlsafe_b64decode(token[12:] + "=" * (-len(token) % 4))
    assert prefix == "rs1." + base64.urlsafe_b64encode(hkdf(NEW.encode(), b"key id")[:6]).decode()
    key = hkdf(hkdf(NEW.encode(), b"reasoning"), b"message" + box[:12])
    assert AESGCM(key).decrypt(box[12:24], box[24:], prefix.encode() + OWNER) == TEXT.encode()
    assert len(box) == 24 + len(TEXT.encode()) + 16


def load(*keys: str) -> Keys:
    return Keys.load(Settings.load({}, secret_keys=keys))


def test_the_keys_for_owner_ids_differ_from_those_for_sealing() -> None:
    keys = load(NEW, OLD)
    assert keys.owner_keys == (hkdf(NEW.encode(), b"owner"), hkdf(OLD.encode(), b"owner"))
    assert not set(keys.owner_keys) & {hkdf(key.encode(), b"reasoning") for key in (NEW, OLD)}


def test_without_secret_keys_each_shim_makes_one_of_its_own() -> None:
    one, other = load(), load()
    assert one.sealer is not None
    assert other.sealer is not None
    assert one.owner_keys != other.owner_keys
    token = one.sealer.seal(OWNER, TEXT)
    assert one.open([OWNER], token) == TEXT
    assert other.open([OWNER], token) is None


def test_a_token_opens_for_any_of_the_clients_owner_ids() -> None:
    """Owner ids depend on the key too: without the older ids no token from before a rotation would open."""
    old = load(OLD)
    assert old.sealer is not None
    ids = {OLD: b"client under the old key", NEW: b"client under the new key"}
    token = old.sealer.seal(ids[OLD], TEXT)
    assert load(NEW, OLD).open([ids[NEW], ids[OLD]], token) == TEXT
    assert load(NEW, OLD).open([ids[NEW], b"another client"], token) is None
    assert load(NEW).open([ids[NEW]], token) is None


def test_an_empty_text_is_opened_as_one() -> None:
    keys = load(NEW)
    assert keys.sealer is not None
    assert keys.open([b"x", OWNER], keys.sealer.seal(OWNER, "")) == ""


def test_the_repr_does_not_show_any_key() -> None:
    keys = load(NEW, OLD)
    text = repr(keys) + repr(keys.sealer)
    assert not [key for key in (NEW, OLD, *map(repr, keys.owner_keys)) if key in text]


# Without the library -------------------------------------------------------------------------------------------------


@pytest.fixture
def no_library(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in sys.modules if name.partition(".")[0] == "cryptography"]:
        monkeypatch.setitem(sys.modules, name, None)


def test_secret_keys_without_the_library_are_a_configuration_error_that_names_the_extra(no_library: None) -> None:
    calls: list[Any] = [lambda: Sealer([NEW]), lambda: load(NEW)]
    for call in calls:
        with pytest.raises(ConfigurationError) as missing:
            call()
        assert str(missing.value) == (
            "secret_keys: cryptography is not installed: pip install 'responses-shim[encryption]'"
        )


def test_without_keys_and_library_nothing_is_sealed_but_there_are_owner_ids(no_library: None) -> None:
    keys = load()
    assert keys.sealer is None
    assert [len(key) for key in keys.owner_keys] == [32]
    assert keys.open([OWNER], TOKEN) is None
