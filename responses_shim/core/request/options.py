"""What a translation depends on besides the request: what the host takes, and what the operator has set."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal

from msgspec import Struct

from responses_shim.core.tools.kinds import KINDS, ToolKinds


def _unseal_nothing(sealed: str) -> str | None:
    return None


def _always(tools: list[dict[str, Any]], schema: dict[str, Any] | None) -> bool:
    return True


class TranslationOptions(Struct, frozen=True, kw_only=True):
    """How a request is translated.

    - `parts`: the kinds of content that a user message may have besides text, of `image`, `audio` and `video`
    - `tool_images`: where an image in a tool's output goes: the `tool` message, or a `user` message after it
    - `system_messages`: `fold` system and developer messages into one leading message, or `keep` them where they are
    - `reasoning_replay`: past reasoning is a `field` of the assistant message, or a `think` span in its content
    - `think_opening`: what such a span begins with: the tag, and a line end if the host's prompts have one after it
    - `invalid_arguments`: past arguments that are no JSON object are made one (`wrap`), or stay as they are (`keep`)
    - `format_with_tools`: what is done about `text.format` beside tools (see `answer_format`): it is described to the
      model and the answer checked (`verify`), only described (`describe`), or left to the host (`constrain`)
    - `composes_format`: whether the host lets the model choose between calls and an answer in `response_format`:
      `never`, `always`, or with `strict_tools`, if one of the tools is strict
    - `can_compose`: whether it does so with these tools, and an answer in this JSON schema, None if it is any object
    - `image_urls`: URLs of images and other media are passed on (`pass`), or refused unless they are `data:` URLs
    - `replay_tokens`: the token ids of a past turn go back on its assistant message
    - `unseal`: the reasoning in an `encrypted_content` that this server has made; None for any other
    - `tool_kinds`: the kinds of tool that there are
    """

    parts: frozenset[str] = frozenset({"image", "audio", "video"})
    tool_images: Literal["tool", "user"] = "user"
    system_messages: Literal["fold", "keep"] = "fold"
    reasoning_replay: Literal["field", "think"] = "field"
    think_opening: str = "<think>"
    invalid_arguments: Literal["wrap", "keep"] = "wrap"
    format_with_tools: Literal["verify", "describe", "constrain"] = "verify"
    composes_format: Literal["never", "strict_tools", "always"] = "never"
    can_compose: Callable[[list[dict[str, Any]], dict[str, Any] | None], bool] = _always
    image_urls: Literal["pass", "data-only"] = "pass"
    replay_tokens: bool = False
    unseal: Callable[[str], str | None] = _unseal_nothing
    tool_kinds: ToolKinds = KINDS


DEFAULT_OPTIONS = TranslationOptions()
