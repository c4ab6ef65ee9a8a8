"""Compressed request bodies: every coding, cut anywhere; errors that name the coding; bombs that take no memory."""

from __future__ import annotations

import gzip
import json
import random
import sys
import threading
import tracemalloc
import zlib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from typing import Any

import anyio
import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from responses_shim import ResponsesShim
from responses_shim.asgi.decompress import GZIP, MAX_MEMBERS, Coding, DecompressedBody, Decompressor, read_coding
from responses_shim.errors import InvalidRequest
from tests.caller import Reply, request
from tests.cuts import POSITIONS, cut
from tests.oracle import check_error, check_response
from tests.scripted import ScriptedHost
from tests.serving import serving

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

MB = 1024 * 1024
REQUEST = {"model": "scripted", "input": "Hi"}
BODY = json.dumps(REQUEST).encode()

Compress = Callable[[bytes], bytes]


def raw_deflate(data: bytes) -> bytes:
    """Deflate without the zlib format around it, which some senders take the name `deflate` for."""
    compressor = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    return compressor.compress(data) + compressor.flush()


def stored(data: bytes) -> bytes:
    """Raw deflate of level 0, whose first byte is the one most like that of the zlib format."""
    compressor = zlib.compressobj(0, wbits=-zlib.MAX_WBITS)
    return compressor.compress(data) + compressor.flush()


COMPRESSORS: list[tuple[str, Compress]] = [
    ("gzip", gzip.compress),
    ("x-gzip", gzip.compress),
    ("deflate", zlib.compress),
    ("deflate", raw_deflate),
    ("deflate", stored),
    ("zstd", zstd.compress),
]
each_coding = pytest.mark.parametrize(
    ("coding", "compress"), COMPRESSORS, ids=["gzip", "x-gzip", "deflate", "raw deflate", "stored deflate", "zstd"]
)


def decompressed(header: str, parts: Iterable[bytes], limit: int = 64 * MB) -> bytes:
    async def run() -> bytes:
        body = DecompressedBody(read_coding(header), limit)
        for part in parts:
            await body.feed(part)
        body.end()
        return bytes(body.data)

    return anyio.run(run)


def refusal_of(header: str, parts: Iterable[bytes], limit: int = 64 * MB) -> InvalidRequest:
    with pytest.raises(InvalidRequest) as caught:
        decompressed(header, parts, limit)
    return caught.value


# Decompression -------------------------------------------------------------------------------------------------------

bodies = st.one_of(
    st.binary(max_size=300), st.builds(lambda unit, n: unit * n, st.binary(max_size=9), st.integers(0, 99_999))
)


@given(body=bodies, coding=st.sampled_from([("", bytes), *COMPRESSORS]), positions=POSITIONS)
def test_any_coding_cut_anywhere_gives_the_body(
    body: bytes, coding: tuple[str, Compress], positions: list[int]
) -> None:
    name, compress = coding
    assert decompressed(name, cut(compress(body), positions)) == body


@given(members=st.lists(bodies, min_size=1, max_size=4), positions=POSITIONS)
@pytest.mark.parametrize(("coding", "compress"), [("gzip", gzip.compress), ("zstd", zstd.compress)])
def test_several_members_are_one_body(
    coding: str, compress: Compress, members: list[bytes], positions: list[int]
) -> None:
    compressed = b"".join(compress(member) for member in members)
    assert decompressed(coding, cut(compressed, positions)) == b"".join(members)


def test_skippable_frames_of_zstd_are_skipped() -> None:
    skipped = b"\x50\x2a\x4d\x18" + (3).to_bytes(4, "little") + b"abc"
    for compressed in (skipped + zstd.compress(BODY), zstd.compress(BODY) + skipped):
        assert decompressed("zstd", [compressed]) == BODY


@pytest.mark.parametrize("size", [1, 16 * 1024, 64 * 1024, 4 * 64 * 1024, 3 * MB])
@pytest.mark.parametrize("extra", [-1, 0, 1])
@each_coding
def test_sizes_around_a_step_are_read(coding: str, compress: Compress, size: int, extra: int) -> None:
    for body in (b"a" * (size + extra), random.Random(size).randbytes(size + extra)):
        assert decompressed(coding, [compress(body)], limit=size + extra) == body


# Through the shim ----------------------------------------------------------------------------------------------------


async def send(coding: str | list[str], body: bytes | list[bytes], host: ScriptedHost, **settings: Any) -> Reply:
    lines = [coding] if isinstance(coding, str) else coding
    headers = [("content-type", "application/json"), *(("Content-Encoding", line) for line in lines)]
    return await request(ResponsesShim(host, **settings), "POST", "/v1/responses", body=body, headers=headers)


async def refusal(coding: str | list[str], body: bytes | list[bytes], status: int, **settings: Any) -> Reply:
    """The answer to a body that is refused; the host has not been called."""
    host = ScriptedHost()
    reply = await send(coding, body, host, **settings)
    check_error(reply.json)
    assert (reply.status, reply.json["error"]["type"]) == (status, "invalid_request_error")
    assert not host.requests
    return reply


