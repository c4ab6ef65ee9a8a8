"""NeMo Gym's side channel in `metadata`: what each key means, how it is checked, and what it may not touch."""

from __future__ import annotations

import json
from typing import Any

import pytest

from responses_shim.core.request.options import DEFAULT_OPTIONS, TranslationOptions
from responses_shim.core.wire.report import Report
from responses_shim.errors import InvalidRequest
from responses_shim.extensions.nemo_gym import KEYS, SILENT, SideChannel, audio_type, read_training_request, with_audio
from responses_shim.extensions.nemo_gym import tell_host as tell

SOUND = "data:audio/wav;base64,UklGRg=="


def read(**metadata: Any) -> SideChannel:
    return read_training_request({"model": "m", "input": "Hi", "metadata": metadata})[1]


def refusal(**metadata: Any) -> InvalidRequest:
    with pytest.raises(InvalidRequest) as caught:
        read(**metadata)
    assert caught.value.status == 400
    return caught.value


def told(
    chat: dict[str, Any], options: TranslationOptions = DEFAULT_OPTIONS, **metadata: Any
) -> tuple[dict[str, Any], str]:
    """The chat request with what the side channel says, and the report."""
    report = Report()
    return tell(chat, read(**metadata), options, report), report.header()


# Reading ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("metadata", [None, {}, {"split": "train"}, dict.fromkeys(KEYS), {"extra_body": "{}"}])
def test_metadata_without_the_keys_says_nothing(metadata: Any) -> None:
    request, side = read_training_request({"model": "m", "input": "Hi", "metadata": metadata})
    assert side == SILENT
    assert (request.metadata or {}) == {key: value for key, value in (metadata or {}).items() if value is not None}


@pytest.mark.parametrize("body", [[], {"model": "m"}, {"model": "m", "input": "Hi", "metadata": "extra_body"}])
def test_a_bad_body_is_refused_as_ever(body: Any) -> None:
    with pytest.raises(InvalidRequest):
        read_training_request(body)


def test_the_keys_may_be_longer_than_other_metadata() -> None:
    long = json.dumps({"text": "x" * 2000})
    metadata = {"chat_template_kwargs": long, "extra_body": long, "audio_data": SOUND + "A" * 2000}
    request, side = read_training_request({"model": "m", "input": "Hi", "metadata": metadata})
    assert request.metadata == metadata, "they are echoed as they came"
    assert side.template == side.extra == {"text": "x" * 2000}
    assert side.audio == [metadata["audio_data"]]


def test_the_rules_of_metadata_hold_for_the_rest() -> None:
    assert "512" in refusal(extra_body="{}", other="x" * 513).message
    assert "16" in refusal(extra_body="{}", **{f"key{number}": "" for number in range(16)}).message
    assert read(extra_body="{}", other="x" * 512, **{f"key{number}": "" for number in range(14)}) == SILENT


def test_a_list_of_paths_is_echoed_as_a_string() -> None:
    """The API's metadata are strings, and a client would stumble over anything else."""
    for paths in (["a.wav", "b.wav"], '["a.wav","b.wav"]'):
        body = {"model": "m", "input": "Hi", "metadata": {"audio_paths": paths}}
        request, side = read_training_request(body)
        assert request.metadata == {"audio_paths": '["a.wav","b.wav"]'}
        assert side.paths() == [("a.wav", "metadata.audio_paths[0]"), ("b.wav", "metadata.audio_paths[1]")]


def test_a_path_knows_where_it_stands() -> None:
    assert read(audio_path="a.wav").paths() == [("a.wav", "metadata.audio_path")]
    assert read(audio_data=SOUND).paths() == []


@pytest.mark.parametrize("key", ["chat_template_kwargs", "extra_body"])
@pytest.mark.parametrize("value", ["[1]", "nonsense", "{", "1", "null", {"a": 1}, 7, True, '{"a": NaN}', "[" * 100_000])
def test_what_is_no_json_object_in_a_string_is_refused(key: str, value: Any) -> None:
    error = refusal(**{key: value})
    assert error.param == f"metadata.{key}"


@pytest.mark.parametrize("key", ["chat_template_kwargs", "extra_body"])
def test_json_that_is_nested_deeper_than_any_host_takes_is_refused(key: str) -> None:
    assert refusal(**{key: '{"a":' * 200 + "1" + "}" * 200}).param == f"metadata.{key}"


@pytest.mark.parametrize(
    "name",
    [
        *("model", "messages", "stream", "stream_options", "n", "return_token_ids", "return_tokens_as_token_ids"),
        *("tools", "tool_choice", "parallel_tool_calls", "functions", "function_call", "response_format"),
    ],
)
def test_extra_fields_cannot_touch_what_the_answer_is_read_by(name: str) -> None:
    error = refusal(extra_body=json.dumps({"top_k": 1, name: None}))
    assert error.param == "metadata.extra_body"
    assert f"'{name}'" in error.message


