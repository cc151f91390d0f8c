"""The host's half of the wire, put to a toolbox that was taken over."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import socket
from collections.abc import AsyncGenerator, Awaitable, Callable
from typing import Any

import pytest

from agent.core import limits
from agent.core.errors import SandboxError, SandboxLost, ToolboxError
from agent.sandbox.frames import HEADER, Kind, frame
from agent.sandbox.toolbox import ToolboxClient

Peer = Callable[["Hostile"], Awaitable[None]]


class Hostile:
    """The far end of the channel: reads what is asked, answers whatever it likes."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    async def asked(self) -> tuple[int, dict[str, Any]]:
        """The next request, its number and content; data and cancels are passed over."""
        while True:
            size, kind, number = HEADER.unpack(await self.reader.readexactly(HEADER.size))
            payload = await self.reader.readexactly(size)
            if kind == Kind.ASK_END:
                return number, json.loads(payload)

    async def cancelled(self) -> int:
        """The number of the next request that is cancelled."""
        while True:
            size, kind, number = HEADER.unpack(await self.reader.readexactly(HEADER.size))
            await self.reader.readexactly(size)
            if kind == Kind.CANCEL:
                return number

    def answer(self, number: int, value: Any) -> None:
        self.writer.write(frame(Kind.ANSWER_END, number, json.dumps(value).encode()))

    def send(self, kind: Kind, number: int, payload: bytes = b"") -> None:
        self.writer.write(frame(kind, number, payload))


@contextlib.asynccontextmanager
async def client_of(peer: Peer) -> AsyncGenerator[ToolboxClient]:
    """A client whose toolbox is `peer`, which starts after the greeting."""
    ours, theirs = socket.socketpair()
    far = Hostile(*await asyncio.open_connection(sock=theirs))

    async def play() -> None:
        number, _ = await far.asked()
        far.answer(number, {"ok": True})
        await peer(far)

    playing = asyncio.create_task(play())
    client = ToolboxClient(*await asyncio.open_connection(sock=ours))
    try:
        await client.start()
        yield client
    finally:
        await client.close()
        playing.cancel()
        await asyncio.wait([playing])
        far.writer.transport.abort()
        with contextlib.suppress(ConnectionError):
            await far.writer.wait_closed()


async def execute(client: ToolboxClient, **more: Any) -> Any:
    given = {"cwd": "", "env": {}, "stdin": b"", "seconds": 60, "on_output": None, "log": ""}
    return await client.exec(["true"], **(given | more))


def violation(answer: Callable[[Hostile, int], None]) -> Peer:
    async def peer(far: Hostile) -> None:
        number, _ = await far.asked()
        answer(far, number)

    return peer


def cut_in_the_middle(far: Hostile, number: int) -> None:
    far.writer.write(frame(Kind.ANSWER_END, number, b"x" * 100)[:50])
    far.writer.close()


@pytest.mark.parametrize(
    "answer",
    [
        lambda far, n: far.writer.write(b"\xff" * 13),
        lambda far, n: far.writer.write(HEADER.pack(2**32 - 1, Kind.ANSWER, n)),
        lambda far, n: far.writer.write(HEADER.pack(limits.FRAME_PAYLOAD_MAX_BYTES + 1, 3, n)),
        lambda far, n: far.writer.write(HEADER.pack(0, 0, n)),
        lambda far, n: far.send(Kind.ASK_END, n, b"x"),
        lambda far, n: far.send(Kind.CANCEL, n, b"x"),
        lambda far, n: far.answer(n ^ 1, {"ok": True}),
        lambda far, n: far.send(Kind.DATA, n, b"not asked for"),
        lambda far, n: far.send(Kind.LIVE, n, b"not asked for"),
        lambda far, n: far.send(Kind.ANSWER, n, b""),
        lambda far, n: far.writer.close(),
        cut_in_the_middle,
    ],
)
async def test_a_violation_cuts_the_toolbox_off(answer: Callable[[Hostile, int], None]) -> None:
    async with client_of(violation(answer)) as client:
        with pytest.raises(SandboxLost):
            await client.call("read", path="x")
        with pytest.raises(SandboxLost):
            await client.call("read", path="x")


