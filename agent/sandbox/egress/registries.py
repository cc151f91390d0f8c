"""The network policy `registries`: what the user's own package managers reach, and how they do.

Read once, when a session starts, from the user's files and variables on the host. The repository's
own files are never looked at: they are input, and could name any host.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from agent.core.errors import UserError
from agent.sandbox.egress.gate import Inside
from agent.sandbox.egress.machine import Found, Machine, certificates, this_machine
from agent.sandbox.egress.managers import MANAGERS, NPMRC, npm_certificate, pip_certificate
from agent.sandbox.egress.names import rule_of

CERTIFICATES = "/run/agent/certificates"

# Variables that name a file of certificates to trust. A company's own authority is in there.
_TRUST = (
    "SSL_CERT_FILE",
    "REQUESTS_CA_BUNDLE",
    "CURL_CA_BUNDLE",
    "PIP_CERT",
    "NODE_EXTRA_CA_CERTS",
    "GIT_SSL_CAINFO",
    "CARGO_HTTP_CAINFO",
    "NIX_SSL_CERT_FILE",
    "HTTPLIB2_CA_CERTS",
    "AWS_CA_BUNDLE",
)


@dataclass(frozen=True, slots=True)
class Registries:
    """`found` says what each package manager names and where; `inside` makes them work there."""

    found: tuple[tuple[str, Found], ...]
    inside: Inside

    @property
    def hosts(self) -> tuple[str, ...]:
        """The entries, each once; one that the user named outweighs the default."""
        named = {entry.partition("=")[0]: entry for entry in self._entries("=mirror")}
        named |= {entry.partition("=")[0]: entry for entry in self._entries("")}
        return tuple(named.values())

    def _entries(self, end: str) -> list[str]:
        entries = [found.entry for _, found in self.found]
        return [e for e in entries if (e.endswith("=mirror") if end else not e.endswith("=mirror"))]


def read(machine: Machine | None = None) -> Registries:
    """What holds on this machine. Never fails: what cannot be read is as good as absent."""
    machine = machine or this_machine()
    found: dict[tuple[str, str], tuple[str, Found]] = {}
    environment: dict[str, str] = {}
    contents: dict[str, bytes] = {}
    for name, manager in MANAGERS.items():
        findings = manager(machine)
        for one in findings.hosts:
            if _readable(one.entry):
                found.setdefault((name, one.entry), (name, one))
        environment |= findings.environment
        contents |= findings.files
    _trust(machine, environment, contents)
    return Registries(tuple(found.values()), Inside(environment, contents))


def _readable(entry: str) -> bool:
    try:
        rule_of(entry)
    except UserError:
        return False
    return True


def _trust(machine: Machine, environment: dict[str, str], contents: dict[str, bytes]) -> None:
    """Put the files of certificates inside that tools here are told to trust."""
    inside: dict[str, str] = {}

    def carried(path: str) -> str:
        if path not in inside:
            held = certificates(machine.text(Path(path))) if path.startswith("/") else b""
            inside[path] = f"{CERTIFICATES}/{len(contents)}.pem" if held else ""
            if held:
                contents[inside[path]] = held
        return inside[path]

    wanted = {name: machine.environment.get(name, "") for name in _TRUST}
    wanted["PIP_CERT"] = pip_certificate(machine)
    for name, path in wanted.items():
        if path and (place := carried(path)):
            environment[name] = place
    if place := carried(npm_certificate(machine)):
        contents[NPMRC] += f"cafile={place}\n".encode()
