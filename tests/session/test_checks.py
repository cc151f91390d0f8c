"""What has to succeed after a turn: when it runs, what is told of it, and how it is ended."""

from __future__ import annotations

import asyncio
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from agent.cli.live import Live
from agent.core.errors import BudgetError
from agent.core.events import (
    Checked,
    Record,
    SyncFinished,
    SyncStarted,
    TurnFinished,
    TurnStarted,
)
from agent.core.limits import CHECK_HEAD_CHARS, CHECK_TAIL_CHARS, CHECK_TRIES, UNTIL_TRIES
from agent.core.messages import AssistantMessage
from agent.loop.brakes import Caps
from agent.sandbox.protocol import ExecResult
from agent.session.checks import Commands, linting
from agent.session.glance import Glance
from agent.session.purse import Allowed
from agent.session.session import Session
from agent.testing.model import Scripted
from tests.loop.rig import ECHO, call, reply
from tests.session.rig import Bench, names, open_session, send


class Box:
    """A sandbox whose commands end as the test says; a command `hang` never does."""

    workdir = "/workspace"

    def __init__(self, *results: ExecResult) -> None:
        self._results = list(results)
        self.ran: list[Sequence[str]] = []
        self.hanging = asyncio.Event()
        self.changed = b""
        self.since: list[str] = []

    async def exec(self, argv: Sequence[str], **_: Any) -> ExecResult:
        if "git ls-files" in argv[2]:
            self.since.append(argv[4])
            return ExecResult(0, self.changed)
        self.ran.append(argv[2:])
        if argv[2] == "hang":
            self.hanging.set()
            await asyncio.Event().wait()
        return self._results.pop(0) if self._results else ExecResult(1, b"no\n")


def worked(count: int) -> list[AssistantMessage]:
    return [
        message
        for n in range(count)
        for message in (reply("", call("echo", f"c{n}", text=str(n))), reply(f"done {n}"))
    ]


def rig(
    path: Path,
    box: Box,
    script: list[AssistantMessage],
    allowed: Allowed | None = None,
    **more: Any,
) -> tuple[Session, Bench]:
    session, bench = open_session(
        path / "j", Scripted(script), ECHO,
        checks=Commands(**more), allowed=allowed or Allowed(),
    )  # fmt: skip
    bench.sandbox = box
    return session, bench


def checks(records: Any) -> list[Checked]:
    return [r.event for r in records if isinstance(r.event, Checked)]


@pytest.mark.parametrize(("kind", "tries"), [("test", CHECK_TRIES), ("until", UNTIL_TRIES)])
async def test_a_failure_is_told_so_often(tmp_path: Path, kind: str, tries: int):
    session, bench = rig(tmp_path, Box(), worked(20), **{kind: "make it"})
    records = await send(session, "go")
    assert [(c.attempt, c.left) for c in checks(records)] == [
        (n + 1, tries - n) for n in range(tries + 1)
    ]
    started = [r.event for r in records if isinstance(r.event, TurnStarted)]
    assert [s.by for s in started] == ["person", *["check"] * tries]
    assert "`make it` was run in the sandbox and failed with exit code 1" in started[1].message.text
    assert [c for c in bench.calls if c.endswith(" go")] == bench.calls, (
        "commits say what was asked"
    )
    await session.close()


async def test_a_check_runs_after_the_work_is_home_and_a_linter_before(tmp_path: Path):
    box = Box(ExecResult(0, b""), ExecResult(0, b""), ExecResult(0, b""))
    box.changed = b"a b.py\0c.py\0"
    session, _ = rig(tmp_path, box, worked(1), lint="ruff", test="pytest", until="true")
    records = await send(session, "go")
    assert [n for n in names(records) if n in ("Checked", "SyncFinished", "TurnFinished")] == [
        "TurnFinished", "Checked", "SyncFinished", "Checked", "Checked",
    ]  # fmt: skip
    assert [c.kind for c in checks(records)] == ["lint", "test", "until"]
    assert list(box.ran[0]) == ['ruff "$@"', "sh", "a b.py", "c.py"]
    await session.close()


async def test_the_first_failure_is_the_one_that_is_told(tmp_path: Path):
    session, _ = rig(tmp_path, Box(), worked(1), test="pytest", until="true", tries=0)
    assert [c.kind for c in checks(await send(session, "go"))] == ["test"]
    await session.close()


async def test_nothing_changed_is_nothing_to_lint(tmp_path: Path):
    box = Box()
    session, _ = rig(tmp_path, box, worked(1), lint="ruff")
    await send(session, "go")
    assert box.ran == []
    await session.close()


async def test_what_changed_is_what_changed_since_the_first_turn(tmp_path: Path):
    """Also when a turn that was to mend something changed nothing."""
    box = Box()
    box.changed = b"a.py\0"
    session, _ = rig(tmp_path, box, [*worked(1), reply("So be it.")], lint="ruff", tries=1)
    assert [c.exit_code for c in checks(await send(session, "go"))] == [1, 1]
    assert box.since == ["tip-0", "tip-0"]
    await session.close()


