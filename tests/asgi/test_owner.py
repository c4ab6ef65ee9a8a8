"""Who is asking: the same credentials are the same owner, anything else is another."""

from __future__ import annotations

import hashlib
import hmac
from itertools import permutations

import pytest
from hypothesis import example, given
from hypothesis import settings as how
from hypothesis import strategies as st

from responses_shim import Settings
from responses_shim.asgi.owner import ANONYMOUS, owner_of
from responses_shim.runtime.sealing import Keys

KEY = b"k" * 32
CREDENTIALS = ["authorization", "x-api-key", "api-key", "cookie"]
PLAIN = Settings()
BESIDE = Settings(owner_header="x-user")
TRUSTED = Settings(owner_header="x-user", trust_owner_header=True)

Pair = tuple[str, str]


def owner(*pairs: Pair, settings: Settings = PLAIN, key: bytes = KEY) -> bytes:
    return owner_of([(name.encode("latin-1"), value.encode("latin-1")) for name, value in pairs], settings, key)


@pytest.mark.parametrize("name", CREDENTIALS)
def test_each_credential_makes_an_owner(name: str) -> None:
    made = {owner((name, "one")), owner((name, "two")), owner((name, "")), ANONYMOUS}
    assert len(made) == 4
    assert {len(each) for each in made} == {32}
    assert owner((name, "one")) == owner((name.title(), "one"))


def test_the_same_value_in_another_header_is_another_owner() -> None:
    assert len({owner((name, "key")) for name in CREDENTIALS}) == len(CREDENTIALS)


def test_without_a_credential_everyone_is_anonymous_under_every_key() -> None:
    others = [("host", "x"), ("user-agent", "y"), ("x-user", "alice"), ("proxy-authorization", "Basic z")]
    assert owner() == owner(*others) == owner(key=b"other") == ANONYMOUS


def test_other_headers_do_not_matter() -> None:
    assert owner(("x-api-key", "a"), ("traceparent", "1")) == owner(("accept", "*/*"), ("x-api-key", "a"))


def test_the_order_of_the_headers_does_not_matter() -> None:
    shown = [("authorization", "Bearer a"), ("cookie", "b=1"), ("cookie", "a=1"), ("x-api-key", "k")]
    assert len({owner(*order) for order in permutations(shown)}) == 1


def test_duplicates_count() -> None:
    assert len({owner(*[("cookie", "a=1")] * times) for times in (1, 2, 3)}) == 3


@pytest.mark.parametrize(
    ("one", "other"), [("Bearer Key", "bearer Key"), ("BASIC a b", "Basic a b"), ("Bearer ", "bearer ")]
)
def test_a_scheme_has_no_case(one: str, other: str) -> None:
    assert owner(("authorization", one)) == owner(("Authorization", other))


@pytest.mark.parametrize(
    ("name", "one", "other"),
    [
        ("authorization", "Bearer Key", "Bearer key"),
        ("authorization", "Bearer Key", "Basic Key"),
        ("authorization", "Bearer Key", "Bearer  Key"),
        ("authorization", "Key", "key"),
        ("x-api-key", "Bearer Key", "bearer Key"),
        ("cookie", "A=1; b=2", "a=1; b=2"),
    ],
)
def test_what_is_no_scheme_has_case(name: str, one: str, other: str) -> None:
    assert owner((name, one)) != owner((name, other))


def test_another_key_makes_other_owners() -> None:
    assert owner(("x-api-key", "a"), key=b"1" * 32) != owner(("x-api-key", "a"), key=b"2" * 32)


def test_the_owner_is_an_hmac_of_what_was_shown() -> None:
    """Owners are kept with what is theirs: what is hashed, and how, is not free to change."""
    shown = b"13:authorization8:bearer a6:cookie3:b=1"
    assert owner(("Cookie", "b=1"), ("Authorization", "Bearer a")) == hmac.new(KEY, shown, hashlib.sha256).digest()


