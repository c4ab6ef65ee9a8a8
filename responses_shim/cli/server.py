"""A server to talk to: what the client and the snippets need to know of it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Server:
    base_url: str
    """With the `/v1`, as OpenAI's SDKs want it, and without a slash at the end."""
    model: str
    api_key: str | None = None

    @property
    def responses_url(self) -> str:
        return f"{self.base_url}/responses"
