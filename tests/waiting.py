"""Responses that wait for the outputs of their calls, as a client sees them."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from responses_shim import ResponsesShim
from tests.caller import Exchange, call, payloads
from tests.oracle import check_stream

Json = dict[str, Any]

F: Json = {"type": "function", "name": "f", "parameters": {"type": "object", "properties": {}}}
REQUEST: Json = {"model": "m", "input": "Hi", "tools": [F], "tool_outputs": "wait"}


class Streamed:
    """A streamed response that waits, and its events as far as they have been read."""

    def __init__(self, exchange: Exchange) -> None:
        self.exchange = exchange
        self.events: list[Json] = []

    async def until(self, type: str) -> Json:
        """Read events until one of this type, and return that."""
        while (event := await self.exchange.next_event()) is not None:
            assert not event.is_done, f"the stream ends without {type}"
            self.events.append(event.data)
            if event.data["type"] == type:
                return self.events[-1]
        raise AssertionError(f"the stream breaks off without {type}")

    async def started(self) -> str:
        """Read the first event, and return the id of the response."""
        return str((await self.until("response.created"))["response"]["id"])

    async def called(self) -> str:
        """Read the events up to the first item that is done, and return the id of the response."""
        await self.until("response.output_item.done")
        return str(self.events[0]["response"]["id"])

    async def rest(self) -> Json:
        """Read the rest of the events, check them all, and return the response of the last."""
        self.events += payloads(await self.exchange.events())
        check_stream(self.events)
        response: Json = self.events[-1]["response"]
        return response


@asynccontextmanager
async def streamed(shim: ResponsesShim, headers: Json | None = None, **fields: Any) -> AsyncIterator[Streamed]:
    """A streamed response that waits, unless the fields say something else."""
    body = {**REQUEST, "stream": True, **fields}
    async with call(shim, "POST", "/v1/responses", json=body, headers=headers or {}) as exchange:
        yield Streamed(exchange)
