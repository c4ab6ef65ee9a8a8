"""`responses-shim proxy`: its options, the app that they make, and the server in a process of its own."""

from __future__ import annotations

import argparse
import signal
import socket
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import httpx
import pytest
import trustme

from responses_shim import ConfigurationError, ResponsesShim
from responses_shim.asgi.api_key import ApiKeyGuard
from responses_shim.asgi.reverse_proxy import HEALTH_PATH, ReverseProxy
from responses_shim.cli import main, proxy
from responses_shim.cli.failure import CommandFailed
from responses_shim.environment import API_KEY, UPSTREAM_KEY
from tests.caller import request
from tests.cli.launched import SECONDS, Launched, answer
from tests.scripted import ScriptedHost, text_answer
from tests.serving import serving

Capture = pytest.CaptureFixture[str]
Patch = pytest.MonkeyPatch

URL = "http://127.0.0.1:9/v1"


@pytest.fixture(autouse=True)
def no_keys(monkeypatch: Patch) -> None:
    for name in (API_KEY, UPSTREAM_KEY):
        monkeypatch.delenv(name, raising=False)


def parsed(*words: str) -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    proxy.add_options(parser)
    return parser.parse_args([URL, *words])


def parts(*words: str) -> tuple[list[bytes], ResponsesShim, ReverseProxy]:
    """The digests of the keys that callers need, the shim, and what it is mounted on."""
    app: Any = proxy.make_app(parsed(*words))
    digests: list[bytes] = []
    if isinstance(app, ApiKeyGuard):
        digests, app = app._digests, app.app
    assert isinstance(app, ResponsesShim)
    assert isinstance(app.app, ReverseProxy)
    return digests, app, app.app


@pytest.fixture
def key_file(tmp_path: Path) -> str:
    file = tmp_path / "key"
    file.write_text("from-file\n")
    return str(file)


# Keys ----------------------------------------------------------------------------------------------------------------


def test_without_keys_the_upstream_decides_by_the_callers_own() -> None:
    digests, shim, upstream = parts()
    assert not digests
    assert (upstream._key, upstream._forwards_credentials) == (None, True)
    assert shim.settings.auth_probe == "auto"


def test_an_upstream_key_needs_a_key_for_callers_or_an_open_door(capsys: Capture, monkeypatch: Patch) -> None:
    monkeypatch.setenv(UPSTREAM_KEY, "sk-upstream")
    assert main(["proxy", URL]) == 2
    message = capsys.readouterr().err
    assert message.startswith("responses-shim: whoever reaches the proxy could use the upstream key")
    assert "sk-upstream" not in message
    digests, shim, upstream = parts("--open")
    assert (digests, upstream._key, upstream._forwards_credentials) == ([], "sk-upstream", False)
    assert shim.settings.auth_probe == "off"


@pytest.mark.parametrize("source", ["option", "file", "variable"])
def test_keys_come_from_an_option_a_file_or_the_environment(source: str, key_file: str, monkeypatch: Patch) -> None:
    if source == "variable":
        monkeypatch.setenv(UPSTREAM_KEY, "given")
        monkeypatch.setenv(API_KEY, "one, two,")
        words: list[str] = []
    elif source == "file":
        Path(key_file).write_text("one\n\n two \n")
        upstream_file = Path(key_file).with_name("upstream")
        upstream_file.write_text("given\n")
        words = ["--api-key-file", key_file, "--upstream-key-file", str(upstream_file)]
    else:
        words = ["--api-key", "one", "--api-key", "two", "--upstream-key", "given"]
    digests, _, upstream = parts(*words)
    assert (len(digests), upstream._key) == (2, "given")


def test_what_is_named_comes_before_the_environment(key_file: str, monkeypatch: Patch) -> None:
    monkeypatch.setenv(UPSTREAM_KEY, "from-variable")
    monkeypatch.setenv(API_KEY, "from-variable")
    assert parts("--upstream-key-file", key_file)[2]._key == "from-file"
    assert parts("--open")[0] == []


