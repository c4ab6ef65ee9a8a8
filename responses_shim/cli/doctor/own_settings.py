"""The settings of the shim in doctor's own environment, secrets masked.

A running server's settings cannot be read over HTTP, and should not be: they would tell strangers about the store, the
limits and the keys. Run doctor where the server gets its environment from, and these are the ones that it has too.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from pydantic import SecretStr

from responses_shim.cli.doctor.findings import Finding, Setting, broken, ok, untested
from responses_shim.environment import variable_of
from responses_shim.errors import ConfigurationError
from responses_shim.settings import Settings

MASK = "********"


def examine(environ: Mapping[str, str]) -> tuple[Finding, tuple[Setting, ...]]:
    """Whether the settings in an environment are right, and all of them, in their order; none if one is wrong."""
    try:
        settings = Settings.load(environ)
    except ConfigurationError as error:
        return broken(f"{error}", "settings"), ()
    shown = []
    for name in Settings.model_fields:
        variable = variable_of(name)
        source = variable if variable in environ else "default"
        shown.append(Setting(name, _shown(getattr(settings, name)), source))
    given = [setting for setting in shown if setting.source != "default"]
    if not given:
        return untested("None is set in this environment; the server may have another."), tuple(shown)
    words = ", ".join(f"{setting.source}={setting.value}" for setting in given)
    return ok(f"In this environment, which need not be the server's: {words}"), tuple(shown)


def _shown(value: Any) -> Any:
    """A setting's value as JSON data. Of a secret only that it is there; of a store's URL its kind as well."""
    if isinstance(value, SecretStr):
        secret = value.get_secret_value()
        kind = re.match(r"[a-z][a-z0-9+.-]*://", secret)
        return secret if secret in ("", "off", "memory://") else f"{kind[0] if kind else ''}{MASK}"
    if isinstance(value, tuple):
        return [_shown(entry) for entry in value]
    return value
