"""Which server this is, by what it shows to everybody: its version route, its API's title, its list of models."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from responses_shim.cli.doctor.connection import Answer, Connection
from responses_shim.cli.doctor.lookup import objects_at, text_at
from responses_shim.cli.doctor.turns import one_line

UNKNOWN = "unknown"


@dataclass(frozen=True)
class Sign:
    """By what a server is recognised: a text that it shows, and the group `version` in it if there is one."""

    host: str
    source: str
    pattern: str


SIGNS = (
    Sign("vllm-mlx", "owned_by", "^vllm-mlx"),
    Sign("rapid-mlx", "owned_by", "^rapid-mlx"),
    Sign("vllm", "owned_by", "^vllm$"),
    Sign("llama-cpp", "title", "llama.cpp Python API"),
    Sign("vllm-mlx", "title", "^vllm-mlx"),
    Sign("rapid-mlx", "title", "^Rapid-MLX"),
    Sign("mlx-vlm", "title", "^MLX-VLM"),
    Sign("mlx-openai-server", "description", "^API for OpenAI-compatible chat completion and text embedding$"),
    Sign("sglang", "owned_by", "^sglang$"),
    Sign("llama-server", "owned_by", "^llamacpp$"),
    Sign("llama-server", "server", r"^llama\.cpp"),
    Sign("ollama", "owned_by", "^library$"),
    Sign("lm-studio", "owned_by", "^organization_owner$"),
)
"""The signs of the servers, the surest first. The first eight names are those of profiles."""

VERSIONS = {
    **dict.fromkeys(("llama-cpp", "mlx-vlm", "mlx-openai-server"), "openapi"),
    "vllm": "/version",
    "ollama": "/api/version",
}
"""Where a server says its version: a route, or its API's description. What the others have there is not theirs."""


@dataclass(frozen=True)
class Host:
    """A recognised server: its kind, its version if it says one, and by what it was recognised."""

    kind: str = UNKNOWN
    version: str = ""
    sign: str = ""


async def recognise(connection: Connection, models: Answer) -> Host:
    """The server, by its answers to two or three cheap requests. `models` is its list of models."""
    openapi = await connection.ask("GET", f"{connection.root}/openapi.json")
    shown = {
        "owned_by": [text_at(model, "owned_by") for model in objects_at(models.json, "data")],
        "title": [text_at(openapi.json, "info", "title")],
        "description": [text_at(openapi.json, "info", "description")],
        "server": [models.headers.get("server", "")],
    }
    for sign in SIGNS:
        for text in shown[sign.source]:
            if re.search(sign.pattern, text):
                version = await _version(connection, sign.host, openapi.json)
                return Host(sign.host, version, f"{sign.source} {one_line(text, 60)!r}")
    return Host()


async def _version(connection: Connection, host: str, openapi: Any) -> str:
    source = VERSIONS.get(host)
    if source is None:
        return ""
    if source == "openapi":
        return one_line(text_at(openapi, "info", "version"), 40)
    answer = await connection.ask("GET", f"{connection.root}{source}")
    return one_line(text_at(answer.json, "version"), 40)
