"""What a backend does so that programs inside find the gate, or learn that there is none."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from agent.sandbox.egress.gate import Gate
from agent.sandbox.egress.policy import policy_of
from agent.sandbox.protocol import SandboxSpec

SOCKET = "/run/agent/proxy"
"""Where the gate's socket is inside."""
HTTP_PORT, SOCKS_PORT = 3128, 1080
PROXY = f"http://127.0.0.1:{HTTP_PORT}"
REFUSAL = "blocked by network policy none"

# HTTP for everything: SOCKS in these variables needs a library that many programs lack, and some
# do not start without it.
_VARIABLES = ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY")
ENVIRONMENT: Mapping[str, str] = {
    **{name: PROXY for upper in _VARIABLES for name in (upper, upper.lower())},
    **dict.fromkeys(("NO_PROXY", "no_proxy"), "localhost,127.0.0.1,::1"),
    "NODE_USE_ENV_PROXY": "1",
    # What pip installs lands in the sandbox's own home: the system in there is read-only.
    "PIP_BREAK_SYSTEM_PACKAGES": "1",
}
# What nobody will ever answer is not worth asking for again.
IMPATIENT: Mapping[str, str] = {
    "PIP_RETRIES": "1",  # at the second try it says why; without one it does not
    "NPM_CONFIG_FETCH_RETRIES": "0",
    "UV_HTTP_RETRIES": "0",
    "CARGO_NET_RETRY": "0",
}


class Passage:
    """The network of one sandbox, for its backend: `open`, use the rest, `close`.

    Raises `UserError` for a policy or a host that cannot be read.
    """

    def __init__(self, spec: SandboxSpec) -> None:
        self._gate = spec.gate
        if spec.network == "none":
            self._gate = None
        elif spec.gate is None:
            self._gate = Gate(policy_of(spec.network, spec.hosts))
        policy_of(spec.network, spec.hosts)

    @property
    def gated(self) -> bool:
        """Whether there is a socket to make reachable at `SOCKET`."""
        return self._gate is not None

    @property
    def environment(self) -> Mapping[str, str]:
        """What programs inside need to see."""
        if self._gate is None:
            return {**ENVIRONMENT, **IMPATIENT}
        return {**ENVIRONMENT, **self._gate.environment}

    @property
    def files(self) -> Mapping[str, bytes]:
        """Files to put inside, by path."""
        return self._gate.files if self._gate is not None else {}

    @property
    def ways(self) -> Mapping[str, Any]:
        """What the toolbox is told: where to listen, and where it leads."""
        return {
            "socket": SOCKET if self.gated else "",
            "refusal": REFUSAL,
            "ports": [HTTP_PORT, SOCKS_PORT],
            "forwards": list(self._gate.forwards) if self._gate is not None else [],
        }

    async def open(self, socket: str, owner: int | None = None) -> None:
        """Answer at `socket` on the host; nothing to do when nothing may be reached."""
        if self._gate is not None:
            await self._gate.open(socket, owner)

    async def close(self) -> None:
        """Cut what is open. Safe to call twice."""
        if self._gate is not None:
            await self._gate.close()
