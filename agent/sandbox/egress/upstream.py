"""The user's own way to the network, where that is a proxy: read from the environment on the host.

Its user name and password are used here and never go inside.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import SplitResult, unquote, urlsplit

from agent.sandbox.egress.http import Headers


@dataclass(frozen=True, slots=True)
class Upstream:
    """One proxy, spoken to in the clear."""

    host: str
    port: int
    headers: Headers = ()

    @property
    def shown(self) -> str:
        """Its name without what it takes to use it."""
        return f"proxy {self.host}:{self.port}"


@dataclass(frozen=True, slots=True)
class Upstreams:
    """Which proxy serves requests in the clear, which one tunnels, and which hosts need none."""

    plain: Upstream | None = None
    tunnel: Upstream | None = None
    without: tuple[str, ...] = ()

    def towards(self, name: str, *, plain: bool) -> Upstream | None:
        """The proxy to reach `name` by; None for a direct connection."""
        if "*" in self.without or any(_within(name, end) for end in self.without):
            return None
        return self.plain if plain else self.tunnel


NO_UPSTREAM = Upstreams()


def upstreams_of(environment: Mapping[str, str]) -> tuple[Upstreams, tuple[str, ...]]:
    """The proxies that an environment names, and what is wrong with those that cannot be used."""
    problems: list[str] = []

    def find(*names: str) -> Upstream | None:
        for name in names:
            if value := environment.get(name.lower()) or environment.get(name):
                try:
                    return _upstream(value)
                except ValueError as error:
                    problems.append(f"{name}: {error}")
                    return None
        return None

    without = environment.get("no_proxy") or environment.get("NO_PROXY") or ""
    ends = tuple(word.strip().lower().lstrip(".") for word in without.split(",") if word.strip())
    named = {"localhost", "127.0.0.1", "::1"}
    found = Upstreams(
        find("HTTP_PROXY", "ALL_PROXY"), find("HTTPS_PROXY", "ALL_PROXY"), (*ends, *named)
    )
    return found, tuple(problems)


def _upstream(value: str) -> Upstream:
    parts = urlsplit(value if "://" in value else f"http://{value}")
    if parts.scheme != "http" or not parts.hostname:
        raise ValueError("only proxies of the form http://HOST:PORT are supported")
    return Upstream(parts.hostname, parts.port or 80, _authorization(parts))


def _authorization(parts: SplitResult) -> Headers:
    if parts.username is None:
        return ()
    pair = f"{unquote(parts.username)}:{unquote(parts.password or '')}"
    return ((b"proxy-authorization", b"Basic " + base64.b64encode(pair.encode())),)


def _within(name: str, end: str) -> bool:
    end = end.partition(":")[0] if end.count(":") == 1 else end
    return name == end or name.endswith(f".{end}")