@pytest.mark.parametrize(
    ("metadata", "param"),
    [
        ({"audio_data": SOUND, "audio_path": "a.wav"}, "metadata.audio_path"),
        ({"audio_data": SOUND, "audio_paths": ["a.wav"]}, "metadata.audio_paths"),
        ({"audio_path": "a.wav", "audio_paths": "[]"}, "metadata.audio_paths"),
        ({"audio_data": "http://example.com/a.wav"}, "metadata.audio_data"),
        ({"audio_data": ["data:"]}, "metadata.audio_data"),
        ({"audio_path": ["a.wav"]}, "metadata.audio_path"),
        ({"audio_path": 7}, "metadata.audio_path"),
        ({"audio_paths": "a.wav"}, "metadata.audio_paths"),
        ({"audio_paths": {"a": "b"}}, "metadata.audio_paths"),
        ({"audio_paths": ["a.wav", ""]}, "metadata.audio_paths[1]"),
        ({"audio_paths": '["a.wav", 7]'}, "metadata.audio_paths[1]"),
    ],
)
def test_audio_has_one_source_in_its_form(metadata: Any, param: str) -> None:
    assert refusal(**metadata).param == param


@pytest.mark.parametrize(
    ("name", "media"),
    [
        ("a.wav", "wav"),
        ("a.FLAC", "flac"),
        ("b/a.mp3", "mpeg"),
        ("a.m4a", "mp4"),
        ("a.ogg", "ogg"),
        (".opus", "opus"),
    ],
)
def test_the_name_of_a_file_tells_its_type(name: str, media: str) -> None:
    assert audio_type(name, "p") == f"audio/{media}"


@pytest.mark.parametrize("name", ["", "wav", "a", "a.aiff", "a.wav/b", "a.wav.gz", "a.wav\n"])
def test_a_type_is_not_guessed(name: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        audio_type(name, "p")
    assert caught.value.param == "p"


# Telling the host ---------------------------------------------------------------------------------------------------


def test_nothing_said_changes_nothing() -> None:
    assert told({"model": "m"}) == ({"model": "m"}, "")


def test_arguments_of_the_template_and_extra_fields_reach_the_host() -> None:
    chat, report = told({"model": "m"}, chat_template_kwargs='{"enable_thinking": false}', extra_body='{"top_k": 5}')
    assert chat == {"model": "m", "top_k": 5, "chat_template_kwargs": {"enable_thinking": False}}
    assert report == 'mapped=("metadata.chat_template_kwargs" "metadata.extra_body")'


def test_the_requests_own_fields_win_and_that_is_reported() -> None:
    """As in Gym: a row fills in what the request leaves open."""
    chat, report = told({"temperature": 1.0}, extra_body='{"temperature": 0, "chat_template_kwargs": {"a": 1}}')
    assert chat == {"temperature": 1.0, "chat_template_kwargs": {"a": 1}}
    assert report == 'dropped=("metadata.extra_body.temperature"), mapped=("metadata.extra_body")'
    chat, report = told({}, extra_body='{"chat_template_kwargs": {"a": 1}}', chat_template_kwargs='{"b": 2}')
    assert chat == {"chat_template_kwargs": {"b": 2}}
    assert '"metadata.extra_body.chat_template_kwargs"' in report


def test_arguments_of_the_template_that_a_host_needs_stay() -> None:
    chat, _ = told({"chat_template_kwargs": {"host": 1, "both": 1}}, chat_template_kwargs='{"both": 2}')
    assert chat == {"chat_template_kwargs": {"host": 1, "both": 2}}


def test_a_chat_request_is_not_changed_in_place() -> None:
    chat: dict[str, Any] = {"model": "m"}
    told(chat, chat_template_kwargs='{"a": 1}', extra_body='{"b": 2}')
    assert chat == {"model": "m"}


def test_sound_is_reported_or_refused_where_the_host_takes_none() -> None:
    assert told({}, audio_data=SOUND)[1] == 'mapped=("metadata.audio_data")'
    with pytest.raises(InvalidRequest) as caught:
        told({}, TranslationOptions(parts=frozenset({"image"})), audio_path="a.wav")
    assert caught.value.param == "metadata.audio_path"


PARTS = [{"type": "audio_url", "audio_url": {"url": url}} for url in ("data:1", "data:2")]
TEXT = {"type": "text", "text": "What is said?"}
IMAGE = {"type": "image_url", "image_url": {"url": "data:3"}}


@pytest.mark.parametrize("content", ["What is said?", [TEXT], [IMAGE, TEXT]])
def test_sound_goes_before_everything_in_the_last_message_of_the_user(content: Any) -> None:
    messages: list[dict[str, Any]] = [
        {"role": "user", "content": "First"},
        {"role": "user", "content": content},
        {"role": "assistant", "content": "So"},
    ]
    rest = [TEXT] if isinstance(content, str) else content
    expected = [messages[0], {"role": "user", "content": [*PARTS, *rest]}, messages[2]]
    assert with_audio(messages, ["data:1", "data:2"]) == expected
    assert messages[1]["content"] == content, "it was changed in place"


def test_sound_without_a_message_of_the_user_is_one() -> None:
    system = {"role": "system", "content": "Listen."}
    assert with_audio([system], ["data:1", "data:2"]) == [system, {"role": "user", "content": PARTS}]
