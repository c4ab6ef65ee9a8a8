"""Packed request bodies: any coding, cut anywhere, gives the body; a bomb costs no memory; what is wrong is said."""

from __future__ import annotations

import gzip
import itertools
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
from responses_shim.asgi.decompress import GZIP, MAX_MEMBERS, Coding, Decompressor, Unpacked, read_codings
from responses_shim.errors import InvalidRequest
from tests.caller import Reply, request
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


def raw_deflate(data: bytes) -> bytes:
    """Without zlib's frame, as some senders understand the name."""
    compressor = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    return compressor.compress(data) + compressor.flush()


def stored(data: bytes) -> bytes:
    """Deflate that does not deflate: its first byte is the one most like zlib's."""
    compressor = zlib.compressobj(0, wbits=-zlib.MAX_WBITS)
    return compressor.compress(data) + compressor.flush()


PACKERS: list[tuple[str, Callable[[bytes], bytes]]] = [
    ("gzip", gzip.compress),
    ("x-gzip", gzip.compress),
    ("deflate", zlib.compress),
    ("deflate", raw_deflate),
    ("deflate", stored),
    ("zstd", zstd.compress),
]
packers = pytest.mark.parametrize(
    ("coding", "pack"), PACKERS, ids=["gzip", "x-gzip", "deflate", "raw deflate", "stored deflate", "zstd"]
)


def unpack(header: str, parts: Iterable[bytes], limit: int = 64 * MB) -> bytes:
    async def run() -> bytes:
        body = Unpacked(read_codings(header), limit)
        for part in parts:
            await body.feed(part)
        body.end()
        return bytes(body.data)

    return anyio.run(run)


def refused(header: str, parts: Iterable[bytes], limit: int = 64 * MB) -> InvalidRequest:
    with pytest.raises(InvalidRequest) as refusal:
        unpack(header, parts, limit)
    return refusal.value


def pieces(data: bytes, places: Iterable[int]) -> list[bytes]:
    cuts = [0, *sorted(place % (len(data) + 1) for place in places), len(data)]
    return [data[start:end] for start, end in itertools.pairwise(cuts)]


# What is packed is read ----------------------------------------------------------------------------------------------

bodies = st.one_of(
    st.binary(max_size=300), st.builds(lambda unit, n: unit * n, st.binary(max_size=9), st.integers(0, 99_999))
)
places = st.lists(st.integers(0, 10_000), max_size=8)


@given(body=bodies, layers=st.lists(st.sampled_from(PACKERS), max_size=4), places=places)
def test_any_codings_cut_anywhere_give_the_body(
    body: bytes, layers: list[tuple[str, Callable[[bytes], bytes]]], places: list[int]
) -> None:
    packed = body
    for _, pack in layers:
        packed = pack(packed)
    assert unpack(", ".join(name for name, _ in layers), pieces(packed, places)) == body


@given(members=st.lists(bodies, min_size=1, max_size=4), places=places)
@pytest.mark.parametrize(("coding", "pack"), [("gzip", gzip.compress), ("zstd", zstd.compress)])
def test_several_members_are_one_body(
    coding: str, pack: Callable[[bytes], bytes], members: list[bytes], places: list[int]
) -> None:
    packed = b"".join(pack(member) for member in members)
    assert unpack(coding, pieces(packed, places)) == b"".join(members)


def test_a_frame_of_zstd_that_is_to_be_skipped_is() -> None:
    skipped = b"\x50\x2a\x4d\x18" + (3).to_bytes(4, "little") + b"abc"
    for packed in (skipped + zstd.compress(BODY), zstd.compress(BODY) + skipped):
        assert unpack("zstd", [packed]) == BODY


@pytest.mark.parametrize("size", [1, 16 * 1024, 64 * 1024, 4 * 64 * 1024, 3 * MB])
@pytest.mark.parametrize("extra", [-1, 0, 1])
@packers
def test_no_size_is_special(coding: str, pack: Callable[[bytes], bytes], size: int, extra: int) -> None:
    for body in (b"a" * (size + extra), random.Random(size).randbytes(size + extra)):
        assert unpack(coding, [pack(body)], limit=size + extra) == body


