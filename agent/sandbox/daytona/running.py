"""One program at a time in a session of its own: sent once, listened to, ended.

The service's own way of running a program loses its output at a deadline and cannot end it. A
session with one command in it can be followed, told to stop through the command's stdin, and
deleted with all that is in it. Promises:

- A command is sent again only when the service has said that it did not take it, or when the
  session, asked for its commands, has none. The claim in the request (see `toolbox.channel.once`)
  makes even a late first one harmless.
- When the box stopped meanwhile, the command is not repeated; a `SandboxError` says so.
- However it ends, the session is deleted; in the background, and awaited by `close`.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import secrets
from collections.abc import Coroutine, Mapping
from dataclasses import dataclass
from typing import Any

from agent.core import limits
from agent.core.errors import SandboxError
from agent.host.launch import settled
from agent.sandbox.daytona.lines import Lines
from agent.sandbox.daytona.machine import PLACE, TRIES, WORD_MAX_CHARS, Machine, encoded
from agent.sandbox.daytona.trouble import NOT_CARRIED_OUT, Kind, Trouble
from agent.sandbox.protocol import OnOutput

LATE_SECONDS = limits.KILL_GRACE_SECONDS + limits.TOOLBOX_LATE_SECONDS
CLOSE_SECONDS = 5.0
POLL_MAX_SECONDS = 2.0
STDIN_INLINE_BYTES = 32_000


class Broke(Exception):
    """The stream of a command's output ended before its answer; `trouble` is why, if known."""

    def __init__(self, trouble: Trouble | None) -> None:
        super().__init__(trouble)
        self.trouble = trouble


@dataclass(frozen=True, slots=True)
class Sent:
    """A command that the service has taken."""

    session: str
    command: str
    since: int