def test_a_key_for_callers_is_not_forwarded_either() -> None:
    digests, shim, upstream = parts("--api-key", "one")
    assert len(digests) == 1
    assert (upstream._key, upstream._forwards_credentials) == (None, False)
    assert shim.settings.auth_probe == "off"


def test_a_probe_that_is_set_stays(monkeypatch: Patch) -> None:
    monkeypatch.setenv("RESPONSES_SHIM_AUTH_PROBE", "/v1/models")
    assert parts("--api-key", "one")[1].settings.auth_probe == "/v1/models"


@pytest.mark.anyio
async def test_health_is_open_to_all_and_nothing_else_is() -> None:
    app = proxy.make_app(parsed("--api-key", "one"))
    assert (await request(app, "GET", HEALTH_PATH)).status == 503
    assert (await request(app, "GET", "/health")).status == 401
    assert (await request(app, "GET", "/v1/responses/resp_1")).status == 401


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--api-key", "with space"], "--api-key: a key is made of visible ASCII characters"),
        (["--upstream-key", "é", "--open"], "--upstream-key: a key is made of visible ASCII characters"),
        (["--upstream-key-file", "/no/such/file", "--open"], "--upstream-key-file: "),
        (["--ca-file", "/no/such/file"], "--ca-file: /no/such/file: No such file or directory"),
        (["--ca-file", __file__], f"--ca-file: {__file__}: "),
    ],
)
def test_a_wrong_option_is_one_line(words: list[str], message: str, capsys: Capture) -> None:
    assert main(["proxy", URL, *words]) == 2
    [line] = capsys.readouterr().err.splitlines()
    assert line.startswith(f"responses-shim: {message}")


def test_an_empty_file_of_keys_is_no_open_door(key_file: str, capsys: Capture) -> None:
    Path(key_file).write_text("\n")
    assert main(["proxy", URL, "--api-key-file", key_file]) == 2
    assert "there is no key in" in capsys.readouterr().err


def test_one_upstream_has_one_key(monkeypatch: Patch) -> None:
    monkeypatch.setenv(UPSTREAM_KEY, "one,two")
    with pytest.raises(CommandFailed, match="one upstream key only"):
        proxy.make_app(parsed("--open"))


@pytest.mark.parametrize(
    "words",
    [[], [URL, "--open", "--api-key", "k"], [URL, "--insecure", "--ca-file", "f"]]
    + [[URL, f"--port={port}"] for port in ("x", "70000", "-1")],
)
def test_options_that_do_not_go_together_print_the_usage(words: list[str], capsys: Capture) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["proxy", *words])
    assert ended.value.code == 2
    assert capsys.readouterr().err.startswith("usage: responses-shim proxy")


def test_a_wrong_url_is_one_line(capsys: Capture) -> None:
    assert main(["proxy", "127.0.0.1:8080"]) == 2
    assert "'127.0.0.1:8080' is no URL of a server" in capsys.readouterr().err


def test_a_wrong_setting_is_one_line(capsys: Capture, monkeypatch: Patch) -> None:
    monkeypatch.setenv("RESPONSES_SHIM_PING_INTERVAL", "soon")
    assert main(["proxy", URL]) == 2
    assert capsys.readouterr().err.startswith("responses-shim: RESPONSES_SHIM_PING_INTERVAL:")


def test_its_variables_are_no_unknown_settings(monkeypatch: Patch, caplog: pytest.LogCaptureFixture) -> None:
    monkeypatch.setenv(UPSTREAM_KEY, "one")
    monkeypatch.setenv(API_KEY, "two")
    parts()
    assert not caplog.records


def test_without_uvicorn_it_says_what_to_install(monkeypatch: Patch, capsys: Capture) -> None:
    monkeypatch.setitem(sys.modules, "uvicorn", None)
    assert main(["proxy", URL]) == 2
    assert capsys.readouterr().err == "responses-shim: the proxy needs uvicorn: pip install 'responses-shim[proxy]'\n"


