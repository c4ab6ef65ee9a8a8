"""Function tools on a host without a tool parser: what the host is sent, and what reads the calls in its text."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from responses_shim.core.request.tool_prompt import describe_tools, force_call
from responses_shim.core.response.call_space import CallSpaceFilter
from responses_shim.core.response.filters import Filter
from responses_shim.core.response.tool_markup import (
    Block,
    Form,
    Functions,
    ToolMarkupFilter,
    blocks_of,
    form_of,
    template_form,
)
from responses_shim.core.tools.tool_map import ToolMap
from responses_shim.core.wire.report import Report
from responses_shim.hosts import HostProfile
from responses_shim.hosts.profile import Chat
from responses_shim.hosts.tool_handling import Model, shows_tools
from responses_shim.settings import Settings

logger = logging.getLogger("responses_shim")

_CALL_SPACE: dict[Form, str] = {"hermes": "\n", "minimax": "\n", "qwen3_coder": "\n\n", "deepseek_dsml": "\n\n"}
"""What the chat templates of a form's models write between a text and a call."""


@dataclass(frozen=True)
class ToolReading:
    """How the tools of one model are offered and its calls read.

    - `form`: the form in which it writes its calls
    - `described`: tools in a chat request do not reach the model, so they are described in words
    - `enforced`: the host itself enforces the choice of one function, and shows the tool to nobody
    - `enforces_schemas`: the host holds a forced call to its schema; otherwise it is asked for in words
    - `unparsed_fields`: what else is sent with tools, so that the host leaves the calls in the text
    - `own`: the blocks that the model's `response_template` describes, if they are of no known form
    """

    form: Form
    described: bool
    enforced: bool = False
    enforces_schemas: bool = True
    unparsed_fields: Mapping[str, Any] = field(default_factory=dict)
    own: tuple[Block, ...] = ()

    @staticmethod
    def of(settings: Settings, profile: HostProfile, name: str) -> ToolReading | None:
        """The tool reading for the model of that name; None where calls are left to the host."""
        setting, tools = settings.tool_markup, profile.tools
        if setting == "off" or (setting == "auto" and tools.parses is None):
            return None
        templates = tools.templates(name)
        own = template_form(templates.response)
        form = own.form or form_of(name, templates.chat) if setting == "auto" or setting == "detect" else setting
        model = Model(name, templates, form)
        if setting == "auto" and tools.parses is not None and tools.parses(model):
            return None
        described = not tools.renders(model)
        return ToolReading(
            form,
            described,
            tools.enforces_named_choice and not (described and shows_tools(templates.chat)),
            tools.enforces_schemas,
            tools.unparsed_fields,
            own.blocks,
        )

    def prepare(self, chat: Chat, report: Report) -> Chat:
        """The chat request, before the host's profile adapts it, in the form that lets the model call its tools."""
        choice = chat.get("tool_choice")
        names_one = isinstance(choice, dict) or (choice == "required" and len(chat["tools"]) == 1)
        enforced = self.enforced and names_one
        if not enforced:
            if self.enforces_schemas:
                chat = force_call(chat, report)
            if chat.get("tools"):
                chat = {**chat, **self.unparsed_fields}
        return describe_tools(chat, report, keep_tools=enforced) if self.described else chat

    def filters(self, tools: ToolMap) -> list[Filter]:
        """What reads the calls of these tools, and drops what the chat template writes before them.

        There are none if the model may make no calls.
        """
        schemas = tools.schemas()
        if not schemas or tools.choice.chat == "none":
            return []
        required = tools.choice.chat not in (None, "auto")
        blocks = (*self.own, *blocks_of(self.form, required=required))
        functions = Functions(schemas, tools.resolve)
        filters: list[Filter] = [ToolMarkupFilter(blocks, functions, on_unclosed=self._log_unclosed)]
        space = _CALL_SPACE.get(self.form)
        if space is not None and not self.described:
            filters.append(CallSpaceFilter(space))
        return filters

    def _log_unclosed(self) -> None:
        logger.info("the model ended its answer within a call (tool_markup: %s)", self.form)
