"""Owner ids and admission keys: the same credentials give the same, any others give another."""

from __future__ import annotations

import hashlib
import hmac
import re
from itertools import permutations

import pytest
from hypothesis import example, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from responses_shim import Settings
from responses_shim.asgi.owner import ANONYMOUS, admission_key, cache_key_of, owner_of
from responses_shim.runtime.sealing import Keys

KEY = b"k" * 32
CREDENTIALS = ["authorization", "x-api-key", "api-key", "cookie"]
PLAIN = Settings()
WITH_HEADER = Settings(owner_header="x-user")
TRUSTED = Settings(owner_header="x-user", trust_owner_header=True)

Pair = tuple[str, str]


def owner(*pairs: Pair, settings: Settings = PLAIN, key: bytes = KEY) -> bytes:
    return owner_of([(name.encode("latin-1"), value.encode("latin-1")) for name, value in pairs], settings, key)


@pytest.mark.parametrize("name", CREDENTIALS)
def test_each_value_of_a_credential_is_another_owner(name: str) -> None:
    owners = {owner((name, "one")), owner((name, "two")), owner((name, "")), ANONYMOUS}
    assert len(owners) == 4
    assert {len(each) for each in owners} == {32}
    assert owner((name, "one")) == owner((name.title(), "one"))


def test_the_same_value_in_another_header_is_another_owner() -> None:
    assert len({owner((name, "key")) for name in CREDENTIALS}) == len(CREDENTIALS)


def test_without_credentials_the_owner_is_anonymous_under_every_key() -> None:
    others = [("host", "x"), ("user-agent", "y"), ("x-user", "alice"), ("proxy-authorization", "Basic z")]
    assert owner() == owner(*others) == owner(key=b"other") == ANONYMOUS


def test_headers_that_are_no_credentials_do_not_matter() -> None:
    assert owner(("x-api-key", "a"), ("traceparent", "1")) == owner(("accept", "*/*"), ("x-api-key", "a"))


def test_the_order_of_the_headers_does_not_matter() -> None:
    headers = [("authorization", "Bearer a"), ("cookie", "b=1"), ("cookie", "a=1"), ("x-api-key", "k")]
    assert len({owner(*order) for order in permutations(headers)}) == 1


def test_a_header_twice_is_another_owner_than_the_header_once() -> None:
    assert len({owner(*[("cookie", "a=1")] * times) for times in (1, 2, 3)}) == 3


@pytest.mark.parametrize(
    ("one", "other"), [("Bearer Key", "bearer Key"), ("BASIC a b", "Basic a b"), ("Bearer ", "bearer ")]
)
def test_the_case_of_the_authorization_scheme_does_not_matter(one: str, other: str) -> None:
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
def test_the_case_of_everything_else_matters(name: str, one: str, other: str) -> None:
    assert owner((name, one)) != owner((name, other))


def test_another_key_gives_other_owners() -> None:
    assert owner(("x-api-key", "a"), key=b"1" * 32) != owner(("x-api-key", "a"), key=b"2" * 32)


def test_the_owner_is_an_hmac_of_the_credentials() -> None:
    """What is hashed must never change: tokens that clients keep are bound to these owners."""
    hashed = b"13:authorization8:bearer a6:cookie3:b=1"
    assert owner(("Cookie", "b=1"), ("Authorization", "Bearer a")) == hmac.new(KEY, hashed, hashlib.sha256).digest()


names = st.sampled_from([*CREDENTIALS, "Api-Key", "x-user", "host"])
values = st.text(st.sampled_from("1:ab ;="), max_size=6) | st.sampled_from(["6:cookie1:a", "a7:api-key0:"])
requests = st.lists(st.tuples(names, values), max_size=4)


@hypothesis_settings(deadline=None, max_examples=300)
@given(requests, requests)
@example([("api-key", "a7:api-key0:")], [("api-key", "a"), ("api-key", "")])
@example([("api-key", "ab")], [("api-key", "a"), ("api-key", "b")])
@example([("api-key", "a"), ("cookie", "")], [("cookie", "a"), ("api-key", "")])
def test_two_requests_have_the_same_owner_only_if_their_credentials_are_the_same(
    one: list[Pair], other: list[Pair]
) -> None:
    def credentials_of(pairs: list[Pair]) -> list[Pair]:
        credentials = [(name.lower(), value) for name, value in pairs if name.lower() in CREDENTIALS]
        return sorted(
            (name, value if name != "authorization" else scheme_lowered(value)) for name, value in credentials
        )

    assert (owner(*one) == owner(*other)) is (credentials_of(one) == credentials_of(other))
    assert owner(*one) == owner(*reversed(one))


def scheme_lowered(value: str) -> str:
    first, *rest = value.split(" ")
    return " ".join([first.lower() if rest else first, *rest])


# The owner header ----------------------------------------------------------------------------------------------------

ALICE, BOB = ("x-user", "alice"), ("X-User", "bob")
KEY_HEADER = ("authorization", "Bearer shared")


def test_an_owner_header_tells_the_users_of_one_api_key_apart() -> None:
    owners = [owner(KEY_HEADER, *more, settings=WITH_HEADER) for more in ([ALICE], [BOB], [])]
    assert len(set(owners)) == 3
    assert owners[2] == owner(KEY_HEADER)