names = st.sampled_from([*CREDENTIALS, "Api-Key", "x-user", "host"])
values = st.text(st.sampled_from("1:ab ;="), max_size=6) | st.sampled_from(["6:cookie1:a", "a7:api-key0:"])
requests = st.lists(st.tuples(names, values), max_size=4)


@how(deadline=None, max_examples=300)
@given(requests, requests)
@example([("api-key", "a7:api-key0:")], [("api-key", "a"), ("api-key", "")])
@example([("api-key", "ab")], [("api-key", "a"), ("api-key", "b")])
@example([("api-key", "a"), ("cookie", "")], [("cookie", "a"), ("api-key", "")])
def test_two_requests_have_one_owner_if_they_show_the_same(one: list[Pair], other: list[Pair]) -> None:
    def shown(pairs: list[Pair]) -> list[Pair]:
        credentials = [(name.lower(), value) for name, value in pairs if name.lower() in CREDENTIALS]
        return sorted(
            (name, value if name != "authorization" else scheme_lowered(value)) for name, value in credentials
        )

    assert (owner(*one) == owner(*other)) is (shown(one) == shown(other))
    assert owner(*one) == owner(*reversed(one))


def scheme_lowered(value: str) -> str:
    first, *rest = value.split(" ")
    return " ".join([first.lower() if rest else first, *rest])


# The owner header ----------------------------------------------------------------------------------------------------

ALICE, BOB = ("x-user", "alice"), ("X-User", "bob")
KEY_HEADER = ("authorization", "Bearer shared")


def test_an_owner_header_tells_the_users_of_one_key_apart() -> None:
    made = [owner(KEY_HEADER, *more, settings=BESIDE) for more in ([ALICE], [BOB], [])]
    assert len(set(made)) == 3
    assert made[2] == owner(KEY_HEADER)


def test_an_owner_header_gives_nobody_what_is_anothers() -> None:
    """Who writes alice into it with another key, or with none, is not alice."""
    alice = owner(KEY_HEADER, ALICE, settings=BESIDE)
    assert alice not in {owner(ALICE, settings=BESIDE), owner(("x-api-key", "mine"), ALICE, settings=BESIDE)}


def test_a_trusted_owner_header_alone_says_who_it_is() -> None:
    alice = owner(ALICE, settings=TRUSTED)
    assert alice == owner(ALICE, KEY_HEADER, ("cookie", "a=1"), settings=TRUSTED)
    assert alice != owner(BOB, settings=TRUSTED)
    assert owner(KEY_HEADER, settings=TRUSTED) == ANONYMOUS


def test_the_name_of_the_owner_header_has_no_case() -> None:
    assert owner(ALICE, settings=Settings(owner_header="X-USER")) == owner(ALICE, settings=BESIDE)


def test_a_credential_header_may_be_the_one_that_is_trusted() -> None:
    settings = Settings(owner_header="Authorization", trust_owner_header=True)
    assert owner(KEY_HEADER, ("cookie", "a=1"), settings=settings) == owner(KEY_HEADER)


# With the keys -------------------------------------------------------------------------------------------------------


def test_what_was_sealed_before_a_rotation_opens_after_it_for_the_same_client_only() -> None:
    def known_as(keys: Keys, *pairs: Pair) -> list[bytes]:
        return [owner(*pairs, key=key) for key in keys.owner_keys]

    def load(*secrets: str) -> Keys:
        return Keys.load(Settings.load({}, secret_keys=secrets))

    old, new = "an-older-secret-key", "a-newer-secret-key"
    before, during, after = load(old), load(new, old), load(new)
    assert before.sealer is not None
    assert during.sealer is not None
    token = before.sealer.seal(known_as(before, KEY_HEADER)[0], "thought")
    assert during.open(known_as(during, KEY_HEADER), token) == "thought"
    assert during.open(known_as(during, ("authorization", "Bearer other")), token) is None
    assert after.open(known_as(after, KEY_HEADER), token) is None
    token = during.sealer.seal(known_as(during, KEY_HEADER)[0], "thought")
    assert after.open(known_as(after, KEY_HEADER), token) == "thought"
