from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from pathlib import Path

import pytest

from agent.cli.commands import COMMANDS
from agent.cli.commands.typed import parse
from agent.cli.styled import Line, diff_lines
from agent.core.errors import UserError
from agent.core.events import Record
from agent.core.messages import AssistantMessage, Usage
from agent.llm.protocol import Price
from agent.loop.brakes import Budget, Caps
from agent.session.purse import Allowed
from agent.session.session import Session
from agent.testing.model import Scripted
from tests.session.rig import open_session, send


class Talk:
    """A conversation that keeps what it was shown."""

    def __init__(self, session: Session) -> None:
        self.session = session
        self.shown: list[str] = []
        self.records: list[str] = []
        self.left = False

    def show(self, lines: Sequence[Line]) -> None:
        self.shown += ["".join(text for _, text in line) for line in lines]

    async def follow(self, records: AsyncGenerator[Record]) -> None:
        self.records += [type(record.event).__name__ async for record in records]

    def leave(self) -> None:
        self.left = True


async def run(text: str, talk: Talk) -> None:
    command = parse(text)
    assert command is not None
    await command.run(talk)


def talk_at(path: Path, *replies: str) -> Talk:
    model = Scripted([AssistantMessage(text) for text in replies])
    return Talk(open_session(path / "journal.jsonl", model)[0])


@pytest.mark.parametrize("text", ["hello", "/usr/bin/env is broken", "// why?", "a /help", "/2"])
def test_what_only_looks_like_a_command_is_a_message(text: str) -> None:
    assert parse(text) is None


@pytest.mark.parametrize("text", ["/help", "  /help ", "/HELP", "/help\n"])
def test_a_command_is_found_however_it_is_typed(text: str) -> None:
    command = parse(text)
    assert command is not None
    assert command.name == "help"


@pytest.mark.parametrize(
    ("text", "hint"),
    [
        ("/dif", "did you mean `/diff`?"),
        ("/qiut", "did you mean `/quit`?"),
        ("/tokens", "`/context`"),
        ("/xyzzy", "`/help` lists the commands"),
        ("/", "`/help` lists the commands"),
        ("/quit 3", "type `/quit` alone"),
    ],
)
def test_a_command_that_cannot_be_run_is_refused_with_the_next_step(text: str, hint: str) -> None:
    with pytest.raises(UserError) as caught:
        parse(text)
    assert caught.value.hint == hint


async def test_help_lists_every_command(tmp_path: Path) -> None:
    talk = talk_at(tmp_path)
    await run("/help", talk)
    assert all(any(f"/{c.name} " in row for row in talk.shown) for c in COMMANDS)
    del talk.shown[:]
    await run("/help pull", talk)
    assert talk.shown[0].startswith("/pull [BRANCH] [--dirty]  merge your newer commits")
    assert "What conflicts is left for the agent to merge." in talk.shown
    with pytest.raises(UserError, match="no command `/pul`"):
        await run("/help pul", talk)
    await talk.session.close()


async def test_diff_before_the_first_change_says_so(tmp_path: Path) -> None:
    talk = talk_at(tmp_path)
    await run("/diff", talk)
    await talk.session.close()

    assert talk.shown == ["· nothing changed"]


async def test_undo_takes_a_turn_back_and_refuses_without_one(tmp_path: Path) -> None:
    talk = talk_at(tmp_path, "done")
    with pytest.raises(UserError, match="no turn to undo"):
        await run("/undo", talk)
    await send(talk.session, "do it")
    await run("/undo", talk)
    await talk.session.close()

    assert talk.records == ["Undone"]


async def test_sync_before_there_is_a_sandbox_does_nothing(tmp_path: Path) -> None:
    talk = talk_at(tmp_path)
    await run("/sync", talk)
    await talk.session.close()

    assert talk.shown == ["· nothing to sync: the sandbox is not up yet"]


async def test_status_names_where_everything_is(tmp_path: Path) -> None:
    talk = talk_at(tmp_path)
    await run("/status", talk)
    await talk.session.close()

    text = "\n".join(talk.shown)
    assert all(word in text for word in ("1 (abcd)", "scripted", "bench", "glovebox/1"))
    assert "sync    nothing to sync" in text


async def test_status_says_how_much_is_only_inside(tmp_path: Path) -> None:
    talk = talk_at(tmp_path, "done")
    await send(talk.session, "do it")
    await run("/status", talk)
    await talk.session.close()

    assert "  sync    ahead 3" in talk.shown


async def test_budget_says_what_may_be_spent_and_what_was(tmp_path: Path) -> None:
    usage = Usage(prompt=1_000, completion=100, cost=0.03)
    model = Scripted([AssistantMessage("ok", usage=usage), AssistantMessage("ok")])
    allowed = Allowed(
        turn=Caps(tokens=50_000),
        run=Caps(seconds=600),
        session=Caps(money=5),
        turns=20,
        tree=Budget("tree", Caps(money=20)),
        price_of=priced,
    )
    talk = Talk(open_session(tmp_path / "journal.jsonl", model, allowed=allowed)[0])
    await send(talk.session, "do it")
    await run("/budget", talk)

    spent, head, *rows = talk.shown
    assert spent.startswith(
        "· spent by this session: money $0.0300, tokens 1,100, model requests 1"
    )
    assert head.split() == ["limit", "of", "on", "used", "at", "most"]
    assert [row.split() for row in rows] == [
        ["all", "begun", "together", "money", "$0.0300", "$20.0000"],
        ["session", "money", "$0.0300", "$5.0000"],
        ["each", "message", "time", "600", "s"],
        ["each", "turn", "tokens", "50,000"],
        ["session", "turns", "1", "20"],
        ["each", "turn", "model", "requests", "20"],
    ]
    await talk.session.close()


async def test_what_nobody_knows_the_price_of_is_not_free(tmp_path: Path) -> None:
    usage = Usage(prompt=1_000, completion=100, cost=None)
    model = Scripted([AssistantMessage("ok", usage=usage)])
    talk = Talk(open_session(tmp_path / "journal.jsonl", model)[0])
    await send(talk.session, "do it")
    await run("/budget", talk)
    await talk.session.close()

    assert talk.shown[0].startswith("· spent by this session: money unknown, tokens 1,100, ")


async def priced(model: str) -> Price | None:
    return Price(0.0, 1e-6, 1_000)


@pytest.mark.parametrize("text", ["/quit", "/exit"])
async def test_quit_leaves(tmp_path: Path, text: str) -> None:
    talk = talk_at(tmp_path)
    await run(text, talk)
    await talk.session.close()

    assert talk.left


def test_a_diff_is_complete_styled_and_safe() -> None:
    rows = ["diff --git a/x b/x", "--- a/x", "+++ b/x", "@@ -1 +1 @@", "-old", "+n\x1bew", " same"]

    lines = diff_lines("\n".join(rows) + "\n")

    assert lines == [
        (("diff.head", "diff --git a/x b/x"),),
        (("diff.head", "--- a/x"),),
        (("diff.head", "+++ b/x"),),
        (("diff.place", "@@ -1 +1 @@"),),
        (("diff.removed", "-old"),),
        (("diff.added", "+n␛ew"),),
        (("", " same"),),
    ]
