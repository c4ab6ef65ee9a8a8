"""Fetch a file from a URL that a client named (`input_file.file_url`), without becoming its way into the network.

A client could name an address that only this server can reach, so every hop is checked (SSRF protection): the host name
is resolved once, all of its addresses must be allowed, and the connection is made to one of those addresses, not to the
name, which may resolve to another one a moment later. Nothing of the client or the operator goes along: no credentials,
no cookies, no proxy from the environment.
"""

from __future__ import annotations

import socket
from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address
from typing import TYPE_CHECKING

import anyio
import anyio.to_thread

from responses_shim import __version__
from responses_shim.errors import InvalidRequest

if TYPE_CHECKING:
    import httpx

MAX_REDIRECTS = 3
TIMEOUT = 10.0
"""Seconds within which a connection must be made, and within which each next part of the answer must come."""

_GLOBAL_UNICAST = IPv6Network("2000::/3")
_6TO4 = IPv6Network("2002::/16")  # each of its addresses contains an IPv4 address, which may be a private one


class FetchError(Exception):
    """Why a file cannot be fetched. The message continues a sentence that begins with "the URL"."""


async def fetch(url: str, max_bytes: int, *, public_only: bool, param: str) -> tuple[str, str, bytes]:
    """Fetch a file over HTTP or HTTPS, following up to `MAX_REDIRECTS` redirects.

    Returns its name (the last part of the URL's path, maybe empty), its media type (lower case, without parameters,
    maybe empty) and its bytes. Reading stops when there are more than `max_bytes`, so the caller can tell a file that
    is too large. With `public_only`, every address on the way must be a public one.

    Raises InvalidRequest with `param` that says why the file cannot be fetched. There is a timeout for each step; one
    for all of it is up to the caller.
    """
    transport = await anyio.to_thread.run_sync(_transport)  # loading httpx and its certificates takes a while
    import httpx

    try:
        async with transport:
            target = httpx.URL(url)
            name = target.path.rpartition("/")[2]
            for _ in range(MAX_REDIRECTS + 1):
                response = await _get(transport, target, public_only)
                try:
                    if not response.has_redirect_location:
                        return name, *await _read(response, max_bytes)
                    target = target.join(response.headers["location"])
                finally:
                    await response.aclose()
            raise FetchError(f"redirects more than {MAX_REDIRECTS} times")
    except FetchError as error:
        why = str(error)
    except httpx.TimeoutException:
        why = "was not answered in time"
    except (httpx.HTTPError, OSError):  # before ValueError: a wrong certificate is an OSError and a ValueError
        why = "cannot be reached, or does not speak HTTP"
    except (httpx.InvalidURL, ValueError):
        why = "is not a URL, or redirects to something that is none"
    raise InvalidRequest(f"The file could not be fetched: the URL {why}.", param=param, code="invalid_file_url")


def _transport() -> httpx.AsyncHTTPTransport:
    """httpx's transport, not its client, which would add cookies, credentials and proxies by itself."""
    import httpx

    return httpx.AsyncHTTPTransport()


async def _get(transport: httpx.AsyncHTTPTransport, url: httpx.URL, public_only: bool) -> httpx.Response:
    """The response to one GET, its body not read yet, from the first address of the host that takes a connection."""
    import httpx

    if url.scheme not in ("http", "https") or not url.host:
        raise FetchError("must begin with http:// or https:// and a host, and redirect to such")
    if url.userinfo:
        raise FetchError("must not contain credentials")
    port = url.port or (443 if url.scheme == "https" else 80)
    if not 0 < port < 65536:
        raise FetchError("has an invalid port")
    host = url.raw_host.decode("ascii")
    failure: httpx.TransportError | None = None
    for address in await _addresses(host, port, public_only):
        request = httpx.Request(
            "GET",
            url.copy_with(host=address),
            headers={
                "host": url.netloc.decode("ascii"),
                "user-agent": f"responses-shim/{__version__}",
                "accept": "*/*",
                "accept-encoding": "identity",
            },
            # The connection is to an address, but the certificate must be for the name.
            extensions={"sni_hostname": host, "timeout": httpx.Timeout(TIMEOUT).as_dict()},
        )
        try:
            return await transport.handle_async_request(request)
        except (httpx.ConnectError, httpx.ConnectTimeout) as error:
            failure = error
    raise failure or FetchError("has a host without an address")


async def _addresses(host: str, port: int, public_only: bool) -> list[str]:
    """The addresses of a host, as text. FetchError if it has none, or if one is not public but must be.

    The resolver also reads numbers that it takes for addresses, like 2130706433 or 0x7f.1 (both are 127.0.0.1).
    """
    try:
        found = await anyio.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError):
        raise FetchError("has an unknown host") from None
    addresses = list(dict.fromkeys(str(entry[4][0]) for entry in found))
    if public_only and not all(is_public(ip_address(address)) for address in addresses):
        raise FetchError("leads to an address that is not public, which is not allowed here (setting file_urls)")
    return addresses


def is_public(address: IPv4Address | IPv6Address) -> bool:
    """Whether it is an address of one machine on the Internet: not private, local, shared, reserved or multicast."""
    if isinstance(address, IPv6Address) and (address not in _GLOBAL_UNICAST or address in _6TO4):
        return False
    return address.is_global and not address.is_multicast


async def _read(response: httpx.Response, max_bytes: int) -> tuple[str, bytes]:
    """The media type and the body, up to the part with which it has more than `max_bytes`."""
    if not response.is_success:
        raise FetchError(f"was answered with status {response.status_code}")
    if response.headers.get("content-encoding", "identity").strip().lower() != "identity":
        raise FetchError("was answered with a compressed body, which was not asked for")
    parts: list[bytes] = []
    size = 0
    async for part in response.aiter_raw():
        parts.append(part)
        size += len(part)
        if size > max_bytes:
            break
    media_type = response.headers.get("content-type", "").partition(";")[0].strip().lower()
    return media_type, b"".join(parts)
