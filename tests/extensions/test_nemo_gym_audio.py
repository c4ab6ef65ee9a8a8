"""Audio files below `audio_root`: what is read, and that nothing else can be, whatever the path looks like."""

from __future__ import annotations

import base64
import os
from pathlib import Path
from typing import Any

import pytest

from responses_shim.errors import InvalidRequest
from responses_shim.extensions.nemo_gym import SILENT, SideChannel
from responses_shim.extensions.nemo_gym_audio import audio_urls
from responses_shim.settings import Settings

pytestmark = pytest.mark.anyio

SOUND = b"RIFF\x00\x01 sound"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A directory with some audio, beside a secret that must not be read."""
    root = tmp_path / "audio"
    (root / "sub").mkdir(parents=True)
    (root / "a.wav").write_bytes(SOUND)
    (root / "sub" / "b.mp3").write_bytes(SOUND * 2)
    (tmp_path / "secret.wav").write_bytes(b"secret")
    (tmp_path / "audio2").mkdir()
    (tmp_path / "audio2" / "a.wav").write_bytes(b"secret")
    return root


def url(media: str, data: bytes) -> str:
    return f"data:audio/{media};base64,{base64.b64encode(data).decode()}"


async def read(root: Path | None, *paths: str, **settings: Any) -> list[str]:
    side = SideChannel(audio=list(paths), audio_key="audio_paths" if len(paths) > 1 else "audio_path")
    return await audio_urls(side, Settings(audio_root=str(root) if root is not None else None, **settings))


async def refusal(root: Path | None, *paths: str, **settings: Any) -> InvalidRequest:
    with pytest.raises(InvalidRequest) as caught:
        await read(root, *paths, **settings)
    return caught.value


async def test_files_become_urls_that_hold_them(root: Path) -> None:
    assert await read(root, "a.wav") == [url("wav", SOUND)]
    assert await read(root, "a.wav", "sub/b.mp3") == [url("wav", SOUND), url("mpeg", SOUND * 2)]
    assert await read(root, str(root / "a.wav")) == [url("wav", SOUND)], "an absolute path below the root"
    assert await read(root, "sub/../a.wav") == [url("wav", SOUND)]


async def test_without_paths_there_is_nothing_to_read() -> None:
    data = SideChannel(audio_key="audio_data", audio=["data:,x"])
    assert await audio_urls(data, Settings()) == ["data:,x"]
    assert await audio_urls(SILENT, Settings()) == []


async def test_without_a_root_no_path_is_read(root: Path) -> None:
    error = await refusal(None, str(root / "a.wav"))
    assert (error.param, error.code) == ("metadata.audio_path", "unsupported_parameter")
    assert "audio_root" in error.message


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
async def test_nothing_but_files_below_the_root_is_read(root: Path, path: str) -> None:
    """And what there is elsewhere is not told: the answer is the same for all."""
    (root / "link.wav").symlink_to(root.parent / "secret.wav")
    (root / "link_to_link.wav").symlink_to(root / "link.wav")
    (root / "link_to_directory").symlink_to(root.parent)
    (root / "loop.wav").symlink_to(root / "loop.wav")
    (root / "directory.wav").mkdir()
    os.mkfifo(root / "fifo.wav")
    error = await refusal(root, path.format(outside=root.parent))
    assert (error.status, error.param, error.code) == (400, "metadata.audio_path", "invalid_value")
    assert error.message == "There is no such file below audio_root."


async def test_links_that_stay_below_the_root_are_followed(root: Path, tmp_path: Path) -> None:
    (root / "blob").write_bytes(SOUND)
    (root / "named.flac").symlink_to(root / "blob")
    assert await read(root, "named.flac") == [url("flac", SOUND)]
    (tmp_path / "link").symlink_to(root)
    assert await read(tmp_path / "link", "a.wav") == [url("wav", SOUND)], "the root itself may be one"


async def test_what_may_not_be_read_is_not(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: Any) -> None:
        raise PermissionError

    monkeypatch.setattr("builtins.open", refuse)
    assert (await refusal(root, "a.wav")).message == "There is no such file below audio_root."


async def test_the_size_is_limited_for_each_and_for_all(root: Path) -> None:
    size = len(SOUND)
    assert await read(root, "a.wav", max_file=size)
    error = await refusal(root, "a.wav", "sub/b.mp3", max_file=size)
    assert (error.param, error.code) == ("metadata.audio_paths[1]", "file_too_large")
    assert f"{size} bytes" in error.message
    assert await read(root, "a.wav", "a.wav", max_body=2 * size)
    error = await refusal(root, "a.wav", "sub/b.mp3", max_body=2 * size)
    assert (error.param, error.code) == ("metadata.audio_paths[1]", "file_too_large")


async def test_a_name_that_does_not_tell_its_type_is_refused(root: Path) -> None:
    (root / "notes.txt").write_text("secret")
    error = await refusal(root, "notes.txt")
    assert error.param == "metadata.audio_path"
    assert ".wav" in error.message