# Through the shim ----------------------------------------------------------------------------------------------------


async def send(coding: str | list[str], body: bytes | list[bytes], host: ScriptedHost, **settings: Any) -> Reply:
    lines = [coding] if isinstance(coding, str) else coding
    headers = [("content-type", "application/json"), *(("Content-Encoding", line) for line in lines)]
    return await request(ResponsesShim(host, **settings), "POST", "/v1/responses", body=body, headers=headers)


async def refusal(coding: str, body: bytes | list[bytes], status: int, **settings: Any) -> Reply:
    """The answer to a body that is refused; no engine has been asked."""
    host = ScriptedHost()
    reply = await send(coding, body, host, **settings)
    check_error(reply.json)
    assert (reply.status, reply.json["error"]["type"]) == (status, "invalid_request_error")
    assert not host.requests
    return reply


@pytest.mark.anyio
@packers
async def test_a_packed_request_is_answered(coding: str, pack: Callable[[bytes], bytes]) -> None:
    host = ScriptedHost()
    check_response((await send(coding, pack(BODY), host)).json)
    assert host.requests[0]["messages"] == [{"role": "user", "content": "Hi"}]


@pytest.mark.anyio
@pytest.mark.parametrize(
    "header", ["gzip, zstd", "GZIP,ZStd", "gzip, identity, zstd,", ["gzip", "zstd"], ["gzip", "", "zstd, identity"]]
)
async def test_a_list_of_codings_is_undone_from_its_end(header: str | list[str]) -> None:
    check_response((await send(header, zstd.compress(gzip.compress(BODY)), ScriptedHost())).json)


@pytest.mark.anyio
@pytest.mark.parametrize("header", ["", "identity", "Identity, ", ["", "identity"]])
async def test_no_coding_may_be_said_in_words(header: str | list[str]) -> None:
    check_response((await send(header, BODY, ScriptedHost())).json)


@pytest.mark.parametrize("coding", ["gzip", "zstd"])
@pytest.mark.parametrize("chunked", [False, True])
def test_a_client_that_packs_its_requests_is_served_by_a_real_server(coding: str, chunked: bool) -> None:
    pack = dict(PACKERS)[coding]
    host = ScriptedHost()
    words = "".join(random.Random(1).choices("abcdefgh ", k=MB))
    packed = pack(json.dumps({**REQUEST, "input": words}).encode())

    def content() -> Iterator[bytes]:
        yield from pieces(packed, [1, 100, 100_000])

    with serving(ResponsesShim(host)) as url:
        reply = httpx.post(
            f"{url}/v1/responses",
            content=content() if chunked else packed,
            headers={"content-type": "application/json", "content-encoding": coding},
            trust_env=False,
        )
    check_response(reply.json())
    assert host.requests[0]["messages"] == [{"role": "user", "content": words}]


# What is refused -----------------------------------------------------------------------------------------------------


@pytest.mark.anyio
@pytest.mark.parametrize("coding", ["br", "compress", "gzip, br", "identity, br", "aes128gcm", "gzip;q=1", "*"])
async def test_an_unknown_coding_is_415_and_the_known_ones_are_named(coding: str) -> None:
    reply = await refusal(coding, BODY, 415)
    error = reply.json["error"]
    assert error["code"] == "unsupported_content_encoding"
    assert repr(coding.split(", ")[-1]) in error["message"]
    assert "gzip, deflate, zstd" in error["message"]
    assert reply.headers["accept-encoding"] == "gzip, deflate, zstd"


@pytest.mark.anyio
async def test_zstd_without_its_extra_is_415_that_names_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, zstd.__name__, None)
    reply = await refusal("zstd", zstd.compress(BODY), 415)
    assert reply.json["error"]["code"] == "unsupported_content_encoding"
    assert "pip install 'responses-shim[zstd]'" in reply.json["error"]["message"]
    assert reply.headers["accept-encoding"] == "gzip, deflate"
    check_response((await send("gzip", gzip.compress(BODY), ScriptedHost())).json)