@pytest.mark.anyio
@each_coding
async def test_a_compressed_request_is_answered(coding: str, compress: Compress) -> None:
    host = ScriptedHost()
    check_response((await send(coding, compress(BODY), host)).json)
    assert host.requests[0]["messages"] == [{"role": "user", "content": "Hi"}]


@pytest.mark.anyio
@pytest.mark.parametrize("header", ["GZip", "identity, gzip, ", ["identity", "", "gzip"]])
async def test_identity_beside_a_coding_is_none(header: str | list[str]) -> None:
    check_response((await send(header, gzip.compress(BODY), ScriptedHost())).json)


@pytest.mark.anyio
@pytest.mark.parametrize("header", ["gzip, gzip", "zstd,gzip", "gzip, identity, br, zstd", ["gzip", "zstd"]])
async def test_several_codings_are_415(header: str | list[str]) -> None:
    """Four of gzip make 360 bytes of 30 MB."""
    reply = await refusal(header, gzip.compress(gzip.compress(BODY)), 415)
    assert reply.json["error"]["code"] == "unsupported_content_encoding"
    assert "codings, and one is allowed" in reply.json["error"]["message"]
    assert reply.headers["accept-encoding"].startswith("gzip, deflate")


@pytest.mark.anyio
@pytest.mark.parametrize("header", ["", "identity", "Identity, ", ["", "identity"]])
async def test_content_encoding_may_be_identity_or_empty(header: str | list[str]) -> None:
    check_response((await send(header, BODY, ScriptedHost())).json)


@pytest.mark.parametrize("coding", ["gzip", "zstd"])
@pytest.mark.parametrize("chunked", [False, True])
def test_a_compressed_request_to_a_real_server_is_answered(coding: str, chunked: bool) -> None:
    compress = dict(COMPRESSORS)[coding]
    host = ScriptedHost()
    words = "".join(random.Random(1).choices("abcdefgh ", k=MB))
    compressed = compress(json.dumps({**REQUEST, "input": words}).encode())

    def content() -> Iterator[bytes]:
        yield from cut(compressed, [1, 100, 100_000])

    with serving(ResponsesShim(host)) as url:
        reply = httpx.post(
            f"{url}/v1/responses",
            content=content() if chunked else compressed,
            headers={"content-type": "application/json", "content-encoding": coding},
            trust_env=False,
        )
    check_response(reply.json())
    assert host.requests[0]["messages"] == [{"role": "user", "content": words}]


# Errors --------------------------------------------------------------------------------------------------------------


@pytest.mark.anyio
@pytest.mark.parametrize("coding", ["br", "compress", "identity, br", "aes128gcm", "gzip;q=1", "*"])
async def test_an_unknown_coding_is_415_with_a_list_of_the_supported_ones(coding: str) -> None:
    reply = await refusal(coding, BODY, 415)
    error = reply.json["error"]
    assert error["code"] == "unsupported_content_encoding"
    assert repr(coding.split(", ")[-1]) in error["message"]
    assert "gzip, deflate, zstd" in error["message"]
    assert reply.headers["accept-encoding"] == "gzip, deflate, zstd"


@pytest.mark.anyio
async def test_zstd_without_the_extra_is_415_and_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, zstd.__name__, None)
    reply = await refusal("zstd", zstd.compress(BODY), 415)
    assert reply.json["error"]["code"] == "unsupported_content_encoding"
    assert "pip install 'responses-shim[zstd]'" in reply.json["error"]["message"]
    assert reply.headers["accept-encoding"] == "gzip, deflate"
    check_response((await send("gzip", gzip.compress(BODY), ScriptedHost())).json)


@pytest.mark.anyio
@each_coding
async def test_an_uncompressed_body_with_a_coding_is_400(coding: str, compress: Compress) -> None:
    error = (await refusal(coding, BODY, 400)).json["error"]
    assert (error["code"], error["param"]) == ("invalid_content_encoding", None)
    assert f"not valid {coding.removeprefix('x-')}: " in error["message"]


