"""Interceptors as a user writes them. Type-checked strictly by test_typing.py, and never run."""

from collections.abc import Mapping

from starlette.applications import Starlette

from responses_shim import (
    Interceptor,
    InvalidRequest,
    Message,
    Part,
    RequestView,
    ResponsesShim,
    ResponseView,
    Tool,
    ToolCall,
)


async def look(view: RequestView, headers: Mapping[str, str]) -> None:
    if headers.get("x-team") is None and view.model == "internal":
        raise InvalidRequest("This model is for teams.", status=403, code="no_team")


async def replace(view: RequestView, headers: Mapping[str, str]) -> RequestView:
    return RequestView.of(view.encode())


class Guard:
    async def __call__(self, request: RequestView, h: Mapping[str, str]) -> RequestView | None:
        for message in request.messages:
            message.rewrite(str.upper)
            if message.role == "assistant" and message.tool_calls:
                names: list[str] = [call.name for call in message.tool_calls]
                print(names, message.text)
        request.messages.append(Message("user", [Part("Look:"), Part(image_url="data:image/png;base64,")]))
        request.messages.append(Message("assistant", tool_calls=[ToolCall("call_1", "f", {"a": 1})]))
        request.tools.append(Tool("f", "What it does", {"type": "object"}))
        request.tool_choice = "required"
        tokens: int | None = request.params.get("max_tokens")
        request.params["max_tokens"] = min(tokens or 10, 10)
        request.params["reasoning"] = {"effort": "low"}
        del request.params["temperature"]
        request.extra["user"] = "u"
        return None

    async def finished(self, request: RequestView, response: ResponseView) -> None:
        cached: int | None = response.usage.cached_tokens if response.usage else None
        text: str | None = response.text
        print(cached, text, response.finish_reason)


interceptors: list[Interceptor] = [look, replace, Guard()]

starlette = Starlette()
starlette.add_middleware(ResponsesShim, interceptors=interceptors)
starlette.add_middleware(ResponsesShim, interceptors=[Guard()], ping="off")
ResponsesShim(starlette, interceptors=(look,))
