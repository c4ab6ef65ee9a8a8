"""The shape of a host's profile: what every host must say of itself."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

from responses_shim.core.request.options import DEFAULT_OPTIONS, TranslationOptions
from responses_shim.core.response.filters import Mend
from responses_shim.core.wire.report import Report
from responses_shim.errors import ShimError

Chat = dict[str, Any]


@dataclass(frozen=True)
class HostProfile:
    """How to speak to one family of hosts. The functions are pure; `mending` makes one filter per chat call.

    - `modules`: packages whose route functions give the host away
    - `adapt(chat, report)`: the chat request in the host's spelling and safe subset
    - `mending(chat)`: what puts the chunks of that call right before the state machine sees them; None if nothing
    - `read_error(body, status)`: the host's error body (JSON data or text) as an error of ours
    - `read_exception(error)`: what the host raised out of its app as an error of ours
    - `policy`: what its messages may look like, as far as no setting says otherwise
    - `unfinished`: why a stream ends without a finish_reason, as far as it is known
    - `tokenize_path`: the route that gives the tokens of chat messages as vLLM's does; None if there is none
    - `request_id`: the form of X-Request-Id that the host takes
    - `catalog`: its list of models may be asked for at any time, and is told to Codex as a catalogue
    """

    name: str
    modules: tuple[str, ...]
    adapt: Callable[[Chat, Report], Chat]
    read_error: Callable[[Any, int], ShimError]
    read_exception: Callable[[Exception], ShimError]
    mending: Callable[[Chat], Mend | None]
    policy: TranslationOptions = DEFAULT_OPTIONS
    unfinished: str = "The host ended its stream before the answer was complete."
    chat_path: str = "/v1/chat/completions"
    tokenize_path: str | None = "/tokenize"
    request_id: Literal["uuid4", "hex"] = "hex"
    catalog: bool = True
