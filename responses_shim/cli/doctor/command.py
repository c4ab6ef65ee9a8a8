"""The command: its options, the choice of checks, the run, the report."""

from __future__ import annotations

import argparse
import math
import re
import sys
from collections.abc import Collection, Sequence
from io import TextIOWrapper

import anyio

from responses_shim.cli.client import read_api_key
from responses_shim.cli.doctor import (
    chat_checks,
    error_checks,
    load_checks,
    own_settings,
    response_checks,
    server_checks,
    state_checks,
)
from responses_shim.cli.doctor.checks import Check, run_check
from responses_shim.cli.doctor.connection import Connection, Limits, NotAsked, base_url
from responses_shim.cli.doctor.findings import Finding, Report, Result
from responses_shim.cli.doctor.subject import Subject
from responses_shim.cli.doctor.text import as_json, as_text
from responses_shim.cli.doctor.turns import described
from responses_shim.cli.failure import CommandFailed
from responses_shim.environment import environment

URL = "http://127.0.0.1:8000/v1"


async def _own_settings(subject: Subject) -> Finding:
    return own_settings.examine(environment())[0]


CHECKS: tuple[Check, ...] = (
    *server_checks.CHECKS,
    *chat_checks.CHECKS,
    *response_checks.CHECKS,
    *error_checks.CHECKS,
    *state_checks.CHECKS,
    *load_checks.CHECKS,
    Check("settings.environment", "the settings in this environment are right", _own_settings),
)
"""Every check, in the order in which they are run and reported."""


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the command's options to its parser."""
    parser.add_argument("url", nargs="?", default=URL, metavar="URL", help="the server (default: %(default)s)")
    parser.add_argument("--model", help="the model to ask (default: the first that the server lists)")
    key = parser.add_mutually_exclusive_group()
    key.add_argument("--api-key", metavar="KEY", help="the server's key; it is never printed")
    key.add_argument("--api-key-env", metavar="NAME", help="the environment variable that holds the key")
    parser.add_argument(
        "--timeout", type=_seconds, default=60.0, metavar="SECONDS", help="for each answer (default: %(default)g)"
    )
    parser.add_argument(
        "--only", type=_names, default=[], metavar="NAMES", help="run these checks, by name or group: chat,state.get"
    )
    parser.add_argument("--skip", type=_names, default=[], metavar="NAMES", help="leave these checks out")
    parser.add_argument(
        "--require", type=_names, default=[], metavar="NAMES", help="exit with 1 unless these are ok, too"
    )
    parser.add_argument("--json", action="store_true", help="print the report as JSON")
    parser.add_argument("--list", action="store_true", help="only list the checks")


def run(options: argparse.Namespace) -> int:
    """Run the command and return its exit code. Raises CommandFailed, with code 2, if the server cannot be asked."""
    if isinstance(sys.stdout, TextIOWrapper):
        sys.stdout.reconfigure(errors="replace")  # a server may send a character that the terminal's encoding lacks
    if options.list:
        print(*(f"{check.name:<26}{check.title}" for check in CHECKS), sep="\n")
        return 0
    required = {check.name for check in choose(options.require, [])} if options.require else set()
    chosen = choose(options.only, options.skip)
    checks = [check for check in CHECKS if check in chosen or check.name in required]
    key = options.api_key if options.api_key_env is None else read_api_key(options.api_key_env)
    limits = Limits(answer=options.timeout, patience=min(10.0, options.timeout))
    connection = Connection(base_url(options.url), checked_key(key), limits)
    report = anyio.run(examine, connection, options.model, checks, required)
    print(as_json(report) if options.json else as_text(report, colour=sys.stdout.isatty()), end="")
    return report.exit_code


async def examine(
    connection: Connection, model: str | None, checks: Sequence[Check], required: Collection[str] = ()
) -> Report:
    """Examine a server, asking this model or the first that it lists. Raises CommandFailed if it cannot be asked.

    What was stored on it is deleted again, also when the examination is cancelled.
    """
    async with connection:
        subject = Subject(connection, model or "")
        try:
            await subject.prepare()
            await _check_access(subject)
        except NotAsked as not_asked:
            raise CommandFailed(f"{connection.base_url}: {not_asked}", exit_code=2) from not_asked
        mount = await subject.mount()
        results: list[Result] = []
        try:
            for check in checks:
                results.append(await run_check(check, subject))
        finally:
            with anyio.move_on_after(connection.limits.patience, shield=True):
                await subject.clean_up()
        return Report(
            url=connection.base_url,
            model=subject.model,
            host=subject.host.kind,
            host_version=subject.host.version,
            mount=mount,
            results=tuple(results),
            settings=own_settings.examine(environment())[1],
            required=frozenset(required),
        )


async def _check_access(subject: Subject) -> None:
    """Raise CommandFailed if nothing answers, or if the server refuses the key, so that no check would see anything."""
    url, models = subject.connection.base_url, subject.models
    if not models.status:
        problem = f"nothing answers at {url} (the answer {models.problem}): is the server running?"
        raise CommandFailed(problem, exit_code=2)
    chat = (await subject.chat()).answer
    if chat.status in (401, 403):
        raise CommandFailed(
            f"{url} requires an API key, or another one ({described(chat)}): give it with --api-key-env NAME, the "
            "environment variable that holds it",
            exit_code=2,
        )


def choose(only: Sequence[str], skip: Sequence[str]) -> list[Check]:
    """The checks of these names and groups, all if there are none, without those to skip.

    Raises CommandFailed for a name that no check or group has, and if no check is left.
    """
    names = {check.name for check in CHECKS} | {check.group for check in CHECKS}
    for name in (*only, *skip):
        if name not in names:
            raise CommandFailed(f"there is no check {name!r}: see responses-shim doctor --list", exit_code=2)
    chosen = [check for check in CHECKS if not only or {check.name, check.group} & {*only}]
    chosen = [check for check in chosen if not {check.name, check.group} & {*skip}]
    if not chosen:
        raise CommandFailed("no check is left to run: see responses-shim doctor --list", exit_code=2)
    return chosen


def checked_key(key: str | None) -> str | None:
    """The key, if it can be sent in a header. Raises CommandFailed, without showing it, if not."""
    if key is not None and not re.fullmatch(r"[!-~]+", key):
        raise CommandFailed("the API key must be of visible ASCII characters, without spaces", exit_code=2)
    return key


def _names(text: str) -> list[str]:
    """The type of options that take names, separated by commas."""
    return [name for name in (part.strip() for part in text.split(",")) if name]


def _seconds(text: str) -> float:
    """The type of `--timeout`. Raises ValueError, of which argparse makes an error."""
    seconds = float(text)
    if not math.isfinite(seconds) or seconds <= 0:
        raise argparse.ArgumentTypeError(f"{text} is no number of seconds")
    return seconds
