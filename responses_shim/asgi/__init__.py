"""The edge: the only place that knows ASGI and Starlette."""
