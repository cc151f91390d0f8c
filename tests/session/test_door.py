"""What another process may ask of a session that runs: ports, a link, and nothing else."""

from __future__ import annotations

import asyncio
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import msgspec
import pytest

from agent.core.errors import SandboxError
from agent.core.events import Notice
from agent.host import network
from agent.sandbox.protocol import Endpoint
from agent.session.door import Door, Question, knock
from agent.session.ports import Listener
from agent.testing.model import Scripted
from agent.tools.base import Seen, ToolContext
from tests.session.rig import open_session


class Ports:
    """A sandbox in which something listens on 3000."""

    def __init__(self) -> None:
        self.toolbox = self

    async def call(self, op: str, **arguments: Any) -> dict[str, Any]:
        listeners = [{"port": 3000, "program": "node"}]
        if op == "ports":
            return {"ok": True, "ports": listeners}
        there = arguments["port"] == 3000
        return {"ok": True, "answers": there, "says": "HTTP/1.1 200 OK", "ports": listeners}

    async def expose(self, port: int) -> Endpoint:
        return Endpoint(port, f"http://secret.localhost:{port}/")


async def opened(folder: Path) -> tuple[Any, Path]:
    session, bench = open_session(folder / "j", Scripted([]))

    async def context(call: Any, on_output: Any) -> ToolContext:
        return ToolContext(cast("Any", Ports()), "x", lambda _: None, Seen())

    bench.context = context  # type: ignore[method-assign]
    await Door(session, folder / "door").unlock()
    return session, folder / "door"


async def test_ports_and_a_link_are_told_until_the_session_is_closed(tmp_path: Path) -> None:
    session, place = await opened(tmp_path)
    assert place.stat().st_mode & 0o077 == 0
    reply = await knock(place, Question("ports"))
    assert reply is not None and reply.ports == (Listener(3000, "node"),)
    reply = await knock(place, Question("preview", 3000))
    assert reply is not None and reply.shown is not None
    assert (reply.shown.url, reply.shown.says) == (
        "http://secret.localhost:3000/",
        "HTTP/1.1 200 OK",
    )
    with pytest.raises(SandboxError, match="nothing answers at port 80"):
        await knock(place, Question("preview", 80, 0.1))
    await session.close()
    assert await knock(place, Question("ports")) is None


@pytest.mark.parametrize("asked", [b"\n", b"{}\n", b'{"ask": "rm"}\n', b"\xff\n", b"x" * 400_000])
async def test_what_is_no_question_is_no_harm(asked: bytes, tmp_path: Path) -> None:
    session, place = await opened(tmp_path)
    reader, writer = await network.connect_unix(place)
    writer.write(asked)
    writer.write_eof()
    said = await reader.read()
    assert not said or msgspec.json.decode(said)["problem"]
    writer.close()
    assert await knock(place, Question("ports")) is not None
    await session.close()


async def test_a_deep_folder_is_no_problem_and_a_missing_one_is_told(tmp_path: Path) -> None:
    deep = tmp_path / ("d" * 100) / ("e" * 100)
    deep.mkdir(parents=True)
    session, place = await opened(deep)
    assert await knock(place, Question("ports")) is not None
    told: list[Any] = []
    elsewhere = SimpleNamespace(emit=told.append)
    await Door(cast("Any", elsewhere), tmp_path / "no" / "door").unlock()
    assert isinstance(told[0], Notice) and "cannot ask this session" in told[0].text
    await session.close()
    await asyncio.sleep(0)
