"""Tool calls in a host's text."""

from __future__ import annotations

from responses_shim.core.response.tool_markup.filter import ToolMarkupFilter
from responses_shim.core.response.tool_markup.forms import FORMS, Form, blocks_of, form_of
from responses_shim.core.response.tool_markup.functions import Functions

__all__ = ["FORMS", "Form", "Functions", "ToolMarkupFilter", "blocks_of", "form_of"]
