"""Settings come from keyword arguments, the environment or defaults; a mistake is an error of one line."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any, get_type_hints

import pytest
from pydantic import SecretStr, ValidationError

from responses_shim.environment import PREFIX
from responses_shim.errors import ConfigurationError
from responses_shim.setting_types import SettingsArguments
from responses_shim.settings import Settings


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
        "native": "replace",
        "host": "auto",
        "unprefixed": False,
        "default_model": None,
        "auth_probe": "auto",
        "max_body": 32 * 1024 * 1024,
        "max_text": 10 * 1024 * 1024,
        "max_nodes": 100_000,
        "max_values": 1_000_000,
        "max_echo": 4 * 1024 * 1024,
        "max_file": 32 * 1024 * 1024,
        "pdfs_at_once": 2,
        "fetches_at_once": 8,
        "files_waiting": 32,
        "file_urls": "refuse",
        "image_urls": "pass",
        "system_messages": "fold",
        "think_tags": "leading",
        "format_with_tools": "auto",
        "tool_markup": "auto",
        "reasoning_display": "auto",
        "reasoning_replay": "auto",
        "overflow": "error",
        "cache_salt": True,
        "return_token_ids": False,
        "nemo_gym": False,
        "audio_root": None,
        "commit_after": 2.0,
        "max_retries": 3,
        "ping": "in_progress",
        "ping_interval": 15.0,
        "upstream_idle": 600.0,
        "write_timeout": 60.0,
        "tool_timeout": 300.0,
        "max_tool_output": 4 * 1024 * 1024,
        "store": SecretStr("memory://"),
        "store_trees": None,
        "store_size": None,
        "store_age": None,
        "tool_outputs": "end",
        "secret_keys": (),
        "owner_header": None,
        "trust_owner_header": False,
    }


HERE = str(Path(__file__).parent)
SECRETS = ("a-newer-secret-key", "an-older-secret-key")

EXAMPLES: dict[str, tuple[str, Any]] = {
    "enabled": ("false", False),
    "native": ("pass", "pass"),
    "host": ("llama-cpp", "llama-cpp"),
    "unprefixed": ("1", True),
    "default_model": ("qwen", "qwen"),
    "auth_probe": ("/v1/models", "/v1/models"),
    "max_body": ("1024", 1024),
    "max_text": ("1024", 1024),
    "max_nodes": ("1024", 1024),
    "max_values": ("1024", 1024),
    "max_echo": ("1024", 1024),
    "max_file": ("1024", 1024),
    "pdfs_at_once": ("4", 4),
    "fetches_at_once": ("1", 1),
    "files_waiting": ("0", 0),
    "file_urls": ("fetch-any", "fetch-any"),
    "image_urls": ("data-only", "data-only"),
    "system_messages": ("keep", "keep"),
    "think_tags": ("prefilled", "prefilled"),
    "format_with_tools": ("constrain", "constrain"),
    "tool_markup": ("kimi_k2", "kimi_k2"),
    "reasoning_display": ("both", "both"),
    "reasoning_replay": ("think", "think"),
    "overflow": ("incomplete", "incomplete"),
    "cache_salt": ("false", False),
    "return_token_ids": ("true", True),
    "nemo_gym": ("true", True),
    "audio_root": (HERE, HERE),
    "commit_after": ("0", 0.0),
    "max_retries": ("0", 0),
    "ping": ("event", "event"),
    "ping_interval": ("0.5", 0.5),
    "upstream_idle": ("30", 30.0),
    "write_timeout": ("1e2", 100.0),
    "tool_timeout": ("30", 30.0),
    "max_tool_output": ("1024", 1024),
    "store": ("redis://:secret@host/0", SecretStr("redis://:secret@host/0")),
    "store_trees": ("10", 10),
    "store_size": ("1000000", 1_000_000),
    "store_age": ("60", 60.0),
    "tool_outputs": ("wait", "wait"),
    "secret_keys": (", ".join(SECRETS), tuple(map(SecretStr, SECRETS))),
    "owner_header": ("X-User", "x-user"),
    "trust_owner_header": ("true", True),
}
"""Of each setting a value as it is written in an environment variable, and the value that it is read as."""

REQUIRED: dict[str, dict[str, Any]] = {"trust_owner_header": {"owner_header": "x-user"}}
"""Other settings that a setting requires."""


def test_every_setting_can_be_given_as_an_environment_variable() -> None:
    assert EXAMPLES.keys() == Settings.model_fields.keys()
    for name, (text, value) in EXAMPLES.items():
        required = REQUIRED.get(name, {})
        assert getattr(load({f"RESPONSES_SHIM_{name.upper()}": text}, **required), name) == value
        assert load(**{name: value}, **required) == load({f"RESPONSES_SHIM_{name.upper()}": text}, **required)


def test_the_default_environment_is_that_of_the_process(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(f"{PREFIX}PING", "off")
    assert Settings.load().ping == "off"
    assert Settings.load({}).ping == "in_progress"


def test_a_keyword_argument_wins_over_the_environment() -> None:
    assert load({f"{PREFIX}PING": "off"}, ping="comment").ping == "comment"
    assert load({f"{PREFIX}PING": "nonsense"}, ping="comment").ping == "comment"


def test_variables_without_the_prefix_are_ignored() -> None:
    assert load({"PING": "off", "responses_shim_ping": "off", "RESPONSES_SHIMMER": "1"}) == load()


@pytest.mark.parametrize(
    ("name", "nearest"),
    [
        ("PNIG", "PING"),
        ("ping", "PING"),
        ("MAXBODY", "MAX_BODY"),
        ("FILE_URL", "FILE_URLS"),
        ("TIMEOUT", "TOOL_TIMEOUT"),
        ("INTERCEPTORS", None),
        ("", None),
    ],
)
def test_an_unknown_variable_with_the_prefix_is_a_warning_with_the_nearest_name(
    name: str, nearest: str | None, caplog: pytest.LogCaptureFixture
) -> None:
    """The value is not shown: it may be a secret."""
    assert load({f"{PREFIX}{name}": "hidden"}) == load()
    (record,) = caplog.records
    meant = f"; did you mean {PREFIX}{nearest}?" if nearest else ""
    assert record.getMessage() == f"{PREFIX}{name}: there is no such setting, so it is ignored{meant}"
    assert (record.name, record.levelno) == ("responses_shim", logging.WARNING)


def test_the_variables_that_kubernetes_sets_for_a_service_of_that_name_do_not_stop_the_host() -> None:
    tcp = {"": "tcp://10.0.0.1:8000", "_PROTO": "tcp", "_PORT": "8000", "_ADDR": "10.0.0.1"}
    service = {
        f"{PREFIX}SERVICE_HOST": "10.0.0.1",
        f"{PREFIX}SERVICE_PORT": "8000",
        f"{PREFIX}SERVICE_PORT_HTTP": "8000",
        f"{PREFIX}PORT": "tcp://10.0.0.1:8000",
        **{f"{PREFIX}PORT_8000_TCP{name}": value for name, value in tcp.items()},
    }
    assert load({**service, f"{PREFIX}PING": "off"}) == load(ping="off")


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("PING", "loud"),
        ("PING", ""),
        ("HOST", "sglang"),
        ("ENABLED", "perhaps"),
        ("MAX_BODY", "0"),
        ("MAX_FILE", "0"),
        ("FILE_URLS", "all"),
        ("MAX_BODY", "64M"),
        ("COMMIT_AFTER", "-1"),
        ("PING_INTERVAL", "0"),
        ("PING_INTERVAL", "nan"),
        ("UPSTREAM_IDLE", "soon"),
        ("WRITE_TIMEOUT", "-1"),
        ("TOOL_TIMEOUT", "0"),
        ("MAX_TOOL_OUTPUT", "4194305"),
        ("STORE_TREES", "0"),
        ("STORE_SIZE", "256M"),
        ("STORE_AGE", "0"),
        ("TOOL_OUTPUTS", "perhaps"),
        ("TRUST_OWNER_HEADER", "who?"),
    ],
)
def test_the_error_for_a_wrong_value_names_the_variable(name: str, text: str) -> None:
    message = mistake({f"RESPONSES_SHIM_{name}": text})
    assert message.startswith(f"RESPONSES_SHIM_{name}: ")
    assert len(message) > len(f"RESPONSES_SHIM_{name}: ")
    assert "nput" in message, "the message does not say what is wrong with the input"


@pytest.mark.parametrize(
    ("options", "name"), [({"ping": "loud"}, "ping"), ({"pnig": "off"}, "pnig"), ({"max_body": None}, "max_body")]
)
def test_the_error_for_a_wrong_argument_names_it(options: dict[str, Any], name: str) -> None:
    assert mistake(**options).startswith(f"{name}: ")


def test_an_empty_default_model_is_none() -> None:
    assert load({f"{PREFIX}DEFAULT_MODEL": ""}).default_model is None


def test_the_audio_root_must_be_the_absolute_path_of_a_directory(tmp_path: Path) -> None:
    line = "It should be the absolute path of a directory that exists"
    (tmp_path / "file").touch()
    for bad in ("tests", "/nowhere", "/\0", str(tmp_path / "file")):
        assert mistake(audio_root=bad) == f"audio_root: {line}"
        assert mistake({f"{PREFIX}AUDIO_ROOT": bad}) == f"RESPONSES_SHIM_AUDIO_ROOT: {line}"
    assert load(audio_root=str(tmp_path)).audio_root == str(tmp_path)
    assert load({f"{PREFIX}AUDIO_ROOT": ""}).audio_root is None


def test_an_empty_bound_is_that_of_the_store() -> None:
    for name in ("store_trees", "store_size", "store_age"):
        assert getattr(load({f"{PREFIX}{name.upper()}": ""}), name) is None


def test_responses_can_wait_for_tool_outputs_only_where_they_are_stored() -> None:
    message = mistake({f"{PREFIX}TOOL_OUTPUTS": "wait", f"{PREFIX}STORE": "off"})
    assert message == "RESPONSES_SHIM_TOOL_OUTPUTS: Responses can wait for tool outputs only where they are stored"
    assert load(tool_outputs="end", store="off").tool_outputs == "end"


# Owners and keys.


def test_secret_keys_are_a_list_or_a_string_with_commas() -> None:
    forms: list[Any] = [SECRETS, list(SECRETS), [SecretStr(key) for key in SECRETS], ",".join(SECRETS)]
    for keys in forms:
        assert [key.get_secret_value() for key in load(secret_keys=keys).secret_keys] == list(SECRETS)
    assert load({f"{PREFIX}SECRET_KEYS": ""}).secret_keys == ()
    assert load({f"{PREFIX}SECRET_KEYS": "x" * 16}).secret_keys == (SecretStr("x" * 16),)


@pytest.mark.parametrize(
    "bad",
    ["hidden", "fifteen-hidden-", "hidden behind spaces", "hidden-behind-é-and-ü", "hidden-behind-a\nbreak", ""],
)
def test_the_error_for_an_invalid_secret_key_has_its_position_but_not_the_key(bad: str) -> None:
    line = "Key 2 should have at least 16 characters, of visible ASCII without commas"
    text = f"{SECRETS[0]},{bad}"
    assert mistake({f"{PREFIX}SECRET_KEYS": text}) == f"RESPONSES_SHIM_SECRET_KEYS: {line}"
    assert mistake(secret_keys=[SECRETS[0], bad]) == f"secret_keys: {line}"
    with pytest.raises(ValidationError) as caught:
        Settings(secret_keys=text)  # type: ignore[arg-type]
    assert "hidden" not in str(caught.value)
    assert SECRETS[0] not in str(caught.value)


def test_a_secret_key_with_a_comma_is_an_error() -> None:
    """In the environment it would be two."""
    assert mistake(secret_keys=["one-half,another-half"]).startswith("secret_keys: Key 1 ")


@pytest.mark.parametrize("keys", [7, None, {"hidden": 1}, [b"hidden-behind-\xff-bytes"], [12345678901234567890]])
def test_the_error_for_secret_keys_of_another_type_does_not_show_them(keys: Any) -> None:
    message = mistake(secret_keys=keys)
    assert message.startswith("secret_keys: Input should be a valid ")
    assert "hidden" not in message
    assert "1234" not in message


def test_an_empty_bound_of_the_store_is_none_and_zero_is_a_mistake() -> None:
    for name in ("store_trees", "store_size", "store_age"):
        assert getattr(load({f"{PREFIX}{name.upper()}": ""}), name) is None
        assert mistake({f"{PREFIX}{name.upper()}": "0"}).startswith(f"{PREFIX}{name.upper()}: ")


def test_neither_repr_nor_dump_shows_the_store() -> None:
    settings = load(store="redis://:very-secret@host/0")
    assert "very-secret" not in repr(settings) + str(settings.model_dump())


def test_neither_repr_nor_dump_shows_the_secret_keys() -> None:
    settings = load(secret_keys=SECRETS)
    texts = [repr(settings), str(settings), str(settings.model_dump()), settings.model_dump_json()]
    assert not [text for text in texts for key in SECRETS if key in text]


def test_the_owner_header_must_be_a_header_name() -> None:
    assert load({f"{PREFIX}OWNER_HEADER": ""}).owner_header is None
    assert load(owner_header="X-Forwarded-User").owner_header == "x-forwarded-user"
    for bad in ("x user", "x-user:", "x-user\n", "é"):
        assert mistake({f"{PREFIX}OWNER_HEADER": bad}).startswith("RESPONSES_SHIM_OWNER_HEADER: ")


def test_trust_owner_header_requires_an_owner_header() -> None:
    assert mistake(trust_owner_header=True) == "trust_owner_header: There is no owner_header to trust"
    assert mistake({f"{PREFIX}TRUST_OWNER_HEADER": "1", f"{PREFIX}OWNER_HEADER": ""}) == (
        "RESPONSES_SHIM_TRUST_OWNER_HEADER: There is no owner_header to trust"
    )
    assert load(trust_owner_header=False) == load()


def test_settings_are_frozen_and_hashable() -> None:
    settings = load()
    with pytest.raises(ValidationError, match="frozen"):
        settings.ping = "off"
    assert settings.ping == "in_progress"
    assert hash(settings) == hash(load())


def test_every_setting_has_a_description() -> None:
    assert all(field.description for field in Settings.model_fields.values())


def test_the_keyword_arguments_for_type_checkers_are_the_settings() -> None:
    options = get_type_hints(SettingsArguments)
    assert list(options) == list(Settings.model_fields)
    assert options.pop("secret_keys") == Sequence[str | SecretStr]  # what a tuple of secrets is made from
    assert options.pop("store") == str | SecretStr
    fields = {name: field.annotation for name, field in Settings.model_fields.items() if name in options}
    assert options == fields
