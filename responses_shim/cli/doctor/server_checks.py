"""Checks of the server as such: what it is, how the shim is mounted, whom it lets in."""

from __future__ import annotations

from responses_shim.cli.doctor.checks import Check
from responses_shim.cli.doctor.connection import Key
from responses_shim.cli.doctor.findings import Finding, broken, missing, ok, untested
from responses_shim.cli.doctor.hosts import UNKNOWN
from responses_shim.cli.doctor.lookup import objects_at, text_at
from responses_shim.cli.doctor.questions import SHORT
from responses_shim.cli.doctor.subject import Subject
from responses_shim.cli.doctor.turns import described, error_message

REFUSED = (401, 403)
UNKNOWN_RESPONSE = "/responses/resp_00000000000000000000000000000000"


async def _kind(subject: Subject) -> Finding:
    host = subject.host
    if host.kind == UNKNOWN:
        return untested("It shows nothing by which doctor would know it; the advice is that for any server.")
    return ok(" ".join(filter(None, [host.kind, host.version, f"(by {host.sign})"])))


async def _models(subject: Subject) -> Finding:
    listed = [text_at(model, "id") for model in objects_at(subject.models.json, "data")]
    if subject.models.status == 200 and listed:
        known = "" if subject.model in listed else f"; the one that was asked, {subject.model}, is not among them"
        return ok(f"{len(listed)} listed: {', '.join(listed[:5])}{known}.")
    return missing(f"GET /models lists none: status {subject.models.status}.", "models")


async def _mount(subject: Subject) -> Finding:
    mount = await subject.mount()
    if mount == "shim":
        return ok("The shim answers at /responses.")
    if mount == "native: pass":
        return ok("The server's own endpoint answers; a shim is mounted, and leaves it that (native: pass).")
    if mount == "native":
        return missing("The server's own endpoint answers; the shim is not mounted, or not enabled.", "native")
    answer = (await subject.response()).answer
    if mount == "nothing":
        return broken("Nothing answers at /responses.", "url" if not await subject.serves_chat() else "mount")
    reason = f"{described(answer)} ({answer.content_type or 'no content type'})"
    return broken(f"What answers at /responses is no Responses API: {reason}.", "mount")


async def _report(subject: Subject) -> Finding:
    """What the server itself says it does with the fields of a request: the header `Responses-Shim-Report`."""
    turn = await subject.response(limit=SHORT, seed=7, truncation="auto", user="doctor", top_p=1)
    if turn.answer.status != 200:
        return untested(f"The answer {turn.problem}.")
    report = turn.answer.headers.get("responses-shim-report")
    if report is None:
        return ok("Nothing to report on seed, truncation, top_p and user, or no shim that reports.")
    return ok(f"Of seed, truncation, top_p and user it reports: {report}")


async def _key(subject: Subject) -> Finding:
    answer = await subject.without_key("none")
    given = subject.connection.api_key is not None
    if answer.status in REFUSED:
        return ok(f"A chat request without a key is refused with status {answer.status}.")
    if answer.status != 200:
        return untested(f"A chat request without a key has another answer: {described(answer)}")
    if given:
        return broken("A key was given, but chat requests without one are answered.", "no_key")
    return missing("No key is asked for.", "no_key")


async def _wrong_key(subject: Subject) -> Finding:
    if not await subject.asks_for_key():
        return untested("The server asks for no key.")
    answer = await subject.without_key("wrong")
    if answer.status in REFUSED:
        return ok(f"A wrong key is refused with status {answer.status}.")
    if answer.status == 200:
        return broken("A chat request with a wrong key is answered.", "wrong_key")
    return untested(f"A wrong key has another answer: {described(answer)}")


async def _responses_key(subject: Subject) -> Finding:
    """Create requests and stored responses are closed to whom chat is closed."""
    if not await subject.asks_for_key():
        return untested("The server asks for no key.")
    keys: tuple[tuple[Key, str], ...] = (("none", "without a key"), ("wrong", "with a wrong key"))
    for key, words in keys:
        answer = await subject.connection.ask("POST", "/responses", subject.response_body(limit=SHORT), key=key)
        if answer.status == 200:
            return broken(f"A create request {words} is answered.", "wrong_key")
        if answer.status not in REFUSED:
            return untested(f"A create request {words} has another answer: {described(answer)}")
    return ok("Create requests without the key are refused.")


async def _probe(subject: Subject) -> Finding:
    """Whether strangers get past the question about their key, by which the shim guards what costs it work.

    What is stored is guarded by that question alone. So an id that does not exist shows it: a stranger should be
    refused, and never hear that there is no such response.
    """
    known = await subject.connection.ask("GET", UNKNOWN_RESPONSE)
    if known.status == 503:
        return broken(f"The question about the key has no answer: {error_message(known)}", "probe_fails")
    if not await subject.asks_for_key():
        return untested("The server asks for no key.")
    stored = await subject.connection.ask("GET", UNKNOWN_RESPONSE, key="none")
    if stored.status in REFUSED:
        return ok(f"Without a key stored responses are refused with status {stored.status}.")
    if stored.status in (200, 404, 405) and await subject.mount() != "nothing":
        models = await subject.connection.ask("GET", "/models", key="none")
        cause = ", and GET /models is open to everybody" if models.status == 200 else ""
        return broken(f"Who asks for a stored response without a key gets status {stored.status}{cause}.", "probe")
    return untested(f"Without a key stored responses have another answer: {described(stored)}")


CHECKS = (
    Check("host.kind", "doctor knows this kind of server", _kind),
    Check("host.models", "it lists its models", _models),
    Check("host.mount", "the shim answers at /responses", _mount),
    Check("host.report", "it says what becomes of fields that it does not pass on", _report, "responses"),
    Check("access.key", "a key is asked for", _key),
    Check("access.wrong_key", "a wrong key is refused", _wrong_key),
    Check("access.responses", "the Responses API is closed to whom chat is closed", _responses_key, "responses"),
    Check("access.probe", "the question about the key is closed to strangers", _probe),
)
