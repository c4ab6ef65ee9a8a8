"""NeMo Gym's keys in `metadata`: how each is checked, what it adds to the chat request, and which files can be read."""

from __future__ import annotations

import base64
import json
import os
from pathlib import Path
from typing import Any

import pytest

from responses_shim.core.request.options import DEFAULT_OPTIONS, TranslationOptions
from responses_shim.core.wire.report import Report
from responses_shim.errors import InvalidRequest
from responses_shim.extensions.nemo_gym import (
    METADATA_KEYS,
    NO_OPTIONS,
    GymOptions,
    add_audio,
    apply_options,
    audio_media_type,
    load_audio,
    read_gym_request,
)
from responses_shim.settings import Settings

AUDIO_URL = "data:audio/wav;base64,UklGRg=="


def read(**metadata: Any) -> GymOptions:
    return read_gym_request({"model": "m", "input": "Hi", "metadata": metadata})[1]


def refusal(**metadata: Any) -> InvalidRequest:
    with pytest.raises(InvalidRequest) as caught:
        read(**metadata)
    assert caught.value.status == 400
    return caught.value


# Reading the request ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("metadata", [None, {}, {"split": "train"}, dict.fromkeys(METADATA_KEYS), {"extra_body": "{}"}])
def test_metadata_without_values_for_the_keys_gives_no_options(metadata: Any) -> None:
    request, options = read_gym_request({"model": "m", "input": "Hi", "metadata": metadata})
    assert options == NO_OPTIONS
    assert (request.metadata or {}) == {key: value for key, value in (metadata or {}).items() if value is not None}


@pytest.mark.parametrize("body", [[], {"model": "m"}, {"model": "m", "input": "Hi", "metadata": "extra_body"}])
def test_an_invalid_body_is_refused(body: Any) -> None:
    with pytest.raises(InvalidRequest):
        read_gym_request(body)


def test_the_keys_may_be_longer_than_other_metadata_and_are_echoed_unchanged() -> None:
    long = json.dumps({"text": "x" * 2000})
    metadata = {"chat_template_kwargs": long, "extra_body": long, "audio_data": AUDIO_URL + "A" * 2000}
    request, options = read_gym_request({"model": "m", "input": "Hi", "metadata": metadata})
    assert request.metadata == metadata
    assert options.template_arguments == options.extra_fields == {"text": "x" * 2000}
    assert options.audio == [metadata["audio_data"]]


def test_the_limits_of_metadata_hold_for_other_keys_and_for_the_number_of_keys() -> None:
    assert "512" in refusal(extra_body="{}", other="x" * 513).message
    assert "16" in refusal(extra_body="{}", **{f"key{number}": "" for number in range(16)}).message
    assert read(extra_body="{}", other="x" * 512, **{f"key{number}": "" for number in range(14)}) == NO_OPTIONS


def test_a_list_of_paths_is_echoed_as_json_in_a_string() -> None:
    """The API's metadata values are strings, and clients check that."""
    for paths in (["a.wav", "b.wav"], '["a.wav","b.wav"]'):
        body = {"model": "m", "input": "Hi", "metadata": {"audio_paths": paths}}
        request, options = read_gym_request(body)
        assert request.metadata == {"audio_paths": '["a.wav","b.wav"]'}
        assert options.audio_paths() == [("a.wav", "metadata.audio_paths[0]"), ("b.wav", "metadata.audio_paths[1]")]


def test_each_audio_path_comes_with_the_param_that_errors_name() -> None:
    assert read(audio_path="a.wav").audio_paths() == [("a.wav", "metadata.audio_path")]
    assert read(audio_data=AUDIO_URL).audio_paths() == []


@pytest.mark.parametrize("key", ["chat_template_kwargs", "extra_body"])
@pytest.mark.parametrize("value", ["[1]", "nonsense", "{", "1", "null", {"a": 1}, 7, True, '{"a": NaN}', "[" * 100_000])
def test_anything_but_a_json_object_in_a_string_is_refused(key: str, value: Any) -> None:
    error = refusal(**{key: value})
    assert error.param == f"metadata.{key}"


@pytest.mark.parametrize("key", ["chat_template_kwargs", "extra_body"])
def test_json_nested_too_deeply_is_refused(key: str) -> None:
    assert refusal(**{key: '{"a":' * 200 + "1" + "}" * 200}).param == f"metadata.{key}"


@pytest.mark.parametrize(
    "name",
    [
        *("model", "messages", "stream", "stream_options", "n", "return_token_ids", "return_tokens_as_token_ids"),
        *("tools", "tool_choice", "parallel_tool_calls", "functions", "function_call", "response_format"),
    ],
)
def test_reserved_fields_are_refused_as_extra_fields(name: str) -> None:
    error = refusal(extra_body=json.dumps({"top_k": 1, name: None}))
    assert error.param == "metadata.extra_body"
    assert f"'{name}'" in error.message


