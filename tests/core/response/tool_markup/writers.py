"""Calls as models write them, one function for each form: what the chat templates of the models prescribe."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from responses_shim.core.response.tool_markup import Form

Calls = list[tuple[str, dict[str, Any]]]


def compact(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)


def plain(value: Any) -> str:
    """A parameter's value in markup: strings as they are."""
    return value if isinstance(value, str) else compact(value)


def hermes(calls: Calls) -> str:
    return "\n".join(
        f'<tool_call>\n{{"name": "{name}", "arguments": {compact(arguments)}}}\n</tool_call>'
        for name, arguments in calls
    )


def hermes_string(calls: Calls) -> str:
    return "".join(
        f"<tool_call>{compact({'arguments': compact(arguments), 'name': name})}</tool_call>"
        for name, arguments in calls
    )


def granite(calls: Calls) -> str:
    return "<|tool_call|>" + compact([{"name": name, "arguments": arguments} for name, arguments in calls])


def _functions(calls: Calls, opener: str, closer: str, line: str) -> str:
    blocks = []
    for name, arguments in calls:
        parameters = "".join(
            f"<parameter={key}>{line}{plain(value)}{line}</parameter>\n" for key, value in arguments.items()
        )
        blocks.append(f"{opener}\n<function={name}>\n{parameters}</function>\n{closer}")
    return "\n".join(blocks)


def qwen3_coder(calls: Calls) -> str:
    return _functions(calls, "<tool_call>", "</tool_call>", "\n")


def mimo(calls: Calls) -> str:
    return _functions(calls, "<tool_call>", "</tool_call>", "")


def seed(calls: Calls) -> str:
    return _functions(calls, "<seed:tool_call>", "</seed:tool_call>", "")


def _glm(calls: Calls, line: str) -> str:
    blocks = []
    for name, arguments in calls:
        pairs = "".join(
            f"<arg_key>{key}</arg_key>{line}<arg_value>{plain(value)}</arg_value>{line}"
            for key, value in arguments.items()
        )
        blocks.append(f"<tool_call>{name}{line}{pairs}</tool_call>")
    return line.join(blocks)


def glm_4_5(calls: Calls) -> str:
    return _glm(calls, "\n")


def glm_4_7(calls: Calls) -> str:
    return _glm(calls, "")


def kimi_k2(calls: Calls) -> str:
    written = "".join(
        f"<|tool_call_begin|>functions.{name}:{index}<|tool_call_argument_begin|>{compact(arguments)}<|tool_call_end|>"
        for index, (name, arguments) in enumerate(calls)
    )
    return f"<|tool_calls_section_begin|>{written}<|tool_calls_section_end|>"


def deepseek_v3(calls: Calls) -> str:
    written = "\n".join(
        f"<｜tool▁call▁begin｜>function<｜tool▁sep｜>{name}\n```json\n{compact(arguments)}\n```<｜tool▁call▁end｜>"
        for name, arguments in calls
    )
    return f"<｜tool▁calls▁begin｜>{written}<｜tool▁calls▁end｜>"


def deepseek_v3_1(calls: Calls) -> str:
    written = "".join(
        f"<｜tool▁call▁begin｜>{name}<｜tool▁sep｜>{compact(arguments)}<｜tool▁call▁end｜>" for name, arguments in calls
    )
    return f"<｜tool▁calls▁begin｜>{written}<｜tool▁calls▁end｜>"


def _invokes(calls: Calls, mark: str, block: str, *, marks_strings: bool) -> str:
    lines = []
    for name, arguments in calls:
        lines.append(f'<{mark}invoke name="{name}">')
        for key, value in arguments.items():
            string = f' string="{str(isinstance(value, str)).lower()}"' if marks_strings else ""
            lines.append(f'<{mark}parameter name="{key}"{string}>{plain(value)}</{mark}parameter>')
        lines.append(f"</{mark}invoke>")
    return "\n".join([f"<{block}>", *lines, f"</{block}>"])


