"""`responses-shim codex`: print the configuration that makes Codex use a running shim."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from responses_shim.cli import snippets
from responses_shim.cli.client import fetch_models, read_api_key
from responses_shim.cli.failure import CommandFailed
from responses_shim.extensions.codex import Model, catalog

URL = "http://127.0.0.1:8000/v1"

HEADER = """\
# For Codex CLI: a profile of its own in ~/.codex/shim.config.toml, for `codex --profile shim`,
# or, for all that Codex does, the top of ~/.codex/config.toml."""


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the command's options to its parser."""
    parser.add_argument("--url", default=URL, help="where the shim is, with the /v1 (default: %(default)s)")
    parser.add_argument("--model", help="the model to use (default: the first that the server lists)")
    parser.add_argument("--api-key-env", metavar="NAME", help="the environment variable that holds the server's key")
    parser.add_argument(
        "--catalog",
        metavar="PATH",
        type=Path,
        help="write a catalogue of the server's models to this file, and have Codex read it: "
        "without it Codex guesses the size of their context, and offers them no apply_patch",
    )


def run(options: argparse.Namespace) -> None:
    """Print the configuration. Raises CommandFailed if the models cannot be listed or the catalogue not written."""
    url = options.url.rstrip("/")
    models: list[Model] = []
    if options.model is None or options.catalog is not None:
        models = fetch_models(url, None if options.api_key_env is None else read_api_key(options.api_key_env))
    model = options.model or models[0].id
    path = None if options.catalog is None else _write_catalog(options.catalog, model, models)
    print(HEADER)
    print(snippets.codex(url, model, options.api_key_env, path))


def _write_catalog(path: Path, model: str, models: list[Model]) -> Path:
    """Write the catalogue and return its absolute path.

    If the server does not list `model`, it is put first: many servers accept any model name.
    """
    if model not in [listed.id for listed in models]:
        models = [Model(model), *models]
    try:
        path = path.expanduser().resolve()
        path.write_text(json.dumps(catalog(models), indent=2) + "\n", encoding="utf-8")
    except (OSError, RuntimeError) as error:
        raise CommandFailed(f"--catalog: {error}", exit_code=2) from error
    return path
