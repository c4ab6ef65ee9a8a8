"""Complaints about long sessions, clients that hang up, and other users (23 to 25)."""

from __future__ import annotations

import base64
import json
import socket
import threading
from urllib.parse import urlsplit

import pytest
from starlette.types import Receive, Scope, Send

from responses_shim import ResponsesShim
from responses_shim.runtime import run as runs
from tests.caller import DEADLINE, post, request
from tests.conformance.asking import QUESTION, WEATHER, Json, ask, refusal_of, response_of, streaming, text_of
from tests.oracle import check_error
from tests.scripted import Hold, ScriptedHost, Step, chunk, text_answer
from tests.serving import serving

pytestmark = pytest.mark.anyio


async def test_23_compaction_is_refused_by_name_and_items_are_accepted_whatever_their_ids() -> None:
    """A long session was over when its agent asked for compaction and got a bare 404, or when the server looked for a
    reasoning item that it had never stored. There is no compaction here yet, and the error says so in the API's form.
    Items count for their content, whatever their ids, and the model can always be asked for a summary."""
    host = ScriptedHost(text_answer("Summary: it is sunny."))
    shim = ResponsesShim(host)
    reply = await post(shim, "/v1/responses/compact", {"model": "scripted", "input": [QUESTION]})
    assert reply.status == 404
    check_error(reply.json)
    trigger = {"type": "compaction_trigger"}
    assert (await refusal_of(shim, input=[QUESTION, trigger]))["param"] == "input[1].type"
    assert not host.requests

    reasoning = {"type": "reasoning", "id": "rs_never_stored", "summary": [{"type": "summary_text", "text": "Sun."}]}
    message = {"type": "message", "id": "msg_never_stored", "role": "assistant", "content": "Sunny."}
    summarise = {"role": "user", "content": "Sum up what has been done."}
    fields: Json = {"store": False, "tools": [WEATHER], "parallel_tool_calls": False}
    response = await response_of(shim, input=[QUESTION, reasoning, message, summarise], **fields)
    assert text_of(response) == "Summary: it is sunny."
    assert host.requests[0]["messages"][1]["reasoning"] == "Sun."


class Engine(ScriptedHost):
    """A host in a server's thread, which sets events for other threads when it is called and when it has stopped."""

    def __init__(self, *before: Step) -> None:
        super().__init__(self.play)
        self.before = before
        self.was_called = threading.Event()
        self.stopped = threading.Event()

    def play(self, request: Json) -> list[Step]:
        self.was_called.set()
        return [*self.before, Hold()]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await super().__call__(scope, receive, send)
        finally:
            if scope["type"] == "http":
                self.stopped.set()


@streaming
@pytest.mark.parametrize("before", [[], [chunk("Hel")]], ids=["in the prefill", "between tokens"])
def test_24_a_client_that_hangs_up_stops_the_engine(
    before: list[Step], stream: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The client was gone, and the GPU went on to the end of the answer."""
    monkeypatch.setattr(runs, "CANCEL_SECONDS", 60)  # the call is not cancelled: it learns of the disconnect
    engine = Engine(*before)
    body = json.dumps({"model": "scripted", "input": "Hi", "stream": stream}).encode()
    head = "POST /v1/responses HTTP/1.1\r\nHost: test\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n"
    with serving(ResponsesShim(engine)) as url:
        with socket.create_connection(("127.0.0.1", urlsplit(url).port or 0), timeout=DEADLINE) as client:
            client.sendall(head.format(len(body)).encode() + body)
            assert engine.was_called.wait(DEADLINE)
            if stream and before:
                received = b""
                while b"response.output_text.delta" not in received:
                    received += client.recv(65536)
            assert not engine.stopped.is_set()
        assert engine.stopped.wait(DEADLINE), "the engine goes on"
    assert engine.disconnected.is_set()


@pytest.mark.parametrize("header", ["authorization", "x-api-key", "cookie"])
async def test_25_one_users_response_cannot_be_read_by_another(header: str) -> None:
    """Whoever had the id of a response could read it and continue from it. Here it is found with the credentials alone
    that it was made for; and sealed reasoning, which the client keeps, opens with no others."""
    host = ScriptedHost([chunk(reasoning="The secret is 42."), *text_answer("I know.")], text_answer("Well."))
    shim = ResponsesShim(host)
    alice, bob = {header: "Bearer alice"}, {header: "Bearer bob"}
    made = await response_of(shim, alice, input=[QUESTION], include=["reasoning.encrypted_content"])
    reasoning, message = made["output"]
    _, sealed = reasoning["encrypted_content"].split(".")
    assert b"secret" not in base64.urlsafe_b64decode(sealed[8:] + "==")

    kept = {"type": "reasoning", "summary": [], "encrypted_content": reasoning["encrypted_content"]}
    for credentials, opens in ((alice, True), (bob, False), ({}, False)):
        reply = await ask(shim, credentials, input=[QUESTION, kept, message, {"role": "user", "content": "Which?"}])
        assert reply.status == 200
        assert ("The secret is 42." in json.dumps(host.requests[-1])) == opens
        assert ("encrypted_content" in reply.headers.get("responses-shim-report", "")) != opens

    for id in (made["id"], "resp_that_never_was"):
        for method in ("GET", "DELETE"):
            refused = await request(shim, method, f"/v1/responses/{id}", headers=bob)
            assert refused.status == 404
            check_error(refused.json)
        continued = await ask(shim, bob, previous_response_id=id)
        assert continued.status == 404
        assert continued.json["error"]["param"] == "previous_response_id"
    assert (await request(shim, "GET", f"/v1/responses/{made['id']}", headers=alice)).json == made
    assert (await ask(shim, alice, previous_response_id=made["id"])).status == 200
