"""Which hosts a package manager uses when nobody names others, read in its own installed files.

We keep no list of registries: what is not installed on this machine is not allowed for, and a tool
that changes its mind is followed. Files are read as text; nothing of them is run.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from agent.sandbox.egress.machine import Machine, urls_in

_PYTHONS = (
    "usr/lib/python3/dist-packages",
    "usr/lib/python3*/site-packages",
    "usr/local/lib/python3*/site-packages",
    "~/.pyenv/versions/*/lib/python3*/site-packages",
    "~/.local/lib/python3*/site-packages",
)
_NODES = (
    "usr/lib/node_modules/npm/node_modules",
    "usr/local/lib/node_modules/npm/node_modules",
    "usr/share/nodejs",
    "~/.nvm/versions/node/*/lib/node_modules/npm/node_modules",
)

# Where each tool keeps its default, and the expression whose groups are the hosts.
_PIP = (
    tuple(f"{place}/pip/_internal/models/index.py" for place in _PYTHONS),
    r'PackageIndex\(\s*"https?://([^/"]+)/?",\s*file_storage_domain="([^"]+)"',
)
_NPM = (
    tuple(f"{place}/@npmcli/config/lib/*/definitions.js" for place in _NODES)
    + tuple(f"{place}/@npmcli/config/lib/definitions.js" for place in _NODES),
    r"\bregistry['\"]?\s*[:,]\s*(?:new Definition\(\s*'registry'\s*,\s*)?\{\s*"
    r"default:\s*['\"`]https?://([^/'\"`]+)",
)
_GO = (
    ("usr/local/go/go.env", "usr/lib/go*/go.env", "~/sdk/go*/go.env", "~/go/go.env"),
    r"(?m)^GO(?:PROXY|SUMDB)=(?:https?://)?([A-Za-z0-9.-]+)",
)
_GEM = (
    ("usr/lib/ruby/vendor_ruby/rubygems.rb", "usr/lib/ruby/*/rubygems.rb"),
    r'DEFAULT_HOST\s*=\s*"https?://([^/"]+)"',
)


def pip(machine: Machine) -> tuple[str, ...]:
    """The index and the host of its files."""
    # There is a second index for trials of packages; the first one in the file is the real one.
    return _first(machine, *_PIP)


def npm(machine: Machine) -> tuple[str, ...]:
    return _first(machine, *_NPM)


def go(machine: Machine) -> tuple[str, ...]:
    """The module proxy and the database of checksums."""
    return tuple(host for hosts in _all(machine, *_GO) for host in hosts)


def gem(machine: Machine) -> tuple[str, ...]:
    """The registry and the host of its compact index."""
    return tuple(name for host in _first(machine, *_GEM) for name in (host, f"index.{host}"))


def cargo(machine: Machine, home: str) -> tuple[str, ...]:
    """The indexes that this user's cargo has fetched: each is a directory named after its host."""
    hosts: list[str] = []
    for place in machine.matching(f"{home}/registry/index/*/config.json"):
        hosts.append(place.parent.name.rpartition("-")[0])
        hosts += [url.split("/")[2] for url in urls_in(machine.text(place))]
    return tuple(dict.fromkeys(host for host in hosts if "." in host))


def _first(machine: Machine, patterns: tuple[str, ...], expression: str) -> tuple[str, ...]:
    return next(_all(machine, patterns, expression), ())


def _all(machine: Machine, patterns: tuple[str, ...], expression: str) -> Iterator[tuple[str, ...]]:
    """The groups of each match in the first file that has any."""
    for pattern in patterns:
        for place in machine.matching(pattern):
            found = [match.groups() for match in re.finditer(expression, machine.text(place))]
            if found:
                yield from found
                return
