"""One session's way out: its policy, its proxy, what is asked, what is written down."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from agent.core import limits
from agent.core.errors import SandboxUnavailable, UserError
from agent.core.events import EgressAnswered, EgressAsked, Notice
from agent.host import files, network
from agent.sandbox.egress.asks import Answer, Asks
from agent.sandbox.egress.names import LOCALHOST, Rule, rule_of
from agent.sandbox.egress.policy import Policy, Target, forwarded
from agent.sandbox.egress.proxy import Allowed, Bounds, Denied, Proxy
from agent.sandbox.egress.resolve import NOT_PUBLIC
from agent.sandbox.egress.roads import Roads

Emit = Callable[[EgressAsked | EgressAnswered | Notice], None]


@dataclass(frozen=True, slots=True)
class Inside:
    """What is put into the sandbox so that programs there find their way."""

    environment: Mapping[str, str] = field(default_factory=dict[str, str])
    files: Mapping[str, bytes] = field(default_factory=dict[str, bytes])


class Gate:
    """See `protocol.Gate`. `asks` says that a person can be asked; `audit` is a file of JSON lines.

    The policy is replaced as a whole when a person allows a host, and never read from anywhere
    again: nothing that happens later can widen it.
    """

    def __init__(
        self,
        policy: Policy,
        *,
        inside: Inside | None = None,
        emit: Emit | None = None,
        asks: bool = False,
        audit: Path | None = None,
        roads: Callable[[], Roads] = Roads,
        bounds: Bounds | None = None,
    ) -> None:
        self._policy = policy
        self._inside = inside or Inside()
        self._emit = emit if emit is not None else _nobody
        self._asks = Asks(self._emit) if asks else None
        self._audit = Audit(audit) if audit is not None else None
        self._roads = roads
        self._bounds = bounds or Bounds()
        self._told: set[str] = set()
        self._proxy: Proxy | None = None
        self._listening: network.Listening | None = None

    @property
    def environment(self) -> Mapping[str, str]:
        return self._inside.environment

    @property
    def files(self) -> Mapping[str, bytes]:
        return self._inside.files

    @property
    def forwards(self) -> tuple[int, ...]:
        return forwarded(self._policy)

    async def open(self, socket: str, owner: int | None = None) -> None:
        await self.close()
        proxy = Proxy(self._decide, self._roads(), self._log, self._bounds)
        try:
            self._listening = await network.listen(Path(socket), proxy.serve, owner=owner)
        except OSError as error:
            raise SandboxUnavailable(
                f"the network of the sandbox cannot be set up at `{socket}`: {error.strerror}",
                "use `--network none` to work without",
            ) from error
        self._proxy = proxy

    async def close(self) -> None:
        listening, self._listening = self._listening, None
        if listening is not None:
            listening.close()
        proxy, self._proxy = self._proxy, None
        if proxy is not None:
            await proxy.cut()
        if self._audit is not None:
            self._audit.close()

    def answer(self, identity: str, *, allow: bool, remember: bool) -> bool:
        """A person's answer to `EgressAsked`; False when that question is over."""
        given = Answer(allow, remember=allow and remember)
        return self._asks is not None and self._asks.answer(identity, given)

    def allow(self, entry: str) -> None:
        rule = rule_of(entry)
        if rule.name == LOCALHOST:
            raise UserError(
                "a port of your own machine can only be allowed from the start",
                f"begin a session with `--allow-host {entry.strip()}`",
            )
        self._policy = self._policy.having(rule)

    async def _decide(self, host: str, port: int) -> Allowed:
        target = self._policy.target(host, port)
        rule = self._policy.rule(target)
        if rule is None:
            rule = await self._asked(target)
        return Allowed(target, rule, self._policy.strict)

    async def _asked(self, target: Target) -> Rule:
        """What a person allows. Raises `Denied`."""
        if self._asks is None:
            self._tell(target)
            raise Denied
        answer = await self._asks.ask(target)
        if not answer.allow:
            raise Denied
        if answer.remember:
            self._policy = self._policy.allowing(target)
        return Rule(target.name, (target.port,))

    def _log(self, entry: dict[str, Any]) -> None:
        if self._audit is not None:
            self._audit.write(entry)
        if entry["why"].endswith(NOT_PUBLIC):
            self._tell_address(entry["host"], entry["port"], entry["address"])

    def _tell(self, target: Target) -> None:
        entry = target.name if target.port in (80, 443) else str(target)
        self._notice(
            str(target),
            f"blocked by the network policy `{self._policy.kind}`: {target}",
            f"allow it with `--allow-host {entry}`",
        )

    def _tell_address(self, host: str, port: int, address: str) -> None:
        entry = host if port in (80, 443) else f"{host}:{port}"
        self._notice(
            f"{host} {address}",
            f"blocked: {host}:{port} is at {address}, which is not a public address",
            f"if that is a host of your own network: `--allow-host {entry}={address}`",
        )

    def _notice(self, key: str, text: str, hint: str) -> None:
        # Bounded, because whoever is inside can ask for as many names as it likes.
        if key not in self._told and len(self._told) < limits.EGRESS_ASKS_MAX:
            self._told.add(key)
            self._emit(Notice("warning", text, hint))


class Audit:
    """One JSON line for each connection; stops growing at a bound and says so."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file: files.AppendFile | None = None
        self._room = limits.EGRESS_AUDIT_MAX_BYTES

    def write(self, entry: Mapping[str, Any]) -> None:
        """Append a line."""
        line = json.dumps(entry).encode() + b"\n"
        if self._room <= 0:
            return
        self._room -= len(line)
        if self._room <= 0:
            line = json.dumps({"at": entry["at"], "why": "the audit is full"}).encode() + b"\n"
        if self._file is None:
            self._file = files.AppendFile(self._path)
        self._file.append(line)

    def close(self) -> None:
        if self._file is not None:
            self._file.close()
            self._file = None


def _nobody(_: EgressAsked | EgressAnswered | Notice) -> None:
    """Nobody listens."""
