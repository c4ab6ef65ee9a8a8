"""The example does what its document says: each rule of the guard, through the app as it stands."""

from __future__ import annotations

import logging
from typing import Any

import pytest

from integrations.interceptors.guard import app
from tests.caller import Reply, post
from tests.oracle import check_error, check_response

pytestmark = pytest.mark.anyio


async def ask(headers: dict[str, str] | None = None, **fields: Any) -> Reply:
    body = {"model": "echo", "input": "Hi", **fields}
    return await post(app, "/v1/responses", body, headers=headers or {})


async def answer(**fields: Any) -> str:
    response = (await ask(**fields)).json
    check_response(response)
    text: str = response["output"][0]["content"][0]["text"]
    return text


async def test_card_numbers_do_not_reach_the_model() -> None:
    assert await answer(input="My card is 4111111111111111.") == "My card is [card]. (0 tools, 2048 tokens)"


async def test_a_forbidden_tool_is_not_offered() -> None:
    tools: list[Any] = [
        {"type": "function", "name": name, "parameters": {}} for name in ("look_up", "delete_everything")
    ]
    assert await answer(tools=tools) == "Hi (1 tools, 2048 tokens)"


@pytest.mark.parametrize(("asked", "granted"), [(None, 2048), (10, 10), (100_000, 2048)])
async def test_answers_are_limited(asked: int | None, granted: int) -> None:
    assert await answer(max_output_tokens=asked) == f"Hi (0 tools, {granted} tokens)"


async def test_a_model_for_teams_is_refused_to_others() -> None:
    refused = await ask(model="internal")
    assert refused.status == 403
    check_error(refused.json)
    assert refused.json["error"]["code"] == "no_team"
    assert (await ask({"X-Team": "red"}, model="internal")).status == 200


async def test_each_answer_is_counted(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, "audit"):
        response = (await ask()).json
    assert caplog.messages == [f"{response['id']}: stop, None tokens"]
