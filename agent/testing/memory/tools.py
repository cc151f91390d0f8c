"""The programs that every machine in memory has, as far as tests use them."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Mapping

from agent.testing.memory.process import Body, Process
from agent.testing.vocabulary import VOCABULARY


async def true(me: Process) -> None:
    """Succeed."""


async def sleep(me: Process) -> None:
    """Wait for so many seconds."""
    await asyncio.sleep(float(me.arguments[0]))


async def cat(me: Process) -> None:
    """Copy files, or stdin, to stdout."""
    for path in me.arguments:
        await me.print(me.files.read(me.path(path)))
    while not me.arguments and (piece := await me.streams.stdin.read()):
        await me.print(piece)


async def env(me: Process) -> None:
    """`env -0`: the whole environment."""
    await me.print("".join(f"{key}={value}\0" for key, value in me.environment.items()))


async def sha256sum(me: Process) -> None:
    """The digest of stdin."""
    digest = hashlib.sha256()
    while piece := await me.streams.stdin.read():
        digest.update(piece)
    await me.print(f"{digest.hexdigest()}  -\n")


async def sh(me: Process) -> int | None:
    """No shell: `sh -c SCRIPT NAME …` for the scripts of the vocabulary, known by heart."""
    if len(me.argv) >= 4 and me.argv[1] == "-c":
        known = VOCABULARY.get(me.argv[3])
        if known is not None and known.script == me.argv[2]:
            me.arguments = me.argv[4:]
            return await known.body(me)
    await me.complain("sh: there is no shell in memory, only the programs of its vocabulary\n")
    return 127


TOOLS: Mapping[str, Body] = {tool.__name__: tool for tool in (true, sleep, cat, env, sha256sum, sh)}