@pytest.mark.parametrize(
    "payload",
    [b"{", b"[]", b"[" * 500_000, b"9" * 10_000, b"NaN", b'{"ok": NaN}', b"\xff", b'{"ok": 1}'],
)
async def test_an_answer_that_is_no_answer_is_an_error(payload: bytes) -> None:
    peer = violation(lambda far, n: far.send(Kind.ANSWER_END, n, payload))
    async with client_of(peer) as client:
        with pytest.raises(ToolboxError):
            await client.call("read", path="x")


@pytest.mark.parametrize(
    "value",
    [
        {},
        {"exit_code": "0", "timed_out": False, "dropped": 0, "log": "", "seconds": 0.1},
        {"exit_code": 0, "timed_out": 1, "dropped": 0, "log": "", "seconds": 0.1},
        {"exit_code": 0, "timed_out": False, "dropped": None, "log": "", "seconds": 0.1},
        {"exit_code": 0, "timed_out": False, "dropped": 0, "log": [], "seconds": 0.1},
    ],
)
async def test_a_result_of_the_wrong_shape_is_an_error(value: dict[str, Any]) -> None:
    peer = violation(lambda far, n: far.answer(n, value))
    async with client_of(peer) as client:
        with pytest.raises(ToolboxError):
            await execute(client)


async def test_answers_find_their_requests_in_any_order() -> None:
    async def peer(far: Hostile) -> None:
        asked = [await far.asked() for _ in range(3)]
        for number, ask in reversed(asked):
            far.answer(number, {"ok": True, "path": ask["arguments"]["path"]})

    async with client_of(peer) as client:
        answers = await asyncio.gather(*(client.call("read", path=p) for p in "abc"))
    assert [a["path"] for a in answers] == ["a", "b", "c"]


async def test_more_output_than_promised_cuts_the_toolbox_off() -> None:
    def answer(far: Hostile, number: int) -> None:
        for _ in range(3):
            far.send(Kind.DATA, number, b"x" * 20_000)

    async with client_of(violation(answer)) as client:
        with pytest.raises(SandboxLost, match="more than was asked for"):
            await execute(client)


