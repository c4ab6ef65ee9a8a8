"""The address of a server with the Responses API, for the client and the snippets."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Server:
    """A server, the model to use there, and the API key it requires, if any."""

    base_url: str
    """With `/v1`, as OpenAI's SDKs want it, and without a slash at the end: `http://127.0.0.1:8000/v1`."""
    model: str
    api_key: str | None = None

    @property
    def responses_url(self) -> str:
        """Where responses are created."""
        return f"{self.base_url}/responses"
