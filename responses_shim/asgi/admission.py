"""Has the host say whether it lets a client in, before the shim does anything for it that is expensive.

The chat call has the client's credentials, so nobody gets an answer who may not have one. But a large body is read and
unpacked before that call, files are fetched, PDFs read, and what is wrong with a request is found. So before any of
these the host is asked by a probe: a cheap request with the client's headers, which the host's profile names (or the
setting `auth_probe`). For a small, plain and valid request the chat call comes first anyway, and nothing else is asked.
"""

from __future__ import annotations

import copy
import logging

from responses_shim.asgi.headers import headers_from_probe
from responses_shim.asgi.host_answer import Answer, read_error
from responses_shim.asgi.host_client import HostClient
from responses_shim.asgi.owner import admission_key
from responses_shim.asgi.request import Request
from responses_shim.errors import ShimError, UpstreamError
from responses_shim.hosts import HostProfile, Probe
from responses_shim.runtime.admissions import Verdict
from responses_shim.runtime.interfaces import RawHeaders

logger = logging.getLogger("responses_shim")


class Admission:
    """Whether the host lets the client of one request in. The host is asked at most once, and only if need be."""

    def __init__(self, request: Request, host: HostClient) -> None:
        self._request = request
        self._host = host
        self._verdict: Verdict | None = None

    @property
    def asked(self) -> bool:
        """Whether the host has been asked."""
        return self._verdict is not None

    @property
    def headers(self) -> RawHeaders:
        """The headers of the host's answer that belong on the shim's own answers too, such as those of CORS.

        Empty if the host has not been asked.
        """
        return self._verdict.headers if self._verdict is not None else []

    async def ask(self) -> None:
        """Return if the host lets the client in.

        Raises the client's error if not: the host's own with status 401 or 403; or one with status 503, if the host's
        answer is none that its profile knows.
        """
        if self._verdict is None:
            self._verdict = await self._ask()
        if self._verdict.refusal is not None:
            raise copy.copy(self._verdict.refusal)  # other requests may have the same verdict

    async def first(self, error: ShimError) -> ShimError:
        """What to answer to a request that the shim refuses with `error`: that, or the host's refusal of the client."""
        try:
            await self.ask()
        except ShimError as refusal:
            return refusal
        return error

    async def _ask(self) -> Verdict:
        request = self._request
        probe = _probe_of(request)
        if probe is None:
            return Verdict()
        client = request.scope.get("client")
        address = str(client[0]) if client else ""
        key = admission_key(request.scope["headers"], address, request.keys.owner_keys[0])
        # The task that asks keeps nothing of this request but its scope and the host.
        host, profile = self._host, request.profile

        async def ask() -> Verdict:
            return _judge(profile, probe, await host.probe(probe))

        return await request.admissions.verdict(key, ask) or _no_verdict(probe, Answer(0))


def _probe_of(request: Request) -> Probe | None:
    """The probe that the operator has set, or that of the host's profile; None if there is to be none."""
    path = request.settings.auth_probe
    if path == "auto":
        return request.profile.probe
    return None if path == "off" else Probe(path, admitting={200: b"", 204: b""})


def _judge(profile: HostProfile, probe: Probe, answer: Answer) -> Verdict:
    """What a host's answer to a probe says of the client."""
    status = answer.status
    if status in probe.admitting and probe.admitting[status] in answer.body:
        return Verdict(headers=headers_from_probe(answer.headers))
    if status in (401, 403):
        refusal = read_error(profile, answer)
        refusal.status = status
        return Verdict(refusal, headers_from_probe(answer.headers))
    return _no_verdict(probe, answer)


def _no_verdict(probe: Probe, answer: Answer) -> Verdict:
    what = f"its {probe.path} answered with status {answer.status}" if answer.status else f"its {probe.path} failed"
    logger.warning("the host does not say whether it lets a client in (setting auth_probe): %s", what)
    refusal = UpstreamError(
        f"The host does not say whether it lets this client in: {what}.", status=503, code="authentication_unavailable"
    )
    return Verdict(refusal, headers_from_probe(answer.headers))