@pytest.mark.parametrize("change", [4, -1], ids=["inside", "checksum"])
@pytest.mark.parametrize(("coding", "compress"), [("gzip", gzip.compress), ("deflate", zlib.compress)])
def test_a_damaged_body_is_400(coding: str, compress: Compress, change: int) -> None:
    compressed = bytearray(compress(BODY))
    compressed[change if change < 0 else len(compressed) // 2] ^= 255
    error = refusal_of(coding, [bytes(compressed)])
    assert (error.status, error.code) == (400, "invalid_content_encoding")
    assert "Error -3" in error.message


@given(position=st.integers(0, 10_000), positions=POSITIONS)
@each_coding
def test_a_truncated_body_is_400(coding: str, compress: Compress, position: int, positions: list[int]) -> None:
    compressed = compress(BODY)
    error = refusal_of(coding, cut(compressed[: position % len(compressed)], positions))
    assert (error.status, error.code) == (400, "invalid_content_encoding")
    assert "ends too early" in error.message


@pytest.mark.parametrize("apart", [False, True])
@pytest.mark.parametrize("rest", [b"garbage", b"\0", b"\x1f\x8b\x08garbage"])
@each_coding
def test_garbage_after_the_end_is_400(coding: str, compress: Compress, rest: bytes, apart: bool) -> None:
    error = refusal_of(coding, [compress(BODY), rest] if apart else [compress(BODY) + rest])
    assert (error.status, error.code) == (400, "invalid_content_encoding")
    assert "after its end" in error.message if coding == "deflate" else "member 2" in error.message


def test_a_second_member_of_deflate_is_refused() -> None:
    assert "after its end" in refusal_of("deflate", [zlib.compress(BODY) * 2]).message


def test_an_error_names_the_coding() -> None:
    assert "not valid gzip: " in refusal_of("gzip", [zstd.compress(BODY)]).message
    assert "not valid zstd: " in refusal_of("zstd", [gzip.compress(BODY)]).message
    assert "not valid gzip: it ends too early" in refusal_of("gzip", [gzip.compress(BODY)[:-1]]).message


def test_a_zstd_window_larger_than_http_allows_is_refused() -> None:
    def compress(window: int) -> bytes:
        compressor = zstd.ZstdCompressor(options={zstd.CompressionParameter.window_log: window})
        return compressor.compress(BODY, zstd.ZstdCompressor.FLUSH_BLOCK) + compressor.flush()

    assert decompressed("zstd", [compress(23)]) == BODY
    assert refusal_of("zstd", [compress(24)]).code == "invalid_content_encoding"


def test_the_number_of_members_is_limited() -> None:
    empty = gzip.compress(b"")
    assert decompressed("gzip", [empty * (MAX_MEMBERS - 1) + gzip.compress(BODY)]) == BODY
    error = refusal_of("gzip", [empty * (MAX_MEMBERS + 1)])
    assert (error.status, error.code) == (400, "invalid_content_encoding")
    assert "too many members" in error.message


# Bombs ---------------------------------------------------------------------------------------------------------------


def peak_memory(act: Callable[[], object]) -> int:
    """The most bytes that were allocated while it ran, beyond those allocated before."""
    tracemalloc.start()
    try:
        before, _ = tracemalloc.get_traced_memory()
        act()
        return tracemalloc.get_traced_memory()[1] - before
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("size", [1000, 100 * MB], ids=["in parts", "at once"])
@each_coding
def test_a_bomb_is_413_and_takes_no_memory(coding: str, compress: Compress, size: int) -> None:
    bomb = compress(bytes(64 * MB))
    if len(bomb) > MB:
        return  # stored, not compressed
    errors: list[InvalidRequest] = []
    parts = [bomb[start : start + size] for start in range(0, len(bomb), size)]
    assert peak_memory(lambda: errors.append(refusal_of(coding, parts, limit=2 * MB))) < 3 * MB
    assert (errors[0].status, errors[0].code) == (413, "request_too_large")
    assert f"{2 * MB} bytes" in errors[0].message


@pytest.mark.anyio
async def test_the_limit_holds_before_and_after_decompression() -> None:
    compressed = gzip.compress(BODY)
    assert len(compressed) > len(BODY)
    check_response((await send("gzip", compressed, ScriptedHost(), max_body=len(compressed))).json)
    for limit in (len(compressed) - 1, len(BODY) - 1):
        assert (await refusal("gzip", compressed, 413, max_body=limit)).json["error"]["code"] == "request_too_large"
    spaced = BODY + b" " * 1000
    compressed = gzip.compress(spaced)
    check_response((await send("gzip", compressed, ScriptedHost(), max_body=len(spaced))).json)
    await refusal("gzip", [compressed[:9], compressed[9:]], 413, max_body=len(spaced) - 1)


# In which thread -----------------------------------------------------------------------------------------------------


class WatchedDecompressor:
    """A decompressor that notes in which thread it is called."""

    def __init__(self, inner: Decompressor, threads: list[int]) -> None:
        self.inner = inner
        self.threads = threads

    def decompress(self, data: bytes, max_length: int, /) -> bytes:
        self.threads.append(threading.get_ident())
        return self.inner.decompress(data, max_length)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.inner, name)


async def threads_of(body: bytes) -> list[int]:
    """The thread of each call of the decompressor while this body is read."""
    threads: list[int] = []

    def start(data: bytes) -> Any:
        return WatchedDecompressor(GZIP.start(data), threads)

    watched: Coding = replace(GZIP, start=start)
    result = DecompressedBody(watched, limit=64 * MB)
    await result.feed(gzip.compress(body))
    result.end()
    assert result.data == body
    return threads


@pytest.mark.anyio
async def test_a_small_body_is_decompressed_in_the_event_loop_and_most_of_a_large_one_in_a_thread() -> None:
    here = threading.get_ident()
    assert set(await threads_of(b" " * 100_000)) == {here}
    threads = await threads_of(b" " * 10 * MB)
    assert threads[:4] == [here] * 4
    assert len(threads) > 100
    assert len(set(threads[4:])) == 1
    assert here not in threads[4:]
