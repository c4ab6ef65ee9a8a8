"""Ids: unlike one another, in order within a response, and not to be guessed from one another."""

from __future__ import annotations

import re

from responses_shim.runtime.ids import Ids


def test_ids_have_a_prefix_and_thirty_two_digits() -> None:
    ids = Ids()
    assert re.fullmatch(r"resp_[0-9a-f]{32}", ids.response)
    assert re.fullmatch(r"msg_[0-9a-f]{32}", ids.new("msg"))


def test_the_ids_of_a_response_ascend() -> None:
    ids = Ids()
    given = [ids.new("fc") for _ in range(300)]
    assert given == sorted(set(given))


def test_the_ids_of_an_item_say_nothing_of_those_of_others() -> None:
    one, other = Ids(), Ids()
    assert one.response != other.response
    item, foreign = one.new("msg"), other.new("msg")
    assert item[4:28] != foreign[4:28]
    assert item[4:28] not in one.response
