"""The environment variables of the process. Nothing else in the package reads them."""

from __future__ import annotations

import difflib
import logging
import os
from collections.abc import Collection, Mapping

logger = logging.getLogger("responses_shim")

PREFIX = "RESPONSES_SHIM_"
"""How the name of each setting's environment variable begins."""
UPSTREAM_KEY = "RESPONSES_SHIM_UPSTREAM_KEY"
"""The variable with the key that `responses-shim proxy` sends to its upstream. No setting."""
API_KEY = "RESPONSES_SHIM_API_KEY"
"""The variable with the keys that `responses-shim proxy` asks its callers for. No setting."""


def environment() -> Mapping[str, str]:
    """The environment variables of this process, by name."""
    return os.environ


def export(name: str, value: str) -> None:
    """Set an environment variable of this process and of those that it starts from now on."""
    os.environ[name] = value


def variable_of(setting: str) -> str:
    """The name of a setting's environment variable: `ping_interval` is `RESPONSES_SHIM_PING_INTERVAL`."""
    return PREFIX + setting.upper()


def find_settings(environ: Mapping[str, str], settings: Collection[str]) -> dict[str, str]:
    """The values that `environ` has of these settings, by the setting's name.

    An unknown variable is logged as a warning, with the setting that it may have meant: it need not be a mistake of
    anybody's, since Kubernetes sets `RESPONSES_SHIM_SERVICE_HOST` and others in every container if there is a service
    `responses-shim`.
    """
    names = {variable_of(setting): setting for setting in settings}
    values = {}
    for variable, value in environ.items():
        if variable in names:
            values[names[variable]] = value
        elif variable.startswith(PREFIX) and variable not in (UPSTREAM_KEY, API_KEY):
            logger.warning("%s", _unknown(variable, names))
    return values


def _unknown(variable: str, known: Collection[str]) -> str:
    """The warning for an environment variable that is none of those of the settings."""
    settings = [name.removeprefix(PREFIX) for name in known]
    nearest = difflib.get_close_matches(variable.removeprefix(PREFIX).upper(), settings, n=1, cutoff=0.5)
    meant = f"; did you mean {PREFIX}{nearest[0]}?" if nearest else ""
    return f"{variable}: there is no such setting, so it is ignored{meant}"
