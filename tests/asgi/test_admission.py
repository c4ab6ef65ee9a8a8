"""Who are you first: nothing expensive is done, and nothing said of a body, for a client whom the host keeps out."""

from __future__ import annotations

import gzip
import json
from collections.abc import Mapping
from typing import Any

import anyio
import pytest
from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from responses_shim import RequestView, ResponsesShim
from responses_shim.asgi import body, host_client
from responses_shim.asgi.body import SMALL_BODY, SMALL_NODES
from responses_shim.asgi.decompress import DecompressedBody
from responses_shim.extensions import nemo_gym
from responses_shim.runtime import files
from responses_shim.runtime.admissions import SECONDS, Admissions
from tests.asgi.attached import PDF, REQUEST, URL, file, with_part
from tests.caller import Reply, call, payloads, post, request
from tests.guarded import CORS, KEY, GuardedHost, play
from tests.hosts.replay import recorded
from tests.oracle import check_error, check_response, check_stream
from tests.scripted import Hold, Json, Raise, ScriptedHost, Start, Step, Wait, route_path, text_answer

pytestmark = [pytest.mark.anyio, pytest.mark.usefixtures("no_task_left")]

LARGE: dict[str, Any] = {"model": "scripted", "input": "x" * (SMALL_BODY + 1)}
DENSE: dict[str, Any] = {"model": "scripted", "input": [{"role": "user", "content": ""}] * (SMALL_NODES // 3 + 1)}
JSON = {"content-type": "application/json"}


class Spy:
    """Notes what is done for a client beyond reading a small body."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.done: list[str] = []
        feed, parse_json = DecompressedBody.feed, body.parse_json

        async def unpack(of: DecompressedBody, part: bytes) -> None:
            if of._coding is not None or len(of.data) + len(part) > SMALL_BODY:
                self.done.append("read")
            await feed(of, part)

        async def fetch(url: str, *args: Any, **options: Any) -> tuple[str, str, bytes]:
            self.done.append("fetched")
            return "a.txt", "text/plain", b"Hello"

        async def run_process(command: list[str], data: bytes) -> tuple[int, bytes]:
            self.done.append("started")
            return 0, b"Hello"

        def parse(data: bytes) -> Any:
            if data.count(b"{") > SMALL_NODES // 3:
                self.done.append("decoded")
            return parse_json(data)

        def read_file(*args: Any) -> bytes:
            self.done.append("opened")
            return b"sound"

        monkeypatch.setattr(DecompressedBody, "feed", unpack)
        monkeypatch.setattr(body, "parse_json", parse)
        monkeypatch.setattr(files, "fetch", fetch)
        monkeypatch.setattr(files, "_run_process", run_process)
        monkeypatch.setattr(nemo_gym, "_read_file", read_file)

    async def interceptor(self, view: RequestView, headers: Mapping[str, str]) -> None:
        self.done.append("intercepted")


@pytest.fixture
def spy(monkeypatch: pytest.MonkeyPatch) -> Spy:
    return Spy(monkeypatch)


def error_of(reply: Reply) -> dict[str, Any]:
    check_error(reply.json)
    error: dict[str, Any] = reply.json["error"]
    return error


# A client without the right key --------------------------------------------------------------------------------------

GYM = {**REQUEST, "metadata": {"audio_path": "a.wav"}}
BODIES: dict[str, tuple[bytes, dict[str, str]]] = {
    "valid": (json.dumps(REQUEST).encode(), JSON),
    "large": (json.dumps(LARGE).encode(), JSON),
    "dense": (json.dumps(DENSE).encode(), JSON),
    "empty": (b"", JSON),
    "no JSON": (b"{", JSON),
    "not UTF-8": (b'{"\xff', JSON),
    "in UTF-16": ("{}".encode("utf-16"), JSON),
    "no object": (b"[]", JSON),
    "no input": (b'{"model": "m"}', JSON),
    "a wrong type": (b'{"model": "m", "input": 5}', JSON),
    "a wrong item": (json.dumps({**REQUEST, "input": [{"role": "critic"}]}).encode(), JSON),
    "a parameter that is not supported": (json.dumps({**REQUEST, "background": True}).encode(), JSON),
    "another media type": (b"a=1", {"content-type": "text/plain"}),
    "too large": (b" " * 2_000_000, JSON),
    "declared too large": (b"{}", {**JSON, "content-length": "9" * 20}),
    "compressed": (gzip.compress(json.dumps(REQUEST).encode()), {**JSON, "content-encoding": "gzip"}),
    "a bomb": (gzip.compress(b" " * 900_000), {**JSON, "content-encoding": "gzip"}),
    "not what its coding says": (b"{}", {**JSON, "content-encoding": "gzip"}),
    "an unknown coding": (b"{}", {**JSON, "content-encoding": "br"}),
    "a PDF": (json.dumps(PDF).encode(), JSON),
    "a text file": (json.dumps(with_part(file(b"Hello", "text/plain"))).encode(), JSON),
    "a wrong file": (json.dumps(with_part({"type": "input_file", "file_data": "?"})).encode(), JSON),
    "a file by URL": (json.dumps(URL).encode(), JSON),
    "audio on this machine": (json.dumps(GYM).encode(), JSON),
}


@pytest.mark.parametrize("intercepted", [False, True], ids=["", "intercepted"])
@pytest.mark.parametrize("kind", BODIES)
async def test_without_the_right_key_any_body_gets_the_hosts_401_and_nothing_is_done_for_it(
    kind: str, intercepted: bool, spy: Spy, tmp_path: Any
) -> None:
    data, headers = BODIES[kind]
    host = GuardedHost()
    app = ResponsesShim(
        host,
        max_body=1_000_000,
        file_urls="fetch-any",
        nemo_gym=kind == "audio on this machine",
        audio_root=str(tmp_path),
        interceptors=[spy.interceptor] if intercepted else [],
    )
    pieces = [data[start : start + 50_000] for start in range(0, max(len(data), 1), 50_000)]
    reply = await request(
        app, "POST", "/v1/responses", body=pieces, headers={**headers, "authorization": "Bearer wrong"}
    )
    assert (reply.status, error_of(reply)["code"]) == (401, "invalid_api_key")
    assert error_of(reply)["message"] == "Unauthorized"
    assert reply.headers["www-authenticate"] == "Bearer"
    assert reply.headers["access-control-allow-origin"] == "https://app.test"
    assert not spy.done
    assert not host.chat.requests


@pytest.mark.parametrize("data", [LARGE, DENSE, PDF], ids=["large", "dense", "a PDF"])
async def test_a_403_is_passed_on_too(data: Any, spy: Spy) -> None:
    host = GuardedHost(refusal=Json(403, {"detail": "Not for you.", "code": 400}))
    reply = await post(ResponsesShim(host), "/v1/responses", data)
    assert (reply.status, error_of(reply)["message"]) == (403, "Not for you.")
    assert not spy.done


async def test_the_cookies_of_a_refusal_are_not_passed_on() -> None:
    """Several requests may share the answer to one probe."""
    refusal = Json(401, {"error": "Unauthorized"}, [(b"set-cookie", b"session=1"), (b"retry-after", b"3")])
    reply = await post(ResponsesShim(GuardedHost(refusal=refusal)), "/v1/responses", LARGE)
    assert "set-cookie" not in reply.headers
    assert reply.headers["retry-after"] == "3"


async def test_a_large_body_is_refused_before_it_has_been_sent() -> None:
    """The refusal comes when the first piece beyond a small body has, and at once if the client announces its size."""
    app = ResponsesShim(GuardedHost())
    for announced, pieces in [(True, 0), (False, 3)]:
        taken = 0

        async def receive() -> Message:
            nonlocal taken
            taken += 1
            return {"type": "http.request", "body": b" " * 30_000, "more_body": True}

        sent: list[Message] = []

        async def send(message: Message) -> None:
            sent.append(message)  # noqa: B023

        length = [(b"content-length", b"900000")] if announced else []
        headers = [(b"content-type", b"application/json"), *length]
        scope = {"type": "http", "method": "POST", "path": "/v1/responses", "query_string": b"", "headers": headers}
        await app(scope, receive, send)
        assert (sent[0]["status"], taken) == (401, pieces)


# A client with the right key -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("stream", [True, False])
async def test_for_a_small_valid_request_nothing_is_asked_but_the_chat_call(stream: bool) -> None:
    host = GuardedHost()
    for asked in (REQUEST, {**REQUEST, "input": [{"role": "user", "content": "Hi"}]}):
        assert (
            await post(ResponsesShim(host), "/v1/responses", {**asked, "stream": stream}, headers=KEY)
        ).status == 200
    assert not host.probes
    reply = await post(ResponsesShim(host), "/v1/responses", {**REQUEST, "stream": stream})
    assert (reply.status, host.probes) == (401, [])


async def test_a_small_body_that_is_invalid_gets_its_400_after_the_host_was_asked() -> None:
    host = GuardedHost()
    reply = await post(ResponsesShim(host), "/v1/responses", {"model": "m"}, headers=KEY)
    assert (reply.status, error_of(reply)["param"], len(host.probes)) == (400, "input", 1)
    assert reply.headers["access-control-allow-origin"] == "https://app.test"
    assert reply.headers["vary"] == "Origin"


@pytest.mark.parametrize("kind", [LARGE, PDF, URL], ids=["large", "a PDF", "a file by URL"])
async def test_with_the_right_key_the_work_is_done(kind: Any, spy: Spy) -> None:
    host = GuardedHost()
    reply = await post(ResponsesShim(host, file_urls="fetch-any"), "/v1/responses", kind, headers=KEY)
    check_response(reply.json)
    assert len(host.probes) == len(host.chat.requests) == len(spy.done) == 1


async def test_an_interceptor_sees_no_request_before_the_host_has_let_its_client_in(spy: Spy) -> None:
    host = GuardedHost()
    app = ResponsesShim(host, interceptors=[spy.interceptor])
    assert (await post(app, "/v1/responses", REQUEST)).status == 401
    assert not spy.done
    assert (await post(app, "/v1/responses", REQUEST, headers=KEY)).status == 200
    assert spy.done == ["intercepted"]


@pytest.mark.parametrize(("answer", "status"), [(Json(200, {}), 200), (Json(401, {}), 401), (Json(500, {}), 503)])
async def test_fifty_requests_at_once_are_one_probe(answer: Step, status: int) -> None:
    answers = anyio.Event()
    host = GuardedHost(models=[Wait(answers), answer])
    app = ResponsesShim(host)
    replies: list[Reply] = []

    async def ask() -> None:
        reply = await post(app, "/v1/responses", LARGE, headers={**KEY, "x-request-id": str(len(replies))})
        check_error(reply.json) if status != 200 else check_response(reply.json)
        replies.append(reply)

    async with anyio.create_task_group() as group:
        for _ in range(50):
            group.start_soon(ask)
        await host.probed.wait()
        answers.set()
    assert [reply.status for reply in replies] == [status] * 50
    assert len(host.probes) == 1


async def test_the_host_is_asked_again_after_ten_seconds_and_for_every_other_client() -> None:
    host, now = GuardedHost(), 0.0
    app = ResponsesShim(host)
    app._admissions = Admissions(lambda: now)

    async def probes(**options: Any) -> int:
        before = len(host.probes)
        await post(app, "/v1/responses", LARGE, **{"headers": KEY, **options})
        return len(host.probes) - before

    assert await probes() == 1
    assert await probes(headers={**KEY, "user-agent": "other", "x-request-id": "1", "traceparent": "2"}) == 0
    for name in ("cookie", "x-api-key", "origin", "x-forwarded-for", "x-unheard-of"):
        assert await probes(headers={**KEY, name: "https://other.test"}) == 1
    assert await probes(headers={"authorization": "Bearer wrong"}) == 1
    assert await probes(scope={"client": ("10.0.0.9", 1)}) == 1
    assert await probes(scope={"client": None}) == 1
    now = SECONDS - 0.1
    assert await probes() == 0
    now = SECONDS
    assert await probes() == 1


async def test_neither_keys_nor_other_headers_are_kept() -> None:
    app = ResponsesShim(GuardedHost())
    await post(app, "/v1/responses", LARGE, headers={**KEY, "cookie": "session=secret"})
    [(client, (_, verdict))] = app._admissions._admitted.items()
    assert len(client) == 32
    assert verdict.headers == CORS
    assert not app._admissions._inquiries


async def test_a_stream_that_begins_before_the_chat_call_is_answered_has_the_headers_of_the_probe() -> None:
    """Without them a browser would not let its page read the stream."""
    go_on = anyio.Event()
    host = GuardedHost(chat=[Wait(go_on), *text_answer("Hello")])
    app = ResponsesShim(host, commit_after=0)
    async with call(app, "POST", "/v1/responses", json={**LARGE, "stream": True}, headers=KEY) as exchange:
        await exchange.start()
        assert exchange.headers["access-control-allow-origin"] == "https://app.test"
        go_on.set()
        check_stream(payloads(await exchange.events()))


async def test_the_headers_of_the_chat_call_replace_those_of_the_probe() -> None:
    host = GuardedHost(chat=[Json(429, {"error": {"message": "Later."}}, [(b"x-chat", b"1"), CORS[0]])])
    reply = await post(ResponsesShim(host), "/v1/responses", LARGE, headers=KEY)
    assert (reply.status, reply.headers["x-chat"]) == (429, "1")
    assert reply.headers.getlist("access-control-allow-origin") == ["https://app.test"]


# Other answers of the host -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("step", "why"),
    [
        (Json(500, {"error": "?"}), "answered with status 500"),
        (Json(429, {"error": "?"}), "answered with status 429"),
        (Start(302, [(b"location", b"/login")]), "answered with status 302"),
        (Raise(RuntimeError("inside")), "failed"),
        (Hold(), "failed"),
    ],
    ids=["500", "429", "302", "raises", "hangs"],
)
@pytest.mark.parametrize("data", [LARGE, {"model": "m"}], ids=["large", "invalid"])
async def test_a_host_that_does_not_say_is_503(
    step: Step, why: str, data: Any, spy: Spy, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(host_client, "PROBE_TIMEOUT", 0.05)
    host = GuardedHost(models=step)
    reply = await post(ResponsesShim(host), "/v1/responses", data, headers=KEY)
    assert (reply.status, error_of(reply)["code"]) == (503, "authentication_unavailable")
    assert f"its /v1/models {why}" in error_of(reply)["message"]
    assert "inside" not in reply.body.decode()
    assert not spy.done
    assert not host.chat.requests


async def test_a_host_that_answers_the_probe_and_then_raises_or_hangs_has_answered(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(host_client, "PROBE_TIMEOUT", 0.05)
    chat = ScriptedHost(text_answer("Hello"))
    for after in (Raise(RuntimeError("late")), Hold()):

        async def host(scope: Scope, receive: Receive, send: Send, after: Step = after) -> None:
            if route_path(scope) == "/v1/models":
                await play(send, Start(), b"{}", after)
            else:
                await chat(scope, receive, send)

        assert (await post(ResponsesShim(host), "/v1/responses", LARGE)).status == 200


@pytest.mark.parametrize("status", [404, 405])
@pytest.mark.parametrize(("data", "expected"), [(LARGE, 200), (PDF, 200), ({"model": "m"}, 400)])
async def test_an_unknown_host_without_a_list_of_models_is_served_as_ever(
    status: int, data: Any, expected: int, spy: Spy
) -> None:
    """It cannot be asked; if it wants a key, its chat call says so."""
    host = GuardedHost(models=Json(status, {"detail": "Not Found"}))
    assert (await post(ResponsesShim(host), "/v1/responses", data, headers=KEY)).status == expected


async def test_an_unknown_host_that_guards_all_of_v1_needs_no_list_of_models(spy: Spy) -> None:
    host = GuardedHost(models=Json(404, {"detail": "Not Found"}))
    assert (await post(ResponsesShim(host), "/v1/responses", PDF)).status == 401
    assert not spy.done


# The operator's choice -----------------------------------------------------------------------------------------------


async def test_the_operator_may_name_the_route() -> None:
    paths: list[str] = []

    async def host(scope: Scope, receive: Receive, send: Send) -> None:
        paths.append(f"{scope['method']} {scope['path']}")
        status = 200 if Headers(scope=scope).get("x-key") == "right" else 401
        is_chat = paths[-1] == "POST /api/v1/chat/completions"
        await play(send, *(text_answer("a") if is_chat else [Json(status, {})]))

    app = ResponsesShim(host, auth_probe="/whoami")
    for key, status in [("wrong", 401), ("right", 200)]:
        reply = await post(app, "/v1/responses", LARGE, headers={"x-key": key}, root_path="/api")
        assert reply.status == status
    assert paths == ["GET /api/whoami", "GET /api/whoami", "POST /api/v1/chat/completions"]


@pytest.mark.parametrize("status", [404, 405, 500])
async def test_a_named_route_that_is_not_there_is_503(status: int) -> None:
    app = ResponsesShim(GuardedHost(models=Json(status, {})), auth_probe="/v1/models")
    assert (await post(app, "/v1/responses", LARGE, headers=KEY)).status == 503


async def test_with_auth_probe_off_only_the_chat_call_decides(spy: Spy) -> None:
    host = GuardedHost()
    app = ResponsesShim(host, auth_probe="off")
    assert (await post(app, "/v1/responses", PDF)).status == 401
    assert (await post(app, "/v1/responses", {"model": "m"})).status == 400
    assert (spy.done, host.probes) == (["started"], [])


# llama-cpp-python ----------------------------------------------------------------------------------------------------


def llama_cpp(probe: str, calls: list[tuple[str, str, bytes]]) -> ASGIApp:
    """A host that answers a probe as llama-cpp-python was recorded to, and plays a script for any other chat call."""

    async def host(scope: Scope, receive: Receive, send: Send) -> None:
        message = await receive()
        calls.append((scope["method"], scope["path"], message["body"]))
        if message["body"] != b'{"messages":0}':
            await play(send, *text_answer("Hello"))
            return
        for sent in recorded("llama_cpp", probe).sent:
            await send(sent)

    return host


@pytest.mark.parametrize(
    ("probe", "status"),
    [("api_key_right_probe", 200), ("api_key_wrong_probe", 401), ("context_overflow", 503), ("malformed_json", 503)],
)
async def test_llama_cpp_python_is_asked_by_a_chat_call_that_fails_validation(probe: str, status: int) -> None:
    """A GET of its models would take the model's lock, and end a stream that is running."""
    calls: list[tuple[str, str, bytes]] = []
    reply = await post(ResponsesShim(llama_cpp(probe, calls), host="llama-cpp"), "/v1/responses", LARGE)
    assert reply.status == status
    assert calls[0] == ("POST", "/v1/chat/completions", b'{"messages":0}')
    assert len(calls) == (2 if status == 200 else 1)
    if status == 401:
        assert error_of(reply)["message"] == "Invalid API key"