def deepseek_v3_2(calls: Calls) -> str:
    return _invokes(calls, "｜DSML｜", "｜DSML｜function_calls", marks_strings=True)


def deepseek_v4(calls: Calls) -> str:
    return _invokes(calls, "｜DSML｜", "｜DSML｜tool_calls", marks_strings=True)


def minimax(calls: Calls) -> str:
    return _invokes(calls, "", "minimax:tool_call", marks_strings=False)


def gemma_value(value: Any, quote: str) -> str:
    if isinstance(value, str):
        return f"{quote}{value}{quote}"
    if isinstance(value, dict):
        return "{" + ",".join(f"{key}:{gemma_value(inner, quote)}" for key, inner in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ",".join(gemma_value(inner, quote) for inner in value) + "]"
    return compact(value)


def gemma4(calls: Calls) -> str:
    quote = '<|"|>'
    return "".join(f"<|tool_call>call:{name}{gemma_value(arguments, quote)}<tool_call|>" for name, arguments in calls)


def function_gemma(calls: Calls) -> str:
    return "".join(
        f"<start_function_call>call:{name}{gemma_value(arguments, '<escape>')}<end_function_call>"
        for name, arguments in calls
    )


def mistral_array(calls: Calls) -> str:
    return "[TOOL_CALLS]" + compact([{"name": name, "arguments": arguments} for name, arguments in calls])


def mistral_args(calls: Calls) -> str:
    return "".join(f"[TOOL_CALLS]{name}[ARGS]{compact(arguments)}" for name, arguments in calls)


def mistral_v11(calls: Calls) -> str:
    return "".join(f"[TOOL_CALLS]{name}{compact(arguments)}" for name, arguments in calls)


def mistral_call_id(calls: Calls) -> str:
    return "".join(f"[TOOL_CALLS]{name}[CALL_ID]aB3dE6gH9[ARGS]{compact(arguments)}" for name, arguments in calls)


def llama3_python_tag(calls: Calls) -> str:
    return "<|python_tag|>" + "; ".join(compact({"name": name, "parameters": arguments}) for name, arguments in calls)


def llama3_json(calls: Calls) -> str:
    return "; ".join(compact({"name": name, "parameters": arguments}) for name, arguments in calls)


def pythonic(calls: Calls) -> str:
    written = ", ".join(
        f"{name}({', '.join(f'{key}={value!r}' for key, value in arguments.items())})" for name, arguments in calls
    )
    return f"[{written}]"


def llama4(calls: Calls) -> str:
    return f"<|python_start|>{pythonic(calls)}<|python_end|>"


def lfm2(calls: Calls) -> str:
    return f"<|tool_call_start|>{pythonic(calls)}<|tool_call_end|>"


WRITERS: dict[Callable[[Calls], str], Form] = {
    hermes: "hermes",
    hermes_string: "hermes",
    granite: "hermes",
    qwen3_coder: "qwen3_coder",
    mimo: "qwen3_coder",
    seed: "qwen3_coder",
    glm_4_5: "glm",
    glm_4_7: "glm",
    kimi_k2: "kimi_k2",
    deepseek_v3: "deepseek_v3",
    deepseek_v3_1: "deepseek_v3",
    deepseek_v3_2: "deepseek_dsml",
    deepseek_v4: "deepseek_dsml",
    minimax: "minimax",
    gemma4: "gemma4",
    function_gemma: "gemma4",
    mistral_array: "mistral",
    mistral_args: "mistral",
    mistral_v11: "mistral",
    mistral_call_id: "mistral",
    llama3_python_tag: "llama3_json",
    llama3_json: "llama3_json",
    pythonic: "pythonic",
    llama4: "pythonic",
    lfm2: "pythonic",
}
"""Each writer, and the form that is chosen for its models."""

LEADING = (llama3_json, pythonic)
"""Those whose calls can be told from text only at the beginning of an answer."""
