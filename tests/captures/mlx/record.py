"""Records what the MLX servers say to chat requests, with a model that says what a script says.

    python -m tests.captures.mlx.record vllm-mlx path/to/its/environment          # one server, about a minute
    python -m tests.captures.mlx.record mlx-vlm path/to/its/environment busy      # these cases of it alone

Run it from the root of a checkout, with a Python that has httpx. The server runs in an environment of its own, without
the shim. Routes, template, engine, parsers and stream are the server's; the model is `integrations/scripted_mlx`'s.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx

from responses_shim.cli.child import ChildServer, free_port

HERE = Path(__file__).parent
ROOT = HERE.parents[2]
SCRIPTED = ROOT / "integrations" / "scripted_mlx"
KEY = "right-key"
METAL = "call_without_metal_stream"
"""The case in which rapid-mlx has its grammar for tools. It is recorded alone."""
UNPARSED = "unparsed_stream"
"""The case in which the server has no reasoning parser. It is recorded alone."""

SECONDS = 60.0
Json = dict[str, Any]

REASONING_PARSER = ["--reasoning-parser", "qwen3"]
PARSERS = ["--enable-auto-tool-choice", "--tool-call-parser", "hermes", *REASONING_PARSER]
HOST = ["--host", "127.0.0.1", "--port", "PORT"]
SERVERS = {
    "vllm-mlx": ["vllm-mlx", "serve", "MODEL/lm", "--served-model-name", "scripted", "--api-key", KEY, *HOST, *PARSERS],
    "mlx-vlm": ["mlx_vlm.server", "--model", "MODEL/vlm", "--api-key", KEY, *HOST],
    "rapid-mlx": [
        *("rapid-mlx", "serve", "MODEL/lm", "--served-model-name", "scripted", "--api-key", KEY, *HOST, *PARSERS),
    ],
    "mlx-openai-server": [
        *("mlx-openai-server", "launch", "--model-path", "MODEL/lm", "--served-model-name", "scripted"),
        *("--model-type", "lm", "--no-log-file", *HOST, *PARSERS),
    ],
}

THOUGHT = "<think>They greet me.</think>"
PARIS = '<tool_call>\n{"name": "get_weather", "arguments": {"city": "Paris"}}\n</tool_call>'
ROME = PARIS.replace("Paris", "Rome")
LONG = {"text": THOUGHT + "on and " * 60, "delay": 0.05}
CITY = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
TOOLS = [{"type": "function", "function": {"name": "get_weather", "parameters": CITY}}]
NAMED = {"type": "function", "function": {"name": "get_weather"}}
SCHEMA = {"type": "json_schema", "json_schema": {"name": "place", "schema": CITY}}
PIXEL = (
    "data:image/png;base64,"
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
)


def picture(url: str) -> Json:
    """A user message with an image."""
    parts = [{"type": "text", "text": "What is this?"}, {"type": "image_url", "image_url": {"url": url}}]
    return {"messages": [{"role": "user", "content": parts}]}


@dataclass
class Case:
    """One request; `script` is what the model says, as `integrations/scripted_mlx` reads it.

    `second`: it is made while another answer is being written.
    """

    script: Json | str
    request: Json = field(default_factory=dict)
    key: str | None = KEY
    second: bool = False
    path: str = "/v1/chat/completions"


def says(text: str, **request: Any) -> Case:
    return Case({"text": text}, request)


CASES: dict[str, Case] = {
    "text_stream": says(f"{THOUGHT}Hello, you."),
    "spaced_text_stream": says(f"{THOUGHT}\n\nHello, you."),
    "untagged_stream": says("Hello, you."),
    "call_stream": says(f"{THOUGHT}Let me look.\n{PARIS}", tools=TOOLS),
    "calls_stream": says(f"{THOUGHT}\n{PARIS}\n{ROME}\n", tools=TOOLS),
    "calls": says(f"{THOUGHT}\n{PARIS}\n{ROME}\n", tools=TOOLS, stream=False),
    "choice_named_kept_stream": says(f"{THOUGHT}{PARIS}", tools=TOOLS, tool_choice=NAMED),
    UNPARSED: says(f"{THOUGHT}Hello, you."),
    METAL: says(f"{THOUGHT}{PARIS}", tools=TOOLS),
    "choice_none_stream": says(f"{THOUGHT}{PARIS}", tools=TOOLS, tool_choice="none"),
    "choice_required_stream": says(f"{THOUGHT}No call here.", tools=TOOLS, tool_choice="required"),
    "choice_named_stream": says(f"{THOUGHT}No call here.", tools=TOOLS, tool_choice=NAMED),
    "cut_in_text_stream": says(f"{THOUGHT}{'on and ' * 20}", max_tokens=40),
    "cut_in_thought_stream": says(f"<think>{'on and ' * 20}</think>Hello.", max_tokens=20),
    "cut_in_call_stream": says(f"{THOUGHT}{PARIS}", tools=TOOLS, max_tokens=45),
    "cut_in_arguments_stream": says(f"{THOUGHT}{PARIS}", tools=TOOLS, max_tokens=66),
    "cut_after_call_stream": says(f"{THOUGHT}{PARIS}\n{ROME}", tools=TOOLS, max_tokens=110),
    "json_schema_stream": says('{"city": "Rome"}', response_format=SCHEMA),
    "json_schema": says('{"city": "Rome"}', response_format=SCHEMA, stream=False),
    "json_object_stream": says('{"city": "Rome"}', response_format={"type": "json_object"}),
    "logprobs_stream": says(f"{THOUGHT}Hello.", logprobs=True, top_logprobs=1),
    "image_stream": says(f"{THOUGHT}A dot.", **picture(PIXEL)),
    "image_broken_stream": says(f"{THOUGHT}A dot.", **picture("data:image/png;base64,AAAA")),
    "busy_stream": Case({"text": f"{THOUGHT}Hello."}, second=True),
    "busy": Case({"text": f"{THOUGHT}Hello."}, {"stream": False}, second=True),
    "error_type_stream": says("Hello.", temperature="warm"),
    "error_model_stream": says("Hello.", model="nope"),
    "error_no_messages_stream": says("Hello.", messages=[]),
    "error_key_stream": Case({"text": "Hello."}, key="wrong-key"),
    "error_no_key_stream": Case({"text": "Hello."}, key=None),
    "models": Case("", path="/v1/models"),
    "models_wrong_key": Case("", path="/v1/models", key="wrong-key"),
    "engine_error": Case("no JSON", {"stream": False}),
    "engine_error_stream": Case("no JSON"),  # the last: one of the servers does not get over it
}


def record(server: str, environment: Path, names: list[str]) -> None:
    """Run a server and write what it says in each case."""
    with tempfile.TemporaryDirectory() as directory:
        folder, script, port = Path(directory), Path(directory) / "script.json", free_port()
        subprocess.run([environment / "bin" / "python", SCRIPTED / "make.py", folder], check=True, timeout=SECONDS)
        script.write_text(json.dumps([{"text": "Hello."}]))
        typed = [word for word in SERVERS[server] if UNPARSED not in names or word not in REASONING_PARSER]
        command, *flags = [word.replace("MODEL", directory).replace("PORT", str(port)) for word in typed]
        variables = {**os.environ, "HF_HUB_OFFLINE": "1", "PYTHONPATH": f"{SCRIPTED}:{ROOT}", "SCRIPT": str(script)}
        if server == "rapid-mlx":
            variables["RAPID_MLX_TRUST_REMOTE_CODE"] = "1"  # the scripted model is a Python file
            if METAL not in names:
                # Its grammar for tools needs Metal, and it does without where this package is missing.
                (folder / "llguidance.py").write_text("raise ImportError")
                variables["PYTHONPATH"] += f":{directory}"
        words = [str(environment / "bin" / command), *flags]
        with ChildServer(words, port=port, environment=variables) as child:
            child.wait_until_listening(180)
            # Some servers close a connection after an error without saying so.
            limits = httpx.Limits(max_keepalive_connections=0)
            with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=SECONDS, limits=limits) as client:
                model = _model(client)
                for name, case in CASES.items():
                    if name in names if names else name not in (METAL, UNPARSED):
                        print(server, name, flush=True)
                        _write(server, name, case, _exchange(client, script, case, model), directory)


def _model(client: httpx.Client) -> str:
    data = client.get("/v1/models", headers={"authorization": f"Bearer {KEY}"}).json()["data"]
    return str(data[0]["id"])


def _exchange(client: httpx.Client, script: Path, case: Case, model: str) -> Json:
    """The request and what the server sent, as ASGI messages."""
    headers = {"content-type": "application/json"}
    if case.key is not None:
        headers["authorization"] = f"Bearer {case.key}"
    if case.path == "/v1/models":
        return _sent(client, "GET", case, headers, None)
    body: Json = {
        "model": model,
        "messages": [{"role": "user", "content": "Hi."}],
        "stream": True,
        "max_tokens": 300,
        **case.request,
    }
    if body["stream"]:
        body["stream_options"] = {"include_usage": True}
    if not case.second:
        script.write_text(case.script if isinstance(case.script, str) else json.dumps([case.script]))
        return _sent(client, "POST", case, headers, body)
    script.write_text(json.dumps([LONG]))
    first = {**body, "stream": True, "max_tokens": 120}
    with client.stream("POST", case.path, headers=headers, json=first) as running:
        lines = running.iter_lines()
        while "on" not in next(lines):
            pass
        script.write_text(json.dumps([case.script]))
        exchange = _sent(client, "POST", case, headers, body)
        for _ in lines:
            pass
    return exchange


def _sent(client: httpx.Client, method: str, case: Case, headers: dict[str, str], body: Json | None) -> Json:
    sent: list[Json] = []
    with client.stream(method, case.path, headers=headers, json=body) as reply:
        kept = [[name, value] for name, value in reply.headers.multi_items() if name.startswith("content-type")]
        sent.append({"type": "http.response.start", "status": reply.status_code, "headers": kept})
        # A server that breaks off its answer is seen here as one that ends it.
        ended = "returned"
        pieces = []
        try:
            pieces += list(reply.iter_text())
        except httpx.RemoteProtocolError:
            ended = "broken off"
    sent += [{"type": "http.response.body", "body": piece, "more_body": True} for piece in pieces if piece]
    sent.append({"type": "http.response.body", "body": "", "more_body": False})
    request: Json = {"method": method, "path": case.path, "headers": headers, "json": body}
    return {"request": request, "sent": sent, "ended": {"how": "returned", "connection": ended}}


def _write(server: str, name: str, case: Case, exchange: Json, directory: str) -> None:
    out = HERE / server
    out.mkdir(exist_ok=True)
    text = json.dumps({"script": case.script, **exchange}, indent=1, ensure_ascii=False)
    text = text.replace(str(Path(directory).resolve()), "MODELS").replace(directory, "MODELS")
    (out / f"{name}.json").write_text(text + "\n")


if __name__ == "__main__":
    record(sys.argv[1], Path(sys.argv[2]).resolve(), sys.argv[3:])
