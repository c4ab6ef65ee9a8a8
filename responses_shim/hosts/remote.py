"""What differs where a host is another server, reached over HTTP (`asgi/reverse_proxy.py`), whatever kind it is."""

from __future__ import annotations

from dataclasses import replace

from responses_shim.hosts.profile import HostProfile, RetryRules

RETRY = RetryRules(
    # 520: Cloudflare's, for a server that answered something else than HTTP
    statuses=frozenset({429, 500, 502, 503, 504, 520}),
    opening_statuses=frozenset({429, 500, 502, 503, 504, 520}),
)
"""Another server may be starting, overloaded or behind a gateway: what it fails at once it may well do the next time.

The 502 and 504 are also those of the reverse proxy itself, for a server that cannot be reached.
"""


def over_http(profile: HostProfile) -> HostProfile:
    """The profile of a host that is reached over HTTP."""
    return replace(
        profile,
        retry=RETRY,
        unfinished_message=f"{profile.unfinished_message} Or the connection to it has broken off.",
    )
