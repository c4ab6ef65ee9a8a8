"""Snippets to paste, which use a server from curl, OpenAI's SDK and Codex."""

from __future__ import annotations

import json
import re
import shlex
from pathlib import Path

from responses_shim.cli.server import Server

KEY_VARIABLE = "SHIM_API_KEY"
"""The environment variable in which the snippets expect the API key. They never contain the key itself."""


def curl(server: Server) -> str:
    """A command for a POSIX shell that streams a response."""
    body = json.dumps({"model": server.model, "input": "Say hello.", "stream": True})
    key = f'  -H "Authorization: Bearer ${KEY_VARIABLE}" \\\n' if server.api_key is not None else ""
    return (
        f"curl -N {shlex.quote(server.responses_url)} \\\n"
        "  -H 'Content-Type: application/json' \\\n"
        f"{key}"
        f"  -d {shlex.quote(body)}"
    )


def openai_sdk(server: Server) -> str:
    """A complete Python program that streams a response and prints its text; it needs `pip install openai`."""
    if server.api_key is not None:
        imports, key = "import os\n\nfrom openai import OpenAI", f'os.environ["{KEY_VARIABLE}"]'
    else:
        imports, key = "from openai import OpenAI", '"none"'
    return f"""\
{imports}

client = OpenAI(base_url={json.dumps(server.base_url)}, api_key={key})
with client.responses.stream(model={json.dumps(server.model)}, input="Say hello.") as stream:
    for event in stream:
        if event.type == "response.output_text.delta":
            print(event.delta, end="", flush=True)"""


def codex(base_url: str, model: str, key_variable: str | None = None, catalog: Path | None = None) -> str:
    """A block for Codex's `config.toml` that makes the server its model provider.

    `key_variable` is the environment variable with the API key, `catalog` the file with the model catalogue.
    """
    top = {"model": model, "model_provider": "shim"}
    if catalog is not None:
        top["model_catalog_json"] = str(catalog)
    provider = {"name": "responses-shim", "base_url": base_url, "wire_api": "responses"}
    if key_variable is not None:
        provider["env_key"] = key_variable
    return f"{_toml(top)}\n\n[model_providers.shim]\n{_toml(provider)}"


def _toml(pairs: dict[str, str]) -> str:
    """TOML lines. They are ASCII, with escapes, so that the encoding of standard output does not matter."""
    lines = (f"{name} = {json.dumps(value, ensure_ascii=False)}" for name, value in pairs.items())
    return "\n".join(re.sub(r"[^ -~]", lambda character: f"\\U{ord(character[0]):08X}", line) for line in lines)
