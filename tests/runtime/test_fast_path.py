"""The fast path in a run, where a ping may be written between two messages of the host."""

from __future__ import annotations

import anyio
import pytest

from responses_shim.runtime.interfaces import Listener
from tests.caller import DEADLINE
from tests.core.driver import Json
from tests.runtime.direct import Client, new_run
from tests.scripted import DONE, chunk

pytestmark = [pytest.mark.anyio, pytest.mark.usefixtures("no_task_left")]


async def test_a_fast_path_ends_with_its_part_even_if_a_ping_is_being_written() -> None:
    """The last message ends the text and leaves a frame half done while the ping is blocked.

    What comes next belongs to that frame, although it looks like one with more of the text.
    """
    client = Client()
    refusal_and_half_a_frame, rest = chunk(refusal="No.") + b"data:\n", chunk("again")

    async def upstream(chat: Json, listener: Listener) -> None:
        await listener.data(chunk("Hel"), True)
        await listener.data(chunk("lo"), True)
        client.stall()
        await client.blocked()  # a ping is being written
        write = listener.data(refusal_and_half_a_frame, True)
        client.resume()
        await write
        await listener.data(rest, True)
        await listener.data(chunk(finish_reason="stop") + DONE, False)

    with anyio.fail_after(DEADLINE):
        await new_run(client, ping_interval=0.05).execute(upstream, {})
    (message,) = client.response["output"]
    assert [part.get("text", part.get("refusal")) for part in message["content"]] == ["Hello", "No.", "again"]
