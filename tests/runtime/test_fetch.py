"""Files that are fetched from a URL, and URLs that are refused. The servers are real ones on the loopback interface."""

from __future__ import annotations

import socket
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from functools import partial
from ipaddress import ip_address
from typing import Any
from urllib.parse import quote, unquote

import anyio
import httpx
import pytest
import trustme
from anyio.streams.tls import TLSListener
from hypothesis import given
from hypothesis import strategies as st
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.types import ASGIApp, Receive, Scope, Send

from responses_shim.errors import InvalidRequest
from responses_shim.runtime import fetch, files
from responses_shim.settings import Settings
from tests.oracle import check_error
from tests.runtime.pdfs import pdf_of
from tests.runtime.reading import read_files
from tests.serving import serving

pytestmark = pytest.mark.anyio

DEADLINE = 20.0
PNG = b"\x89PNG\r\n\x1a\n\0\0"


class Site:
    """An app with the pages that these tests fetch; keeps the requests that it got."""

    def __init__(self) -> None:
        self.requests: list[Request] = []

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        request = Request(scope, receive)
        self.requests.append(request)
        await self.page(request)(scope, receive, send)

    def page(self, request: Request) -> ASGIApp:
        path = request.url.path
        if path.startswith("/status/"):
            return Response(status_code=int(path[8:]))
        if path.startswith("/redirect/"):
            left = int(path[10:])
            return RedirectResponse(f"/redirect/{left - 1}" if left else "/notes.txt", headers={"set-cookie": "a=b"})
        if path == "/to":
            return RedirectResponse(unquote(request.url.query))
        pages: dict[str, ASGIApp] = {
            "/notes.txt": Response(b"Hello", media_type="text/plain"),
            "/my%20report": Response(b"Hello"),
            "/report.pdf": Response(pdf_of("Hello"), media_type="Application/PDF; x=y"),
            "/no-type.pdf": Response(b"not a PDF"),
            "/image": Response(PNG),
            "/zipped": Response(b"Hello", headers={"content-encoding": "gzip"}),
            "/plain": Response(b"Hello", headers={"content-encoding": "Identity"}),
            "/nowhere": Response(status_code=302, headers={"location": "http://a:b/"}),
            "/endless": self.endless,
            "/stalls": self.stalls,
        }
        return pages.get(path) or pages.get(request.scope["raw_path"].decode(), Response(status_code=404))

    async def endless(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Sends until the client leaves."""
        await send({"type": "http.response.start", "status": 200, "headers": []})
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(self._until_left, receive, tasks.cancel_scope)
            while True:
                await send({"type": "http.response.body", "body": b"x" * 10_000, "more_body": True})
                await anyio.lowlevel.checkpoint()

    async def stalls(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Sends the beginning of a body and nothing more."""
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"Hel", "more_body": True})
        while (await receive())["type"] != "http.disconnect":
            pass

    async def _until_left(self, receive: Receive, scope: anyio.CancelScope) -> None:
        while (await receive())["type"] != "http.disconnect":
            pass
        scope.cancel()


@pytest.fixture(scope="module")
def served() -> Iterator[tuple[Site, str]]:
    site = Site()
    with serving(site) as root:
        yield site, root


@pytest.fixture
def site(served: tuple[Site, str]) -> Site:
    served[0].requests.clear()
    return served[0]


@pytest.fixture
def root(served: tuple[Site, str]) -> str:
    return served[1]


async def fetched(url: str, **fields: Any) -> dict[str, Any]:
    """What a file part with this URL is replaced by; any address is allowed unless `file_urls` is given."""
    settings = Settings(file_urls=fields.pop("file_urls", "fetch-any"), max_file=fields.pop("max_file", 10_000))
    part = {"type": "input_file", "file_url": url, **fields}
    with anyio.fail_after(DEADLINE):
        (item,) = await read_files([{"role": "user", "content": [part]}], settings)
    (replacement,) = item["content"]
    assert isinstance(replacement, dict)
    return replacement


async def refusal(url: str, code: str = "invalid_file_url", **fields: Any) -> str:
    with pytest.raises(InvalidRequest) as caught:
        await fetched(url, **fields)
    check_error(caught.value.body())
    error = caught.value
    assert (error.status, error.code, error.param) == (400, code, "input[0].content[0].file_url")
    return error.message


# Files that are fetched.


async def test_a_file_is_fetched_and_named_by_its_url(root: str, site: Site) -> None:
    assert await fetched(f"{root}/notes.txt?key=1#top") == {
        "type": "input_text",
        "text": '<file name="notes.txt">\nHello\n</file>',
    }
    assert site.requests[0].url.query == "key=1"


