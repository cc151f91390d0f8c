from __future__ import annotations

import pytest

from agent.git.guard import Git, clean_environment
from agent.git.repository import Repository
from tests.git.users import User

SETTINGS = {
    "core.hookspath": "/dev/null",
    "core.fsmonitor": "false",
    "core.alternaterefscommand": "true",
    "core.pager": "cat",
    "core.bigfilethreshold": "16m",
    "credential.helper": "",
    "gc.auto": "0",
    "maintenance.auto": "false",
    "fetch.prune": "false",
    "fetch.prunetags": "false",
    "fetch.recursesubmodules": "no",
    "fetch.showforcedupdates": "true",
    "fetch.writecommitgraph": "false",
    "fetch.unpacklimit": "1",
    "fetch.fsckobjects": "true",
    "transfer.fsckobjects": "true",
    "transfer.bundleuri": "false",
    "submodule.recurse": "false",
    "protocol.allow": "never",
    "log.showsignature": "false",
    "safe.barerepository": "explicit",
}
VARIABLES = {
    "HOME": "/dev/null",
    "GIT_CONFIG_NOSYSTEM": "1",
    "GIT_CONFIG_GLOBAL": "/dev/null",
    "GIT_ATTR_NOSYSTEM": "1",
    "GIT_TERMINAL_PROMPT": "0",
    "GIT_ASKPASS": "/bin/false",
    "GIT_NO_LAZY_FETCH": "1",
    "GIT_NO_REPLACE_OBJECTS": "1",
    "GIT_OPTIONAL_LOCKS": "0",
    "GIT_ALLOW_PROTOCOL": "",
    "GIT_PROTOCOL_FROM_USER": "0",
}


@pytest.mark.parametrize("key", SETTINGS)
async def test_our_settings_outrank_those_of_the_repository(user: User, key: str) -> None:
    user.git("config", key, "7")
    git = (await Repository.find(user.root)).git
    assert await git.line("config", "--get", key) == SETTINGS[key]


async def test_hooks_defined_in_configuration_are_off(user: User) -> None:
    user.git("config", "hook.spy.one.command", "touch x")
    git = (await Repository.find(user.root)).git
    assert await git.line("config", "--get", "hook.spy.one.enabled") == "false"


def test_nothing_of_the_callers_environment_goes_along(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("GIT_DIR", "GIT_SSH_COMMAND", "SSH_AUTH_SOCK", "OPENAI_API_KEY", "LD_PRELOAD"):
        monkeypatch.setenv(name, "leaked")
    environment = clean_environment()
    assert "leaked" not in environment.values()
    assert VARIABLES.items() <= environment.items()


async def test_a_command_that_fails_says_what_git_said(user: User) -> None:
    with pytest.raises(Git(user.root).fails, match="`git cat-file` failed: fatal: Not a valid"):
        await Git(user.root / ".git").run("cat-file", "-t", "nothing")
