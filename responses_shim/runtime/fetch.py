"""A file from the address that a client named: `input_file.file_url`.

The client chooses where this server connects to, so what it may reach is checked at every hop: the name is resolved
once, every address it has must be allowed, and the connection goes to one of those addresses, not to the name, which
could mean something else a moment later. Nothing of the client's or the operator's goes along: no credentials, no
cookies, no proxy from the environment.
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

REDIRECTS = 3
SILENCE = 10.0
"""Seconds for a connection to be made, and for each next part of the answer to come."""

_GLOBAL_UNICAST = IPv6Network("2000::/3")
_6TO4 = IPv6Network("2002::/16")  # has an IPv4 address inside, and that may be any


class Unfetched(Exception):
    """Why there is no file, as the end of a sentence about its URL."""


async def fetch(url: str, most: int, *, public: bool, param: str) -> tuple[str, str, bytes]:
    """The last part of the URL's path, the media type (lower case, without parameters, may be empty), the bytes.

    Stops when there are more bytes than `most`, and gives what it has. With `public`, from public addresses only.
    InvalidRequest with `param` says why there is no file. The time it takes as a whole is the caller's to limit.
    """
    transport = await anyio.to_thread.run_sync(_transport)  # httpx and its certificates take a while to load
    import httpx

    try:
        async with transport:
            target = httpx.URL(url)
            name = target.path.rpartition("/")[2]
            for _ in range(REDIRECTS + 1):
                answer = await _get(transport, target, public)
                try:
                    if not answer.has_redirect_location:
                        return name, *await _body(answer, most)
                    target = target.join(answer.headers["location"])
                finally:
                    await answer.aclose()
            raise Unfetched(f"redirects more than {REDIRECTS} times")
    except Unfetched as error:
        why = str(error)
    except httpx.TimeoutException:
        why = "was not answered in time"
    except (httpx.HTTPError, OSError):  # a wrong certificate is an OSError and a ValueError
        why = "cannot be reached, or does not speak HTTP"
    except (httpx.InvalidURL, ValueError):
        why = "is not a URL, or redirects to something that is none"
    raise InvalidRequest(f"The file could not be fetched: the URL {why}.", param=param, code="invalid_file_url")


def _transport() -> httpx.AsyncHTTPTransport:
    """Below httpx's client, which would add cookies, credentials and proxies of its own accord."""
    import httpx

    return httpx.AsyncHTTPTransport()


async def _get(transport: httpx.AsyncHTTPTransport, url: httpx.URL, public: bool) -> httpx.Response:
    """The answer's head, from the first address that can be connected to."""
    import httpx

    if url.scheme not in ("http", "https") or not url.host:
        raise Unfetched("must begin with http:// or https:// and a host, and redirect to such")
    if url.userinfo:
        raise Unfetched("must not contain credentials")
    port = url.port or (443 if url.scheme == "https" else 80)
    if not 0 < port < 65536:
        raise Unfetched("has a port that there is not")
    host = url.raw_host.decode("ascii")
    failure: httpx.TransportError | None = None
    for address in await _addresses(host, port, public):
        request = httpx.Request(
            "GET",
            url.copy_with(host=address),
            headers={
                "host": url.netloc.decode("ascii"),
                "user-agent": f"responses-shim/{__version__}",
                "accept": "*/*",
                "accept-encoding": "identity",
            },
            # The certificate must be the name's, though the connection is the address's.
            extensions={"sni_hostname": host, "timeout": httpx.Timeout(SILENCE).as_dict()},
        )
        try:
            return await transport.handle_async_request(request)
        except (httpx.ConnectError, httpx.ConnectTimeout) as error:
            failure = error
    raise failure or Unfetched("has a host without an address")


async def _addresses(host: str, port: int, public: bool) -> list[str]:
    """What the name means now, as numbers; also what the system takes for one, like 2130706433 or 0x7f.1."""
    try:
        found = await anyio.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError):
        raise Unfetched("has a host that is not known") from None
    addresses = list(dict.fromkeys(str(entry[4][0]) for entry in found))
    if public and not all(is_public(ip_address(address)) for address in addresses):
        raise Unfetched("leads to an address that is not public, which is not allowed here (setting file_urls)")
    return addresses


def is_public(address: IPv4Address | IPv6Address) -> bool:
    """An address of the Internet that is one machine's: not private, local, shared, reserved or multicast."""
    if isinstance(address, IPv6Address) and (address not in _GLOBAL_UNICAST or address in _6TO4):
        return False
    return address.is_global and not address.is_multicast


async def _body(answer: httpx.Response, most: int) -> tuple[str, bytes]:
    if not answer.is_success:
        raise Unfetched(f"was answered with status {answer.status_code}")
    if answer.headers.get("content-encoding", "identity").strip().lower() != "identity":
        raise Unfetched("was answered with a compressed body, which was not asked for")
    parts: list[bytes] = []
    size = 0
    async for part in answer.aiter_raw():
        parts.append(part)
        size += len(part)
        if size > most:
            break
    media = answer.headers.get("content-type", "").partition(";")[0].strip().lower()
    return media, b"".join(parts)
