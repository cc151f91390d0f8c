"""A conversation that is gone on with: what was said before stands above, as it did."""

from __future__ import annotations

from pathlib import Path

import pytest

from agent.cli.replay import recalled
from agent.cli.styled import Line
from agent.core.messages import AssistantMessage
from agent.session import journal
from agent.testing.model import Scripted
from tests.cli.talking import begin, quit_, say_to
from tests.e2e.rig import User
from tests.loop.rig import ECHO, call, reply
from tests.servers.openai import OpenAIServer, say
from tests.servers.openai import call as called
from tests.servers.openai import reply as replied
from tests.session.rig import open_session, send
from tests.terminal import Terminal


def text(lines: list[Line]) -> list[str]:
    return ["".join(piece for _, piece in line) for line in lines]


async def test_the_last_turns_that_fit_are_shown_and_what_was_undone_is_not(tmp_path: Path) -> None:
    script = [
        *(AssistantMessage(f"reply {n}\n" + "long\n" * 5) for n in range(8)),
        reply("", call("echo", "c1", text="said")),
        reply("the end\x1b[31m"),
    ]
    session, _ = open_session(tmp_path / "j", Scripted(script), ECHO)
    for n in range(8):
        await send(session, f"message {n}")
    async for _ in session.undo(2):
        pass
    await send(session, "and\nlast")
    await session.close()
    records = journal.read(tmp_path / "j")[0]

    whole = text(recalled(records, None, None))
    assert [row for row in whole if row.startswith("› ")] == [
        *(f"› message {n}" for n in range(6)),
        "› and",
    ]
    order = [whole.index(row) for row in ("› and", "  last", "reply 5", "reply 4")]
    assert order == sorted(order[:2]) + order[2:] and order[2] < order[0]
    assert any(row.startswith("→ ") for row in whole) and any("said" in row for row in whole)
    assert not any("\x1b" in row for row in whole)

    shown = text(recalled(records, None, 20))
    assert shown[0].startswith("· above: 4 earlier turns; `/history` shows all")
    assert shown[1] == "› message 4" and whole[-len(shown) + 1 :] == shown[1:]
    assert text(recalled(records, None, 3))[1:] == whole[-3:]
    assert recalled(records[:1], None, 20) == []


@pytest.mark.slow
@pytest.mark.sandbox
def test_a_terminal_that_resumes_shows_what_was_said(tty: Terminal, user: User) -> None:
    user.start()
    work = replied("", called("bash", {"command": "echo one > one.txt"}))
    with OpenAIServer([work, say("**one** is written"), say("welcome")]) as server:
        begin(tty, user, server)
        say_to(tty, "write one")
        tty.wait_for("glovebox/1 is at")
        say_to(tty, "!echo by hand")
        tty.wait_for("✓ done")
        quit_(tty)
        begin(tty, user, server, "--continue")
        say_to(tty, "thanks")
        tty.wait_for("welcome")
        screen = quit_(tty)
    rows = ("› write one", "→ $ echo one", "one is written", "› !echo by hand", "session 1: work")
    places = [screen.index(row) for row in (*rows, "› thanks", "welcome")]
    assert places == sorted(places)
    assert screen.count("› write one") == 1
