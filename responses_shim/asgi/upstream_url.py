"""The URL of another server, and which path of it a request of ours goes to."""

from __future__ import annotations

import re
from dataclasses import dataclass

import httpx

from responses_shim.errors import ConfigurationError

_VERSION = re.compile(r"v\d+\w*", re.ASCII)
_API = b"/v1"


@dataclass(frozen=True)
class UpstreamURL:
    """Where the API of another server is. `parse` takes the URL as people write it:

        URL                      /v1/models goes to    /health goes to
        http://h:8080            /v1/models            /health
        http://h:8080/v1         /v1/models            /health
        https://h/api/v1         /api/v1/models        /api/health
        https://h/api/paas/v4    /api/paas/v4/models   /api/paas/health

    - `origin`: scheme, host and port
    - `prefix`: the path below which the server is, maybe empty
    - `api`: the path of its API, with the version
    """

    origin: httpx.URL
    prefix: bytes
    api: bytes

    @classmethod
    def parse(cls, text: str) -> UpstreamURL:
        """Raises ConfigurationError, one line that says what is wrong."""
        try:
            url = httpx.URL(text)
            has_port = url.port is None or 0 < url.port < 65536
            invalid = url.scheme not in ("http", "https") or not url.host or not has_port
        except (httpx.InvalidURL, ValueError, UnicodeError):
            invalid = True
        if invalid:
            raise ConfigurationError(f"{text!r} is no URL of a server: it should look like http://127.0.0.1:8080/v1")
        if url.userinfo:
            raise ConfigurationError("the URL of the upstream must not contain credentials: its key is given apart")
        if url.query or url.fragment:
            raise ConfigurationError("the URL of the upstream must end with its path, without a query or fragment")
        path = url.raw_path.rstrip(b"/")
        prefix, _, last = path.rpartition(b"/")
        origin = url.copy_with(path="/", query=None, fragment=None)
        if _VERSION.fullmatch(last.decode("ascii")):
            return cls(origin, prefix, path)
        return cls(origin, path, path + _API)

    def target(self, raw_path: bytes, query: bytes) -> bytes:
        """The request target for a path and query of ours, both as they are on the wire."""
        if raw_path == _API or raw_path.startswith(_API + b"/"):
            path = self.api + raw_path[len(_API) :]
        else:
            path = self.prefix + raw_path
        return path + b"?" + query if query else path

    def local(self, location: bytes) -> bytes:
        """A `Location` of the upstream's as seen from our clients: a path of ours, if it leads to the same server."""
        origin = self.origin.raw_scheme + b"://" + self.origin.netloc
        path = location[len(origin) :] if location.startswith(origin + b"/") else location
        for root, ours in ((self.api + b"/", _API + b"/"), (self.prefix + b"/", b"/")):
            if path.startswith(root):
                return ours + path[len(root) :]
        return location
