"""What to change for each kind of finding: for every server, and for those whose flags are known."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

Topic = Literal[
    "",
    "url",
    "model",
    "models",
    "mount",
    "native",
    "slow",
    "stream",
    "buffering",
    "truncated",
    "usage",
    "limit",
    "tools",
    "tool_choice",
    "call_ids",
    "merged_calls",
    "think_tags",
    "reasoning_field",
    "replay",
    "no_replay",
    "json_schema",
    "logprobs",
    "token_ids",
    "images",
    "no_key",
    "wrong_key",
    "probe",
    "probe_fails",
    "cut",
    "busy",
    "disconnect",
    "workers",
    "store",
    "background",
    "shim",
    "endpoint",
    "settings",
    "api",
]
"""What a finding needs advice about: a row of `ADVICE`; nothing (empty); or a fault of whoever answers (`api`)."""

_ANY = ""
"""The key of the advice for a server that has no row of its own."""

ADVICE: Mapping[Topic, Mapping[str, str]] = {
    "url": {
        _ANY: "Check the URL: it should end with the /v1 of the server, as in http://127.0.0.1:8000/v1.",
    },
    "model": {
        _ANY: "Name a model that the server has with --model.",
    },
    "models": {
        _ANY: "Without a list of models clients must be given the model's name, Codex gets no catalogue, and a key "
        "is checked at each route alone: name a guarded GET route in RESPONSES_SHIM_AUTH_PROBE.",
    },
    "mount": {
        _ANY: "Mount the shim: app.add_middleware(ResponsesShim) in your own code; for a server with a command, "
        "start it by `responses-shim run` with its own command behind that. Check that RESPONSES_SHIM_ENABLED "
        "is not false.",
        "vllm": "Start it with --middleware responses_shim.ResponsesShim, or with VLLM_PLUGINS=responses_shim.",
        "llama-cpp": "Start it by `responses-shim run llama-cpp -- --model FILE`, with the server's own flags.",
        "vllm-mlx": "Start it by `responses-shim run vllm-mlx serve MODEL`, with the server's own flags.",
        "mlx-vlm": "Start it by `responses-shim run mlx_vlm.server --model MODEL`, with the server's own flags.",
        "rapid-mlx": "Start it by `responses-shim run rapid-mlx serve MODEL`, with the server's own flags.",
        "mlx-openai-server": "Start it by `responses-shim run mlx-openai-server launch --model-path MODEL`, with "
        "the server's own flags.",
    },
    "native": {
        _ANY: "The server's own endpoint is in use. To have the shim answer, mount it, and leave "
        "RESPONSES_SHIM_NATIVE at replace and RESPONSES_SHIM_ENABLED at true.",
        "vllm": "The server's own endpoint is in use. To have the shim answer, start vLLM with --middleware "
        "responses_shim.ResponsesShim, and leave RESPONSES_SHIM_NATIVE at replace.",
    },
    "slow": {
        _ANY: "Give the server more time with --timeout SECONDS; if it answers other clients in time, its log may say "
        "why not these requests.",
    },
    "stream": {
        _ANY: "The shim needs a chat route that streams. Check the server's version and flags, and that nothing in "
        "front of it collects the answer (a proxy, a middleware that reads bodies).",
    },
    "buffering": {
        _ANY: "Something in front of the server collects the answer: switch that off there (nginx: proxy_buffering "
        "off), and compression of event streams too, or ask the server directly.",
    },
    "truncated": {
        _ANY: "The log of the server says why it ended its answer. A proxy in front may have cut it: raise its "
        "timeouts.",
        "llama-cpp": "The server's log says why. It ends a stream when another request comes, unless it was started "
        "with --interrupt_requests False.",
        "vllm-mlx": "The server's log says why. It ends a stream when the time of --timeout is over.",
    },
    "usage": {
        _ANY: "Responses will have `usage: null`. Look for the server's support of stream_options.include_usage.",
        "llama-cpp": "This server gives no usage in a stream; responses have `usage: null`. No flag changes that.",
    },
    "limit": {
        _ANY: "An answer that the limit has cut looks like a complete one. Look for a newer version of the "
        "server; give clients a limit that is large enough.",
    },
    "tools": {
        _ANY: "Start the server with its tool parser; where it has none, set RESPONSES_SHIM_TOOL_MARKUP=detect, and "
        "the shim reads the calls out of the text.",
        "vllm": "Start it with --enable-auto-tool-choice and --tool-call-parser NAME, the parser of your model.",
        "vllm-mlx": "Start it with --enable-auto-tool-choice and --tool-call-parser NAME, the parser of your model.",
        "rapid-mlx": "Start it with --enable-auto-tool-choice and --tool-call-parser NAME, the parser of your model.",
        "llama-cpp": "This server has no tool parser. The shim reads the calls out of the text: leave "
        "RESPONSES_SHIM_TOOL_MARKUP at auto, and start the server without --chat_format "
        "chatml-function-calling.",
        "mlx-openai-server": "Start it with --tool-call-parser NAME, the parser of your model.",
    },
    "tool_choice": {
        _ANY: "Do not rely on it: check in the client that there is a call, and ask again where there is none.",
        "vllm": "Start it with --enable-auto-tool-choice and --tool-call-parser NAME; a tool with `strict: true` "
        "has its arguments held to its schema.",
        "vllm-mlx": "On this server tool_choice is a sentence in the prompt, and no flag changes that: check in the "
        "client that there is a call.",
        "mlx-vlm": "On this server tool_choice is a sentence in the prompt, and no flag changes that: check in the "
        "client that there is a call.",
        "mlx-openai-server": "This server enforces no tool_choice: check in the client that there is a call.",
        "llama-cpp": "The server enforces a named function by itself, and nothing else: name the function in "
        "tool_choice, or offer only one.",
    },
    "call_ids": {
        _ANY: "The shim gives each call an id of its own. Clients of the chat route must do the same; look for a "
        "newer version of the server.",
    },
    "merged_calls": {
        _ANY: "Calls that are made at once cannot be distinguished safely: have clients send parallel_tool_calls: "
        "false, and try another tool parser.",
    },
    "think_tags": {
        _ANY: "The shim takes tags before the answer for reasoning (RESPONSES_SHIM_THINK_TAGS=leading): set it to "
        "`prefilled` if the template already opens the tag, to `anywhere` if the model thinks in between. Or "
        "start the server with its reasoning parser.",
        "vllm": "Start it with --reasoning-parser NAME, the parser of your model; or leave it to the shim "
        "(RESPONSES_SHIM_THINK_TAGS: leading, prefilled, anywhere).",
        "vllm-mlx": "The shim separates them; --reasoning-parser is right only for models that think at every "
        "answer. If the template opens the tag, set RESPONSES_SHIM_THINK_TAGS=prefilled.",
        "rapid-mlx": "Start it with --reasoning-parser NAME: without it the closing tag is missing in its stream.",
    },
    "reasoning_field": {
        _ANY: "The shim reads reasoning, reasoning_content, thinking, reasoning_text and reasoning_details. What is "
        "in another field is lost: look for an option of the server that names the field.",
    },
    "replay": {
        _ANY: "Set RESPONSES_SHIM_REASONING_REPLAY=think: then the shim sends it between <think> tags.",
    },
    "no_replay": {
        _ANY: "What the model thought is lost at the next turn. Try the other value of "
        "RESPONSES_SHIM_REASONING_REPLAY, field or think; if neither changes it, the chat template leaves it out.",
    },
    "json_schema": {
        _ANY: "Answers may be in any form: check them in the client, or use a server that enforces response_format.",
        "llama-cpp": "The server knows it under another name, which the shim uses; clients of its chat route send "
        "response_format as {type: json_object, schema: …}.",
        "vllm-mlx": "It needs Metal and the package llguidance: on a Linux CPU there is none.",
        "mlx-vlm": "It needs Metal: on a Linux CPU there is none.",
        "rapid-mlx": "It needs Metal: on a Linux CPU there is none.",
    },
    "logprobs": {
        _ANY: "This server gives no log-probabilities: do not ask for them.",
        "llama-cpp": "Start it with --logits_all True.",
        "vllm-mlx": "They are not in this server's chat API; no flag changes that.",
        "mlx-openai-server": "They are not in this server's chat API; no flag changes that.",
    },
    "token_ids": {
        _ANY: "Only training needs them, and vLLM gives them (return_token_ids).",
    },
    "images": {
        _ANY: "Use a model that takes images, and what the server needs for it.",
        "llama-cpp": "Use a multimodal model: --chat_format of its family, and --clip_model_path FILE.",
        "vllm": "Use a multimodal model; --limit-mm-per-prompt must allow images.",
    },
    "no_key": {
        _ANY: "Whoever reaches the server can use it: have it ask for a key, or keep it on 127.0.0.1.",
        "vllm": "Start it with --api-key KEY, or keep it on 127.0.0.1 (--host).",
        "vllm-mlx": "Start it with --api-key KEY, or keep it on 127.0.0.1 (--host).",
        "mlx-vlm": "Start it with --api-key KEY, or keep it on 127.0.0.1 (--host).",
        "llama-cpp": "Start it with --api_key KEY, or keep it on 127.0.0.1 (--host).",
        "mlx-openai-server": "This server has no keys: keep it on 127.0.0.1, or put a proxy in front that asks for "
        "one.",
    },
    "wrong_key": {
        _ANY: "The server looks at whether there is a key, not at which: set the right one in its options.",
    },
    "probe": {
        _ANY: "Strangers are answered at a route by which the shim asks whether a key is right, so they reach what "
        "comes before the chat call. Have the server guard GET /v1/models, or name a guarded GET route in "
        "RESPONSES_SHIM_AUTH_PROBE.",
    },
    "probe_fails": {
        _ANY: "The shim cannot find out whether a key is right, and answers 503: name a guarded GET route that "
        "answers 200 in RESPONSES_SHIM_AUTH_PROBE.",
    },
    "cut": {
        _ANY: "Have the server queue requests or answer them together.",
        "llama-cpp": "Start it with --interrupt_requests False: requests then wait for one another.",
    },
    "busy": {
        _ANY: "Clients such as Codex make several requests at once. Look for an option that queues requests.",
        "vllm-mlx": "Set VLLM_MLX_SIMPLE_ENGINE_LOCK_ADMISSION=wait, as `responses-shim run vllm-mlx` does, or "
        "start it with --continuous-batching.",
    },
    "disconnect": {
        _ANY: "The engine goes on for clients that have left. Check that nothing between client and server keeps "
        "the connection open (a proxy: proxy_ignore_client_abort off), and that middlewares pass a disconnect "
        "on.",
    },
    "workers": {
        _ANY: "Several processes answer, each with a store of its own: set RESPONSES_SHIM_STORE to one that they "
        "share, such as sqlite:////var/lib/responses.db, or start one worker. With several workers give uvicorn "
        "--timeout-graceful-shutdown 20 too.",
    },
    "store": {
        _ANY: "Set RESPONSES_SHIM_STORE: memory:// for one process, sqlite:////path or redis://host for several. "
        "With `off` nothing is kept.",
    },
    "background": {
        _ANY: "Responses in the background need ASGI's lifespan: the server must pass it on to its middlewares, or "
        "your code must use `async with shim.running():`.",
    },
    "shim": {
        _ANY: "Please report this: it is a fault of the shim, or of something between it and here.",
    },
    "endpoint": {
        _ANY: "It is a fault of the server's own endpoint, which the shim does not have.",
    },
    "settings": {
        _ANY: "Correct the variable: the server does not start with it.",
    },
}
"""The advice of each finding, by the kind of server. Each row has one for any server, under the empty name."""


def advice_for(topic: Topic, host: str, mount: str) -> str:
    """What to change about a finding; empty for the topic of one that has no advice.

    `host` is the kind of server, `mount` what answers at `/responses` there (see `findings.Report`).
    """
    if topic == "api":
        topic = "shim" if mount == "shim" else "endpoint"
    rows = ADVICE[topic] if topic else {_ANY: ""}
    return rows.get(host, rows[_ANY])
