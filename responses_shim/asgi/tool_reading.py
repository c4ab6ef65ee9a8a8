"""Function tools on a host without a tool parser: what the host is sent, and what reads the calls in its text."""

from __future__ import annotations

import logging
import re
from dataclasses import dataclass

from responses_shim.core.request.tool_prompt import describe_tools, force_call
from responses_shim.core.response.tool_markup import Form, Functions, ToolMarkupFilter, blocks_of, form_of
from responses_shim.core.tools.tool_map import ToolMap
from responses_shim.core.wire.report import Report
from responses_shim.hosts import HostProfile
from responses_shim.hosts.profile import Chat
from responses_shim.settings import Settings

logger = logging.getLogger("responses_shim")

_ITERATES = re.compile(r"[|.]\s*items\b")


@dataclass(frozen=True)
class ToolReading:
    """How the tools of one model are offered and its calls read.

    - `form`: the form in which it writes its calls
    - `described`: the host's chat template does not show tools to the model, so they are described in words
    - `enforced`: the host itself enforces the choice of one function, and shows the tool to nobody
    """

    form: Form
    described: bool
    enforced: bool

    @staticmethod
    def of(settings: Settings, profile: HostProfile, model: str) -> ToolReading | None:
        """The tool reading for a model; None where calls are left to the host."""
        setting = settings.tool_markup
        if setting == "off" or (setting == "auto" and not profile.leaves_tool_markup):
            return None
        template = profile.chat_template()
        described = template is None or not renders_tools(template)
        return ToolReading(
            form_of(model, template) if setting == "auto" or setting == "detect" else setting,
            described,
            profile.enforces_named_choice and not (described and template is not None and shows_tools(template)),
        )

    def prepare(self, chat: Chat, report: Report) -> Chat:
        """The chat request, before the host's profile adapts it, in the form that lets the model call its tools."""
        choice = chat.get("tool_choice")
        names_one = isinstance(choice, dict) or (choice == "required" and len(chat["tools"]) == 1)
        enforced = self.enforced and names_one
        if not enforced:
            chat = force_call(chat, report)
        return describe_tools(chat, report, keep_tools=enforced) if self.described else chat

    def filter(self, tools: ToolMap) -> ToolMarkupFilter | None:
        """What reads the calls of these tools; None if the model may make none."""
        schemas = tools.schemas()
        if not schemas or tools.choice.chat == "none":
            return None
        required = tools.choice.chat not in (None, "auto")
        return ToolMarkupFilter(
            blocks_of(self.form, required=required), Functions(schemas, tools.resolve), on_unclosed=self._log_unclosed
        )

    def _log_unclosed(self) -> None:
        logger.info("the model ended its answer within a call (tool_markup: %s)", self.form)


def shows_tools(template: str) -> bool:
    """Whether a chat template shows tools to the model."""
    return re.search(r"\btools\b", template) is not None


def renders_tools(template: str) -> bool:
    """Whether a chat template shows tools, and past calls with their arguments as the text that they are in a request.

    One that goes through the arguments of a call needs them as an object, and fails where the host passes on the text.
    """
    return shows_tools(template) and _ITERATES.search(template) is None