def test_an_owner_header_that_is_not_trusted_does_not_make_a_client_another_owner() -> None:
    """A client that sends alice's name with another API key, or with none, is not alice."""
    alice = owner(KEY_HEADER, ALICE, settings=WITH_HEADER)
    assert alice not in {owner(ALICE, settings=WITH_HEADER), owner(("x-api-key", "mine"), ALICE, settings=WITH_HEADER)}


def test_a_trusted_owner_header_alone_decides_the_owner() -> None:
    alice = owner(ALICE, settings=TRUSTED)
    assert alice == owner(ALICE, KEY_HEADER, ("cookie", "a=1"), settings=TRUSTED)
    assert alice != owner(BOB, settings=TRUSTED)
    assert owner(KEY_HEADER, settings=TRUSTED) == ANONYMOUS


def test_the_case_of_the_owner_headers_name_does_not_matter() -> None:
    assert owner(ALICE, settings=Settings(owner_header="X-USER")) == owner(ALICE, settings=WITH_HEADER)


def test_the_trusted_owner_header_may_be_a_credential() -> None:
    settings = Settings(owner_header="Authorization", trust_owner_header=True)
    assert owner(KEY_HEADER, ("cookie", "a=1"), settings=settings) == owner(KEY_HEADER)


# With key rotation ---------------------------------------------------------------------------------------------------


def test_a_token_from_before_a_rotation_opens_after_it_for_the_same_client_only() -> None:
    def owners_of(keys: Keys, *pairs: Pair) -> list[bytes]:
        return [owner(*pairs, key=key) for key in keys.owner_keys]

    def load(*secrets: str) -> Keys:
        return Keys.load(Settings.load({}, secret_keys=secrets))

    old, new = "an-older-secret-key", "a-newer-secret-key"
    before, during, after = load(old), load(new, old), load(new)
    assert before.sealer is not None
    assert during.sealer is not None
    token = before.sealer.seal(owners_of(before, KEY_HEADER)[0], "thought")
    assert during.open(owners_of(during, KEY_HEADER), token) == "thought"
    assert during.open(owners_of(during, ("authorization", "Bearer other")), token) is None
    assert after.open(owners_of(after, KEY_HEADER), token) is None
    token = during.sealer.seal(owners_of(during, KEY_HEADER)[0], "thought")
    assert after.open(owners_of(after, KEY_HEADER), token) == "thought"


# Who is let in


def admitted(*pairs: Pair, address: str = "10.0.0.1", key: bytes = KEY) -> bytes:
    return admission_key([(name.encode("latin-1"), value.encode("latin-1")) for name, value in pairs], address, key)


@pytest.mark.parametrize("name", [*CREDENTIALS, "origin", "x-user", "x-forwarded-for", "host", "x-unheard-of"])
def test_a_host_is_asked_for_each_value_of_a_header_by_which_it_could_tell_clients_apart(name: str) -> None:
    values = [(), ((name, ""),), ((name, "one"),), ((name, "two"),), ((name, "one"), (name, "one"))]
    assert len({admitted(*pairs) for pairs in values}) == len(values)
    assert admitted((name, "one")) == admitted((name.title(), "one"))


@pytest.mark.parametrize(
    "name",
    ["user-agent", "accept", "content-length", "x-request-id", "traceparent", "x-stainless-retry-count", "if-match"],
)
def test_headers_by_which_no_host_lets_anybody_in_do_not_matter(name: str) -> None:
    assert admitted((name, "one")) == admitted((name.title(), "two")) == admitted()


def test_a_client_at_another_address_and_one_under_another_key_are_others() -> None:
    assert len({admitted(), admitted(address="10.0.0.2"), admitted(address=""), admitted(key=b"other")}) == 4


def test_the_order_of_headers_does_not_matter_and_names_and_values_are_kept_apart() -> None:
    assert admitted(("a", "1"), ("b", "2")) == admitted(("b", "2"), ("a", "1"))
    assert len({admitted(("a", "b")), admitted(("ab", "")), admitted(("", "ab")), admitted(address="10.0.0.1ab")}) == 4


def test_no_credential_can_be_read_off_what_is_kept() -> None:
    kept = admitted(("authorization", "Bearer secret"))
    assert len(kept) == 32
    assert b"secret" not in kept


# Cache keys ----------------------------------------------------------------------------------------------------------


def cache_key(key: str, *pairs: Pair, settings: Settings = PLAIN) -> str:
    return cache_key_of([(name.encode("latin-1"), value.encode("latin-1")) for name, value in pairs], settings, key)


def test_two_clients_with_one_cache_key_have_two() -> None:
    ann, bob = ("authorization", "Bearer ann"), ("authorization", "Bearer bob")
    keys = {cache_key(key, *who) for who in ([ann], [bob], []) for key in ("a", "b", "", "\udc80")}
    assert len(keys) == 12
    assert all(re.fullmatch("[0-9a-f]{64}", key) for key in keys)


def test_a_cache_key_is_no_hash_of_key_and_credentials_side_by_side() -> None:
    """Else the end of one client's credentials could be the beginning of another one's key."""
    assert cache_key("x", ("authorization", "ann")) != cache_key("nx", ("authorization", "an"))


def test_a_trusted_owner_header_sets_cache_keys_apart_instead_of_credentials() -> None:
    one, other = ("authorization", "one"), ("authorization", "other")
    user = ("x-user", "ann")
    assert cache_key("k", one, user, settings=TRUSTED) == cache_key("k", other, user, settings=TRUSTED)
    assert cache_key("k", one, user, settings=WITH_HEADER) != cache_key("k", one, settings=WITH_HEADER)
