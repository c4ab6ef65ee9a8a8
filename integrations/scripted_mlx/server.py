"""Starts an MLX server, from the environment that it is installed in, with the shim mounted and a scripted model."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from integrations.running import LOOPBACK_ONLY, installation, not_installed
from integrations.script import Script
from responses_shim.cli.child import ChildServer, free_port
from tests import caller
from tests.oracle import check_response, check_stream

HERE = Path(__file__).parent
CHECKOUT = HERE.parent.parent
"""The shim of this checkout is what is tested, also if the environment has another one installed."""

SECONDS = 60.0
START_SECONDS = 120.0

Json = dict[str, Any]


@dataclass(frozen=True)
class ScriptedServer:
    """A running server: its address, its model's name, and what the model says."""

    url: str
    model: str
    script: Script

    def will_say(self, text: str, **options: Any) -> None:
        """Have the model answer each prompt from now on with this text. For the options see `scripted_model.py`."""
        self.script.say(text, **options)

    def create(self, **request: Any) -> Json:
        """The response to a request, checked."""
        reply = httpx.post(f"{self.url}/responses", json={"model": self.model, **request}, timeout=SECONDS)
        assert reply.status_code == 200, reply.text
        response: Json = reply.json()
        check_response(response)
        return response

    def stream(self, **request: Any) -> list[Json]:
        """The events of a streamed response, checked."""
        body = {"model": self.model, "stream": True, **request}
        reply = httpx.post(f"{self.url}/responses", json=body, timeout=SECONDS)
        assert reply.status_code == 200, reply.text
        events = caller.payloads(caller.parse_events(reply.content))
        check_stream(events)
        return events


@contextmanager
def scripted_server(
    variable: str,
    install: str,
    command: list[str],
    folder: Path,
    template: str | None = None,
    **settings: str,
) -> Iterator[ScriptedServer]:
    """Run a server while the block lasts.

    `variable` is the environment variable that names the server's virtual environment, made by `install`; without it
    see `not_installed`. `command` is the server's own, to be run by the launcher, or that of a Python file which mounts
    the shim itself; MODEL and PORT in it are replaced. `settings` are further environment variables. Models and script
    are written to `folder`; the models have this chat template if one is given.
    """
    environment = installation(variable)
    python, shim = environment / "bin" / "python", environment / "bin" / "responses-shim"
    if not shim.is_file():
        not_installed(f"needs {variable} to name the environment of: {install}")
    subprocess.run([python, HERE / "make.py", folder], check=True, timeout=SECONDS)
    for config in folder.glob("*/tokenizer_config.json") if template is not None else ():
        options = json.loads(config.read_text(encoding="utf-8"))
        config.write_text(json.dumps({**options, "chat_template": template}), encoding="utf-8")
    port = free_port()
    words = [word.replace("MODEL", str(folder)).replace("PORT", str(port)) for word in command]
    script = Script(folder)
    script.say("Hello.")
    variables = {
        **os.environ,
        **LOOPBACK_ONLY,
        "HF_HUB_OFFLINE": "1",
        "PYTHONPATH": os.pathsep.join([str(HERE), str(CHECKOUT)]),
        "SCRIPT": str(script.file),
        **settings,
    }
    launcher = [str(python)] if words[0].endswith(".py") else [str(shim), "run", "--with-parent"]
    with ChildServer([*launcher, *words], port=port, environment=variables) as server:
        server.wait_until_listening(START_SECONDS)
        url = f"http://127.0.0.1:{port}/v1"
        yield ScriptedServer(url, httpx.get(f"{url}/models", timeout=SECONDS).json()["data"][0]["id"], script)
