"""Running programs: what the contract suite cannot see from outside."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from agent.core import limits
from agent.core.limits import OUTPUT_HEAD_BYTES, OUTPUT_TAIL_BYTES
from agent.sandbox.protocol import ExecResult
from agent.sandbox.toolbox import ToolboxClient
from agent.toolbox.programs.output import Kept, Live
from tests.sandbox_fixtures import bare_toolbox


async def run(toolbox: ToolboxClient, *argv: str, **more: Any) -> ExecResult:
    given = {"cwd": "", "env": {}, "stdin": b"", "seconds": 60, "on_output": None, "log": ""}
    return await toolbox.exec(argv, **(given | more))


async def test_a_program_inherits_its_three_streams_and_nothing_else(tmp_path: Path) -> None:
    script = "import os; print(sorted(os.listdir('/proc/self/fd')))"
    async with bare_toolbox(tmp_path) as toolbox:
        busy = asyncio.create_task(run(toolbox, "sleep", "0.2"))
        alone = await run(toolbox, "python3", "-I", "-c", script)
        fed = await run(toolbox, "python3", "-I", "-c", script, stdin=b"x" * 200_000)
        await busy
    assert [alone.output, fed.output] == [b"['0', '1', '2', '3']\n"] * 2  # 3 is the listing itself


async def test_a_program_leads_a_session_of_its_own(tmp_path: Path) -> None:
    script = "import os; print(os.getsid(0) == os.getpgid(0) == os.getpid())"
    async with bare_toolbox(tmp_path) as toolbox:
        assert (await run(toolbox, "python3", "-I", "-c", script)).output == b"True\n"


LAST_WORDS = """
import fcntl, os, signal
toolbox, me = os.getppid(), os.getpid()
fcntl.fcntl(1, 1031, 1 << 20)  # a pipe that holds more than one read takes
if os.fork() == 0:
    while os.getppid() == me: pass
    os.kill(toolbox, signal.SIGCONT)
    os._exit(0)
os.kill(toolbox, signal.SIGSTOP)
os.write(1, b"x" * 900_000)
os._exit(0)
"""


async def test_what_was_written_before_the_end_is_all_there(tmp_path: Path) -> None:
    # The toolbox sleeps meanwhile and then sees the output and the end at the same time.
    async with bare_toolbox(tmp_path) as toolbox:
        result = await run(toolbox, "python3", "-I", "-c", LAST_WORDS)
    assert result.dropped == 900_000 - OUTPUT_HEAD_BYTES - OUTPUT_TAIL_BYTES


async def test_a_cancel_before_the_input_is_whole_starts_nothing(tmp_path: Path) -> None:
    async with bare_toolbox(tmp_path) as toolbox:

        def pieces() -> Iterator[bytes]:
            yield b"x"
            raise ZeroDivisionError

        with pytest.raises(ZeroDivisionError):
            await toolbox.put("file", pieces(), 0o644)
        assert list(tmp_path.iterdir()) == []
        assert (await run(toolbox, "echo", "on")).output == b"on\n"


async def test_more_requests_than_slots_all_get_done(tmp_path: Path) -> None:
    async with bare_toolbox(tmp_path) as toolbox:
        count = limits.REQUESTS_MAX * 2
        results = await asyncio.gather(*(run(toolbox, "echo", str(n)) for n in range(count)))
    assert [r.output for r in results] == [b"%d\n" % n for n in range(count)]


async def test_edits_of_one_file_at_once_lose_none(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("".join(f"<{n}>\n" for n in range(40)))
    async with bare_toolbox(tmp_path) as toolbox:
        await asyncio.gather(
            *(toolbox.call("edit", path="file", old=f"<{n}>", new=f"{n}!") for n in range(40))
        )
    assert (tmp_path / "file").read_text() == "".join(f"{n}!\n" for n in range(40))


async def test_the_log_is_cut_at_its_limit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(
        __import__("agent.sandbox.toolbox", fromlist=["x"]).LIMITS, "log_max", 50_000
    )
    async with bare_toolbox(tmp_path) as toolbox:
        script = "head -c 100000 /dev/zero"
        result = await run(toolbox, "sh", "-c", script, log="logs/a.log")
    assert result.dropped == 100_000 - OUTPUT_HEAD_BYTES - OUTPUT_TAIL_BYTES
    assert (tmp_path / "logs/a.log").stat().st_size == 50_000


async def test_a_log_that_cannot_be_written_is_not_promised(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    async with bare_toolbox(tmp_path) as toolbox:
        result = await run(toolbox, "seq", "100000", log="file/below.log")
    assert (result.exit_code, result.log) == (0, "")
    assert result.dropped > 0


def test_kept_keeps_head_and_tail_however_the_pieces_come(tmp_path: Path) -> None:
    whole = bytes(range(256)) * 4
    for size in (1, 3, 7, 10, 17, 200, 1024):
        kept = Kept(10, 20, str(tmp_path / "log"), 10_000)
        for at in range(0, len(whole), size):
            kept.add(whole[at : at + size])
        assert kept.finish() == whole[:10] + whole[-20:]
        assert (kept.dropped, kept.log) == (len(whole) - 30, str(tmp_path / "log"))
        assert (tmp_path / "log").read_bytes() == whole


def test_live_output_comes_in_few_pieces(tmp_path: Path) -> None:
    pieces: list[bytes] = []
    live = Live(pieces.append, 5_000)
    for _ in range(10_000):
        live.add(b"x")
    live.flush()
    assert b"".join(pieces) == b"x" * 5_000
    assert len(pieces) < 500
