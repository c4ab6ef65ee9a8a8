"""What a turn does with the input that it is begun with."""

from __future__ import annotations

from typing import Any, Literal, cast

import msgspec
import pytest

from responses_shim.core.wire.requests import CreateRequest
from responses_shim.core.wire.responses import Response
from responses_shim.runtime.history import Turn
from responses_shim.runtime.ids import Ids
from responses_shim.stores.base import StoredItem

ITEMS: list[dict[str, Any]] = [{"role": "user", "content": "Hi"}, {"type": "reasoning", "id": "rs_1", "summary": []}]


def begun(tool_outputs: Literal["end", "wait"] | None, **options: Any) -> tuple[Turn, CreateRequest]:
    """A turn that has begun with `ITEMS`, and its request."""
    turn = Turn(cast(Any, None), keeps=True, needed=False, before=[StoredItem("a", b"{}")], **options)
    request = CreateRequest(model="m", input=[*ITEMS], tool_outputs=tool_outputs)
    turn.begin(Response(id="resp_1", created_at=0, model="m"), request, Ids())
    return turn, request


@pytest.mark.parametrize("tool_outputs", [None, "end"])
def test_the_input_is_let_go_while_it_is_encoded(tool_outputs: Literal["end"] | None) -> None:
    turn, request = begun(tool_outputs)
    assert (request.input, turn.before) == ("", [])
    stored = [msgspec.json.decode(item.data) for item in turn._input]
    assert [item["type"] for item in stored] == ["message", "reasoning"]
    assert stored[0]["content"] == [{"type": "input_text", "text": "Hi"}]
    assert [item.id for item in turn._input] == [item["id"] for item in stored]


def test_a_response_that_waits_for_outputs_keeps_what_its_next_round_begins_with() -> None:
    turn, request = begun("wait")
    assert request.input == ITEMS
    assert [item.id for item in turn.before] == ["a"]
    assert len(turn._input) == 2
