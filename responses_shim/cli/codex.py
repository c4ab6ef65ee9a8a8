"""`responses-shim codex`: the part of Codex's configuration that has it talk to a running shim."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from responses_shim.cli import snippets
from responses_shim.cli.ask import key_in, listed_models
from responses_shim.cli.failure import CommandFailed
from responses_shim.extensions.codex import Model, catalog

URL = "http://127.0.0.1:8000/v1"

WHERE = """\
# For Codex CLI: a profile of its own in ~/.codex/shim.config.toml, for `codex --profile shim`,
# or, for all that Codex does, the top of ~/.codex/config.toml."""


def add_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--url", default=URL, help="where the shim is, with the /v1 (default: %(default)s)")
    parser.add_argument("--model", help="the model to use (default: the first in the server's GET /models)")
    parser.add_argument("--api-key-env", metavar="NAME", help="the environment variable that holds the server's key")
    parser.add_argument(
        "--catalog",
        metavar="PATH",
        type=Path,
        help="write what Codex should know of the server's models to this file, and name it: "
        "without it Codex guesses their context, and offers them no apply_patch",
    )


def run(options: argparse.Namespace) -> None:
    """Prints the block. CommandFailed, in one line, where the server or the file is not to be had."""
    url = options.url.rstrip("/")
    models: list[Model] = []
    if options.model is None or options.catalog is not None:
        models = listed_models(url, None if options.api_key_env is None else key_in(options.api_key_env))
    model = options.model or models[0].id
    path = None if options.catalog is None else _write(options.catalog, model, models)
    print(WHERE)
    print(snippets.codex(url, model, options.api_key_env, path))


def _write(path: Path, model: str, models: list[Model]) -> Path:
    """The catalogue's absolute path. A model that the server does not list is put first: many take any name."""
    if model not in [listed.id for listed in models]:
        models = [Model(model), *models]
    try:
        path = path.expanduser().resolve()
        path.write_text(json.dumps(catalog(models), indent=2) + "\n", encoding="utf-8")
    except (OSError, RuntimeError) as error:
        raise CommandFailed(f"--catalog: {error}", exit_code=2) from error
    return path
