"""What a host does with tools, and with the calls that a model writes in its text.

A host with a tool parser reads the calls and sends them as such. Another leaves them in the text, where the shim reads
them (`asgi/tool_reading.py`); what it needs to know for that, a profile says here. Much of it depends on the model and
on how the server was started, so it is asked of the host's own objects, for each request.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from responses_shim.core.response.tool_markup import Form

_ITERATES = re.compile(r"[|.]\s*items\b")


class Templates(NamedTuple):
    """What the tokenizer of a model says about chats.

    - `chat`: the chat template, in Jinja; None if it is not known
    - `response`: the `response_template`, which says how the model's answers are read (Hugging Face transformers since
      5.13); None if the model has none
    """

    chat: str | None = None
    response: Mapping[str, Any] | None = None


class Model(NamedTuple):
    """A model: its name in requests, its templates, and the form in which it writes its calls."""

    name: str
    templates: Templates
    form: Form


def shows_tools(template: str | None) -> bool:
    """Whether a chat template shows tools to the model."""
    return template is not None and re.search(r"\btools\b", template) is not None


def takes_text_arguments(template: str | None) -> bool:
    """Whether a chat template takes the arguments of past calls as the text that they are in a request.

    One that goes through them needs them as an object, and fails where the host passes on the text.
    """
    return template is not None and _ITERATES.search(template) is None


def tokenizer_templates(tokenizer: Any) -> Templates:
    """The templates of a tokenizer of Hugging Face's. Of several chat templates it is the one for tools."""
    chat = getattr(tokenizer, "chat_template", None)
    if isinstance(chat, Mapping):
        chat = chat.get("tool_use", chat.get("default"))
    response = getattr(tokenizer, "response_template", None)
    if response is None:  # older than 5.13, but the model's configuration has it all the same
        options = getattr(tokenizer, "init_kwargs", None)
        response = options.get("response_template") if isinstance(options, Mapping) else None
    return Templates(
        chat if isinstance(chat, str) else None,
        response if isinstance(response, Mapping) else None,
    )


def _unknown_templates(name: str) -> Templates:
    return Templates()


def _never(model: Model) -> bool:
    return False


@dataclass(frozen=True)
class ToolHandling:
    """What a host does with tools and calls. By default it has a tool parser, and its templates are not known.

    The functions are called for each request with tools, so they must be quick, and get along with a host whose
    objects are not as expected.
    """

    templates: Callable[[str], Templates] = _unknown_templates
    """`templates(name)`: the templates of the model that requests call `name`."""

    parses: Callable[[Model], bool] | None = None
    """`parses(model)`: whether it reads the calls of this model itself; None if it reads those of any."""

    renders: Callable[[Model], bool] = _never
    """`renders(model)`: whether tools and past calls in a chat request reach the model, by its chat template.

    If not, they are put in words. Asked only where the host does not read the calls.
    """

    enforces_named_choice: bool = False
    """Whether it enforces a `tool_choice` that names a function, and sends that call as one, without a tool parser."""

    enforces_schemas: bool = True
    """Whether it holds an answer to a JSON schema (`response_format`). If not, a forced call is asked for in words."""

    unparsed_fields: Mapping[str, Any] = field(default_factory=dict)
    """The fields of a chat request with tools that make it leave the calls in the text, complete."""
