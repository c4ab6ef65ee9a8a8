"""The shim in front of a server elsewhere, as an app of your own: for interceptors, TLS, or several worker processes.

    uvicorn --app-dir integrations/proxy --no-server-header app:app

`UPSTREAM` is where the server is. What the command `responses-shim proxy` does besides, such as asking callers for a
key, is for you to do.
"""

import os

from responses_shim import ResponsesShim
from responses_shim.asgi.reverse_proxy import ReverseProxy

app = ResponsesShim(ReverseProxy(os.environ.get("UPSTREAM", "http://127.0.0.1:8080/v1")))
