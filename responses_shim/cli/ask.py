"""Talks to a server that has the Responses API. The one module that imports httpx, and only when called."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, NoReturn

from responses_shim.cli.failure import CommandFailed
from responses_shim.cli.server import Server
from responses_shim.core.wire.sse import SSEDecoder
from responses_shim.extensions.codex import Model, read_models

if TYPE_CHECKING:
    import httpx

Event = dict[str, Any]

SILENCE = 120.0
"""Seconds without a byte after which the server is taken for dead: longer than any sensible ping interval."""
LIST_SECONDS = 10.0
"""The same for the list of models, which no engine has to think about."""


def stream_response(server: Server, request: dict[str, Any]) -> Iterator[tuple[float, Event]]:
    """Sends `request` to `POST /responses`; yields each event with the milliseconds since it was sent.

    CommandFailed, in one line, if no event stream comes, or if it breaks off.
    """
    import httpx

    with _explained(server, SILENCE), _client(server, SILENCE) as client:
        count = 0
        decoder = SSEDecoder()
        start = time.perf_counter()
        with client.stream("POST", server.responses_url, json={**request, "stream": True}) as answer:
            _check(server, answer)
            try:
                for data in answer.iter_bytes():
                    for payload in decoder.feed(data):
                        if payload != b"[DONE]":
                            count += 1
                            yield (time.perf_counter() - start) * 1000, _event(payload)
            except (httpx.ReadError, httpx.RemoteProtocolError) as error:
                raise CommandFailed(f"the stream broke off after {count} events: {error}") from error


def listed_models(base_url: str, api_key: str | None) -> list[Model]:
    """What `GET /models` lists, at least one. CommandFailed if there is none to be had."""
    server = Server(base_url, model="", api_key=api_key)
    url = f"{base_url}/models"
    with _explained(server, LIST_SECONDS), _client(server, LIST_SECONDS) as client:
        answer = client.get(url)
    if answer.status_code in (401, 403):
        _refused(server, answer)
    try:
        models = read_models(answer.json()) if answer.status_code == 200 else None
    except ValueError:
        models = None
    if not models:
        raise CommandFailed(
            f"{url} names no model (status {answer.status_code}): say which one with --model", exit_code=2
        )
    return models


def key_in(variable: str) -> str:
    """The key that the environment variable holds. CommandFailed if there is none."""
    key = os.environ.get(variable)
    if not key:
        raise CommandFailed(f"--api-key-env: there is no {variable} in the environment", exit_code=2)
    return key


def _client(server: Server, silence: float) -> httpx.Client:
    import httpx

    headers = {}
    if server.api_key is not None:
        headers["authorization"] = f"Bearer {server.api_key}"
    # A proxy from the environment cannot know what this machine's own address means.
    is_here = httpx.URL(server.base_url).host in ("127.0.0.1", "localhost", "::1")
    return httpx.Client(headers=headers, timeout=httpx.Timeout(silence, connect=5), trust_env=not is_here)


@contextmanager
def _explained(server: Server, silence: float) -> Iterator[None]:
    """Turns httpx's errors into one line each."""
    import httpx

    try:
        yield
    except (httpx.InvalidURL, httpx.UnsupportedProtocol) as error:
        raise CommandFailed(
            f"{server.base_url!r} is not a URL of a server ({error}): it should look like http://127.0.0.1:8000/v1",
            exit_code=2,
        ) from error
    except (httpx.ConnectError, httpx.ConnectTimeout) as error:
        raise CommandFailed(f"nothing answers at {server.base_url} ({error}): is the server running?") from error
    except httpx.TimeoutException as error:
        raise CommandFailed(f"{server.base_url} has said nothing for {silence:.0f} s") from error
    except httpx.HTTPError as error:
        raise CommandFailed(f"talking to {server.base_url} failed: {error}") from error


def _check(server: Server, answer: httpx.Response) -> None:
    """CommandFailed unless the answer is an event stream."""
    kind = answer.headers.get("content-type", "no content type")
    if answer.status_code == 200 and kind.startswith("text/event-stream"):
        return
    answer.read()
    if answer.status_code in (401, 403):
        _refused(server, answer)
    if answer.status_code in (404, 405):
        better = "" if server.base_url.endswith("/v1") else f" (did you mean --url {server.base_url}/v1?)"
        raise CommandFailed(
            f"{server.responses_url} answered {answer.status_code} ({_reason(answer)}): "
            f"is the shim mounted there?{better}",
            exit_code=2,
        )
    if answer.status_code == 200:
        raise CommandFailed(f"{server.responses_url} answered with {kind}, not with a stream of events")
    raise CommandFailed(f"{server.responses_url} answered {answer.status_code}: {_reason(answer)}")


def _refused(server: Server, answer: httpx.Response) -> NoReturn:
    raise CommandFailed(
        f"{server.base_url} wants another key ({answer.status_code}: {_reason(answer)}): "
        "give it with --api-key-env NAME, the variable that holds it",
        exit_code=2,
    )


def _reason(answer: httpx.Response) -> str:
    try:
        body = answer.json()
        reason = body["error"]["message"] if "error" in body else body["detail"]
    except (ValueError, LookupError, TypeError):
        reason = answer.text
    return " ".join(str(reason).split())[:300] or "no reason given"


def _event(payload: bytes) -> Event:
    try:
        event = json.loads(payload)
    except ValueError as error:
        raise CommandFailed(f"an event is not JSON: {payload[:100]!r}") from error
    if not isinstance(event, dict) or not isinstance(event.get("type"), str):
        raise CommandFailed(f"an event has no type: {payload[:100]!r}")
    return event
