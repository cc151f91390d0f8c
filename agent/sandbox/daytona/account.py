"""Whose Daytona account, and where: resolved by us and passed on explicitly.

Only the process's environment counts. The client library would also read `.env` files of the
directory it is started in, which is the repository: a hostile one could have the user's files sent
to an account of somebody else.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from urllib.parse import urlsplit

from agent.core.errors import SandboxUnavailable
from agent.host import env

KEY, URL, TARGET, SNAPSHOT = (
    "DAYTONA_API_KEY",
    "DAYTONA_API_URL",
    "DAYTONA_TARGET",
    "DAYTONA_SNAPSHOT",
)
SERVICE = "https://app.daytona.io/api"
LOOPBACK = ("localhost", "127.0.0.1", "::1")


@dataclass(frozen=True, slots=True)
class Account:
    """How to reach the service. The key is not part of any text made of this."""

    key: str = field(repr=False)
    url: str
    target: str = ""
    snapshot: str = ""

    @property
    def is_local(self) -> bool:
        return urlsplit(self.url).hostname in LOOPBACK


def resolve() -> Account:
    """The account that the environment names. Raises `SandboxUnavailable`."""
    key = env.variable(KEY)
    if not key:
        raise SandboxUnavailable(
            f"the daytona sandbox needs an API key, and {KEY} is not set",
            "make one at https://app.daytona.io/dashboard/keys that may only write and delete"
            f" sandboxes, and set {KEY}; it is never read from the repository",
        )
    if not key.isascii() or not key.isprintable() or " " in key:
        raise SandboxUnavailable(f"{KEY} holds something else than a key", "set it again")
    url = env.variable(URL, SERVICE).rstrip("/")
    account = Account(key, url, env.variable(TARGET), env.variable(SNAPSHOT))
    parts = urlsplit(url)
    if parts.scheme != "https" and not (parts.scheme == "http" and account.is_local):
        raise SandboxUnavailable(
            f"{URL} must begin with https://: the key would travel in the open",
            "leave it unset for the public service",
        )
    return account
