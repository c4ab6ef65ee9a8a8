"""NeMo Gym's keys of `metadata`: template arguments, extra fields and audio for the host."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from pathlib import Path

import pytest

from responses_shim import RequestView, ResponsesShim
from tests.conformance.asking import ask, refusal_of, response_of, streaming
from tests.conformance.nemo_gym.gym import AUDIO, GYM, assistant, user
from tests.scripted import Json as JsonAnswer
from tests.scripted import ScriptedHost

pytestmark = pytest.mark.anyio


@streaming
async def test_template_arguments_and_extra_fields_may_come_in_metadata(stream: bool) -> None:
    metadata = {"chat_template_kwargs": '{"enable_thinking": false}', "extra_body": '{"top_k": 5}', "split": "train"}
    host = ScriptedHost()
    response = await response_of(ResponsesShim(host, **GYM), stream=stream, metadata=metadata)
    assert host.requests[0]["chat_template_kwargs"] == {"enable_thinking": False}
    assert host.requests[0]["top_k"] == 5
    assert "metadata" not in host.requests[0]
    assert response["metadata"] == metadata


async def test_the_report_lists_what_came_in_metadata() -> None:
    metadata = {"chat_template_kwargs": "{}", "extra_body": '{"top_k": 5, "temperature": 0}', "audio_data": AUDIO}
    reply = await ask(ResponsesShim(ScriptedHost(), **GYM), temperature=1, metadata=metadata)
    report = reply.headers["responses-shim-report"]
    assert report == 'mapped=("metadata.audio_data" "metadata.extra_body"), dropped=("metadata.extra_body.temperature")'


async def test_without_the_setting_these_keys_are_ordinary_metadata() -> None:
    metadata = {"chat_template_kwargs": '{"a": 1}', "extra_body": '{"model": "x"}', "audio_path": "../a.wav"}
    host = ScriptedHost()
    response = await response_of(ResponsesShim(host), metadata=metadata)
    assert response["metadata"] == metadata
    assert not host.requests[0].keys() & {"chat_template_kwargs", "extra_body", "audio_path"}
    assert host.requests[0]["model"] == "scripted"
    error = await refusal_of(ResponsesShim(host), metadata={"extra_body": json.dumps({"a": "x" * 512})})
    assert error["param"] == "metadata"


@pytest.mark.parametrize(
    "name", ["model", "messages", "stream", "stream_options", "n", "tools", "tool_choice", "response_format"]
)
async def test_extra_fields_cannot_replace_fields_that_the_translation_depends_on(name: str) -> None:
    """Several choices cannot be trained on: Gym asks for n = 1 too."""
    error = await refusal_of(ResponsesShim(ScriptedHost(), **GYM), metadata={"extra_body": json.dumps({name: 2})})
    assert error["param"] == "metadata.extra_body"
    assert name in error["message"]


@streaming
async def test_audio_goes_before_the_text_of_the_last_user_message(stream: bool, tmp_path: Path) -> None:
    (tmp_path / "a.wav").write_bytes(b"RIFF")
    (tmp_path / "b.flac").write_bytes(b"fLaC")
    a, b = (
        {"type": "audio_url", "audio_url": {"url": f"data:audio/{kind};base64,{base64.b64encode(data).decode()}"}}
        for kind, data in (("wav", b"RIFF"), ("flac", b"fLaC"))
    )
    text = {"type": "text", "text": "What is said?"}
    for metadata, parts in (
        ({"audio_data": AUDIO}, [{"type": "audio_url", "audio_url": {"url": AUDIO}}]),
        ({"audio_path": "a.wav"}, [a]),
        ({"audio_path": str(tmp_path / "b.flac")}, [b]),
        ({"audio_paths": ["b.flac", "a.wav"]}, [b, a]),
        ({"audio_paths": '["b.flac","a.wav"]'}, [b, a]),
    ):
        host = ScriptedHost()
        shim = ResponsesShim(host, nemo_gym=True, audio_root=str(tmp_path))
        items = [user("Hi"), assistant("Yes?"), user("What is said?")]
        await response_of(shim, stream=stream, input=items, metadata=metadata)
        messages = host.requests[0]["messages"]
        assert [message["content"] for message in messages] == ["Hi", "Yes?", [*parts, text]]


async def test_audio_paths_outside_the_root_are_refused(tmp_path: Path) -> None:
    (tmp_path / "secret.wav").write_bytes(b"secret")
    (tmp_path / "root").mkdir()
    shim = ResponsesShim(ScriptedHost(), nemo_gym=True, audio_root=str(tmp_path / "root"))
    for path in ("../secret.wav", str(tmp_path / "secret.wav"), "missing.wav"):
        error = await refusal_of(shim, metadata={"audio_path": path})
        assert error["param"] == "metadata.audio_path"
    error = await refusal_of(ResponsesShim(ScriptedHost(), **GYM), metadata={"audio_path": "a.wav"})
    assert "audio_root" in error["message"]


async def test_audio_is_refused_for_a_host_that_takes_none() -> None:
    lets_everybody_in = JsonAnswer(500, {"error": {"message": "1 validation error:"}})  # its answer to the shim's probe
    shim = ResponsesShim(ScriptedHost([lets_everybody_in]), host="llama-cpp", **GYM)
    assert (await refusal_of(shim, metadata={"audio_data": AUDIO}))["param"] == "metadata.audio_data"


async def test_an_interceptor_may_set_this_metadata() -> None:
    async def deterministic(view: RequestView, headers: Mapping[str, str]) -> None:
        view.extra["metadata"] = {"extra_body": '{"seed": 7}'}

    host = ScriptedHost()
    await response_of(ResponsesShim(host, interceptors=[deterministic], **GYM), metadata={"audio_data": AUDIO})
    assert host.requests[0]["seed"] == 7
    assert host.requests[0]["messages"] == [user("Hi")]