async def test_more_live_output_than_promised_cuts_the_toolbox_off() -> None:
    def answer(far: Hostile, number: int) -> None:
        for _ in range(limits.LIVE_MAX_BYTES // 100_000 + 1):
            far.send(Kind.LIVE, number, b"x" * 100_000)

    seen = bytearray()
    async with client_of(violation(answer)) as client:
        with pytest.raises(SandboxLost, match="more than was asked for"):
            await execute(client, on_output=seen.extend)
    assert len(seen) <= limits.LIVE_MAX_BYTES


async def test_a_file_larger_than_asked_cuts_the_toolbox_off() -> None:
    def answer(far: Hostile, number: int) -> None:
        far.send(Kind.DATA, number, b"x" * 11)

    async with client_of(violation(answer)) as client:
        with pytest.raises(SandboxLost):
            await client.get("file", limit=10, sink=None)


async def test_an_endless_answer_cuts_the_toolbox_off(monkeypatch: pytest.MonkeyPatch) -> None:
    async def peer(far: Hostile) -> None:
        number, _ = await far.asked()
        while True:
            far.send(Kind.ANSWER, number, b"x" * 1_000_000)
            await far.writer.drain()

    async with client_of(peer) as client:
        with pytest.raises(SandboxLost, match="more than was asked for"):
            await client.call("read", path="x")


async def test_a_toolbox_that_does_not_answer_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    async def peer(far: Hostile) -> None:
        await far.reader.read()

    async with client_of(peer) as client:
        monkeypatch.setattr(limits, "TOOLBOX_ANSWER_SECONDS", 0.05)
        with pytest.raises(SandboxLost, match="did not answer"):
            await client.call("read", path="x")


async def test_a_program_that_outlives_its_deadline_is_given_up(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def peer(far: Hostile) -> None:
        number, _ = await far.asked()
        while True:
            far.send(Kind.LIVE, number, b".")
            await asyncio.sleep(0.01)

    monkeypatch.setattr(limits, "TOOLBOX_LATE_SECONDS", 0.05)
    monkeypatch.setattr(limits, "KILL_GRACE_SECONDS", 0.05)
    async with client_of(peer) as client:
        with pytest.raises(SandboxLost, match="did not answer"):
            await execute(client, seconds=0.05, on_output=lambda data: None)


async def test_a_toolbox_that_takes_nothing_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    async def peer(far: Hostile) -> None:
        far.reader._transport.pause_reading()  # type: ignore[attr-defined]
        await asyncio.Event().wait()

    async with client_of(peer) as client:
        monkeypatch.setattr(limits, "TOOLBOX_ANSWER_SECONDS", 0.2)
        with pytest.raises(SandboxLost, match="take requests"):
            await client.put("file", b"x" * 20_000_000, 0o644)


async def test_a_cancelled_request_is_ended_inside_before_the_cancel_returns() -> None:
    order: list[str] = []
    asked = asyncio.Event()

    async def peer(far: Hostile) -> None:
        await far.asked()
        asked.set()
        number = await far.cancelled()
        order.append("told")
        far.send(Kind.LIVE, number, b"last words")
        far.answer(number, {"exit_code": -15})

    async with client_of(peer) as client:
        words: list[bytes] = []
        task = asyncio.create_task(execute(client, on_output=words.append))
        await asked.wait()
        task.cancel()
        await asyncio.wait([task])
        order.append("returned")
    assert (task.cancelled(), order, words) == (True, ["told", "returned"], [b"last words"])


async def test_a_request_cancelled_twice_still_ends_inside() -> None:
    asked, twice, ended = asyncio.Event(), asyncio.Event(), asyncio.Event()

    async def peer(far: Hostile) -> None:
        await far.asked()
        asked.set()
        number = await far.cancelled()
        await twice.wait()
        far.answer(number, {"exit_code": -15})
        number, _ = await far.asked()
        far.answer(number, {"ok": True})
        ended.set()

    async with client_of(peer) as client:
        task = asyncio.create_task(execute(client))
        await asked.wait()
        task.cancel()
        for _ in range(5):
            await asyncio.sleep(0)
        task.cancel()
        await asyncio.wait([task])
        twice.set()
        assert (await client.call("read", path="x"))["ok"]
        await ended.wait()


async def test_a_refusal_of_a_transfer_is_an_error_with_the_reason() -> None:
    async def peer(far: Hostile) -> None:
        for reason in ({"reason": "no_space", "why": "No space left on device"}, {}):
            number, _ = await far.asked()
            far.answer(number, {"ok": False, **reason})

    async with client_of(peer) as client:
        with pytest.raises(SandboxError, match=r"cannot write `a`.*No space left"):
            await client.put("a", b"x", 0o644)
        with pytest.raises(SandboxError, match=r"cannot read `b`.*no reason"):
            await client.get("b", limit=1, sink=None)


async def test_descriptors_that_come_along_are_not_taken() -> None:
    before = len(os.listdir("/proc/self/fd"))

    def answer(far: Hostile, number: int) -> None:
        channel = socket.socket(fileno=os.dup(far.writer.get_extra_info("socket").fileno()))
        payload = frame(Kind.ANSWER_END, number, b'{"ok": true}')
        with open("/dev/null", "rb") as null:
            socket.send_fds(channel, [payload], [null.fileno()] * 200)
        channel.close()

    async with client_of(violation(answer)) as client:
        assert await client.call("read", path="x") == {"ok": True}
        assert len(os.listdir("/proc/self/fd")) < before + 50
