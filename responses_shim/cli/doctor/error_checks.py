"""Checks of what is said to a request that is wrong: a 4xx in OpenAI's form, with the field that is at fault."""

from __future__ import annotations

import functools
from typing import Any, NamedTuple

from responses_shim.cli.doctor.checks import Check
from responses_shim.cli.doctor.findings import Finding, broken, missing, ok
from responses_shim.cli.doctor.lookup import object_at, quoted, text_at
from responses_shim.cli.doctor.subject import Subject
from responses_shim.cli.doctor.turns import error_message

KEYS = ("message", "type", "param", "code")
"""What an error has, as OpenAI's reference demands."""


class Case(NamedTuple):
    """A request that is wrong, and what its error must have.

    - `body`: fields of a create request; or bytes that are sent as they are; or None for a GET
    - `param`: how the error's `param` begins; empty for any
    """

    name: str
    title: str
    path: str
    body: Any
    statuses: tuple[int, ...]
    param: str = ""


CASES = (
    Case("errors.json", "a body that is no JSON is refused", "/responses", b'{"model": ', (400,)),
    Case(
        "errors.type", "a field of another type is refused", "/responses", {"temperature": "hot"}, (400,), "temperature"
    ),
    Case("errors.range", "a value out of range is refused", "/responses", {"top_p": 7}, (400,), "top_p"),
    Case("errors.input", "an input of another type is refused", "/responses", {"input": 7}, (400,), "input"),
    Case(
        "errors.item",
        "an item without content is refused",
        "/responses",
        {"input": [{"role": "user"}]},
        (400,),
        "input",
    ),
    Case(
        "errors.tool",
        "a tool without a name is refused",
        "/responses",
        {"tools": [{"type": "function"}]},
        (400,),
        "tools",
    ),
    Case(
        "errors.unknown_id", "an unknown id is a 404", "/responses/resp_00000000000000000000000000000000", None, (404,)
    ),
    Case("errors.unknown_route", "an unknown path is a 404", "/responses/resp_1/nothing", None, (404,)),
)


async def _run(case: Case, subject: Subject) -> Finding:
    if case.body is None:
        answer = await subject.connection.ask("GET", case.path)
    else:
        body = case.body if isinstance(case.body, bytes) else subject.response_body(**case.body)
        answer = await subject.connection.ask("POST", case.path, body)
    if not answer.status:
        return broken(f"The answer {answer.problem}.")
    if answer.status == 200:
        return broken("It is answered as if nothing were wrong.", "api")
    if answer.status not in case.statuses:
        grade = broken if answer.status >= 500 else missing
        return grade(f"The status is {answer.status}: {error_message(answer)}", "api")
    error = object_at(answer.json, "error")
    if absent := [key for key in KEYS if key not in error]:
        if await subject.mount() != "shim" and case.body is None:
            return missing(f"The error is not in OpenAI's form: {quoted(answer.json)}.", "api")
        return broken(f"The error is not in OpenAI's form: it lacks {', '.join(absent)}.", "api")
    if not text_at(error, "message"):
        return broken("The error has no message.", "api")
    if not text_at(error, "param").startswith(case.param):
        return missing(f"The error names {quoted(error.get('param'))} as the field at fault, not {case.param}.", "api")
    return ok(f"Status {answer.status}: {error_message(answer)}")


CHECKS = tuple(Check(case.name, case.title, functools.partial(_run, case), "responses") for case in CASES)