@pytest.mark.parametrize("always", [False, True])
async def test_tests_after_a_turn_that_used_nothing(tmp_path: Path, always: bool):
    box = Box(ExecResult(0, b""))
    session, _ = rig(tmp_path, box, [reply("Hi.")], test="pytest", always=always)
    await send(session, "hello")
    assert len(box.ran) == always
    await session.close()


async def test_a_turn_that_failed_is_not_checked(tmp_path: Path):
    box = Box()
    allowed = Allowed(turn=Caps(steps=1))
    session, _ = rig(tmp_path, box, worked(1), allowed, test="pytest", until="x", always=True)
    await send(session, "go")
    assert box.ran == []
    await session.close()


async def test_no_more_turns_than_allowed_are_added(tmp_path: Path):
    session, _ = rig(tmp_path, Box(), worked(9), Allowed(turns=2), until="x")
    records = await send(session, "go")
    assert [c.left for c in checks(records)] == [1, 0]
    await session.close()


async def test_a_check_can_be_interrupted(tmp_path: Path):
    box = Box()
    session, _ = rig(tmp_path, box, worked(1), until="hang")

    live, seen, doing = Live(), Glance(), list[str]()

    def hear(record: Record) -> None:
        seen.apply(record)
        live.apply(record.event)

    session.listeners.append(hear)

    def now() -> str:
        doing.append(" ".join(text for line in live.area() for _, text in line))
        return seen.now(held=True)

    async def interrupt() -> None:
        await box.hanging.wait()
        assert now() == "checks: hang", "whoever looks is told what is waited for"
        assert doing == ["· checking: hang; Ctrl-C interrupts"]
        session.interrupt()

    stopping = asyncio.create_task(interrupt())
    records = await send(session, "go")
    await stopping
    assert checks(records) == []
    assert not session.busy
    assert now() == ""
    assert doing[-1] == ""
    await session.close()


@pytest.mark.parametrize("check", ["test", "until"])
async def test_what_is_interrupted_while_work_comes_home_is_not_checked(tmp_path: Path, check: str):
    box = Box(ExecResult(0, b""))
    commands: dict[str, Any] = {check: "it"}
    session, _ = rig(tmp_path, box, worked(1), **commands)
    could: list[bool] = []

    def hear(record: Record) -> None:
        if isinstance(record.event, SyncStarted):
            could.append(session.interruptible)
            session.interrupt()

    session.listeners.append(hear)
    records = await send(session, "go")
    assert could == [True]
    assert box.ran == []
    assert [r.event for r in records if isinstance(r.event, SyncFinished)]
    assert not session.interruptible
    session.listeners.remove(hear)
    await session.close()


async def test_an_interrupted_check_is_the_last(tmp_path: Path):
    box = Box()
    session, _ = rig(tmp_path, box, worked(1), test="hang", until="goal")

    async def interrupt() -> None:
        await box.hanging.wait()
        session.interrupt()

    stopping = asyncio.create_task(interrupt())
    await send(session, "go")
    await stopping
    assert [words[0] for words in box.ran] == ["hang"]
    await session.close()


async def test_time_ends_a_check(tmp_path: Path):
    session, _ = rig(tmp_path, Box(), worked(1), Allowed(run=Caps(seconds=0.2)), until="hang")
    with pytest.raises(BudgetError, match="the time of this run"):
        await send(session, "go")
    assert not session.busy
    await session.close()


async def test_a_check_at_its_deadline_failed(tmp_path: Path):
    box = Box(ExecResult(None, b"slow", timed_out=True))
    session, _ = rig(tmp_path, box, worked(1), test="x", tries=0)
    (check,) = checks(await send(session, "go"))
    assert check.exit_code is None
    await session.close()


async def test_long_output_keeps_both_ends(tmp_path: Path):
    output = b"first\n" + b"x" * 40_000 + b"\nlast"
    box = Box(ExecResult(1, output, dropped=500))
    session, _ = rig(tmp_path, box, worked(2), test="x", tries=1)
    records = await send(session, "go")
    check = checks(records)[0]
    assert check.output.startswith("first") and check.output.endswith("last")
    assert len(check.output) < CHECK_HEAD_CHARS + CHECK_TAIL_CHARS + 100
    left_out = 500 + len(output) - CHECK_HEAD_CHARS - CHECK_TAIL_CHARS
    assert f"{left_out:,} characters left out" in check.output
    told = [r.event for r in records if isinstance(r.event, TurnStarted)][1].message.text
    assert check.output in told
    assert isinstance(records[-1].event, Checked | TurnFinished)
    await session.close()


@pytest.mark.parametrize("code", [0, 1, 7])
def test_a_linter_run_by_hand_ends_with_its_own_code(tmp_path: Path, code: int) -> None:
    subprocess.run(["git", "init", "-q"], cwd=tmp_path, check=True)
    (tmp_path / "a b.py").touch()
    script = linting(f"printf 'seen %s\\n'; echo bad >&2; sh -c 'exit {code}'", "")
    ran = subprocess.run(["sh", "-c", script], cwd=tmp_path, capture_output=True, text=True)
    assert (ran.returncode, ran.stderr) == (code, "bad\n")
    script = linting("printf 'seen %s\\n'", "")
    ran = subprocess.run(["sh", "-c", script], cwd=tmp_path, capture_output=True, text=True)
    assert (ran.returncode, ran.stdout) == (0, "seen a b.py\n")
