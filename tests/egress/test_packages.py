"""Real packages from the real registries, in a real sandbox, as a session has it."""

from __future__ import annotations

import asyncio
import shutil

import pytest

from agent.host.network import addresses_of
from agent.sandbox.egress import registries
from agent.sandbox.egress.gate import Gate
from agent.sandbox.egress.policy import policy_of
from tests.egress.test_inside import sandbox, sh
from tests.sandbox_fixtures import local_sandbox

pytestmark = [pytest.mark.sandbox, pytest.mark.slow]


def _needs(program: str, manager: str) -> registries.Registries:
    """The registries of this machine; leaves the test out, and says why, where it cannot run."""
    if shutil.which(program, path="/usr/bin:/usr/local/bin") is None:
        pytest.skip(f"LEFT OUT: `{program}` is not in /usr, where it would be visible inside")
    known = registries.read()
    hosts = [found.entry.partition("=")[0] for name, found in known.found if name == manager]
    if not addresses_of(hosts[0].partition(":")[0]):
        pytest.skip(f"LEFT OUT: the registry of {manager} cannot be reached from this machine")
    return known


def _gate(known: registries.Registries) -> Gate:
    return Gate(policy_of("registries", known.hosts), inside=known.inside)


async def test_pip_installs_a_package() -> None:
    known = await asyncio.to_thread(_needs, "pip3", "pip")
    async with sandbox(_gate(known), network="registries") as box:
        await sh(box, "pip3 install --ignore-installed iniconfig", seconds=120)
        assert await sh(box, "python3 -c 'import iniconfig; print(bool(iniconfig))'") == "True\n"


async def test_npm_installs_a_package() -> None:
    known = await asyncio.to_thread(_needs, "npm", "npm")
    async with sandbox(_gate(known), network="registries") as box:
        await sh(box, "npm install is-odd", seconds=120)
        assert await sh(box, "node -p 'require(\"is-odd\")(3)'") == "true\n"


@pytest.mark.parametrize(
    ("program", "install"),
    [("pip3", "pip3 install --ignore-installed iniconfig"), ("npm", "npm install is-odd")],
)
async def test_with_none_they_fail_at_once_and_name_the_policy(program: str, install: str) -> None:
    if shutil.which(program, path="/usr/bin:/usr/local/bin") is None:
        pytest.skip(f"LEFT OUT: `{program}` is not in /usr, where it would be visible inside")
    async with local_sandbox() as box:
        said = await sh(box, f"{install} 2>&1", code=1, seconds=30)
        assert "network policy none" in said