class Sessions:
    """Runs programs in a machine; see the module for what it promises."""

    def __init__(self, machine: Machine) -> None:
        self._machine = machine
        self._spare: tuple[str, int] | None = None
        self._refilling = False
        self._background: set[asyncio.Task[None]] = set()

    async def close(self) -> None:
        """Wait a moment for what still goes on behind the commands, then give it up."""
        if self._background:
            _, late = await asyncio.wait(self._background, timeout=CLOSE_SECONDS)
            for task in late:
                task.cancel()
            if late:
                await asyncio.wait(late)

    async def run(
        self,
        arguments: Mapping[str, Any],
        stdin: bytes,
        *,
        seconds: float,
        on_output: OnOutput | None,
    ) -> tuple[dict[str, Any], bytes]:
        """Run a program; the toolbox's answer and the kept output."""
        for _ in range(TRIES):
            ask = self._machine.ask("exec", arguments, once=True)
            lines = Lines(
                ask["id"],
                room=limits.OUTPUT_HEAD_BYTES + limits.OUTPUT_TAIL_BYTES,
                live_room=limits.LIVE_MAX_BYTES,
            )
            word = await self._word(ask, stdin)
            sent = await self.send(f"{self._machine.command(word)}\n)")
            await self._listen_or_stop(sent, lines, seconds + LATE_SECONDS, on_output)
            if lines.ended:
                return lines.answer, bytes(lines.data)
            await self._machine.prepare()  # the helper was missing, so nothing has run
        raise SandboxError("our helper cannot be kept in the Daytona sandbox")

    # Sending.

    async def _word(self, ask: dict[str, Any], stdin: bytes) -> str:
        """The request as it goes on a command line; what is too long for that goes ahead."""
        ahead: dict[str, bytes] = {}
        if len(stdin) > STDIN_INLINE_BYTES:
            ask["arguments"]["stdin_path"] = f"{PLACE}/in/{ask['id']}.stdin"
            ahead[ask["arguments"]["stdin_path"]] = stdin
        elif stdin:
            ask["arguments"]["stdin"] = base64.b64encode(stdin).decode("ascii")
        word = encoded(ask)
        if len(word) > WORD_MAX_CHARS:
            ahead[f"{PLACE}/in/{ask['id']}"] = word.encode("ascii")
            word = f"@{PLACE}/in/{ask['id']}"
        if ahead:
            await self._machine.upload(ahead)
        return word

    async def send(self, command: str) -> Sent:
        """Have a session take `command`, for certain and once."""
        sending = asyncio.ensure_future(self._send(command))
        cancelled = await settled(sending)
        if cancelled:
            # It may have arrived: only its session's end makes sure that nothing runs.
            if sending.exception() is None:
                await self.end(sending.result())
            raise asyncio.CancelledError
        return sending.result()

    async def _send(self, command: str) -> Sent:
        for attempt in range(TRIES):
            session, since = await self._session()
            try:
                return Sent(session, await self._machine.box.send(session, command), since)
            except Trouble as trouble:
                taken = await self._reconcile(session, since, trouble)
                if taken is not None:
                    return taken
                if trouble.kind is Kind.LIMIT:
                    self._spare = (session, since)
                else:
                    self._behind(self._end(session))
                if trouble.kind is Kind.ABSENT:
                    continue  # the session went with an earlier life of the box
                await self._machine.overcome(trouble, attempt, since=since)
        raise SandboxError("Daytona does not take the command", "try again in a moment")

    async def _reconcile(self, session: str, since: int, trouble: Trouble) -> Sent | None:
        """Whether a command of which the answer got lost was taken, by asking its session."""
        if trouble.kind in NOT_CARRIED_OUT:
            return None
        for attempt in range(TRIES):
            try:
                taken = list(await self._machine.box.commands(session))
            except Trouble as unknown:
                if await self._machine.overcome(unknown, attempt, since=since):
                    raise _stopped("was being sent") from trouble
                if unknown.kind is Kind.ABSENT:
                    return None
            else:
                return Sent(session, taken[-1], since) if taken else None
        return None

    async def _session(self) -> tuple[str, int]:
        """An empty session, and which life of the box it belongs to."""
        spare, self._spare = self._spare, None
        if spare is not None and spare[1] == self._machine.starts:
            return spare
        for attempt in range(TRIES):
            self._machine.still_there()
            since, session = self._machine.starts, f"glovebox-{secrets.token_hex(8)}"
            try:
                await self._machine.box.open_session(session)
            except Trouble as trouble:
                await self._machine.overcome(trouble, attempt, since=since)
            else:
                return session, since
        raise AssertionError

    # Listening.

    async def _listen_or_stop(
        self, sent: Sent, lines: Lines, patience: float, on_output: OnOutput | None
    ) -> None:
        """Listen until the answer is whole; left early, the program is ended first."""
        try:
            async with asyncio.timeout(patience):
                await self.listen(sent, lines, on_output)
        except TimeoutError:
            await self._stop(sent, lines, on_output)
            if not lines.ended:
                raise SandboxError(
                    f"the sandbox did not answer within {patience:g} seconds; the command was ended"
                ) from None
        except asyncio.CancelledError:
            # A second cancellation must not leave the first one's work undone.
            await settled(asyncio.ensure_future(self._stop(sent, lines, on_output)))
            raise
        except BaseException:
            await settled(asyncio.ensure_future(self._stop(sent, lines, None)))
            raise
        finally:
            self.leave(sent)

    def leave(self, sent: Sent) -> None:
        """End a command's session and open the next, behind whatever comes now."""
        self._behind(self._end(sent.session))
        self._behind(self._refill())

    async def end(self, sent: Sent) -> None:
        """End a command's session with everything that belongs to it."""
        await self._end(sent.session)

    async def _stop(self, sent: Sent, lines: Lines, on_output: OnOutput | None) -> None:
        """Have the toolbox end the program, and hear what it still has to say."""
        with contextlib.suppress(SandboxError, TimeoutError):
            async with asyncio.timeout(LATE_SECONDS):
                await self._machine.box.tell(sent.session, sent.command, "cancel\n")
                await self.listen(sent, lines, on_output)
        if not lines.ended:
            with contextlib.suppress(SandboxError):
                await self._machine.box.end_session(sent.session)

    async def listen(self, sent: Sent, lines: Lines, on_output: OnOutput | None) -> None:
        """Hear the program until its answer is whole, over as many streams as that takes."""
        missed = 0
        while not lines.ended and not lines.missing:
            lines.restart()
            try:
                await self._follow(sent, lines, on_output)
            except Broke as broke:
                if await self._is_over(sent, broke.trouble):
                    missed += 1
                _hear(lines, await self._log(sent), on_output)
                if lines.ended or lines.missing:
                    return
                if missed > 2:
                    raise SandboxError(
                        "what ran the command was killed inside, so how it ended is not known",
                        "it may have run out of memory",
                    ) from broke.trouble
                await asyncio.sleep(min(0.1 * 2 ** min(missed, 8), POLL_MAX_SECONDS))

    async def _follow(self, sent: Sent, lines: Lines, on_output: OnOutput | None) -> None:
        """Follow one stream. Raises `Broke` when it ends before the answer is whole."""
        pieces: asyncio.Queue[str | None] = asyncio.Queue()
        stream = asyncio.create_task(
            self._machine.box.follow(sent.session, sent.command, pieces.put_nowait)
        )
        stream.add_done_callback(lambda _: pieces.put_nowait(None))
        try:
            while (piece := await pieces.get()) is not None:
                _hear(lines, piece, on_output)
                if lines.ended or lines.missing:
                    return
        finally:
            stream.cancel()
            if await settled(stream):
                raise asyncio.CancelledError
        try:
            stream.result()
        except Trouble as trouble:
            raise Broke(trouble) from trouble
        raise Broke(None)

    async def _is_over(self, sent: Sent, broke: Trouble | None) -> bool:
        """Whether the command has ended, by the service's word. Raises when it cannot be known."""
        for attempt in range(TRIES):
            try:
                commands = await self._machine.box.commands(sent.session)
            except Trouble as trouble:
                if await self._machine.overcome(trouble, attempt, since=sent.since):
                    raise _stopped("ran") from (broke or trouble)
                if trouble.kind is Kind.ABSENT:
                    raise SandboxError(
                        "the command's session is gone, so how the command ended is not known"
                    ) from trouble
            else:
                return commands.get(sent.command, 0) is not None
        raise AssertionError

    async def _log(self, sent: Sent) -> str:
        try:
            return f"{await self._machine.box.log(sent.session, sent.command)}\n"
        except Trouble:
            return ""  # the next stream will tell

    # Behind the commands.

    def _behind(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._background.add(task)
        task.add_done_callback(self._background.discard)

    async def _end(self, session: str) -> None:
        # A session that is left over ends with its box, at the latest.
        with contextlib.suppress(SandboxError):
            await self._machine.box.end_session(session)

    async def _refill(self) -> None:
        """Open the next session ahead of its command."""
        if self._spare is not None or self._refilling:
            return
        self._refilling = True
        since, session = self._machine.starts, f"glovebox-{secrets.token_hex(8)}"
        try:
            with contextlib.suppress(SandboxError):
                await self._machine.box.open_session(session)
                self._spare = (session, since)
        finally:
            self._refilling = False


def _hear(lines: Lines, text: str, on_output: OnOutput | None) -> None:
    live = lines.feed(text)
    if live and on_output is not None:
        on_output(live)


def _stopped(when: str) -> SandboxError:
    return SandboxError(
        f"the Daytona sandbox stopped by itself while the command {when}. It was started again and"
        " its files are there; everything that ran in it has ended, and the command was not"
        " repeated",
        "look at what it left before you run it again",
    )
