"""Mounts the shim on the app of a launched server, and says so; or that there was no app to mount it on.

The server's processes call `mount`, see `startup/sitecustomize.py`. The launcher's process has a `Watch`, which hears
of it from all of them.
"""

from __future__ import annotations

import gc
import os
import socket
import sys
import threading
import time
from typing import Any

from starlette.applications import Starlette
from starlette.middleware import Middleware

from responses_shim.asgi.host_routes import has_route
from responses_shim.asgi.middleware import ResponsesShim
from responses_shim.environment import environment, export
from responses_shim.hosts import detect
from responses_shim.settings import Settings

PATIENCE = 180.0
"""Seconds after which the launcher says that no app has come up. Loading a large model may take longer."""
GRACE = 3.0
"""The same once the process listens at a port: an app usually comes up before that, or else soon."""

_LOOPBACK = "127.0.0.1"
_WATCH_PORT = "_RESPONSES_SHIM_WATCH"
"""The environment variable with the UDP port at which the launcher's watch hears what its processes do."""

_MISSING = "no Starlette or FastAPI app with a chat route (POST /v1/chat/completions)"


def mount(app: Starlette) -> None:
    """Put the shim first into the middleware of an app that has a chat route. Called before its stack is built.

    An app that has the shim already, as a middleware or around it, is left as it is.
    """
    if not has_chat_route(app):
        _report("an app of another kind has come up")
        return
    if has_shim(app):
        print_line("the app has the shim already; nothing is mounted")
    else:
        app.user_middleware.insert(0, Middleware(ResponsesShim))
        host = Settings.load().host
        print_line(f"mounted in process {os.getpid()}; host profile: {detect(app).name if host == 'auto' else host}")
    _report("mounted")


def has_chat_route(app: Starlette) -> bool:
    """Whether the app answers a POST at the path at which the shim would call its host's chat route."""
    return has_route(app, detect(app).chat_path)


def has_shim(app: Starlette) -> bool:
    """Whether the shim is among the middleware of the app, or wraps it from outside."""
    if any(isinstance(entry.cls, type) and issubclass(entry.cls, ResponsesShim) for entry in app.user_middleware):
        return True
    # What wraps an app is not known to it, so all shims of the process are looked at. `type`, since asking an unknown
    # object for its class may run its code.
    shims = [found for found in gc.get_objects() if issubclass(type(found), ResponsesShim)]
    return any(_wraps(shim, app) for shim in shims)


def _wraps(layer: Any, app: Starlette) -> bool:
    for _ in range(20):  # there may be a cycle
        layer = getattr(layer, "app", None)
        if layer is None or layer is app:
            break
    return layer is app


def _any_app_to_come() -> bool:
    """Whether there is an app with a chat route that has not been called yet: a server without lifespan has one."""
    apps = [found for found in gc.get_objects() if issubclass(type(found), Starlette)]
    return any(app.middleware_stack is None and has_chat_route(app) for app in apps)


def print_line(text: str) -> None:
    """Print a line to standard error, as the launcher."""
    sys.stderr.write(f"responses-shim: {text}\n")  # in one go: several workers may share the output
    sys.stderr.flush()


class Watch:
    """Waits, in the launcher's process, for the first app that is mounted; and says so if there is none.

    What happens in this process and in its workers arrives as datagrams at a port of the loopback interface, which the
    workers know from the environment.
    """

    def __init__(self) -> None:
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.bind((_LOOPBACK, 0))
        self._thread = threading.Thread(target=self._run, name="responses-shim watch", daemon=True)
        self._silent = False
        """Whether there is nothing more to say: an app has been mounted, or a line has been printed."""

    def start(self) -> None:
        """Begin to wait."""
        export(_WATCH_PORT, str(self._socket.getsockname()[1]))
        listen = socket.socket.listen

        def listen_and_report(listener: Any, *backlog: int) -> None:
            listen(listener, *backlog)
            if listener.family in (socket.AF_INET, socket.AF_INET6):
                host, port = listener.getsockname()[:2]
                _report(f"a server listens at {host}:{port}")

        setattr(socket.socket, "listen", listen_and_report)  # noqa: B010 (an assignment is refused by mypy)
        self._thread.start()

    def finish(self) -> None:
        """Say, if nothing has been mounted and nothing said yet, that the command has ended without an app."""
        _report("ended")
        self._thread.join(GRACE)
        if not self._silent:
            print_line(f"the command has ended, and there was {_MISSING}")

    def _run(self) -> None:
        deadline, found = time.monotonic() + PATIENCE, ""
        while (left := deadline - time.monotonic()) > 0:
            self._socket.settimeout(left)
            try:
                event = self._socket.recv(1024).decode()
            except TimeoutError:
                break
            if event == "ended":
                return
            if event == "mounted":
                self._silent = True
                return
            deadline, found = min(deadline, time.monotonic() + GRACE), event
        self._silent = True
        if _any_app_to_come():
            return
        if found:
            print_line(f"{found}, but so far {_MISSING}: there is no /v1/responses")
        else:
            print_line(f"so far {_MISSING}: if the server is up, another program serves, and has no /v1/responses")


def _report(event: str) -> None:
    """Let the launcher's watch know, if there is one."""
    port = environment().get(_WATCH_PORT)
    if port is not None:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
            sender.sendto(event.encode(), (_LOOPBACK, int(port)))