@pytest.mark.anyio
async def test_four_codings_are_enough() -> None:
    packed = BODY
    for _ in range(4):
        packed = gzip.compress(packed)
    check_response((await send("gzip, gzip, gzip, identity, gzip", packed, ScriptedHost())).json)
    error = (await refusal("gzip, gzip, gzip, gzip, gzip", gzip.compress(packed), 415)).json["error"]
    assert error["code"] == "unsupported_content_encoding"
    assert "at most 4" in error["message"]


@pytest.mark.anyio
@packers
async def test_what_is_not_packed_is_400(coding: str, pack: Callable[[bytes], bytes]) -> None:
    error = (await refusal(coding, BODY, 400)).json["error"]
    assert (error["code"], error["param"]) == ("invalid_content_encoding", None)
    assert f"not valid {coding.removeprefix('x-')}: " in error["message"]


@pytest.mark.parametrize("change", [4, -1], ids=["inside", "checksum"])
@pytest.mark.parametrize(("coding", "pack"), [("gzip", gzip.compress), ("deflate", zlib.compress)])
def test_damage_is_seen(coding: str, pack: Callable[[bytes], bytes], change: int) -> None:
    packed = bytearray(pack(BODY))
    packed[change if change < 0 else len(packed) // 2] ^= 255
    error = refused(coding, [bytes(packed)])
    assert (error.status, error.code) == (400, "invalid_content_encoding")
    assert "Error -3" in error.message


@given(place=st.integers(0, 10_000), places=places)
@packers
def test_a_body_that_stops_anywhere_before_its_end_is_400(
    coding: str, pack: Callable[[bytes], bytes], place: int, places: list[int]
) -> None:
    packed = pack(BODY)
    error = refused(coding, pieces(packed[: place % len(packed)], places))
    assert (error.status, error.code) == (400, "invalid_content_encoding")
    assert "ends too early" in error.message


@pytest.mark.parametrize("apart", [False, True])
@pytest.mark.parametrize("rest", [b"garbage", b"\0", b"\x1f\x8b\x08garbage"])
@packers
def test_what_follows_the_end_is_400(coding: str, pack: Callable[[bytes], bytes], rest: bytes, apart: bool) -> None:
    error = refused(coding, [pack(BODY), rest] if apart else [pack(BODY) + rest])
    assert (error.status, error.code) == (400, "invalid_content_encoding")
    assert "after its end" in error.message if coding == "deflate" else "member 2" in error.message


def test_deflate_has_no_second_member() -> None:
    assert "after its end" in refused("deflate", [zlib.compress(BODY) * 2]).message


def test_what_is_wrong_inside_is_told_of_the_coding_inside() -> None:
    assert "not valid gzip: " in refused("gzip, zstd", [zstd.compress(BODY)]).message
    assert "not valid zstd: " in refused("gzip, zstd", [gzip.compress(BODY)]).message
    assert (
        "not valid gzip: it ends too early" in refused("gzip, zstd", [zstd.compress(gzip.compress(BODY)[:-1])]).message
    )


def test_zstd_may_ask_for_the_window_that_http_allows_and_no_more() -> None:
    def pack(window: int) -> bytes:
        compressor = zstd.ZstdCompressor(options={zstd.CompressionParameter.window_log: window})
        return compressor.compress(BODY, zstd.ZstdCompressor.FLUSH_BLOCK) + compressor.flush()

    assert unpack("zstd", [pack(23)]) == BODY
    assert refused("zstd", [pack(24)]).code == "invalid_content_encoding"


def test_members_are_counted() -> None:
    empty = gzip.compress(b"")
    assert unpack("gzip", [empty * (MAX_MEMBERS - 1) + gzip.compress(BODY)]) == BODY
    error = refused("gzip", [empty * (MAX_MEMBERS + 1)])
    assert (error.status, error.code) == (400, "invalid_content_encoding")
    assert "too many pieces" in error.message


# Bombs ---------------------------------------------------------------------------------------------------------------


def peak(act: Callable[[], object]) -> int:
    """Bytes that were in use at most while it ran, above what was in use before."""
    tracemalloc.start()
    try:
        before, _ = tracemalloc.get_traced_memory()
        act()
        return tracemalloc.get_traced_memory()[1] - before
    finally:
        tracemalloc.stop()


bombs = pytest.mark.parametrize(
    ("coding", "packs"),
    [
        ("gzip", [gzip.compress]),
        ("deflate", [zlib.compress]),
        ("deflate", [raw_deflate]),
        ("zstd", [zstd.compress]),
        ("gzip, gzip", [gzip.compress, gzip.compress]),
        ("zstd, gzip", [zstd.compress, gzip.compress]),
        ("gzip, zstd", [gzip.compress, zstd.compress]),
    ],
    ids=["gzip", "deflate", "raw deflate", "zstd", "gzip in gzip", "zstd in gzip", "gzip in zstd"],
)


@pytest.mark.parametrize("size", [1000, 100 * MB], ids=["in parts", "at once"])
@bombs
def test_a_bomb_is_413_without_the_memory(coding: str, packs: list[Callable[[bytes], bytes]], size: int) -> None:
    bomb = bytes(64 * MB)
    for pack in packs:
        bomb = pack(bomb)
    assert len(bomb) < MB / 10
    errors: list[InvalidRequest] = []
    parts = [bomb[at : at + size] for at in range(0, len(bomb), size)]
    assert peak(lambda: errors.append(refused(coding, parts, limit=2 * MB))) < 3 * MB
    assert (errors[0].status, errors[0].code) == (413, "request_too_large")
    assert f"{2 * MB} bytes" in errors[0].message


def test_a_bomb_that_is_empty_at_its_core_is_one_too() -> None:
    """What lies between two codings is counted as well, or the last could be as small as it likes."""
    bomb = gzip.compress(gzip.compress(b"") * 5000)
    assert len(bomb) < 1000
    assert unpack("gzip, gzip", [bomb], limit=5000 * 20) == b""
    assert refused("gzip, gzip", [bomb], limit=5000 * 20 - 1).status == 413


@pytest.mark.anyio
async def test_the_limit_holds_for_what_comes_and_for_what_comes_out_of_it() -> None:
    packed = gzip.compress(BODY)
    assert len(packed) > len(BODY)
    check_response((await send("gzip", packed, ScriptedHost(), max_body=len(packed))).json)
    for limit in (len(packed) - 1, len(BODY) - 1):
        assert (await refusal("gzip", packed, 413, max_body=limit)).json["error"]["code"] == "request_too_large"
    spaced = BODY + b" " * 1000
    packed = gzip.compress(spaced)
    check_response((await send("gzip", packed, ScriptedHost(), max_body=len(spaced))).json)
    await refusal("gzip", [packed[:9], packed[9:]], 413, max_body=len(spaced) - 1)


# Where the work is done ----------------------------------------------------------------------------------------------


class Watched:
    """Notes in which thread it is used."""

    def __init__(self, inner: Decompressor, threads: list[int]) -> None:
        self.inner = inner
        self.threads = threads

    def decompress(self, data: bytes, max_length: int, /) -> bytes:
        self.threads.append(threading.get_ident())
        return self.inner.decompress(data, max_length)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.inner, name)


async def threads_of(body: bytes) -> list[int]:
    threads: list[int] = []

    def start(data: bytes) -> Any:
        return Watched(GZIP.start(data), threads)

    watched: Coding = replace(GZIP, start=start)
    unpacked = Unpacked([watched], limit=64 * MB)
    await unpacked.feed(gzip.compress(body))
    unpacked.end()
    assert unpacked.data == body
    return threads


@pytest.mark.anyio
async def test_a_small_body_is_unpacked_on_the_spot_and_most_of_a_large_one_in_a_thread() -> None:
    here = threading.get_ident()
    assert set(await threads_of(b" " * 100_000)) == {here}
    threads = await threads_of(b" " * 10 * MB)
    assert threads[:4] == [here] * 4
    assert len(threads) > 100
    assert len(set(threads[4:])) == 1
    assert here not in threads[4:]
