"""Whose Daytona account, and where: resolved by us and passed on explicitly.

Only this process's environment and the user's own file count. The client library would also read
`.env` files of the directory it is started in, which is the repository: a hostile one could have
the user's files sent to an account of somebody else.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from urllib.parse import urlsplit

import msgspec

from agent.core.errors import ConfigError, SandboxUnavailable
from agent.host import env, files

KEY, URL, TARGET, SNAPSHOT = (
    "DAYTONA_API_KEY",
    "DAYTONA_API_URL",
    "DAYTONA_TARGET",
    "DAYTONA_SNAPSHOT",
)
FILE = "daytona.json"
SERVICE = "https://app.daytona.io/api"
LOOPBACK = ("localhost", "127.0.0.1", "::1")
_FILE_MAX_BYTES = 100_000


class _Kept(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What the user's file may hold; a variable of the same name goes before it."""

    api_key: str = ""
    api_url: str = ""
    target: str = ""
    snapshot: str = ""


@dataclass(frozen=True, slots=True)
class Account:
    """How to reach the service. The key is not part of any text made of this."""

    key: str = field(repr=False)
    url: str
    target: str = ""
    snapshot: str = ""

    @property
    def is_local(self) -> bool:
        """Whether the service is on this machine, where nothing travels."""
        return urlsplit(self.url).hostname in LOOPBACK


def configured() -> bool:
    """Whether there is a key. Raises `ConfigError` for a file that cannot be read."""
    return bool(env.variable(KEY) or _kept().api_key)


def resolve() -> Account:
    """The account to use. Raises `SandboxUnavailable` when none is named, `ConfigError`."""
    kept = _kept()
    key = env.variable(KEY) or kept.api_key
    if not key:
        raise SandboxUnavailable(
            f"the daytona sandbox needs an API key, and {KEY} is not set",
            "make one at https://app.daytona.io/dashboard/keys that may only write and delete"
            f" sandboxes, and set {KEY}, or write it to `{env.config_dir() / FILE}` as"
            ' {"api_key": "…"}; it is never read from the repository',
        )
    if not key.isascii() or not key.isprintable() or " " in key:
        raise SandboxUnavailable(f"{KEY} holds something else than a key", "set it again")
    account = Account(
        key,
        (env.variable(URL) or kept.api_url or SERVICE).rstrip("/"),
        env.variable(TARGET) or kept.target,
        env.variable(SNAPSHOT) or kept.snapshot,
    )
    parts = urlsplit(account.url)
    if parts.scheme != "https" and not (parts.scheme == "http" and account.is_local):
        raise SandboxUnavailable(
            f"{URL} must begin with https://: the key would travel in the open",
            "leave it unset for the public service",
        )
    return account


def _kept() -> _Kept:
    path = env.config_dir() / FILE
    if not files.exists(path):
        return _Kept()
    try:
        return msgspec.json.decode(files.read_bytes(path, limit=_FILE_MAX_BYTES), type=_Kept)
    except msgspec.MsgspecError as error:
        # Not the text of the file, which holds the key.
        known = ", ".join(_Kept.__struct_fields__)
        raise ConfigError(
            f"`{path}` does not fit: {error}", f"it holds texts named: {known}", file=str(path)
        ) from error
