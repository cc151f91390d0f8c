"""What the user's own configuration files and variables say, read on the host and nowhere else."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast
from urllib.parse import urlsplit, urlunsplit

from agent.core.errors import UserError
from agent.host import env, files
from agent.sandbox.egress.names import LOCALHOST

FILE_MAX_BYTES = 2_000_000
_URL = re.compile(r"https?://[^\s\"'<>,|\]]+")
_CERTIFICATE = re.compile(
    r"-----BEGIN (?:TRUSTED )?CERTIFICATE-----.+?-----END (?:TRUSTED )?CERTIFICATE-----", re.DOTALL
)
_PORTS = {"https": 443, "http": 80}


@dataclass(frozen=True, slots=True)
class Machine:
    """This machine as package managers see it. `root` takes the place of `/` in tests."""

    environment: Mapping[str, str]
    home: Path
    root: Path = Path("/")

    def etc(self, path: str) -> Path:
        """A file of the system."""
        return self.root / path

    def config(self, path: str) -> Path:
        """A file below the user's configuration directory."""
        given = self.environment.get("XDG_CONFIG_HOME", "")
        return (Path(given) if given.startswith("/") else self.home / ".config") / path

    def text(self, path: Path) -> str:
        """A file; empty when it is absent or cannot be read."""
        try:
            return files.read_text(path, limit=FILE_MAX_BYTES)
        except UserError:
            return ""

    def table(self, path: Path) -> dict[str, Any]:
        """A TOML file; empty when it is absent or broken."""
        try:
            return tomllib.loads(self.text(path))
        except tomllib.TOMLDecodeError:
            return {}

    def below(self, path: Path) -> list[Path]:
        """The files in a directory."""
        return files.children(path)

    def matching(self, pattern: str) -> list[Path]:
        """The files that fit a pattern with `*`, in the home with `~/`, else in the system."""
        if pattern.startswith("~/"):
            return files.matching(self.home, pattern[2:])
        if pattern.startswith("/"):
            return files.matching(Path("/"), pattern[1:])
        return files.matching(self.root, pattern)


def this_machine() -> Machine:
    return Machine(env.variables(), env.home())


@dataclass(frozen=True, slots=True)
class Found:
    """A host that a package manager uses: an entry for `names.rule_of`, and where it is named."""

    entry: str
    source: str


@dataclass(slots=True)
class Findings:
    """What one package manager needs: hosts, and what makes it work the same inside."""

    hosts: list[Found] = field(default_factory=list[Found])
    environment: dict[str, str] = field(default_factory=dict[str, str])
    files: dict[str, bytes] = field(default_factory=dict[str, bytes])

    def named(self, urls: Iterator[str] | list[str], source: str) -> None:
        """Hosts that the user named: they may lie in a private network."""
        for url in urls:
            if entry := entry_of(url):
                self.hosts.append(Found(entry, source))

    def usual(self, *names: str) -> None:
        """Hosts that the tool uses when nobody names others."""
        self.hosts += [Found(f"{name}=mirror", "default") for name in names]


def urls_in(text: str) -> Iterator[str]:
    """Everything in a text that is an address of a web server."""
    return (match[0] for match in _URL.finditer(text))


def entry_of(url: str) -> str:
    """The entry that allows what `url` names; "" when it names nothing that can be allowed."""
    try:
        parts = urlsplit(url.removeprefix("sparse+"))
        host, port = (parts.hostname or "").removesuffix("."), parts.port
    except ValueError:
        return ""
    usual = _PORTS.get(parts.scheme)
    if usual is None or not host:
        return ""
    if host == LOCALHOST or host.startswith("127.") or host == "::1":
        return f"{LOCALHOST}:{port or usual}"
    if ":" in host:
        return f"[{host}]:{port or usual}"
    place = host if port in (None, usual) else f"{host}:{port}"
    if re.fullmatch(r"[0-9.]+", host):
        return f"{host}:{port or usual}"
    return f"{place}=private"


def without_secrets(url: str) -> str:
    """A URL without user, password, query and fragment; "" for one of another kind than http."""
    try:
        parts = urlsplit(url)
        host = parts.hostname or ""
        place = f"[{host}]" if ":" in host else host
        place += f":{parts.port}" if parts.port else ""
    except ValueError:
        return ""
    if parts.scheme.removeprefix("sparse+") not in _PORTS or not host:
        return ""
    return urlunsplit((parts.scheme, place, parts.path, "", ""))


def certificates(text: str) -> bytes:
    """The certificates in a file, and nothing else that may be in it."""
    return "".join(f"{block}\n" for block in _CERTIFICATE.findall(text)).encode()


def strings(value: Any) -> list[str]:
    """A value of a TOML or INI file as a list of strings."""
    if isinstance(value, str):
        return value.split()
    if isinstance(value, list):
        return [item for item in cast("list[Any]", value) if isinstance(item, str)]
    return []


def tables(value: Any) -> list[dict[str, Any]]:
    """The tables in a list."""
    if not isinstance(value, list):
        return []
    return [cast("dict[str, Any]", t) for t in cast("list[Any]", value) if isinstance(t, dict)]


def named_tables(value: Any) -> list[tuple[str, dict[str, Any]]]:
    """The tables in a table, with their names."""
    if not isinstance(value, dict):
        return []
    items = cast("dict[str, Any]", value).items()
    return [(name, cast("dict[str, Any]", t)) for name, t in items if isinstance(t, dict)]
