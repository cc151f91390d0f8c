"""What another process of the same user may ask of a session that runs here: its ports.

A sandbox belongs to the process that holds its session, so a link to one of its ports can only come
from there. The door is a unix socket beside the journal, which only its owner may use. One question
and one answer a connection, each a line of JSON.
"""

from __future__ import annotations

import asyncio
import contextlib
from pathlib import Path
from typing import Any, Literal

import msgspec

from agent.core.errors import GloveboxError, SandboxError, ToolboxError
from agent.core.events import Notice
from agent.host import network
from agent.session import ports
from agent.session.ports import Listener, Shown
from agent.session.session import Session

NAME = "door"
ANSWER_SECONDS = 60.0
_LATE_SECONDS = 60.0


class Question(msgspec.Struct, frozen=True):
    """`ports`, or with a number `preview`."""

    ask: Literal["ports", "preview"]
    port: int = 0
    seconds: float = ports.WAIT_SECONDS


class Reply(msgspec.Struct, frozen=True):
    """What was asked for, or a `problem` with its hint."""

    ports: tuple[Listener, ...] = ()
    shown: Shown | None = None
    problem: str = ""
    hint: str = ""


class Door:
    """Answers for one session until it is closed."""

    def __init__(self, session: Session, path: Path) -> None:
        self._session = session
        self._path = path
        self._open: network.Listening | None = None
        self._tasks: set[asyncio.Task[Any]] = set()

    async def unlock(self) -> None:
        """Answer from now on; where there can be no such socket, a notice says what is missing."""
        try:
            self._open = await network.listen(self._path, self._serve)
        except OSError as error:
            why = f"`glovebox ports` and `preview` cannot ask this session: {error.strerror}"
            self._session.emit(Notice("info", why))
            return
        self._session.at_close(self.close)

    def close(self) -> None:
        """Answer no more. Safe to call twice."""
        if self._open is not None:
            self._open.close()
            self._open = None
        for task in self._tasks:
            task.cancel()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        try:
            with contextlib.suppress(ConnectionError, TimeoutError, ValueError):
                async with asyncio.timeout(ANSWER_SECONDS):
                    line = await reader.readline()
                writer.write(msgspec.json.encode(await self._reply(line)) + b"\n")
                await writer.drain()
        finally:
            self._tasks.discard(task)
            writer.close()

    async def _reply(self, line: bytes) -> Reply:
        try:
            question = msgspec.json.decode(line, type=Question)
        except msgspec.MsgspecError as error:
            return Reply(problem=f"not a question: {error}")
        try:
            context = await self._session.enter()
            if question.ask == "ports":
                return Reply(ports=await ports.listening(context))
            return Reply(shown=await ports.shown(context, question.port, question.seconds))
        except GloveboxError as error:
            return Reply(problem=error.message, hint=error.hint)


async def knock(path: Path, question: Question) -> Reply | None:
    """What the process that holds the session at `path` answers; None when there is none.

    Raises `SandboxError` for what it cannot do.
    """
    try:
        reader, writer = await network.connect_unix(path)
    except (FileNotFoundError, ConnectionRefusedError):
        return None
    try:
        writer.write(msgspec.json.encode(question) + b"\n")
        async with asyncio.timeout(question.seconds + _LATE_SECONDS):
            line = await reader.readline()
        reply = msgspec.json.decode(line, type=Reply)
    except (ConnectionError, TimeoutError, ValueError, msgspec.MsgspecError) as error:
        raise ToolboxError("the process that holds the session does not answer") from error
    finally:
        writer.close()
    if reply.problem:
        raise SandboxError(reply.problem, reply.hint)
    return reply
