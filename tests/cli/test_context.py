"""`/context`, `/compact` and `/search`, and how what was left out is told."""

from __future__ import annotations

from pathlib import Path

import pytest

from agent.cli.context import context_lines
from agent.cli.lines import line_of
from agent.core.errors import UserError
from agent.core.events import Attached, Compacted, Noted, Pruned
from agent.core.messages import AssistantMessage
from agent.loop.tokens import Item
from agent.session.fitting import Weight
from agent.testing.model import Scripted
from tests.cli.test_commands import Talk, run
from tests.loop.rig import ECHO, call, reply
from tests.session.rig import open_session, send


def talk_at(path: Path, *replies: AssistantMessage) -> Talk:
    return Talk(open_session(path / "journal.jsonl", Scripted(replies), ECHO)[0])


async def test_context_shows_what_takes_how_much(tmp_path: Path) -> None:
    echo = reply("", call("echo", text="x" * 399 + "\x1b", times=10))
    talk = talk_at(tmp_path, echo, reply("done"))
    await send(talk.session, "say\x1b[2J it")
    await run("/context", talk)
    assert talk.shown[0].startswith("· about 1,1") and "% of 128,000, a guess" in talk.shown[0]
    assert talk.shown[1] == "      1,004  results"
    assert "          2  system prompt" in talk.shown
    assert any(row.endswith("your messages: say␛[2J it") for row in talk.shown)
    assert any("results: echo xxx" in row for row in talk.shown)
    assert talk.shown[-1].startswith("· from 102,400 on old output is left out")
    assert not any("\x1b" in row for row in talk.shown)
    await talk.session.close()


async def test_compact_sums_up_and_search_still_finds_it(tmp_path: Path) -> None:
    talk = talk_at(tmp_path, reply("The Needle is here. " + "y " * 300), reply("all done"))
    with pytest.raises(UserError, match="nothing to sum up"):
        await run("/compact", talk)
    await send(talk.session, "where is the needle")
    await run("/compact the needle", talk)
    assert "Compacted" in talk.records
    await run("/search NEEDLE is", talk)
    assert talk.shown == [
        "   1  you         where is the needle",
        f"   1  model       {talk.shown[1][18:]}",
    ]
    assert talk.shown[1][18:].startswith("The Needle is here.")
    await run("/search nothing of it", talk)
    assert talk.shown[-1] == "· not found in this session"
    async for _ in talk.session.undo():
        pass
    talk.shown.clear()
    await run("/search needle y", talk)
    assert len(talk.shown) == 1
    await talk.session.close()


async def test_many_passages_are_cut_to_the_newest(tmp_path: Path) -> None:
    talk = talk_at(tmp_path, *(reply(f"apple {n}") for n in range(25)))
    for _ in range(25):
        await send(talk.session, "go")
    await run("/search apple", talk)
    assert talk.shown[0] == "· 5 more before these"
    assert len(talk.shown) == 21 and talk.shown[-1].endswith("apple 24")
    await talk.session.close()


def test_no_part_can_move_the_cursor() -> None:
    weight = Weight((Item("results", "cat a\x1b[2J", 5),), 100, True, 80)
    assert not any("\x1b" in text for line in context_lines(weight) for _, text in line)


def test_what_was_left_out_or_added_is_told() -> None:
    assert [
        line_of(Pruned({"a": "", "b": ""}, 90_000, 50_000)),
        line_of(Compacted("text", 3, before=150_000, after=9_000)),
        line_of(Noted("text", ("AGENTS.md", "a\x1b/AGENTS.md"))),
        line_of(Attached("text", ("a.py",))),
    ] == [
        "· old output left out of what the model is sent: 2, about 90,000 → 50,000 tokens",
        "· the conversation is summed up for the model, about 150,000 → 9,000 tokens",
        "· the model has the notes in AGENTS.md, a␛/AGENTS.md",
        "· the model has a.py",
    ]
