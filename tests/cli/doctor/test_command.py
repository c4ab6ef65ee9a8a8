"""The command: its options, its exit codes, its report in both forms, and what it keeps to itself."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from responses_shim.cli import main
from responses_shim.cli.doctor.command import CHECKS
from responses_shim.cli.doctor.connection import base_url
from responses_shim.cli.failure import CommandFailed
from tests.cli.canned import failure_of
from tests.cli.doctor.faults import KEY, healthy, native, shim
from tests.cli.doctor.hosts import ChatHost
from tests.cli.doctor.layers import Limited, Routed, answering
from tests.serving import serving

SECRET = "a-secret-of-sixteen-characters"


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    with serving(healthy()) as root:
        yield root


@pytest.fixture(scope="module")
def guarded_url() -> Iterator[str]:
    with serving(shim(key=KEY)) as root:
        yield root


def report(capsys: pytest.CaptureFixture[str], *words: str) -> Any:
    """What the command prints as JSON, with its exit code, which is also in it."""
    code = main(["doctor", *words, "--json"])
    printed = json.loads(capsys.readouterr().out)
    assert printed["exit_code"] == code
    return printed


def test_the_report_in_words(url: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["doctor", url, "--only", "chat.stream,access.key"]) == 0
    first, *_, last = capsys.readouterr().out.strip().splitlines()
    assert first == f"{url}/v1 · unknown · model scripted · /responses: shim"
    assert last == "1 ok, 1 missing, 0 broken, 0 untested."


def test_the_report_in_json(url: str, capsys: pytest.CaptureFixture[str]) -> None:
    printed = report(capsys, url, "--only", "host,access.key")
    assert printed.keys() == {
        *("format", "doctor", "url", "model", "host", "mount", "exit_code", "counts", "required", "checks", "settings")
    }
    assert (printed["format"], printed["mount"], printed["exit_code"]) == (1, "shim", 0)
    assert printed["host"] == {"kind": "unknown", "version": None}
    assert printed["counts"] == {"ok": 3, "missing": 1, "broken": 0, "untested": 1}
    assert {check["name"] for check in printed["checks"]} == {
        *("host.kind", "host.models", "host.mount", "host.report", "access.key")
    }
    assert all(check.keys() == {"name", "title", "grade", "reason", "advice", "seconds"} for check in printed["checks"])


def test_what_is_required_must_be_ok(url: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["doctor", url, "--only", "access.key", "--require", "access.key"]) == 1
    assert "Required, and not ok: access.key." in capsys.readouterr().out
    assert main(["doctor", url, "--only", "chat.answer", "--require", "chat.answer"]) == 0


def test_a_check_that_is_required_is_run(url: str, capsys: pytest.CaptureFixture[str]) -> None:
    printed = report(capsys, url, "--only", "host.kind", "--require", "chat.answer")
    assert [check["name"] for check in printed["checks"]] == ["host.kind", "chat.answer"]


def test_checks_can_be_left_out(url: str, capsys: pytest.CaptureFixture[str]) -> None:
    printed = report(capsys, url, "--only", "host", "--skip", "host.report,host.kind")
    assert [check["name"] for check in printed["checks"]] == ["host.models", "host.mount"]


def test_the_list_of_checks(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["doctor", "--list"]) == 0
    assert [line.split()[0] for line in capsys.readouterr().out.splitlines()] == [check.name for check in CHECKS]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--only", "nonsense"], "'nonsense'"),
        (["--skip", ",".join(sorted({check.group for check in CHECKS}))], "no check"),
        (["--api-key-env", "NOT_THERE"], "NOT_THERE"),
        (["--api-key", "two words"], "visible ASCII"),
        (["ftp://host"], "http://127.0.0.1:8000/v1"),
        (["http://user:word@host/v1"], "--api-key"),
        (["http://host/v1?key=1"], "--api-key"),
        (["http://[::1"], "not a URL"),
        (["http://127.0.0.1:1"], "is the server running?"),
    ],
)
def test_what_cannot_be_examined(words: list[str], message: str, capsys: pytest.CaptureFixture[str]) -> None:
    code, error, out = failure_of(capsys, "doctor", *words)
    assert (code, out) == (2, "")
    assert message in error
    assert "word@" not in error


@pytest.mark.parametrize("seconds", ["0", "-1", "nan", "inf", "soon"])
def test_a_wrong_timeout(seconds: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["doctor", f"--timeout={seconds}"])
    assert ended.value.code == 2


@pytest.mark.parametrize("words", [[], ["--api-key", "another-key"]])
def test_a_server_that_asks_for_a_key(guarded_url: str, words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    code, error, out = failure_of(capsys, "doctor", guarded_url, *words)
    assert (code, out) == (2, "")
    assert "--api-key-env" in error
    assert "another-key" not in error


def test_a_server_that_takes_no_request(capsys: pytest.CaptureFixture[str]) -> None:
    with serving(Limited(healthy(), 0)) as root:
        code, error, _ = failure_of(capsys, "doctor", root)
    assert (code, "429" in error) == (2, True)


def test_the_key_comes_from_the_environment_and_is_not_printed(
    guarded_url: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("THE_KEY", KEY)
    assert main(["doctor", guarded_url, "--api-key-env", "THE_KEY", "--only", "access,chat.answer"]) == 0
    assert KEY not in capsys.readouterr().out


def test_the_settings_of_its_own_environment(
    url: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RESPONSES_SHIM_PING_INTERVAL", "7")
    monkeypatch.setenv("RESPONSES_SHIM_SECRET_KEYS", SECRET)
    monkeypatch.setenv("RESPONSES_SHIM_STORE", f"redis://:{SECRET}@host/0")
    printed = report(capsys, url, "--only", "settings")
    settings = {setting["name"]: setting for setting in printed["settings"]}
    assert settings["ping_interval"] == {
        "name": "ping_interval",
        "value": 7.0,
        "source": "RESPONSES_SHIM_PING_INTERVAL",
    }
    assert settings["ping"]["source"] == "default"
    assert settings["secret_keys"]["value"] == ["********"]
    assert settings["store"]["value"] == "redis://********"
    (check,) = printed["checks"]
    assert check["grade"] == "ok"
    assert SECRET not in json.dumps(printed)


def test_a_wrong_setting_is_found(
    url: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RESPONSES_SHIM_PING", "often")
    (check,) = report(capsys, url, "--only", "settings")["checks"]
    assert check["grade"] == "broken"
    assert "RESPONSES_SHIM_PING" in check["reason"]


@pytest.mark.parametrize(
    ("catalog", "mount"), [(False, "native"), (True, "native: pass")], ids=["no shim", "a shim that leaves it"]
)
def test_who_answers_is_told_apart(catalog: bool, mount: str, capsys: pytest.CaptureFixture[str]) -> None:
    with serving(native(catalog=catalog)) as root:
        assert report(capsys, root, "--only", "host.mount")["mount"] == mount


@pytest.mark.parametrize(
    ("models", "openapi", "kind"),
    [
        ({"data": [{"id": "m", "owned_by": "vllm"}]}, {}, "vllm"),
        ({"data": [{"id": "m", "owned_by": "vllm-mlx"}]}, {}, "vllm-mlx"),
        (
            {"data": [{"id": "m", "owned_by": "me"}]},
            {"title": "llama.cpp Python API", "version": "0.3"},
            "llama-cpp",
        ),
        ({"data": [{"id": "m"}]}, {"title": "MLX-VLM Inference API", "version": "0.7.10"}, "mlx-vlm"),
        ({"data": [{"id": "m"}]}, {"title": "FastAPI"}, "unknown"),
    ],
)
def test_servers_are_recognised(models: Any, openapi: Any, kind: str, capsys: pytest.CaptureFixture[str]) -> None:
    routes = {
        "/v1/models": answering(200, models),
        "/openapi.json": answering(200, {"info": openapi}),
        "/version": answering(200, {"version": "9.9\x1b[31m"}),
    }
    with serving(Routed(ChatHost(), routes)) as root:
        host = report(capsys, root, "--only", "host.kind")["host"]
    assert host["kind"] == kind
    assert host["version"] == {"vllm": "9.9\x1b[31m"}.get(kind, openapi.get("version"))


@pytest.mark.parametrize(
    ("text", "url"),
    [
        ("http://127.0.0.1:8000/v1", "http://127.0.0.1:8000/v1"),
        ("http://127.0.0.1:8000/v1/", "http://127.0.0.1:8000/v1"),
        ("http://127.0.0.1:8000", "http://127.0.0.1:8000/v1"),
        ("localhost:8000/", "http://localhost:8000/v1"),
        ("https://host/llm/v1", "https://host/llm/v1"),
        ("http://[::1]:8000", "http://[::1]:8000/v1"),
    ],
)
def test_base_urls(text: str, url: str) -> None:
    assert base_url(text) == url


@pytest.mark.parametrize("text", ["", "http://", "://", "http:///v1", "\x00", "http://host:port"])
def test_no_base_urls(text: str) -> None:
    with pytest.raises(CommandFailed):
        base_url(text)
