"""The operator's own code: in order, each one's result checked, its failures logged under its name and not told."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from functools import partial
from typing import Any

import pytest

from responses_shim.core.request.parse import parse_request
from responses_shim.core.wire.responses import Response, ResponseError
from responses_shim.errors import ConfigurationError, InvalidRequest, ShimError
from responses_shim.runtime.interceptors import intercept, tell, usable
from responses_shim.views.items import Message
from responses_shim.views.request import RequestView
from responses_shim.views.response import ResponseView

pytestmark = pytest.mark.anyio

BODY = {"model": "m", "input": "secret words", "future": [1]}


def check(body: dict[str, Any]) -> dict[str, Any]:
    parse_request(body)
    return body


async def asked(*interceptors: Any, body: Any = BODY, headers: Any = ()) -> tuple[RequestView, dict[str, Any]]:
    return await intercept(interceptors, body, headers, check, size=1)


async def refused(*interceptors: Any, body: Any = BODY) -> ShimError:
    with pytest.raises(ShimError) as caught:
        await asked(*interceptors, body=body)
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


# The request -------------------------------------------------------------------------------------------------------


async def test_a_request_that_nobody_changes_is_the_same() -> None:
    view, body = await asked(look)
    assert body == BODY
    assert view == RequestView.of(BODY)


async def test_interceptors_run_in_order_and_each_sees_what_the_last_one_left() -> None:
    view, body = await asked(rename, replace, rename, look)
    assert body == {"model": "m+!+", "input": [{"type": "message", "role": "user", "content": c} for c in _SAID]}
    assert view.model == "m+!+"


_SAID = ("secret words", "more")


async def test_none_stands_for_the_view_that_was_given() -> None:
    _, body = await asked(rename)
    assert body == {**BODY, "model": "m+"}


async def test_a_request_cannot_be_changed_any_more_once_it_was_let_through() -> None:
    kept: list[RequestView] = []

    async def keep(view: RequestView, headers: Mapping[str, str]) -> None:
        kept.append(view)

    _, body = await asked(keep)
    kept[0].extra["future"].append(2)
    assert body == BODY


async def test_headers_are_read_only_lower_case_and_joined() -> None:
    seen: list[Mapping[str, str]] = []

    async def keep(view: RequestView, headers: Mapping[str, str]) -> None:
        seen.append(headers)

    await asked(keep, headers=[(b"Authorization", b"Bearer k"), (b"x-tag", b"a"), (b"X-Tag", b"\xe9")])
    assert dict(seen[0]) == {"authorization": "Bearer k", "x-tag": "a, é"}
    with pytest.raises(TypeError):
        seen[0]["authorization"] = ""  # type: ignore[index]


async def test_an_interceptor_refuses_with_the_error_it_raises() -> None:
    error = await refused(refuse, rename)
    assert (error.status, error.message, error.type, error.code) == (403, "Not here.", "permission_error", "no")


async def test_the_clients_own_mistake_is_told_before_any_interceptor_runs() -> None:
    error = await refused(fail, body={"model": "m", "input": "Hi", "temperature": 99})
    assert (error.status, error.param) == (400, "temperature")


# Failures ----------------------------------------------------------------------------------------------------------


def assert_without_insides(error: ShimError) -> None:
    assert error.body() == {
        "error": {
            "message": "An interceptor of this server failed.",
            "type": "server_error",
            "param": None,
            "code": None,
        }
    }
    assert error.status == 500


async def test_any_other_exception_is_logged_with_its_trace_and_not_told(caplog: pytest.LogCaptureFixture) -> None:
    assert_without_insides(await refused(look, fail))
    (record,) = caplog.records
    assert record.getMessage() == f"the interceptor {__name__}.fail failed"
    assert record.exc_info is not None
    assert str(record.exc_info[1]) == "inside"


@pytest.mark.parametrize("what", [{}, "view", object()], ids=["dict", "text", "object"])
async def test_what_is_no_view_is_a_failure(what: Any, caplog: pytest.LogCaptureFixture) -> None:
    async def give(view: RequestView, headers: Mapping[str, str]) -> Any:
        return what

    assert_without_insides(await refused(give))
    assert "give failed" in caplog.text


async def test_what_is_not_json_is_a_failure(caplog: pytest.LogCaptureFixture) -> None:
    async def put(view: RequestView, headers: Mapping[str, str]) -> None:
        view.extra["object"] = object()

    assert_without_insides(await refused(put))
    assert "put failed" in caplog.text


async def test_the_one_that_makes_a_bad_request_is_named_and_the_request_not_logged(
    caplog: pytest.LogCaptureFixture,
) -> None:
    assert_without_insides(await refused(rename, spoil, rename))
    (record,) = caplog.records
    assert record.levelno == logging.ERROR
    assert record.getMessage() == f"the interceptor {__name__}.spoil made a request that is not valid: temperature"


async def test_an_interceptor_is_named_by_its_class_if_it_has_no_name(caplog: pytest.LogCaptureFixture) -> None:
    assert_without_insides(await refused(partial(fail)))
    assert "functools.partial failed" in caplog.text


# The response ------------------------------------------------------------------------------------------------------


class Reader:
    def __init__(self, *, fails: bool = False) -> None:
        self.read: list[tuple[RequestView, ResponseView]] = []
        self.fails = fails

    async def __call__(self, view: RequestView, headers: Mapping[str, str]) -> None:
        """Let everything through."""

    async def finished(self, request: RequestView, response: ResponseView) -> None:
        self.read.append((request, response))
        if self.fails:
            raise RuntimeError("inside")


def response(**fields: Any) -> Response:
    return Response(id="resp_1", created_at=1, model="m", **fields)


@pytest.mark.parametrize("status", ["completed", "incomplete", "failed", "cancelled"])
async def test_a_finished_response_is_read_with_its_request(status: Any) -> None:
    reader, view = Reader(), RequestView.of(BODY)
    await tell([look, reader], view, response(status=status, error=ResponseError("c", "m")))
    ((request, read),) = reader.read
    assert request is view
    assert (read.id, read.status, read.error) == ("resp_1", status, {"code": "c", "message": "m"})


@pytest.mark.parametrize("status", ["queued", "in_progress"])
async def test_a_response_that_has_not_come_to_its_end_is_not_read(status: Any) -> None:
    reader = Reader()
    await tell([reader], RequestView(), response(status=status))
    assert reader.read == []


async def test_a_reader_that_fails_is_logged_and_the_others_read_on(caplog: pytest.LogCaptureFixture) -> None:
    readers = [Reader(fails=True), Reader()]
    await tell(readers, RequestView(), response(status="completed"))
    assert [len(reader.read) for reader in readers] == [1, 1]
    (record,) = caplog.records
    assert record.getMessage() == f"the interceptor {__name__}.Reader failed to read response resp_1"
    assert record.exc_info is not None


# What can be mounted -----------------------------------------------------------------------------------------------


def test_what_can_be_called_is_usable() -> None:
    reader = Reader()
    assert usable([look, reader]) == (look, reader)
    assert usable(()) == ()


@pytest.mark.parametrize(
    ("interceptors", "message"),
    [
        (look, "interceptors: expected a list of async callables"),
        ([look, "look"], r"interceptors\[1\]: expected an async callable"),
    ],
    ids=["not a list", "not callable"],
)
def test_what_cannot_be_called_stops_the_start(interceptors: Any, message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        usable(interceptors)