@pytest.mark.parametrize(
    ("metadata", "param"),
    [
        ({"audio_data": AUDIO_URL, "audio_path": "a.wav"}, "metadata.audio_path"),
        ({"audio_data": AUDIO_URL, "audio_paths": ["a.wav"]}, "metadata.audio_paths"),
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
def test_two_audio_sources_or_one_of_the_wrong_type_are_refused(metadata: Any, param: str) -> None:
    assert refusal(**metadata).param == param


# Changing the chat request ------------------------------------------------------------------------------------------


def applied(
    chat: dict[str, Any], policy: TranslationOptions = DEFAULT_OPTIONS, **metadata: Any
) -> tuple[dict[str, Any], str]:
    """The chat request with the options of this metadata, and the report."""
    report = Report()
    return apply_options(chat, read(**metadata), policy, report), report.header()


def test_no_options_change_nothing() -> None:
    assert applied({"model": "m"}) == ({"model": "m"}, "")


def test_template_arguments_and_extra_fields_are_added() -> None:
    chat, report = applied({"model": "m"}, chat_template_kwargs='{"enable_thinking": false}', extra_body='{"top_k": 5}')
    assert chat == {"model": "m", "top_k": 5, "chat_template_kwargs": {"enable_thinking": False}}
    assert report == 'mapped=("metadata.chat_template_kwargs" "metadata.extra_body")'


def test_the_requests_own_fields_win_and_that_is_reported() -> None:
    """As in NeMo Gym itself, where a row only fills in what the request leaves open."""
    chat, report = applied({"temperature": 1.0}, extra_body='{"temperature": 0, "chat_template_kwargs": {"a": 1}}')
    assert chat == {"temperature": 1.0, "chat_template_kwargs": {"a": 1}}
    assert report == 'dropped=("metadata.extra_body.temperature"), mapped=("metadata.extra_body")'
    chat, report = applied({}, extra_body='{"chat_template_kwargs": {"a": 1}}', chat_template_kwargs='{"b": 2}')
    assert chat == {"chat_template_kwargs": {"b": 2}}
    assert '"metadata.extra_body.chat_template_kwargs"' in report


def test_template_arguments_are_merged_with_those_of_the_chat_request() -> None:
    chat, _ = applied({"chat_template_kwargs": {"host": 1, "both": 1}}, chat_template_kwargs='{"both": 2}')
    assert chat == {"chat_template_kwargs": {"host": 1, "both": 2}}


def test_the_chat_request_is_not_changed_in_place() -> None:
    chat: dict[str, Any] = {"model": "m"}
    applied(chat, chat_template_kwargs='{"a": 1}', extra_body='{"b": 2}')
    assert chat == {"model": "m"}


def test_audio_is_reported_and_refused_if_the_host_takes_none() -> None:
    assert applied({}, audio_data=AUDIO_URL)[1] == 'mapped=("metadata.audio_data")'
    with pytest.raises(InvalidRequest) as caught:
        applied({}, TranslationOptions(parts=frozenset({"image"})), audio_path="a.wav")
    assert caught.value.param == "metadata.audio_path"


AUDIO_PARTS = [{"type": "audio_url", "audio_url": {"url": url}} for url in ("data:1", "data:2")]
TEXT = {"type": "text", "text": "What is said?"}
IMAGE = {"type": "image_url", "image_url": {"url": "data:3"}}


@pytest.mark.parametrize("content", ["What is said?", [TEXT], [IMAGE, TEXT]])
def test_audio_goes_before_the_content_of_the_last_user_message(content: Any) -> None:
    messages: list[dict[str, Any]] = [
        {"role": "user", "content": "First"},
        {"role": "user", "content": content},
        {"role": "assistant", "content": "So"},
    ]
    parts = [TEXT] if isinstance(content, str) else content
    expected = [messages[0], {"role": "user", "content": [*AUDIO_PARTS, *parts]}, messages[2]]
    assert add_audio(messages, ["data:1", "data:2"]) == expected
    assert messages[1]["content"] == content, "it was changed in place"


def test_audio_without_a_user_message_makes_one() -> None:
    system = {"role": "system", "content": "Listen."}
    assert add_audio([system], ["data:1", "data:2"]) == [system, {"role": "user", "content": AUDIO_PARTS}]


# Reading audio files ------------------------------------------------------------------------------------------------

WAV = b"RIFF\x00\x01 audio"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A directory with some audio files; beside it there are files that must not be read."""
    root = tmp_path / "audio"
    (root / "sub").mkdir(parents=True)
    (root / "a.wav").write_bytes(WAV)
    (root / "sub" / "b.mp3").write_bytes(WAV * 2)
    (tmp_path / "secret.wav").write_bytes(b"secret")
    (tmp_path / "audio2").mkdir()
    (tmp_path / "audio2" / "a.wav").write_bytes(b"secret")
    return root


def data_url(subtype: str, data: bytes) -> str:
    return f"data:audio/{subtype};base64,{base64.b64encode(data).decode()}"


async def load(root: Path | None, *paths: str, **settings: Any) -> list[str]:
    options = GymOptions(audio=list(paths), audio_key="audio_paths" if len(paths) > 1 else "audio_path")
    return await load_audio(options, Settings(audio_root=str(root) if root is not None else None, **settings))


async def load_refusal(root: Path | None, *paths: str, **settings: Any) -> InvalidRequest:
    with pytest.raises(InvalidRequest) as caught:
        await load(root, *paths, **settings)
    return caught.value


@pytest.mark.anyio
async def test_audio_files_become_data_urls(root: Path) -> None:
    assert await load(root, "a.wav") == [data_url("wav", WAV)]
    assert await load(root, "a.wav", "sub/b.mp3") == [data_url("wav", WAV), data_url("mpeg", WAV * 2)]
    assert await load(root, str(root / "a.wav")) == [data_url("wav", WAV)], "an absolute path below the root"
    assert await load(root, "sub/../a.wav") == [data_url("wav", WAV)]


@pytest.mark.anyio
async def test_audio_that_came_as_a_data_url_is_used_as_it_is() -> None:
    assert await load_audio(GymOptions(audio_key="audio_data", audio=["data:,x"]), Settings()) == ["data:,x"]
    assert await load_audio(NO_OPTIONS, Settings()) == []


@pytest.mark.anyio
async def test_without_audio_root_no_file_is_read(root: Path) -> None:
    error = await load_refusal(None, str(root / "a.wav"))
    assert (error.param, error.code) == ("metadata.audio_path", "unsupported_parameter")
    assert "audio_root" in error.message


@pytest.mark.anyio
@pytest.mark.parametrize(
    "path",
    [
        "../secret.wav",
        "sub/../../secret.wav",
        "../audio2/a.wav",
        "{outside}/secret.wav",
        "{outside}/audio2/a.wav",
        "{outside}/audio/../secret.wav",
        "link.wav",
        "link_to_directory/secret.wav",
        "link_to_link.wav",
        "loop.wav",
        "missing.wav",
        "../missing.wav",
        "directory.wav",
        "fifo.wav",
        "a\0.wav",
        "\ud800.wav",
        "x" * 5000 + ".wav",
        "a.wav/.wav",
    ],
)
async def test_only_regular_files_below_the_root_are_read(root: Path, path: str) -> None:
    """The error is always the same, so that it does not tell whether there is a file elsewhere."""
    (root / "link.wav").symlink_to(root.parent / "secret.wav")
    (root / "link_to_link.wav").symlink_to(root / "link.wav")
    (root / "link_to_directory").symlink_to(root.parent)
    (root / "loop.wav").symlink_to(root / "loop.wav")
    (root / "directory.wav").mkdir()
    os.mkfifo(root / "fifo.wav")
    error = await load_refusal(root, path.format(outside=root.parent))
    assert (error.status, error.param, error.code) == (400, "metadata.audio_path", "invalid_value")
    assert error.message == "There is no such file below audio_root."


@pytest.mark.anyio
async def test_links_that_stay_below_the_root_are_followed(root: Path, tmp_path: Path) -> None:
    (root / "blob").write_bytes(WAV)
    (root / "named.flac").symlink_to(root / "blob")
    assert await load(root, "named.flac") == [data_url("flac", WAV)]
    (tmp_path / "link").symlink_to(root)
    assert await load(tmp_path / "link", "a.wav") == [data_url("wav", WAV)], "the root itself may be a link"


@pytest.mark.anyio
async def test_a_file_without_read_permission_gives_the_same_error(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: Any) -> None:
        raise PermissionError

    monkeypatch.setattr("builtins.open", refuse)
    assert (await load_refusal(root, "a.wav")).message == "There is no such file below audio_root."


@pytest.mark.anyio
async def test_the_size_of_each_file_and_of_all_together_is_limited(root: Path) -> None:
    size = len(WAV)
    assert await load(root, "a.wav", max_file=size)
    error = await load_refusal(root, "a.wav", "sub/b.mp3", max_file=size)
    assert (error.param, error.code) == ("metadata.audio_paths[1]", "file_too_large")
    assert f"{size} bytes" in error.message
    assert await load(root, "a.wav", "a.wav", max_body=2 * size)
    error = await load_refusal(root, "a.wav", "sub/b.mp3", max_body=2 * size)
    assert (error.param, error.code) == ("metadata.audio_paths[1]", "file_too_large")


@pytest.mark.parametrize(
    ("name", "subtype"),
    [
        ("a.wav", "wav"),
        ("a.FLAC", "flac"),
        ("b/a.mp3", "mpeg"),
        ("a.m4a", "mp4"),
        ("a.ogg", "ogg"),
        (".opus", "opus"),
    ],
)
def test_the_media_type_follows_from_the_file_name(name: str, subtype: str) -> None:
    assert audio_media_type(name, "p") == f"audio/{subtype}"


@pytest.mark.parametrize("name", ["", "wav", "a", "a.aiff", "a.wav/b", "a.wav.gz", "a.wav\n"])
def test_a_file_name_with_another_ending_is_refused(name: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        audio_media_type(name, "p")
    assert caught.value.param == "p"


@pytest.mark.anyio
async def test_a_file_whose_type_is_unknown_is_not_read(root: Path) -> None:
    (root / "notes.txt").write_text("secret")
    error = await load_refusal(root, "notes.txt")
    assert error.param == "metadata.audio_path"
    assert ".wav" in error.message
