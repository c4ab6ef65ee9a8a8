"""Interceptors run in order, each result is checked, and what fails in one is logged but not sent to the client."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from functools import partial
from typing import Any

import pytest

from responses_shim.core.request.parse import parse_request
from responses_shim.core.wire.responses import Response, ResponseError
from responses_shim.errors import ConfigurationError, InvalidRequest, ShimError
from responses_shim.runtime.interceptors import check_interceptors, intercept, notify_interceptors
from responses_shim.views.items import Message
from responses_shim.views.request import RequestView
from responses_shim.views.response import ResponseView

pytestmark = pytest.mark.anyio

BODY = {"model": "m", "input": "secret words", "future": [1]}


def check(body: dict[str, Any]) -> dict[str, Any]:
    parse_request(body)
    return body


async def run(
    *interceptors: Any, body: Any = BODY, headers: Any = (), translate: Any = check
) -> tuple[RequestView, dict[str, Any]]:
    return await intercept(interceptors, body, headers, translate, size=1)


async def error_of(*interceptors: Any, body: Any = BODY) -> ShimError:
    with pytest.raises(ShimError) as caught:
        await run(*interceptors, body=body)
    return caught.value


async def look(view: RequestView, headers: Mapping[str, str]) -> None:
    """Change nothing."""


async def rename(view: RequestView, headers: Mapping[str, str]) -> None:
    view.model = f"{view.model}+"


async def replace(view: RequestView, headers: Mapping[str, str]) -> RequestView:
    return RequestView(model=f"{view.model}!", messages=[*view.messages, Message("user", "more")])


async def fail(view: RequestView, headers: Mapping[str, str]) -> None:
    raise RuntimeError("inside")


async def refuse(view: RequestView, headers: Mapping[str, str]) -> None:
    raise InvalidRequest("Not here.", status=403, type="permission_error", code="no")


async def spoil(view: RequestView, headers: Mapping[str, str]) -> None:
    view.params["temperature"] = 99


# The request ---------------------------------------------------------------------------------------------------------


async def test_a_request_that_no_interceptor_changes_stays_the_same() -> None:
    view, body = await run(look)
    assert body == BODY
    assert view == RequestView.of(BODY)


async def test_interceptors_run_in_order_and_each_gets_the_request_of_the_one_before() -> None:
    view, body = await run(rename, replace, rename, look)
    contents = ("secret words", "more")
    assert body == {"model": "m+!+", "input": [{"type": "message", "role": "user", "content": c} for c in contents]}
    assert view.model == "m+!+"


async def test_an_interceptor_that_returns_none_keeps_its_view() -> None:
    _, body = await run(rename)
    assert body == {**BODY, "model": "m+"}


async def test_changing_a_kept_view_later_does_not_change_the_request() -> None:
    kept: list[RequestView] = []

    async def keep(view: RequestView, headers: Mapping[str, str]) -> None:
        kept.append(view)

    _, body = await run(keep)
    kept[0].extra["future"].append(2)
    assert body == BODY


async def test_headers_are_read_only_in_lower_case_and_joined_by_commas() -> None:
    seen: list[Mapping[str, str]] = []

    async def keep(view: RequestView, headers: Mapping[str, str]) -> None:
        seen.append(headers)

    await run(keep, headers=[(b"Authorization", b"Bearer k"), (b"x-tag", b"a"), (b"X-Tag", b"\xe9")])
    assert dict(seen[0]) == {"authorization": "Bearer k", "x-tag": "a, é"}
    with pytest.raises(TypeError):
        seen[0]["authorization"] = ""  # type: ignore[index]


async def test_an_interceptor_refuses_with_the_error_it_raises() -> None:
    error = await error_of(refuse, rename)
    assert (error.status, error.message, error.type, error.code) == (403, "Not here.", "permission_error", "no")


@pytest.mark.parametrize("number", [1, 2, 5])
async def test_the_request_is_translated_once_however_many_interceptors_there_are(number: int) -> None:
    bodies: list[Any] = []

    def translate(body: dict[str, Any]) -> dict[str, Any]:
        bodies.append(body)
        return check(body)

    view, translated = await run(*[rename] * number, translate=translate)
    assert [body["model"] for body in bodies] == ["m" + "+" * number] == [view.model]
    assert translated is bodies[0]


@pytest.mark.parametrize("interceptors", [[look], [fail], [rename, spoil], [look, fail]], ids=len)
async def test_what_is_wrong_with_the_clients_own_request_is_its_fault_whatever_interceptors_do(
    interceptors: list[Any], caplog: pytest.LogCaptureFixture
) -> None:
    error = await error_of(*interceptors, body={"model": "m", "input": "Hi", "temperature": 99})
    assert (error.status, error.param) == (400, "temperature")
    assert not caplog.records


async def test_an_interceptor_may_put_an_invalid_request_right() -> None:
    async def cool(view: RequestView, headers: Mapping[str, str]) -> None:
        view.params["temperature"] = 1

    _, body = await run(cool, body={"model": "m", "input": "Hi", "temperature": 99})
    assert body["temperature"] == 1


# Failures ------------------------------------------------------------------------------------------------------------


def assert_internal_error(error: ShimError) -> None:
    """A 500 that says nothing about the interceptor."""
    assert error.body() == {
        "error": {
            "message": "An interceptor of this server failed.",
            "type": "server_error",
            "param": None,
            "code": None,
        }
    }
    assert error.status == 500


async def test_any_other_exception_is_logged_with_its_traceback(caplog: pytest.LogCaptureFixture) -> None:
    assert_internal_error(await error_of(look, fail))
    (record,) = caplog.records
    assert record.getMessage() == f"the interceptor {__name__}.fail failed"
    assert record.exc_info is not None
    assert str(record.exc_info[1]) == "inside"


@pytest.mark.parametrize("value", [{}, "view", object()], ids=["dict", "text", "object"])
async def test_returning_anything_but_a_view_or_none_is_a_failure(value: Any, caplog: pytest.LogCaptureFixture) -> None:
    async def give(view: RequestView, headers: Mapping[str, str]) -> Any:
        return value

    assert_internal_error(await error_of(give))
    assert "give failed" in caplog.text


async def test_putting_something_into_the_view_that_json_cannot_hold_is_a_failure(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def put(view: RequestView, headers: Mapping[str, str]) -> None:
        view.extra["object"] = object()

    assert_internal_error(await error_of(put))
    assert "put failed" in caplog.text


async def test_the_interceptor_that_makes_the_request_invalid_is_logged_but_not_the_request(
    caplog: pytest.LogCaptureFixture,
) -> None:
    assert_internal_error(await error_of(rename, spoil, rename))
    (record,) = caplog.records
    assert record.levelno == logging.ERROR
    assert record.getMessage() == f"the interceptor {__name__}.spoil made the request invalid: temperature"


async def test_an_interceptor_without_a_name_is_logged_by_its_class(caplog: pytest.LogCaptureFixture) -> None:
    assert_internal_error(await error_of(partial(fail)))
    assert "functools.partial failed" in caplog.text


# The response --------------------------------------------------------------------------------------------------------


class Observer:
    """An interceptor that keeps what its `finished` was called with."""

    def __init__(self, *, fails: bool = False) -> None:
        self.calls: list[tuple[RequestView, ResponseView]] = []
        self.fails = fails

    async def __call__(self, view: RequestView, headers: Mapping[str, str]) -> None:
        """Let everything through."""

    async def finished(self, request: RequestView, response: ResponseView) -> None:
        self.calls.append((request, response))
        if self.fails:
            raise RuntimeError("inside")


def response(**fields: Any) -> Response:
    return Response(id="resp_1", created_at=1, model="m", **fields)


@pytest.mark.parametrize("status", ["completed", "incomplete", "failed", "cancelled"])
async def test_finished_gets_the_request_and_its_response(status: Any) -> None:
    observer, view = Observer(), RequestView.of(BODY)
    await notify_interceptors([look, observer], view, response(status=status, error=ResponseError("c", "m")))
    ((request, seen),) = observer.calls
    assert request is view
    assert (seen.id, seen.status, seen.error) == ("resp_1", status, {"code": "c", "message": "m"})


@pytest.mark.parametrize("status", ["queued", "in_progress"])
async def test_finished_is_not_called_for_a_response_that_has_not_ended(status: Any) -> None:
    observer = Observer()
    await notify_interceptors([observer], RequestView(), response(status=status))
    assert observer.calls == []


async def test_a_finished_that_fails_is_logged_and_the_others_are_called(caplog: pytest.LogCaptureFixture) -> None:
    observers = [Observer(fails=True), Observer()]
    await notify_interceptors(observers, RequestView(), response(status="completed"))
    assert [len(observer.calls) for observer in observers] == [1, 1]
    (record,) = caplog.records
    assert record.getMessage() == f"the interceptor {__name__}.Observer failed in finished() for response resp_1"
    assert record.exc_info is not None


# Checking them at the start ------------------------------------------------------------------------------------------


def test_callables_are_accepted_as_interceptors() -> None:
    observer = Observer()
    assert check_interceptors([look, observer]) == (look, observer)
    assert check_interceptors(()) == ()


@pytest.mark.parametrize(
    ("interceptors", "message"),
    [
        (look, "interceptors: expected a list of async callables"),
        ([look, "look"], r"interceptors\[1\]: expected an async callable"),
    ],
    ids=["not a list", "not callable"],
)
def test_anything_else_is_a_configuration_error(interceptors: Any, message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        check_interceptors(interceptors)
