"""The forms of tool-call markup, one for each family of models: a new one is a new entry of `BLOCKS`.

Where each was looked up: the chat templates of the models, and the parsers of vLLM, SGLang, llama.cpp and Ollama as of
November 2026. The names are those of vLLM's parsers, as far as it has one.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import get_args

from responses_shim.core.response.tool_markup.grammar import (
    ATTRIBUTES,
    CALL_ID,
    CHANNEL,
    KEY,
    NAME,
    SPACE,
    Block,
    CallForm,
    Form,
    Maybe,
    ParameterForm,
    Pattern,
)

FORMS: tuple[Form, ...] = get_args(Form)

# Calls --------------------------------------------------------------------------------------------------------------

OBJECT = CallForm(("{",), "object")
"""`{"name": "f", "arguments": {"a": 1}}`"""

PYTHON = CallForm((Maybe("["), SPACE, NAME, SPACE, "("), "python")
"""`[f(a=1), g()]`, or `f(a=1)`"""

FUNCTION = CallForm(
    ("<function=", Maybe('"'), NAME, Maybe('"'), SPACE, ">"),
    "parameters",
    ("</function>",),
    ParameterForm(("<parameter=", Maybe('"'), KEY, Maybe('"'), ">"), "</parameter>", trims=True),
)
"""Qwen3-Coder, Qwen3.5, Nemotron 3, Step 3.5, MiMo, Seed-OSS; with a JSON object in it, Llama 3.1."""

NAMED_FUNCTION = CallForm(
    ("<function name=", Maybe('"'), Maybe("'"), NAME, Maybe('"'), Maybe("'"), SPACE, ">"),
    "parameters",
    ("</function>",),
    ParameterForm(
        ("<param name=", Maybe('"'), Maybe("'"), KEY, Maybe('"'), Maybe("'"), SPACE, ">"), "</param>", cdata=True
    ),
)
"""MiniCPM 5."""

KEYED = CallForm((Maybe("{"), SPACE, '"', NAME, '"', SPACE, ":", SPACE), "json", ("}",))
"""`{"f": {"a": 1}}`: Apertus."""


def _pairs(mark: str) -> CallForm:
    """A call whose arguments are keys and values in tags of their own, with `mark` before the names of the tags."""
    return CallForm(
        (NAME, SPACE, Maybe("<tool_sep>"), SPACE),
        "parameters",
        (),
        ParameterForm(
            (
                *(Maybe(f"<{mark}arg_key>"), Maybe(f"<{mark}arg_key>"), SPACE, KEY),
                *(f"</{mark}arg_key>", Maybe(f"</{mark}arg_key>"), SPACE, Maybe(f"<{mark}arg_value>")),
            ),
            f"</{mark}arg_value>",
        ),
        glues_names=not mark,
    )


GLM = _pairs("")
"""GLM 4.5 to 5, which leaves out tags or repeats them at times, and Hunyuan with its `<tool_sep>`."""


def _invoke(mark: str) -> CallForm:
    """A call of the form that MiniMax and DeepSeek write, with `mark` before the names of the tags."""
    return _invoke_after((), mark)


def _invoke_after(head: Pattern, mark: str, closers: tuple[str, ...] = ()) -> CallForm:
    """The same behind the beginning of another form, which ends with one of `closers`."""
    return CallForm(
        (*head, f"<{mark}invoke name=", Maybe('"'), NAME, Maybe('"'), SPACE, ">"),
        "parameters",
        (f"</{mark}invoke>", *closers),
        ParameterForm((f"<{mark}parameter name=", Maybe('"'), KEY, Maybe('"'), ATTRIBUTES, ">"), f"</{mark}parameter>"),
    )


# Blocks -------------------------------------------------------------------------------------------------------------


def _invoke_blocks(form: Form, mark: str, names: tuple[str, ...]) -> list[Block]:
    call = _invoke(mark)
    closers = tuple(f"</{name}>" for name in names)
    blocks = [Block(form, f"<{name}>", (call, OBJECT), closers) for name in names]
    return [*blocks, Block(form, f"<{mark}invoke name=", (call,), closers, bare=True)]


def _dsml_blocks(bar: str) -> list[Block]:
    """DeepSeek V3.2 (`function_calls`), V4 (`tool_calls`) and V4.1 (` calls`), with any of its vertical bars."""
    mark = f"{bar}DSML{bar}"
    return _invoke_blocks(
        "deepseek_dsml", mark, tuple(f"{mark}{name}" for name in ("function_calls", "tool_calls", " calls", "calls"))
    )


def _deepseek_blocks(bar: str, gap: str) -> list[Block]:
    """DeepSeek V3, R1 and V3.1: the earlier ones write `function`, the name behind it, and the JSON in a code fence.

    Step 3 writes `function`, and the call in tags.
    """

    def token(*words: str) -> str:
        return f"<{bar}{gap.join(words)}{bar}>"

    begin, separator, end = token("tool", "call", "begin"), token("tool", "sep"), token("tool", "call", "end")
    calls = (
        _invoke_after((begin, SPACE, "function", separator, SPACE), "steptml:", (end,)),
        CallForm((begin, "function", separator, NAME, SPACE, "```json", SPACE), "json", (end, "```")),
        CallForm((begin, SPACE, NAME, SPACE, separator, SPACE, Maybe("```json"), SPACE), "json", (end, "```")),
    )
    closers = (token("tool", "calls", "end"),)
    return [
        Block("deepseek_v3", token("tool", "calls", "begin"), calls, closers),
        Block("deepseek_v3", begin, calls, closers, bare=True),
    ]


_KIMI_CALLS = (
    CallForm(
        ("<|tool_call_begin|>", SPACE, NAME, SPACE, "<|tool_call_argument_begin|>", SPACE),
        "json",
        ("<|tool_call_end|>",),
    ),
)
_KIMI_CLOSERS = ("<|tool_calls_section_end|>", "<|tool_call_section_end|>")

_KIMI_K3_CALLS = (
    CallForm(
        ('<|open|>call tool="', NAME, '"', ATTRIBUTES, "<|sep|>"),
        "parameters",
        ("<|close|>call<|sep|>",),
        ParameterForm(('<|open|>argument key="', KEY, '"', ATTRIBUTES, "<|sep|>"), "<|close|>argument<|sep|>"),
    ),
)

_M3 = "]<]minimax[>["
"""What MiniMax M3 writes before each tag: one token."""
_M3_CALLS = (
    CallForm(
        (f"{_M3}<invoke name=", Maybe('"'), NAME, Maybe('"'), SPACE, ">"), "elements", (f"{_M3}</invoke>",), mark=_M3
    ),
)

_PLAMO_CALLS = (
    CallForm(
        (
            *("<|plamo:begin_tool_request:plamo|>", SPACE, "<|plamo:begin_tool_name:plamo|>", SPACE, NAME, SPACE),
            *("<|plamo:end_tool_name:plamo|>", SPACE, "<|plamo:begin_tool_arguments:plamo|>"),
            *("<|plamo:constrain|>json<|plamo:msg|>", SPACE),
        ),
        "json",
        ("<|plamo:end_tool_arguments:plamo|>", "<|plamo:end_tool_request:plamo|>"),
    ),
)

_MISTRAL_CALLS = (
    OBJECT,
    CallForm((NAME, SPACE, "[CALL_ID]", SPACE, CALL_ID, SPACE, "[ARGS]", SPACE), "json"),
    CallForm((NAME, SPACE, "[ARGS]", SPACE), "json"),
    CallForm((NAME, SPACE), "json"),
)


def _harmony_blocks() -> list[Block]:
    """gpt-oss: the function is whom the message is to, in either of two orders."""
    constraint = (SPACE, Maybe("<|constrain|>"), Maybe("json"), SPACE, "<|message|>", SPACE)
    blocks = []
    for start in ("", "<|start|>assistant"):
        for channel in ("commentary", "analysis"):
            opener = f"{start}<|channel|>{channel} to="
            calls = (CallForm((opener, NAME, *constraint), "json", ("<|call|>",)),)
            blocks.append(Block("harmony", opener, calls, bare=True))
    opener = "<|start|>assistant to="
    call = CallForm((opener, NAME, SPACE, "<|channel|>", CHANNEL, *constraint), "json", ("<|call|>",))
    return [*blocks, Block("harmony", opener, (call,), bare=True)]


def _gemma(quote: str) -> tuple[CallForm, ...]:
    return (CallForm(("call:", SPACE, NAME, SPACE), "braces", quote=quote),)


BLOCKS: tuple[Block, ...] = (
    Block("hermes", "<tool_call>", (OBJECT, FUNCTION, GLM), ("</tool_call>",), ("<tool_call>",)),
    Block("hermes", "<tool_calls>", (OBJECT, FUNCTION, GLM), ("</tool_call>", "</tool_calls>"), ("<tool_call>",)),
    Block("hermes", "<function_call>", (OBJECT,), ("</function_call>",)),
    Block("hermes", "<functioncall>", (OBJECT,), ("</functioncall>",)),
    Block("hermes", "<TOOLCALL>", (OBJECT,), ("</TOOLCALL>",)),  # Nemotron 2
    Block("hermes", "<|START_ACTION|>", (OBJECT,), ("<|END_ACTION|>",)),  # Command A
    Block("hermes", "<|tool_call|>", (OBJECT,), ("<|/tool_call|>",)),  # Granite 3, Phi 4
    Block("hermes", "<|action_start|>", (OBJECT,), ("<|action_end|>",), ("<|plugin|>",)),  # InternLM
    Block("hermes", "<longcat_tool_call>", (OBJECT, _pairs("longcat_")), ("</longcat_tool_call>",)),
    Block("hermes", "<|function_call|>", (OBJECT,), ("<|message_sep|>",)),  # GigaChat 3
    Block("hermes", "<|message_model|><|content_invoke_tool_json|>", (OBJECT,), ("<|end_message|>",)),  # Inkling
    Block("hermes", "<|content_invoke_tool_json|>", (OBJECT,), ("<|end_message|>",)),
    Block("hermes", "<|tools_prefix|>", (KEYED,), ("<|tools_suffix|>",)),  # Apertus
    Block("hermes", "<|plamo:begin_tool_requests:plamo|>", _PLAMO_CALLS, ("<|plamo:end_tool_requests:plamo|>",)),
    Block("qwen3_coder", "<seed:tool_call>", (FUNCTION, OBJECT), ("</seed:tool_call>",)),
    Block("qwen3_coder", "<function=", (FUNCTION,), ("</tool_call>", "</seed:tool_call>"), bare=True),
    Block("qwen3_coder", "<function name=", (NAMED_FUNCTION,), bare=True),
    Block("kimi_k2", "<|tool_calls_section_begin|>", _KIMI_CALLS, _KIMI_CLOSERS),
    Block("kimi_k2", "<|tool_call_section_begin|>", _KIMI_CALLS, _KIMI_CLOSERS),
    Block("kimi_k2", "<|tool_call_begin|>", _KIMI_CALLS, _KIMI_CLOSERS, bare=True),
    Block("kimi_k3", "<|open|>tools<|sep|>", _KIMI_K3_CALLS, ("<|close|>tools<|sep|>",)),
    Block("kimi_k3", "<|open|>call tool=", _KIMI_K3_CALLS, ("<|close|>tools<|sep|>",), bare=True),
    *[block for bar, gap in (("｜", "▁"), ("|", "▁"), ("｜", "_")) for block in _deepseek_blocks(bar, gap)],
    *[block for bar in ("｜", "|", "｜｜", "‖") for block in _dsml_blocks(bar)],
    Block("step3", "<steptml:invoke name=", (_invoke("steptml:"),), bare=True),
    *_invoke_blocks("minimax", "", ("minimax:tool_call", "dots_function_call")),
    *_invoke_blocks("minimax", "atem:", ("atem:function_calls",)),  # Muse
    Block("minimax", "<function_calls>", (_invoke(""), OBJECT, PYTHON), ("</function_calls>",)),  # and OLMo 3
    Block("minimax_m3", f"{_M3}<tool_call>", _M3_CALLS, (f"{_M3}</tool_call>",)),
    Block("minimax_m3", f"{_M3}<invoke name=", _M3_CALLS, (f"{_M3}</tool_call>",), bare=True),
    Block("gemma4", "<|tool_call>", _gemma('<|"|>'), ("<tool_call|>",)),
    Block("gemma4", "<start_function_call>", _gemma("<escape>"), ("<end_function_call>",)),
    Block("mistral", "[TOOL_CALLS]", _MISTRAL_CALLS, ("[/TOOL_CALLS]",), ("[TOOL_CALLS]",)),
    Block("llama3_json", "<|python_tag|>", (OBJECT, PYTHON), ("<|eom_id|>",)),
    Block("pythonic", "<|python_start|>", (PYTHON, OBJECT), ("<|python_end|>",)),  # Llama 4
    Block("pythonic", "<|tool_call_start|>", (PYTHON, OBJECT), ("<|tool_call_end|>",)),  # LFM2
    *_harmony_blocks(),
    Block("hermes", "{", (OBJECT,), ("</tool_call>",), bare=True, leading=True),
    Block("hermes", "functools[", (OBJECT,), leading=True),  # Phi 4 mini
)
"""The blocks that are read whichever form was chosen: nothing else begins with their openers."""

PYTHON_LIST = Block("pythonic", "[", (CallForm(("[", SPACE, NAME, SPACE, "("), "python"),), bare=True, leading=True)
OBJECT_LIST = Block("llama3_json", "[", (OBJECT,), ("</tool_call>",), leading=True)
FENCED = Block("hermes", "```", (OBJECT,), ("```",), ("json", "tool_call"), leading=True)


def blocks_of(form: Form, *, required: bool) -> tuple[Block, ...]:
    """The blocks that are read for models of a form. `required`: the model must call a tool, in whatever it writes."""
    blocks = BLOCKS
    if form == "pythonic":
        blocks += (PYTHON_LIST,)
    if form == "llama3_json" or required:
        blocks += (OBJECT_LIST,)
    return (*blocks, FENCED) if required else blocks


END_TOKENS = (
    *("<|im_end|>", "<|eot_id|>", "<|eom_id|>", "</s>", "<end_of_turn>", "<turn|>", "<|eom|>"),
    *("<|close|>message<|sep|>", "<|content_model_end_sampling|>"),
)
"""Tokens that end a turn, and that some servers leave in the text."""

STRAY = tuple({closer: None for block in BLOCKS for closer in block.closers}) + END_TOKENS
"""What is dropped directly behind a call."""

_MODELS: tuple[tuple[str, Form], ...] = (
    (
        r"qwen3?[-_ ]?coder|qwen[-_ ]?3\.[5-9]|nemotron[-_ ]?3|step[-_ ]?3[._][5-9]|mimo|seed[-_ ]?oss|minicpm[-_ ]?5",
        "qwen3_coder",
    ),
    (r"step[-_ ]?3", "step3"),
    (r"glm[-_ ]?[45]|hunyuan", "glm"),
    (r"kimi[-_ ]?k3", "kimi_k3"),
    (r"kimi", "kimi_k2"),
    (r"deepseek[-_ ]?v?(3\.2|4)", "deepseek_dsml"),
    (r"deepseek", "deepseek_v3"),
    (r"minimax[-_ ]?m3", "minimax_m3"),
    (r"minimax", "minimax"),
    (r"gpt[-_ ]?oss", "harmony"),
    (r"functiongemma|gemma[-_ ]?4", "gemma4"),
    (r"mistral|ministral|mixtral|magistral|devstral", "mistral"),
    (r"llama[-_ ]?4|lfm2|olmo[-_ ]?3", "pythonic"),
    (r"llama[-_ ]?3|xlam", "llama3_json"),
)
_TEMPLATES: tuple[tuple[str, Form], ...] = (
    ("<function=", "qwen3_coder"),
    ("<arg_key>", "glm"),
    ("<|open|>tools", "kimi_k3"),
    ("<|tool_calls_section_begin|>", "kimi_k2"),
    ("DSML", "deepseek_dsml"),
    ("tool▁calls▁begin", "deepseek_v3"),
    ("<steptml:", "step3"),
    ("]<]minimax[>[", "minimax_m3"),
    ("<minimax:tool_call>", "minimax"),
    ("<function name=", "qwen3_coder"),
    ("<|channel|>commentary", "harmony"),
    ("<|tool_call>", "gemma4"),
    ("<start_function_call>", "gemma4"),
    ("[TOOL_CALLS]", "mistral"),
    ("<|python_start|>", "pythonic"),
    ("<|tool_call_start|>", "pythonic"),
    ("<tool_call>", "hermes"),
    ("<|python_tag|>", "llama3_json"),
)


@lru_cache(maxsize=32)  # asked for each request, and a template may have 20 kB
def marked_form(template: str) -> Form | None:
    """The form of which there are marks in a chat template; None if there are none."""
    return next((form for mark, form in _TEMPLATES if mark in template), None)


def form_of(model: str, template: str | None) -> Form:
    """The form in which a model writes its calls: by what its chat template contains, else by its name."""
    if template is not None and (marked := marked_form(template)) is not None:
        return marked
    for pattern, form in _MODELS:
        if re.search(pattern, model, re.IGNORECASE):
            return form
    return "hermes"