@pytest.mark.parametrize("host", ["127.0.0.1", "999.0.0.1"])
def test_an_address_that_cannot_be_had_is_one_line(host: str, capsys: Capture) -> None:
    with closing(socket.create_server(("127.0.0.1", 0))) as taken:
        port = str(taken.getsockname()[1])
        assert main(["proxy", URL, "--host", host, "--port", port]) == 2
    assert capsys.readouterr().err.startswith(f"responses-shim: cannot listen at {host}, port {port} (")


def test_the_certificates_of_authorities_are_read(tmp_path: Path) -> None:
    file = tmp_path / "ca.pem"
    trustme.CA().cert_pem.write_to_path(str(file))
    parts("--ca-file", str(file))


def test_the_profile_is_that_of_a_host_over_http(monkeypatch: Patch) -> None:
    assert 520 in parts()[1]._host_profile({}).retry.statuses
    monkeypatch.setenv("RESPONSES_SHIM_HOST", "vllm")
    profile = parts()[1]._host_profile({})
    assert profile.name == "vllm"
    assert 520 in profile.retry.statuses


def test_a_missing_setting_is_not_that_of_the_url() -> None:
    with pytest.raises(ConfigurationError):
        proxy.make_app(argparse.Namespace(**{**vars(parsed()), "url": "http://user:key@h/v1"}))


def test_the_help_says_how_to_ask_for_its_health(capsys: Capture) -> None:
    with pytest.raises(SystemExit):
        main(["proxy", "--help"])
    shown = capsys.readouterr().out
    assert f"GET {HEALTH_PATH} says" in shown
    assert max(map(len, shown.splitlines())) < 80


# The server ----------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def upstream() -> Iterator[str]:
    with serving(ScriptedHost(text_answer("Hello."))) as url:
        yield url


def launched(url: str, folder: Path, *words: str, **environment: str) -> Launched:
    command = ("proxy", f"{url}/v1", "--port", "0")
    return Launched(*words, command=command, cwd=folder, environment=environment)


def test_the_server_answers_and_ends_as_it_is_told(upstream: str, tmp_path: Path) -> None:
    with launched(upstream, tmp_path) as server:
        url = server.until(r"The Responses API of \S+ is at (http://127\.0\.0\.1:\d+)/v1")[1]
        server.until("Application startup complete")
        assert answer(url) == "Hello."
        assert httpx.get(f"{url}/anything", timeout=SECONDS).json()["path"] == "/anything"
        assert httpx.get(url + HEALTH_PATH, timeout=SECONDS).json() == {"upstream": "reachable"}
        upgrade = {
            "connection": "upgrade",
            "upgrade": "websocket",
            "sec-websocket-key": "x",
            "sec-websocket-version": "13",
        }
        assert httpx.get(f"{url}/v1/responses", headers=upgrade, timeout=SECONDS).status_code == 426
        assert server.exit_code(signal.SIGINT) == 130
        assert any("completed in" in line for line in server.lines)  # the log line of the response
        assert not any("Traceback" in line for line in server.lines)


def test_keys_of_the_environment_are_asked_for_and_not_shown(upstream: str, tmp_path: Path) -> None:
    keys = {UPSTREAM_KEY: "sk-upstream", API_KEY: "sk-callers"}
    with launched(upstream, tmp_path, **keys) as server:
        url = server.until(r"is at (http://127\.0\.0\.1:\d+)/v1")[1]
        server.until("Application startup complete")
        assert httpx.get(f"{url}/x", timeout=SECONDS).status_code == 401
        headers = {"authorization": "Bearer sk-callers"}
        found = httpx.get(f"{url}/x", headers=headers, timeout=SECONDS).json()
        assert ["authorization", "Bearer sk-upstream"] in found["headers"]
        assert "sk-callers" not in str(found)
        server.exit_code(signal.SIGTERM)
    assert not any("sk-" in line for line in server.lines)
