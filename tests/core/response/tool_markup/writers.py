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


def _python_call(name: str, arguments: dict[str, Any]) -> str:
    return f"{name}({', '.join(f'{key}={value!r}' for key, value in arguments.items())})"


def pythonic(calls: Calls) -> str:
    return f"[{', '.join(_python_call(name, arguments) for name, arguments in calls)}]"


def llama4(calls: Calls) -> str:
    return f"<|python_start|>{pythonic(calls)}<|python_end|>"


def lfm2(calls: Calls) -> str:
    return f"<|tool_call_start|>{pythonic(calls)}<|tool_call_end|>"


def step3(calls: Calls) -> str:
    blocks = []
    for name, arguments in calls:
        parameters = "".join(
            f'<steptml:parameter name="{key}">{plain(value)}</steptml:parameter>' for key, value in arguments.items()
        )
        blocks.append(
            f'<｜tool_call_begin｜>function<｜tool_sep｜><steptml:invoke name="{name}">{parameters}</steptml:invoke>'
            "<｜tool_call_end｜>"
        )
    return f"<｜tool_calls_begin｜>{''.join(blocks)}<｜tool_calls_end｜>"


def kimi_k3(calls: Calls) -> str:
    kinds = {str: "string", bool: "boolean", int: "number", type(None): "null", list: "array", dict: "object"}
    blocks = []
    for index, (name, arguments) in enumerate(calls, start=1):
        written = "".join(
            f'<|open|>argument key="{key}" type="{kinds[type(value)]}"<|sep|>{plain(value)}<|close|>argument<|sep|>'
            for key, value in arguments.items()
        )
        blocks.append(f'<|open|>call tool="{name}" index="{index}"<|sep|>{written}<|close|>call<|sep|>')
    return f"<|open|>tools<|sep|>{''.join(blocks)}<|close|>tools<|sep|>"


M3 = "]<]minimax[>["


def _m3_element(name: str, value: Any) -> str:
    if isinstance(value, dict):
        inner = "".join(_m3_element(key, each) for key, each in value.items())
    elif isinstance(value, list):
        inner = "".join(_m3_element("item", each) for each in value)
    else:
        inner = plain(value)
    return f"{M3}<{name}>{inner}{M3}</{name}>"


def minimax_m3(calls: Calls) -> str:
    lines = [f"{M3}<tool_call>"]
    for name, arguments in calls:
        lines.append(f'{M3}<invoke name="{name}">')
        lines += [_m3_element(key, value) for key, value in arguments.items()]
        lines.append(f"{M3}</invoke>")
    return "\n".join([*lines, f"{M3}</tool_call>"])


def untyped(value: Any) -> Any:
    """What can be read of a value in elements for which there is no schema: a number is then the text that it is."""
    if isinstance(value, (dict, list)) and value:
        if isinstance(value, list):
            return [untyped(each) for each in value]
        return {key: untyped(each) for key, each in value.items()}
    return "" if isinstance(value, (dict, list)) else plain(value)


def harmony(calls: Calls) -> str:
    return "<|start|>assistant".join(
        f"<|channel|>commentary to=functions.{name} <|constrain|>json<|message|>{compact(arguments)}<|call|>"
        for name, arguments in calls
    )


def harmony_recipient_first(calls: Calls) -> str:
    return "".join(
        f"<|start|>assistant to=functions.{name}<|channel|>commentary json<|message|>{compact(arguments)}<|call|>"
        for name, arguments in calls
    )


def apertus(calls: Calls) -> str:
    return f"<|tools_prefix|>{compact([{name: arguments} for name, arguments in calls])}<|tools_suffix|>"


def plamo3(calls: Calls) -> str:
    def tag(name: str) -> str:
        return f"<|plamo:{name}:plamo|>"

    written = "".join(
        f"{tag('begin_tool_request')}{tag('begin_tool_name')}{name}{tag('end_tool_name')}{tag('begin_tool_arguments')}"
        f"<|plamo:constrain|>json<|plamo:msg|>{compact(arguments)}{tag('end_tool_arguments')}{tag('end_tool_request')}"
        for name, arguments in calls
    )
    return f"{tag('begin_tool_requests')}{written}{tag('end_tool_requests')}"


def minicpm5(calls: Calls) -> str:
    def value_of(value: Any) -> str:
        is_marked_up = isinstance(value, str) and ("<" in value or "&" in value)
        return f"<![CDATA[{value}]]>" if is_marked_up else plain(value)

    blocks = []
    for name, arguments in calls:
        parameters = "".join(f'<param name="{key}">{value_of(value)}</param>' for key, value in arguments.items())
        blocks.append(f'<function name="{name}">{parameters}</function>')
    return "\n".join(blocks)


def dots(calls: Calls) -> str:
    return _invokes(calls, "", "dots_function_call", marks_strings=False)


def muse(calls: Calls) -> str:
    return _invokes(calls, "atem:", "atem:function_calls", marks_strings=False)


def inkling(calls: Calls) -> str:
    return "".join(
        f"<|message_model|><|content_invoke_tool_json|>{compact({'name': name, 'args': arguments})}<|end_message|>"
        for name, arguments in calls
    )


def gigachat3(calls: Calls) -> str:
    return "".join(f"<|function_call|>{compact({'name': name, 'arguments': arguments})}" for name, arguments in calls)


def longcat(calls: Calls) -> str:
    return "".join(
        f"<longcat_tool_call>{compact({'name': name, 'arguments': arguments})}</longcat_tool_call>"
        for name, arguments in calls
    )


def longcat_pairs(calls: Calls) -> str:
    blocks = []
    for name, arguments in calls:
        pairs = "".join(
            f"<longcat_arg_key>{key}</longcat_arg_key>\n<longcat_arg_value>{plain(value)}</longcat_arg_value>\n"
            for key, value in arguments.items()
        )
        blocks.append(f"<longcat_tool_call>{name}\n{pairs}</longcat_tool_call>")
    return "\n".join(blocks)


def olmo3(calls: Calls) -> str:
    return "\n".join(["<function_calls>", *(_python_call(*call) for call in calls), "</function_calls>"])


def phi4_mini(calls: Calls) -> str:
    return "functools" + compact([{"name": name, "arguments": arguments} for name, arguments in calls])


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
    step3: "step3",
    kimi_k3: "kimi_k3",
    minimax_m3: "minimax_m3",
    harmony: "harmony",
    harmony_recipient_first: "harmony",
    apertus: "hermes",
    plamo3: "hermes",
    minicpm5: "qwen3_coder",
    dots: "minimax",
    muse: "minimax",
    inkling: "hermes",
    gigachat3: "hermes",
    longcat: "hermes",
    longcat_pairs: "hermes",
    olmo3: "pythonic",
    phi4_mini: "hermes",
}
"""Each writer, and the form that is chosen for its models."""

LEADING = (llama3_json, pythonic, phi4_mini)
"""Those whose calls can be told from text only at the beginning of an answer."""
