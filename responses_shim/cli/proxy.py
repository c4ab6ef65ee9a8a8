"""`responses-shim proxy URL`: a server of its own, with the shim in front of a host that is no Python program.

It forwards each request to the server at the URL, and answers the Responses API in its place
(`asgi/reverse_proxy.py`). Keys come from the environment or from files, where `ps` does not show them.
"""

from __future__ import annotations

import argparse
import re
import socket
import ssl
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from responses_shim import ResponsesShim, Settings
from responses_shim.asgi.api_key import ApiKeyGuard
from responses_shim.cli.failure import CommandFailed
from responses_shim.environment import API_KEY, UPSTREAM_KEY, environment

if TYPE_CHECKING:
    from starlette.types import ASGIApp

HOST = "127.0.0.1"
PORT = 8000
SHUTDOWN_SECONDS = 10
"""How many seconds open streams have to end when the server is to stop."""

DESCRIPTION = """\
Serve the Responses API for a server that speaks Chat Completions, in any
language and on any machine: llama-server, Ollama, LM Studio, TGI, a remote
vLLM. Every other request is forwarded to it as it comes. Needs uvicorn:
pip install 'responses-shim[proxy]'."""

EPILOG = f"""\
Keys are better given in the environment or in a file than on the command line,
which every user of the machine can see:

  {UPSTREAM_KEY}  the key that the upstream gets
  {API_KEY}       those of callers, separated by commas

Whoever reaches a proxy that has an upstream key could use that, so it asks its
callers for a key of its own, unless it is --open. Where the proxy has a key of
either kind, no credential of a caller is forwarded. Where it has none, the
callers' own are, and the upstream decides.

GET /responses-shim/health says whether the upstream can be reached, to
everybody. The shim's settings come from the environment, as
RESPONSES_SHIM_<NAME>; RESPONSES_SHIM_HOST says what kind of server the
upstream is."""


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments to its parser."""
    add = parser.add_argument
    add("url", metavar="URL", help="where the upstream is, such as http://127.0.0.1:8080/v1")
    add("--host", default=HOST, help="the address to listen at (default: %(default)s, for this machine only)")
    add("--port", type=_port, default=PORT, help="the port to listen at (default: %(default)s; 0: any)")
    add = parser.add_argument_group("the upstream's key").add_mutually_exclusive_group().add_argument
    add("--upstream-key", metavar="KEY", help=f"the key itself (better: {UPSTREAM_KEY})")
    add("--upstream-key-file", metavar="PATH", type=Path, help="the file that it is in")
    add = parser.add_argument_group("the upstream's certificate").add_mutually_exclusive_group().add_argument
    add("--ca-file", metavar="PATH", type=Path, help="the certificates of the authorities to trust, in PEM")
    add("--insecure", action="store_true", help="do not verify it")
    add = parser.add_argument_group("the callers' keys").add_mutually_exclusive_group().add_argument
    add("--api-key", metavar="KEY", action="append", help=f"a key that lets a caller in (better: {API_KEY})")
    add("--api-key-file", metavar="PATH", type=Path, help="the file with such keys, one in each line")
    add("--open", action="store_true", help="ask for none: whoever reaches the proxy can use the upstream's key")


def _port(text: str) -> int:
    """A port of TCP, or 0. Raises ValueError, of which argparse makes an error."""
    port = int(text)
    if not 0 <= port < 65536:
        raise ValueError(text)
    return port


def run(options: argparse.Namespace) -> None:
    """Serve until a signal ends the process.

    Raises ConfigurationError if a setting or the URL is wrong, CommandFailed if an option is, or if it cannot start.
    """
    app = make_app(options)
    try:
        import uvicorn
    except ModuleNotFoundError as error:
        raise CommandFailed("the proxy needs uvicorn: pip install 'responses-shim[proxy]'", exit_code=2) from error
    with _listening_at(options.host, options.port) as listener:
        host, port = listener.getsockname()[:2]
        print(
            f"The Responses API of {options.url} is at http://{f'[{host}]' if ':' in host else host}:{port}/v1",
            flush=True,
        )
        server = uvicorn.Server(
            uvicorn.Config(
                app,
                log_config=_log_config(),
                ws="none",  # what would be a WebSocket is answered as the request that it is
                lifespan="on",
                server_header=False,
                proxy_headers=False,  # who connects is who connects: the upstream gets both
                timeout_graceful_shutdown=SHUTDOWN_SECONDS,
            )
        )
        server.run(sockets=[listener])
    if not server.started:
        raise CommandFailed("the proxy could not start")


def make_app(options: argparse.Namespace) -> ASGIApp:
    """The app that the command serves. Raises as `run`."""
    from responses_shim.asgi.reverse_proxy import HEALTH_PATH, ReverseProxy

    upstream_keys = _keys("upstream-key", options.upstream_key, options.upstream_key_file, UPSTREAM_KEY)
    if len(upstream_keys) > 1:
        raise CommandFailed("there can be one upstream key only", exit_code=2)
    keys = [] if options.open else _keys("api-key", options.api_key, options.api_key_file, API_KEY)
    if upstream_keys and not keys and not options.open:
        raise CommandFailed(
            "whoever reaches the proxy could use the upstream key: give callers a key of their own "
            f"({API_KEY} or --api-key-file), or say --open",
            exit_code=2,
        )
    proxy = ReverseProxy(
        options.url,
        key=upstream_keys[0] if upstream_keys else None,
        forwards_credentials=not keys,
        verify=_verification(options),
    )
    settings = Settings.load()
    if (upstream_keys or keys) and "auth_probe" not in settings.model_fields_set:
        settings = settings.model_copy(update={"auth_probe": "off"})  # callers need not be asked about again
    app: ASGIApp = ResponsesShim(proxy, settings)
    return ApiKeyGuard(app, keys, open_paths=[HEALTH_PATH]) if keys else app


def _keys(option: str, given: Sequence[str] | str | None, file: Path | None, variable: str) -> list[str]:
    """The keys of an option, of a file or of an environment variable, whichever is given."""
    if given is not None:
        source, keys = f"--{option}", [given] if isinstance(given, str) else list(given)
    elif file is not None:
        source = f"--{option}-file"
        try:
            keys = file.read_text(encoding="utf-8").split("\n")
        except (OSError, UnicodeDecodeError) as error:
            raise CommandFailed(f"{source}: {error}", exit_code=2) from error
        keys = [key.strip() for key in keys if key.strip()]
        if not keys:
            raise CommandFailed(f"{source}: there is no key in {file}", exit_code=2)
    else:
        source = variable
        keys = [key.strip() for key in environment().get(variable, "").split(",") if key.strip()]
    if not all(re.fullmatch("[!-~]+", key) for key in keys):
        raise CommandFailed(f"{source}: a key is made of visible ASCII characters", exit_code=2)
    return keys


def _verification(options: argparse.Namespace) -> ssl.SSLContext | bool:
    """How the upstream's certificate is verified."""
    if options.ca_file is None:
        return not options.insecure
    try:
        return ssl.create_default_context(cafile=options.ca_file)
    except OSError as error:  # ssl.SSLError is one
        raise CommandFailed(f"--ca-file: {options.ca_file}: {error.strerror or error}", exit_code=2) from error


def _listening_at(host: str, port: int) -> socket.socket:
    """A socket that is bound there. Raises CommandFailed."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, port), family=family)
    except OSError as error:
        reason = error.strerror or error
        raise CommandFailed(f"cannot listen at {host}, port {port} ({reason}): try --port", exit_code=2) from error


def _url_of(listener: socket.socket) -> str:
    host, port = listener.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def _log_config() -> dict[str, Any]:
    """uvicorn's own, by which the shim's log lines are shown too."""
    from uvicorn.config import LOGGING_CONFIG

    shim = {"handlers": ["default"], "level": "INFO", "propagate": False}
    return {**LOGGING_CONFIG, "loggers": {**LOGGING_CONFIG["loggers"], "responses_shim": shim}}
