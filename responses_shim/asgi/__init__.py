"""The edge: ASGI in, ASGI out. The only layer that imports Starlette."""
