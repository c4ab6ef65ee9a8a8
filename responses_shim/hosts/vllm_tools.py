"""What vLLM 0.32 does with tools, as this very server was started: its app's state says that.

A server without `--enable-auto-tool-choice` and `--tool-call-parser` refuses every request whose tools the model may
call, `required` and named functions included. With `tool_choice: "none"` it takes them: the chat template shows them
to the model all the same, unless `--exclude-tools-when-tool-choice-none` says otherwise, and calls stay in the text.
A call that is forced is enforced by `response_format`, which needs no parser.
"""

from __future__ import annotations

from functools import partial
from typing import Any

from responses_shim.hosts.tool_handling import Templates, ToolHandling, shows_tools, tokenizer_templates

UNPARSED_FIELDS = {"tool_choice": "none", "skip_special_tokens": False}
"""For many models the markup of calls is special tokens, which vLLM leaves out of the text unless it is asked not to,
as its parsers do."""


def tool_handling(app: Any) -> ToolHandling:
    """What the server does whose app this is. One that does not show how it was started counts as one with a parser."""
    state = getattr(app, "state", None)
    args, serving = getattr(state, "args", None), getattr(state, "openai_serving_chat", None)
    has_parser = args is None or _has_parser(args, serving)
    excludes = bool(getattr(args, "exclude_tools_when_tool_choice_none", False))
    return ToolHandling(
        templates=partial(_templates, serving),
        parses=None if has_parser else lambda model: False,
        # The arguments of past calls are objects in its templates.
        renders=lambda model: not excludes and shows_tools(model.templates.chat),
        unparsed_fields={} if has_parser else UNPARSED_FIELDS,
    )


def _has_parser(args: Any, serving: Any) -> bool:
    """Whether calls are read: by the parser that the arguments name, or as gpt-oss has its own."""
    if getattr(getattr(serving, "online_renderer", None), "use_harmony", False):
        return True
    return bool(getattr(args, "enable_auto_tool_choice", False) and getattr(args, "tool_call_parser", None))


def _templates(serving: Any, name: str) -> Templates:
    """The templates of the model, or the chat template that the server was given (`--chat-template`)."""
    tokenizer = getattr(getattr(serving, "renderer", None), "tokenizer", None)
    templates = tokenizer_templates(tokenizer)
    given = getattr(serving, "chat_template", None)
    if not isinstance(given, str):
        return templates
    named = getattr(tokenizer, "chat_template", None)
    if isinstance(named, dict) and given in named:
        given = named[given]
    return templates._replace(chat=given)
