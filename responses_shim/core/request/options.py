"""What the operator allows and the host takes, as far as a translation depends on it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

from msgspec import Struct


def _nothing(sealed: str) -> str | None:
    return None


class Policy(Struct, frozen=True, kw_only=True):
    """
    - `parts`: the content that a user message may have besides text, of `image`, `audio` and `video`
    - `tool_images`: images in a tool's output stay in the `tool` message, or move to a `user` message behind it
    - `system`: system-level text is `fold`ed into one leading message, or developer messages are `keep`t in place
    - `reasoning`: past reasoning is a `field` of the assistant message, or stands in its content as a `think` span,
      which begins with `opening`: the tag, and what a prompt that ends in one puts behind it
    - `format_with_tools`: beside tools `text.format` is `describe`d to the model, or the host `constrain`s it
    - `image_urls`: image URLs are passed on for the host to fetch, or only data URLs are
    - `replay_tokens`: the token ids of a past turn are put back on its assistant message
    - `unseal`: the text in an `encrypted_content` of ours; None for any other
    """

    parts: frozenset[str] = frozenset({"image", "audio", "video"})
    tool_images: Literal["tool", "user"] = "user"
    system: Literal["fold", "keep"] = "fold"
    reasoning: Literal["field", "think"] = "field"
    opening: str = "<think>"
    format_with_tools: Literal["describe", "constrain"] = "describe"
    image_urls: Literal["pass", "data-only"] = "pass"
    replay_tokens: bool = False
    unseal: Callable[[str], str | None] = _nothing


PLAIN = Policy()
