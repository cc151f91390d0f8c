"""A resident toolbox for as long as a person is in the sandbox: its frames over a session.

What goes in is numbered and sent again until it has arrived; what comes out is the session's log.
So a program can be talked to while it runs, in a terminal if need be. Tool calls do not come this
way: a log that grows with every answer is nothing to lean on for a whole session.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import secrets
from collections.abc import AsyncGenerator

from agent.core import limits
from agent.core.errors import GloveboxError, SandboxError
from agent.host.handles import Channel, Streams
from agent.host.launch import settled
from agent.sandbox.daytona.lines import Lines
from agent.sandbox.daytona.machine import TRIES, Machine
from agent.sandbox.daytona.running import Sent, Sessions
from agent.sandbox.daytona.trouble import Trouble
from agent.sandbox.toolbox import BOUNDS, ToolboxClient

PIECE_BYTES = 16_384
ENDLESS = 2**62


@contextlib.asynccontextmanager
async def resident(machine: Machine, sessions: Sessions) -> AsyncGenerator[ToolboxClient]:
    """A toolbox that stays up for the length of the block."""
    await machine.prepare()
    name = secrets.token_hex(8)
    sent = await sessions.send(f"{machine.command(name, 'lines')}\n)")
    ours, theirs = await Channel().both()
    toolbox = ToolboxClient(*ours)
    carrying = asyncio.create_task(_carry(machine, sessions, sent, name, theirs))
    try:
        async with asyncio.timeout(limits.TOOLBOX_START_SECONDS):
            await toolbox.start(
                bounds=BOUNDS, environment=machine.environment, grammars=machine.grammars
            )
        yield toolbox
    except TimeoutError as error:
        raise SandboxError("our helper in the Daytona sandbox does not answer") from error
    finally:
        await settled(asyncio.ensure_future(_finish(toolbox, carrying, sessions, sent)))


async def _finish(
    toolbox: ToolboxClient, carrying: asyncio.Task[None], sessions: Sessions, sent: Sent
) -> None:
    await toolbox.close()
    carrying.cancel()
    await asyncio.wait([carrying])
    await sessions.end(sent)


async def _carry(
    machine: Machine, sessions: Sessions, sent: Sent, name: str, streams: Streams
) -> None:
    """Carry bytes both ways; when either way ends, so does the connection."""
    reader, writer = streams
    out = asyncio.create_task(_inwards(machine, sent, reader))
    back = asyncio.create_task(sessions.listen(sent, Lines(name, live_room=ENDLESS), writer.write))
    try:
        await asyncio.wait({out, back}, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in (out, back):
            task.cancel()
        await asyncio.wait({out, back})
        for task in (out, back):
            # Why it ended is known to whoever asks next: the machine remembers what was lost.
            with contextlib.suppress(GloveboxError, asyncio.CancelledError):
                task.result()
        writer.close()
        with contextlib.suppress(ConnectionError):
            await writer.wait_closed()


async def _inwards(machine: Machine, sent: Sent, reader: asyncio.StreamReader) -> None:
    number = 0
    while piece := await reader.read(PIECE_BYTES):
        line = f"@{number} {base64.b64encode(piece).decode('ascii')}\n"
        for attempt in range(TRIES):
            try:
                await machine.box.tell(sent.session, sent.command, line)
            except Trouble as trouble:
                if await machine.overcome(trouble, attempt, since=sent.since):
                    return  # another life of the box: nobody listens there any more
            else:
                break
        number += 1