async def test_the_clients_filename_wins_over_the_urls(root: str) -> None:
    part = await fetched(f"{root}/notes.txt", filename="mine.md")
    assert part["text"] == '<file name="mine.md">\nHello\n</file>'
    assert (await fetched(f"{root}/my%20report"))["text"] == '<file name="my report">\nHello\n</file>'


async def test_the_kind_of_a_file_follows_from_its_media_type_name_and_content(root: str) -> None:
    assert (await fetched(f"{root}/report.pdf", filename="x"))["text"] == '<file name="x">\nHello\n</file>'
    assert (await fetched(f"{root}/image")) == {
        "type": "input_image",
        "image_url": "data:image/png;base64,iVBORw0KGgoAAA==",
    }
    assert "damaged" in await refusal(f"{root}/no-type.pdf", "invalid_file")


async def test_the_request_has_no_credentials_and_no_cookies_and_uses_no_proxy(
    root: str, site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not even the cookie that an earlier hop has set."""
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    await fetched(f"{root}/redirect/1")
    assert [request.url.path for request in site.requests] == ["/redirect/1", "/redirect/0", "/notes.txt"]
    for request in site.requests:
        assert set(request.headers) <= {"host", "user-agent", "accept", "accept-encoding", "connection"}
        assert request.headers["host"] == root.removeprefix("http://")


async def test_content_encoding_may_be_identity(root: str) -> None:
    assert (await fetched(f"{root}/plain"))["type"] == "input_text"


async def test_three_redirects_are_followed_and_no_more(root: str) -> None:
    assert (await fetched(f"{root}/redirect/2"))["text"] == '<file name="2">\nHello\n</file>'
    assert "more than 3 times" in await refusal(f"{root}/redirect/3")


# URLs that are refused.


@pytest.mark.parametrize("status", [204, 304, 404, 500])
async def test_an_answer_other_than_a_success_is_refused(root: str, status: int) -> None:
    if status == 204:
        assert (await fetched(f"{root}/status/204"))["text"] == '<file name="204">\n\n</file>'
    else:
        assert f"status {status}" in await refusal(f"{root}/status/{status}")


@pytest.mark.parametrize(
    "url",
    [
        *("file:///etc/passwd", "ftp://127.0.0.1/a", "data:,x", "gopher://127.0.0.1/", "//127.0.0.1/", "notes.txt"),
        *(
            "http:///notes.txt",
            "http://",
            "HTTP",
            " ",
            "http://[::1",
            "http://127.0.0.1:99999/",
            "http://127.0.0.1:-1/",
            "http://a\nb/",
        ),
        *("http://xn--iñvalid-.com/", "http://" + "a" * 70 + ".example/", "http://a..b/", "http://x" + "y" * 70_000),
    ],
)
@pytest.mark.parametrize("file_urls", ["fetch", "fetch-any"])
async def test_anything_but_an_http_url_with_a_host_is_refused(url: str, file_urls: str) -> None:
    assert "URL" in await refusal(url, file_urls=file_urls)


@pytest.mark.parametrize("target", ["file:///etc/passwd", "ftp://127.0.0.1/", "http://u:p@127.0.0.1/notes.txt"])
async def test_a_redirect_to_such_a_url_is_refused(root: str, site: Site, target: str) -> None:
    await refusal(f"{root}/to?{quote(target, safe='')}")
    assert [request.url.path for request in site.requests] == ["/to"]


@given(text=st.text() | st.text().map("http://".__add__) | st.from_regex(r"https?://[^/]*:-?[0-9]+/", fullmatch=True))
async def test_any_text_as_a_url_or_a_redirect_is_a_400(text: str) -> None:
    """No name resolves here, and no connection is made."""
    real = anyio.getaddrinfo

    async def resolve(host: str, port: int, **options: Any) -> Any:
        if host != "127.0.0.1":
            raise OSError
        return await real(host, port, **options)

    redirecting = httpx.MockTransport(lambda request: httpx.Response(302, headers=[(b"location", text.encode())]))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(fetch, "_transport", lambda: redirecting)
        patch.setattr(anyio, "getaddrinfo", resolve)
        await refusal("http://127.0.0.1/")
        await refusal(text)


async def test_a_redirect_to_something_that_is_no_url_is_refused(root: str) -> None:
    assert "is none" in await refusal(f"{root}/nowhere")


async def test_credentials_in_a_url_are_refused(root: str, site: Site) -> None:
    for user in ("user:password@", "user@", ":password@"):
        message = await refusal(root.replace("http://", f"http://{user}") + "/notes.txt")
        assert "credentials" in message
        assert "password" not in message
    assert not site.requests


async def test_a_compressed_body_is_refused(root: str) -> None:
    assert "compressed" in await refusal(f"{root}/zipped")


async def test_reading_an_endless_body_stops_at_the_limit(root: str) -> None:
    assert "10000 bytes" in await refusal(f"{root}/endless", "file_too_large")


async def test_a_body_that_stalls_times_out(root: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(files, "MAX_SECONDS", 0.3)
    await refusal(f"{root}/stalls", "file_timeout")
    monkeypatch.setattr(files, "MAX_SECONDS", 60)
    monkeypatch.setattr(fetch, "TIMEOUT", 0.1)
    assert "in time" in await refusal(f"{root}/stalls")


async def test_a_server_that_is_not_there_or_does_not_speak_http_is_refused() -> None:
    with socket.create_server(("127.0.0.1", 0)) as bound:
        port = bound.getsockname()[1]
    assert "cannot be reached" in await refusal(f"http://127.0.0.1:{port}/")
    async with await anyio.create_tcp_listener(local_host="127.0.0.1") as listener:

        async def greet(stream: anyio.abc.SocketStream) -> None:
            async with stream:
                await stream.send(b"220 not HTTP\r\n")

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(listener.serve, greet)
            port = listener.extra(anyio.abc.SocketAttribute.local_port)
            assert "does not speak HTTP" in await refusal(f"http://127.0.0.1:{port}/")
            tasks.cancel_scope.cancel()


async def test_the_number_of_fetches_of_a_request_is_limited(root: str, site: Site) -> None:
    part = {"type": "input_file", "file_url": f"{root}/notes.txt"}
    with anyio.fail_after(DEADLINE), pytest.raises(InvalidRequest) as caught:
        await read_files([{"role": "user", "content": [part] * 30}], Settings(file_urls="fetch-any"))
    check_error(caught.value.body())
    assert caught.value.param == f"input[0].content[{files.MAX_FETCHES}].file_url"
    assert len(site.requests) == files.MAX_FETCHES


async def test_all_fetched_files_together_may_be_as_large_as_a_body(root: str) -> None:
    part = {"type": "input_file", "file_url": f"{root}/image"}
    limited = Settings(file_urls="fetch-any", max_body=25)
    assert len(await read_files([{"role": "user", "content": [part] * 2}], limited)) == 1
    with anyio.fail_after(DEADLINE), pytest.raises(InvalidRequest) as caught:
        await read_files([{"role": "user", "content": [part] * 3}], limited)
    check_error(caught.value.body())
    assert (caught.value.code, caught.value.param) == ("file_too_large", "input[0].content[2].file_url")


# Addresses.

LOOPBACK = [
    "127.0.0.1",
    "localhost",
    "2130706433",
    "0x7f000001",
    "0177.0.0.1",
    "127.1",
    "0.0.0.0",
    "[::ffff:127.0.0.1]",
]


@pytest.mark.parametrize("host", [*LOOPBACK, "[::1]", "[::]", "[::ffff:7f00:1]", "①②⑦.0.0.1"])
async def test_fetch_reaches_no_address_that_is_not_public(host: str, root: str, site: Site) -> None:
    message = await refusal(f"http://{host}:{root.rpartition(':')[2]}/notes.txt", file_urls="fetch")
    assert "not public" in message or "unknown host" in message or "not a URL" in message
    assert not site.requests


async def test_the_refusal_of_a_private_address_names_the_setting(root: str) -> None:
    assert "not public, which is not allowed here (setting file_urls)" in await refusal(
        f"{root}/notes.txt", file_urls="fetch"
    )


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "127.1"])
async def test_fetch_any_reaches_private_addresses(host: str, root: str, site: Site) -> None:
    port = root.rpartition(":")[2]
    assert (await fetched(f"http://{host}:{port}/notes.txt"))["text"] == '<file name="notes.txt">\nHello\n</file>'
    assert site.requests[0].headers["host"] == f"{host}:{port}"


async def test_an_ipv6_address_is_reached() -> None:
    try:
        listener = await anyio.create_tcp_listener(local_host="::1")
    except OSError:
        pytest.skip("this machine has no IPv6")
    async with listener, anyio.create_task_group() as tasks:
        tasks.start_soon(listener.serve, answering("Hello"))
        port = listener.extra(anyio.abc.SocketAttribute.local_port)
        assert (await fetched(f"http://[::1]:{port}/a.txt"))["text"] == '<file name="a.txt">\nHello\n</file>'
        assert "not public" in await refusal(f"http://[::1]:{port}/a.txt", file_urls="fetch")
        tasks.cancel_scope.cancel()


def answering(body: str) -> Callable[[anyio.abc.ByteStream], Awaitable[None]]:
    """A server that sends this body to anyone."""

    async def answer(stream: anyio.abc.ByteStream) -> None:
        async with stream:
            await stream.receive()
            await stream.send(f"HTTP/1.1 200 OK\r\ncontent-length: {len(body)}\r\n\r\n{body}".encode())

    return answer


class Names:
    """Resolves host names as a test wants it. Each resolves once only: a second look-up fails the test."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, **known: list[str]) -> None:
        self.known = known
        self.asked: list[str] = []
        real = anyio.getaddrinfo

        async def resolve(host: str, port: int, **options: Any) -> Any:
            self.asked.append(host)
            addresses = self.known.pop(host.partition(".")[0])
            return [found for address in addresses for found in await real(address, port, **options)]

        monkeypatch.setattr(anyio, "getaddrinfo", resolve)


async def test_the_connection_goes_to_the_address_that_was_checked(
    root: str, site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The name is not resolved again, when it could mean another address (DNS rebinding)."""
    names = Names(monkeypatch, rebinds=["127.0.0.1"])
    url = root.replace("127.0.0.1", "rebinds.example")
    assert (await fetched(f"{url}/notes.txt"))["type"] == "input_text"
    assert names.asked == ["rebinds.example"]
    assert site.requests[0].headers["host"] == url.removeprefix("http://")


async def test_each_address_of_a_name_must_be_public(monkeypatch: pytest.MonkeyPatch) -> None:
    Names(monkeypatch, two=["8.8.8.8", "10.0.0.1"])
    assert "not public" in await refusal("http://two.example/", file_urls="fetch")


async def test_the_address_of_each_redirect_is_checked(root: str, site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    names = Names(monkeypatch, outside=["127.0.0.1"], inside=["127.0.0.2"])
    monkeypatch.setattr(fetch, "is_public", lambda address: str(address) == "127.0.0.1")
    port = root.rpartition(":")[2]
    inside = quote(f"http://inside.example:{port}/notes.txt", safe="")
    url = f"http://outside.example:{port}/to?{inside}"
    assert "not public" in await refusal(url, file_urls="fetch")
    assert names.asked == ["outside.example", "inside.example"]
    assert [request.url.path for request in site.requests] == ["/to"]


async def test_the_next_address_is_tried_when_one_does_not_connect(root: str, monkeypatch: pytest.MonkeyPatch) -> None:
    Names(monkeypatch, many=["127.0.0.2", "127.0.0.1"], none=[])
    port = root.rpartition(":")[2]
    assert (await fetched(f"http://many.example:{port}/notes.txt"))["type"] == "input_text"
    assert "without an address" in await refusal(f"http://none.example:{port}/notes.txt")


@pytest.fixture
async def secure(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[int]:
    """The port of a TLS server whose certificate is for `right.example`, from an authority that the client trusts."""
    authority = trustme.CA()
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("right.example").configure_cert(server)
    client = ssl.create_default_context()
    authority.configure_trust(client)
    monkeypatch.setattr(httpx, "AsyncHTTPTransport", partial(httpx.AsyncHTTPTransport, verify=client))
    tcp = await anyio.create_tcp_listener(local_host="127.0.0.1")
    listener = TLSListener(tcp, ssl_context=server, standard_compatible=False)
    async with listener, anyio.create_task_group() as tasks:
        tasks.start_soon(listener.serve, answering("Hello"))
        yield tcp.extra(anyio.abc.SocketAttribute.local_port)
        tasks.cancel_scope.cancel()


async def test_the_certificate_must_be_for_the_name_in_the_url(secure: int, monkeypatch: pytest.MonkeyPatch) -> None:
    Names(monkeypatch, right=["127.0.0.1"], wrong=["127.0.0.1"])
    assert (await fetched(f"https://right.example:{secure}/a"))["text"] == '<file name="a">\nHello\n</file>'
    assert "cannot be reached" in await refusal(f"https://wrong.example:{secure}/a")


@pytest.mark.parametrize(
    "address", ["8.8.8.8", "1.1.1.1", "172.15.0.1", "172.32.0.1", "100.128.0.1", "2606:4700::1111", "2a00:1450::1"]
)
def test_an_address_of_the_internet_is_public(address: str) -> None:
    assert fetch.is_public(ip_address(address))


@pytest.mark.parametrize(
    "address",
    [
        *("0.0.0.0", "10.1.2.3", "100.64.0.1", "127.0.0.1", "127.255.255.254", "169.254.169.254", "172.16.0.1"),
        *("192.0.2.1", "192.168.1.1", "198.18.0.1", "224.0.0.1", "239.255.255.250", "240.0.0.1", "255.255.255.255"),
        *("::", "::1", "::127.0.0.1", "::ffff:127.0.0.1", "::ffff:8.8.8.8", "64:ff9b::7f00:1", "2001:db8::1"),
        *("2001::7f00:1", "2002:7f00:1::", "fc00::1", "fd00:ec2::254", "fe80::1", "fec0::1", "ff02::1", "4000::1"),
    ],
)
def test_a_private_local_reserved_or_multicast_address_is_not_public(address: str) -> None:
    assert not fetch.is_public(ip_address(address))
