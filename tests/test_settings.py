"""Settings: from keyword arguments, then the environment, then defaults; a mistake is one line that names it."""

from __future__ import annotations

from typing import Any, get_type_hints

import pytest
from pydantic import ValidationError

from responses_shim.errors import ConfigurationError
from responses_shim.settings import PREFIX, Options, Settings


def load(environ: dict[str, str] | None = None, **options: Any) -> Settings:
    return Settings.load(environ or {}, **options)


def mistake(environ: dict[str, str] | None = None, **options: Any) -> str:
    with pytest.raises(ConfigurationError) as caught:
        load(environ, **options)
    message = str(caught.value)
    assert "\n" not in message
    return message


def test_the_defaults() -> None:
    assert load().model_dump() == {
        "enabled": True,
        "host": "auto",
        "unprefixed": False,
        "max_body": 64 * 1024 * 1024,
        "commit_after": 2.0,
        "ping": "event",
        "ping_interval": 15.0,
        "upstream_idle": 600.0,
        "write_timeout": 60.0,
    }


WRITTEN: dict[str, tuple[str, Any]] = {
    "enabled": ("false", False),
    "host": ("llama-cpp", "llama-cpp"),
    "unprefixed": ("1", True),
    "max_body": ("1024", 1024),
    "commit_after": ("0", 0.0),
    "ping": ("in_progress", "in_progress"),
    "ping_interval": ("0.5", 0.5),
    "upstream_idle": ("30", 30.0),
    "write_timeout": ("1e2", 100.0),
}


def test_every_setting_is_an_environment_variable() -> None:
    assert WRITTEN.keys() == Settings.model_fields.keys()
    for name, (written, value) in WRITTEN.items():
        assert getattr(load({f"RESPONSES_SHIM_{name.upper()}": written}), name) == value
        assert load(**{name: value}) == load({f"RESPONSES_SHIM_{name.upper()}": written})


def test_the_environment_is_that_of_the_process(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(f"{PREFIX}PING", "off")
    assert Settings.load().ping == "off"
    assert Settings.load({}).ping == "event"


def test_a_keyword_argument_wins_over_the_environment() -> None:
    assert load({f"{PREFIX}PING": "off"}, ping="comment").ping == "comment"
    assert load({f"{PREFIX}PING": "nonsense"}, ping="comment").ping == "comment"


def test_other_variables_are_none_of_our_business() -> None:
    assert load({"PING": "off", "responses_shim_ping": "off", "RESPONSES_SHIMMER": "1"}) == load()


@pytest.mark.parametrize(
    ("environ", "message"),
    [
        ({"RESPONSES_SHIM_PNIG": "off"}, "RESPONSES_SHIM_PNIG: there is no such setting"),
        ({"RESPONSES_SHIM_": "off"}, "RESPONSES_SHIM_: there is no such setting"),
        ({"RESPONSES_SHIM_ping": "off"}, "RESPONSES_SHIM_ping: there is no such setting"),
    ],
)
def test_a_variable_that_is_misspelt_is_named(environ: dict[str, str], message: str) -> None:
    assert mistake(environ) == message


@pytest.mark.parametrize(
    ("name", "written"),
    [
        ("PING", "loud"),
        ("PING", ""),
        ("HOST", "vllm"),
        ("ENABLED", "perhaps"),
        ("MAX_BODY", "0"),
        ("MAX_BODY", "64M"),
        ("COMMIT_AFTER", "-1"),
        ("PING_INTERVAL", "0"),
        ("PING_INTERVAL", "nan"),
        ("UPSTREAM_IDLE", "soon"),
        ("WRITE_TIMEOUT", "-1"),
    ],
)
def test_a_wrong_value_is_told_with_its_variable(name: str, written: str) -> None:
    message = mistake({f"RESPONSES_SHIM_{name}": written})
    assert message.startswith(f"RESPONSES_SHIM_{name}: ")
    assert len(message) > len(f"RESPONSES_SHIM_{name}: ")
    assert "nput" in message, "the message does not say what is wrong with the input"


@pytest.mark.parametrize(
    ("options", "name"), [({"ping": "loud"}, "ping"), ({"pnig": "off"}, "pnig"), ({"max_body": None}, "max_body")]
)
def test_a_wrong_argument_is_told_by_its_name(options: dict[str, Any], name: str) -> None:
    assert mistake(**options).startswith(f"{name}: ")


def test_settings_do_not_change() -> None:
    settings = load()
    with pytest.raises(ValidationError, match="frozen"):
        settings.ping = "off"
    assert settings.ping == "event"
    assert hash(settings) == hash(load())


def test_every_setting_says_what_it_is_for() -> None:
    assert all(field.description for field in Settings.model_fields.values())


def test_the_keyword_arguments_that_type_checkers_know_are_the_settings() -> None:
    options = get_type_hints(Options)
    assert list(options) == list(Settings.model_fields)
    assert options == {name: field.annotation for name, field in Settings.model_fields.items()}
