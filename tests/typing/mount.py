"""Mounting the shim as a user does. Type-checked strictly by test_typing.py, and never run."""

from fastapi import FastAPI
from starlette.applications import Starlette
from starlette.types import ASGIApp

from responses_shim import ResponsesShim, Settings

fastapi = FastAPI()
fastapi.add_middleware(ResponsesShim)

starlette = Starlette()
starlette.add_middleware(ResponsesShim, ping="off", ping_interval=3)

wrapped: ASGIApp = ResponsesShim(starlette, Settings(host="llama-cpp"))
