"""What another process of the same user may ask of a session that runs here.

A sandbox belongs to the process that holds its session, so a link to one of its ports can only come
from there; and so can an interrupt, an answer to what the model asks, and what the model says while
it says it. The door is a unix socket beside the journal, which only its owner may use. One question
and one answer a connection, each a line of JSON; `follow` is answered by records without end.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator
from pathlib import Path
from typing import Any, Literal

import msgspec

from agent.core.errors import GloveboxError, SandboxError, ToolboxError
from agent.core.events import Notice, Record, Renamed
from agent.core.limits import MESSAGE_MAX_BYTES
from agent.host import network
from agent.session import ports
from agent.session.journal import encode
from agent.session.names import checked
from agent.session.ports import Listener, Shown
from agent.session.session import Session

NAME = "door"
ANSWER_SECONDS = 60.0
_LATE_SECONDS = 60.0
_BEHIND_MAX = 20_000  # records; who is that far behind does not read


class Question(msgspec.Struct, frozen=True):
    """`ports`, or with a number `preview`; `interrupt`; `follow`; `rename`, to `text`.

    `answer` is to the model's question `id`, `cross` to the `EgressAsked` of that `id`. `steer` has
    the model hear `text` while it works.
    """

    ask: Literal["ports", "preview", "interrupt", "answer", "cross", "steer", "follow", "rename"]
    port: int = 0
    seconds: float = ports.WAIT_SECONDS
    id: str = ""
    chosen: tuple[str, ...] = ()
    text: str = ""
    allow: bool = False
    remember: bool = False


class Reply(msgspec.Struct, frozen=True):
    """What was asked for, or a `problem` with its hint; `done` when an answer was taken."""

    ports: tuple[Listener, ...] = ()
    shown: Shown | None = None
    done: bool = False
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
            why = f"no other glovebox can ask this session anything: {error.strerror}"
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
                await self._answer(line, writer)
        finally:
            self._tasks.discard(task)
            writer.close()

    async def _answer(self, line: bytes, writer: asyncio.StreamWriter) -> None:
        try:
            question = msgspec.json.decode(line, type=Question)
        except msgspec.MsgspecError as error:
            reply = Reply(problem=f"not a question: {error}")
        else:
            if question.ask == "follow":
                await self._follow(writer)
                return
            reply = await self._reply(question)
        writer.write(msgspec.json.encode(reply) + b"\n")
        await writer.drain()

    async def _reply(self, question: Question) -> Reply:
        session = self._session
        try:
            match question.ask:
                case "interrupt":
                    session.interrupt()
                    return Reply(done=True)
                case "answer":
                    done = session.answer_user(
                        question.id, chosen=question.chosen, text=question.text
                    )
                    return Reply(done=done)
                case "cross":
                    allow, remember = question.allow, question.remember
                    done = session.answer_egress(question.id, allow=allow, remember=remember)
                    return Reply(done=done)
                case "steer":
                    return Reply(done=session.steer(question.text))
                case "rename":
                    session.emit(Renamed(checked(question.text)))
                    return Reply(done=True)
                case "preview":
                    context = await session.enter()
                    return Reply(shown=await ports.shown(context, question.port, question.seconds))
                case _:
                    return Reply(ports=await ports.listening(await session.enter()))
        except GloveboxError as error:
            return Reply(problem=error.message, hint=error.hint)

    async def _follow(self, writer: asyncio.StreamWriter) -> None:
        """Tell every record from now on; what came before, and the end, is in the journal."""
        records: asyncio.Queue[Record] = asyncio.Queue()
        self._session.listeners.append(records.put_nowait)
        try:
            writer.write(msgspec.json.encode(Reply(done=True)) + b"\n")
            while records.qsize() < _BEHIND_MAX:
                writer.write(encode(await records.get()))
                await writer.drain()
        finally:
            self._session.listeners.remove(records.put_nowait)


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


async def follow(path: Path) -> AsyncGenerator[Record] | None:
    """The records of the session at `path` from this moment until its process lets go of it.

    None when none holds it. What came before is in its journal, and the very end is only there.
    """
    try:
        reader, writer = await network.connect_unix(path, limit=MESSAGE_MAX_BYTES)
    except (FileNotFoundError, ConnectionRefusedError):
        return None
    try:
        writer.write(msgspec.json.encode(Question("follow")) + b"\n")
        begun = await reader.readline()
    except ConnectionError:
        begun = b""
    if not begun:
        writer.close()
        return None
    return _records(reader, writer)


async def _records(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter
) -> AsyncGenerator[Record]:
    try:
        while line := await reader.readline():
            yield msgspec.json.decode(line, type=Record)
    except (ConnectionError, msgspec.MsgspecError):  # the end, in the middle of a record
        return
    finally:
        writer.close()
