"""What to paste next: the same server from curl, OpenAI's SDK and Codex."""

from __future__ import annotations

import json
import shlex

from responses_shim.cli.server import Server

KEY_VARIABLE = "SHIM_API_KEY"


def curl(server: Server) -> str:
    body = json.dumps({"model": server.model, "input": "Say hello.", "stream": True})
    key = f'  -H "Authorization: Bearer ${KEY_VARIABLE}" \\\n' if server.api_key is not None else ""
    return (
        f"curl -N {shlex.quote(server.responses_url)} \\\n"
        "  -H 'Content-Type: application/json' \\\n"
        f"{key}"
        f"  -d {shlex.quote(body)}"
    )


def openai_sdk(server: Server) -> str:
    """Python that runs as it stands, with `pip install openai`."""
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


def codex(server: Server) -> str:
    """A block for `~/.codex/config.toml`. Codex insists on the key's variable being set, to anything."""
    return f"""\
model = {json.dumps(server.model)}
model_provider = "shim"

[model_providers.shim]
name = "responses-shim"
base_url = {json.dumps(server.base_url)}
wire_api = "responses"
env_key = "{KEY_VARIABLE}\""""


def key_note(server: Server) -> str:
    """What to do about the key before any of the above."""
    if server.api_key is not None:
        return f"First: export {KEY_VARIABLE}=... (the key you gave)."
    return f"Codex wants a key where none is needed: export {KEY_VARIABLE}=none"
