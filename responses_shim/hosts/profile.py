"""`HostProfile`: what the shim has to know about one kind of host."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from responses_shim.core.request.options import DEFAULT_OPTIONS, TranslationOptions
from responses_shim.core.response.filters import Filter
from responses_shim.core.wire.report import Report
from responses_shim.errors import ShimError
from responses_shim.hosts.tool_handling import ToolHandling


def _no_warning() -> None:
    return None


Chat = dict[str, Any]
"""The body of a chat request as JSON data: `{"model": "…", "messages": [{"role": "user", …}, …], …}`."""


@dataclass(frozen=True)
class Probe:
    """A request that costs the host next to nothing, and whose answer shows whether it lets a client in.

    It is made with the client's headers. An answer with status 401 or 403 is a refusal, one of `admitting` lets the
    client in, and any other says nothing about the client.
    """

    path: str
    """The path of the route, below the path at which the host is mounted."""

    body: bytes = b""
    """The JSON body of a POST; empty for a GET."""

    admitting: Mapping[int, bytes] = field(default_factory=lambda: {200: b""})
    """The answers that let a client in: their status, and a text that their body must contain."""


@dataclass(frozen=True)
class RetryRules:
    """Which failures of a chat call are worth another one, by the status of the error: the host may be less busy then.

    The request itself must not be at fault, and the host must not have begun to work on it.
    """

    statuses: frozenset[int] = frozenset({429})
    """The statuses of HTTP errors after which the call is made again."""

    busy_statuses: frozenset[int] = frozenset({503})
    """Those after which it is if the host says that it is busy: in words, by a Retry-After, or by no reason at all."""

    opening_statuses: frozenset[int] = frozenset()
    """Those of an error that comes with the status 200, in the event stream, before anything of the answer.

    A stream without a status of its own has that of its `code`, or 500. Where there are any, the beginning of each
    stream is held until something of the answer has come.
    """


DEFAULT_RETRIES = RetryRules()
"""Those of a host in this process, which has no gateway in front of it: a failure of another kind would come again."""


@dataclass(frozen=True)
class HostProfile:
    """How one kind of host differs from others: its paths, the requests that it accepts, its errors.

    A profile is one module with small functions and, at its end, the `PROFILE` that lists them. The functions are
    pure: they do no I/O, and change none of their arguments but the report.
    """

    name: str
    """What the setting `host` calls it."""

    modules: tuple[str, ...]
    """The packages by which `hosts.detect` recognises it: those in which the host defines its route functions."""

    adapt: Callable[[Chat, Report], Chat]
    """`adapt(chat, report)` makes a chat request one that this host accepts. Called after a request was translated.

    `chat` is the result of the translation, in OpenAI's terms. What is returned has the host's own names, and lacks
    what the host would ignore or fail on. The report gets the paths of the request fields that were changed
    (`report.mapped`) or left out (`report.dropped`).
    """

    read_error: Callable[[Any, int], ShimError]
    """`read_error(body, status)` makes the host's error response an error for the client.

    Called when the host answers a chat call with a status of 400 or more. `body` is JSON data, or text if it is not
    JSON.
    """

    read_exception: Callable[[BaseException], ShimError]
    """`read_exception(error)` makes an exception that the host's app raised during a chat call an error for the client.

    Its message is sent to the client, so it must not contain what only the operator should see.
    """

    make_filter: Callable[[Chat], Filter | None]
    """`make_filter(chat)` makes a filter that corrects the chunks of one answer; None if they need no correction.

    Called once for each chat call, with the request that is sent to the host, without its messages.
    """

    also_loaded: str | None = None
    """A module that is loaded wherever this host runs, if others may define their routes in packages of that name."""

    policy: TranslationOptions = DEFAULT_OPTIONS
    """Which messages the host accepts, how past reasoning is sent to it, and whether it composes calls and a format.

    Settings of the operator come first.
    """

    unfinished_message: str = "The host ended its stream before the answer was complete."
    """The error message for a stream that ends without a finish_reason: why this host does that, as far as is known."""

    chat_path: str = "/v1/chat/completions"
    """The path of its chat route, below the path at which the host is mounted."""

    tokenize_path: str | None = "/tokenize"
    """The path of a route that returns the token ids of chat messages as vLLM's does; None if there is none.

    Called only for a client that wants token ids, when the chat stream did not contain those of the prompt.
    """

    request_id: Literal["uuid4", "hex"] = "hex"
    """The form of the X-Request-Id header that it accepts: a UUID with hyphens, or 32 hexadecimal digits."""

    probe: Probe = Probe("/v1/models")
    """The request that shows whether the host lets a client in, made before any work that is expensive."""

    retry: RetryRules = DEFAULT_RETRIES
    """After which failures a chat call is made again."""

    engine_fields: frozenset[str] = frozenset()
    """The fields of a create request, beyond those of the Responses API, that `adapt` gets in the chat request.

    Two of the API's own may be among them: `service_tier`, and `prompt_cache_key`, which then differs between clients
    although they send the same (see `asgi.owner.cache_key_of`).
    """

    for_server: Callable[[Any], HostProfile] | None = None
    """`for_server(app)` makes the profile of one server of this kind, which may show how it was started.

    `app` is the outermost application, `scope["app"]`; where there is none, the app that the shim wraps. Called at the
    start and at the first request.
    """

    processes: int = 1
    """How many processes answer the requests of this server, each with a shim of its own."""

    warning: Callable[[], str | None] = _no_warning
    """`warning()` is what the operator should know of how this server was started; None if there is nothing to say.

    It is logged once: when the server starts, or at the first request.
    """

    tools: ToolHandling = field(default_factory=ToolHandling)
    """What it does with tools, and with the calls that a model writes in its text."""

    catalog: bool = True
    """Whether its list of models may be requested while it generates, so that Codex can get a catalogue made of it."""
