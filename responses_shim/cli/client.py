"""A client of a server that has the Responses API: streams a response, lists the models.

httpx is imported when a function is called, so that the commands that need no client start fast.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, NoReturn

from responses_shim.cli.failure import CommandFailed
from responses_shim.cli.server import Server
from responses_shim.cli.transcript import Event
from responses_shim.core.wire.sse import SSEDecoder
from responses_shim.environment import environment
from responses_shim.extensions.codex import Model, read_models

if TYPE_CHECKING:
    import httpx

STREAM_TIMEOUT = 120.0
"""Seconds without a byte after which a stream counts as dead: longer than any sensible ping interval."""
LIST_TIMEOUT = 10.0
"""The same for the list of models, which takes no inference."""


def stream_response(server: Server, request: dict[str, Any]) -> Iterator[tuple[float, Event]]:
    """Send a request to `POST /responses` and yield each event with the milliseconds since the request was sent.

    `request` is the body as JSON data; `stream` is added. Raises CommandFailed if the server sends no event stream, or
    one that breaks off.
    """
    import httpx

    with _explain_errors(server, STREAM_TIMEOUT), _client(server, STREAM_TIMEOUT) as client:
        count = 0
        decoder = SSEDecoder()
        start = time.perf_counter()
        with client.stream("POST", server.responses_url, json={**request, "stream": True}) as answer:
            _check_stream(server, answer)
            try:
                for data in answer.iter_bytes():
                    for payload in decoder.feed(data):
                        if payload != b"[DONE]":
                            count += 1
                            yield (time.perf_counter() - start) * 1000, _event(payload)
            except (httpx.ReadError, httpx.RemoteProtocolError) as error:
                raise CommandFailed(f"the stream broke off after {count} events: {error}") from error


def fetch_models(base_url: str, api_key: str | None) -> list[Model]:
    """The models that `GET /models` lists, at least one. Raises CommandFailed if the server lists none."""
    server = Server(base_url, model="", api_key=api_key)
    url = f"{base_url}/models"
    with _explain_errors(server, LIST_TIMEOUT), _client(server, LIST_TIMEOUT) as client:
        answer = client.get(url)
    if answer.status_code in (401, 403):
        _raise_unauthorized(server, answer)
    try:
        models = read_models(answer.json()) if answer.status_code == 200 else None
    except ValueError:
        models = None
    if not models:
        raise CommandFailed(
            f"{url} lists no models (status {answer.status_code}): give the model with --model", exit_code=2
        )
    return models


def read_api_key(variable: str) -> str:
    """The API key in an environment variable. Raises CommandFailed if it is not set or empty."""
    key = environment().get(variable)
    if not key:
        raise CommandFailed(f"--api-key-env: there is no {variable} in the environment", exit_code=2)
    return key


def _client(server: Server, timeout: float) -> httpx.Client:
    import httpx

    headers = {}
    if server.api_key is not None:
        headers["authorization"] = f"Bearer {server.api_key}"
    # A proxy from the environment cannot reach the loopback interface of this machine.
    is_local = httpx.URL(server.base_url).host in ("127.0.0.1", "localhost", "::1")
    return httpx.Client(headers=headers, timeout=httpx.Timeout(timeout, connect=5), trust_env=not is_local)


@contextmanager
def _explain_errors(server: Server, timeout: float) -> Iterator[None]:
    """Raise CommandFailed, with one line that explains it, for any error of httpx."""
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
        raise CommandFailed(f"{server.base_url} has sent nothing for {timeout:.0f} s") from error
    except httpx.HTTPError as error:
        raise CommandFailed(f"the connection to {server.base_url} failed: {error}") from error


def _check_stream(server: Server, answer: httpx.Response) -> None:
    """Raise CommandFailed unless the answer is an event stream."""
    content_type = answer.headers.get("content-type", "no content type")
    if answer.status_code == 200 and content_type.startswith("text/event-stream"):
        return
    answer.read()
    if answer.status_code in (401, 403):
        _raise_unauthorized(server, answer)
    if answer.status_code in (404, 405):
        suggestion = "" if server.base_url.endswith("/v1") else f" (did you mean --url {server.base_url}/v1?)"
        raise CommandFailed(
            f"{server.responses_url} answered {answer.status_code} ({_reason(answer)}): "
            f"is the shim mounted there?{suggestion}",
            exit_code=2,
        )
    if answer.status_code == 200:
        raise CommandFailed(f"{server.responses_url} answered with {content_type}, not with a stream of events")
    raise CommandFailed(f"{server.responses_url} answered {answer.status_code}: {_reason(answer)}")


def _raise_unauthorized(server: Server, answer: httpx.Response) -> NoReturn:
    raise CommandFailed(
        f"{server.base_url} requires an API key, or another one ({answer.status_code}: {_reason(answer)}): "
        "give it with --api-key-env NAME, the environment variable that holds it",
        exit_code=2,
    )


def _reason(answer: httpx.Response) -> str:
    """The error message in an answer, in one line of at most 300 characters."""
    try:
        body = answer.json()
        reason = body["error"]["message"] if "error" in body else body["detail"]
    except (ValueError, LookupError, TypeError):
        reason = answer.text
    return " ".join(str(reason).split())[:300] or "no reason given"


def _event(payload: bytes) -> Event:
    """The event in an SSE frame. Raises CommandFailed if it is not a JSON object with a `type`."""
    try:
        event = json.loads(payload)
    except ValueError as error:
        raise CommandFailed(f"an event is not JSON: {payload[:100]!r}") from error
    if not isinstance(event, dict) or not isinstance(event.get("type"), str):
        raise CommandFailed(f"an event has no type: {payload[:100]!r}")
    return event
