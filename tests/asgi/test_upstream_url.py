"""Where a request of ours goes at another server, for the URLs that people give."""

from __future__ import annotations

import pytest

from responses_shim.asgi.upstream_url import UpstreamURL
from responses_shim.errors import ConfigurationError


@pytest.mark.parametrize(
    ("url", "models", "health"),
    [
        ("http://h:8080", b"/v1/models", b"/health"),
        ("http://h:8080/", b"/v1/models", b"/health"),
        ("http://h:8080/v1", b"/v1/models", b"/health"),
        ("http://h:8080/v1/", b"/v1/models", b"/health"),
        ("https://h/api/v1", b"/api/v1/models", b"/api/health"),
        ("https://h/openai", b"/openai/v1/models", b"/openai/health"),
        ("https://h/api/paas/v4", b"/api/paas/v4/models", b"/api/paas/health"),
        ("https://h/v1beta", b"/v1beta/models", b"/health"),
        ("https://h/a%20b/v1", b"/a%20b/v1/models", b"/a%20b/health"),
    ],
)
def test_the_path_is_below_that_of_the_url(url: str, models: bytes, health: bytes) -> None:
    upstream = UpstreamURL.parse(url)
    assert upstream.target(b"/v1/models", b"") == models
    assert upstream.target(b"/health", b"") == health
    assert upstream.target(b"/v1", b"") == models.removesuffix(b"/models")


def test_path_and_query_stay_as_they_are_on_the_wire() -> None:
    upstream = UpstreamURL.parse("http://h/v1")
    assert upstream.target(b"/v1/a%2Fb/../c//d", b"q=%zz&q=") == b"/v1/a%2Fb/../c//d?q=%zz&q="
    assert upstream.target(b"/v1beta/x", b"") == b"/v1beta/x"


@pytest.mark.parametrize(
    ("url", "origin", "netloc"),
    [
        ("http://H:80/v1", "http://h/", b"h"),
        ("https://h:8443", "https://h:8443/", b"h:8443"),
        ("http://[::1]:8080/v1", "http://[::1]:8080/", b"[::1]:8080"),
        ("http://bücher.example", "http://xn--bcher-kva.example/", b"xn--bcher-kva.example"),
    ],
)
def test_the_origin_is_scheme_host_and_port(url: str, origin: str, netloc: bytes) -> None:
    upstream = UpstreamURL.parse(url)
    assert str(upstream.origin) in (origin, origin.replace("xn--bcher-kva", "bücher"))
    assert upstream.origin.netloc == netloc


@pytest.mark.parametrize(
    ("location", "local"),
    [
        (b"http://h:8080/api/v1/models/", b"/v1/models/"),
        (b"http://h:8080/api/login?next=/", b"/login?next=/"),
        (b"/api/v1/models/", b"/v1/models/"),
        (b"http://h:8080/elsewhere", b"http://h:8080/elsewhere"),
        (b"http://h:80801/api/v1/models", b"http://h:80801/api/v1/models"),
        (b"https://sso.example/login", b"https://sso.example/login"),
        (b"", b""),
    ],
)
def test_a_location_at_the_upstream_becomes_one_of_ours(location: bytes, local: bytes) -> None:
    assert UpstreamURL.parse("http://h:8080/api/v1").local(location) == local


def test_so_does_one_at_an_international_name() -> None:
    assert UpstreamURL.parse("https://bücher.example").local(b"https://xn--bcher-kva.example/v1/x") == b"/v1/x"


@pytest.mark.parametrize(
    ("url", "words"),
    [
        *[
            (url, "no URL of a server")
            for url in ("", "h:8080", "/v1", "ftp://h", "http://", "http://h:0", "http://h:x")
        ],
        ("http://h:99999999999999", "no URL of a server"),
        ("http://user:key@h/v1", "must not contain credentials"),
        ("http://h/v1?api-version=1", "without a query"),
        ("http://h/v1#x", "without a query"),
    ],
)
def test_what_is_no_such_url_is_refused(url: str, words: str) -> None:
    with pytest.raises(ConfigurationError, match=words) as refused:
        UpstreamURL.parse(url)
    assert "key@" not in str(refused.value)
