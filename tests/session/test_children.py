"""What children said and did is found, and stands in transcripts where they were called."""

from __future__ import annotations

from pathlib import Path

import pytest
from msgspec.structs import replace

from agent.core.events import (
    ChildFinished,
    ChildStarted,
    Forked,
    MessageFinished,
    Record,
    SessionStarted,
    TurnStarted,
)
from agent.core.messages import AssistantMessage, ToolCall, ToolMessage, Usage, UserMessage
from agent.session.children import conversations
from agent.session.journal import Journal, read
from agent.session.pages import document
from agent.session.search import passages, search
from agent.session.transcript import decoded, transcript_of
from agent.testing.model import Scripted
from tests.session.rig import send
from tests.session.test_tasks import calls, opened, says, task

NOTE = ToolCall("c1", "note", {"text": "a <b>hidden</b> stone"})
HEADS = ["## User", "## Assistant", "### Sub-agent", "#### User", "#### Assistant", "### What"]


async def parent(folder: Path) -> Path:
    """A session in the folder, one of whose turns has a child; where its journal is."""
    asked = calls(task("look there"))
    script = [says("hello"), asked, calls(NOTE), says("under it"), says("found")]
    session, _ = opened(folder, Scripted(script))
    await send(session, "hi")
    await send(session, "search it")
    await session.close()
    return folder / "j"


async def test_words_of_a_child_are_found_in_the_turn_in_which_it_worked(tmp_path: Path) -> None:
    journal = await parent(tmp_path)
    records, _ = read(journal)
    children = conversations(journal, records)

    assert search(records, ["hidden", "search"]) is None
    hits = search(records, ["hidden", "search"], children)
    assert hits is not None and {hit.turn for hit in hits} == {2}
    assert [(hit.turn, hit.who) for hit in passages(records, ["hidden"], children)] == [
        (2, "child"),
        (2, "child"),
    ]


async def test_a_conversation_finds_them_too(tmp_path: Path) -> None:
    await parent(tmp_path)
    again, _ = opened(tmp_path, Scripted([]))

    hits = again.search("hidden", lambda _: "masked")
    assert {hit.who for hit in hits} == {"child"}
    assert "masked" in {hit.text for hit in hits}
    await again.close()


async def test_a_transcript_has_them_where_they_were_called(tmp_path: Path) -> None:
    journal = await parent(tmp_path)
    records, _ = read(journal)
    found = transcript_of(records, conversations(journal, records))
    whole = replace(found, base="", start="", tip="")  # no commits in this place

    (child,) = whole.children
    assert (child.call_id, child.task, child.number) == ("t1", "look there", 0)
    assert [type(m) for m in child.messages] == [
        UserMessage, AssistantMessage, ToolMessage, AssistantMessage
    ]  # fmt: skip
    assert decoded(document(whole, ".json"), "t.json") == whole
    text, at = document(whole, ".md").decode(), 0
    for head in (*HEADS, "## Assistant"):
        at = text.index(f"\n{head}", at) + 1
    page = document(whole, ".html").decode()
    section = page[page.index("<details class=child>") :]
    assert section.index("&lt;b&gt;hidden") < section.index("under it") < section.index("found")


def journal_of(folder: Path, identity: str, *events: object) -> tuple[Path, list[Record]]:
    """The journal of a session among others, and what is in it."""
    place = folder / identity / "journal.jsonl"
    place.parent.mkdir(parents=True, exist_ok=True)
    with_start = (SessionStarted(identity, 7, "p", "m", "local", "none"), *events)
    journal = Journal(place)
    for event in with_start:
        journal.append(1, event)  # type: ignore[arg-type]
    journal.close()
    return place, read(place)[0]


def said(text: str) -> MessageFinished:
    return MessageFinished(AssistantMessage(text))


BESIDE = ChildStarted("t1", "look", "tasks/1")


def test_what_a_fork_has_taken_over_is_found_where_it_came_from(tmp_path: Path) -> None:
    journal_of(tmp_path, "old", BESIDE)
    inside = Journal(tmp_path / "old" / "tasks" / "1.jsonl")
    inside.append(1, said("of the old one"))
    inside.close()
    own = Journal(tmp_path / "new" / "tasks" / "1.jsonl")
    own.append(1, said("of the new one"))
    own.close()

    place, records = journal_of(tmp_path, "new", BESIDE, Forked("old", 1, 1), BESIDE)

    found = conversations(place, records)
    assert [one.event for records in found.values() for one in records] == [
        said("of the new one"), said("of the old one")
    ]  # fmt: skip


def test_a_child_in_a_fork_is_a_session_of_its_own(tmp_path: Path) -> None:
    journal_of(tmp_path, "other", TurnStarted(UserMessage("look")), said("it is there"))
    asked = AssistantMessage("", calls=(task("look"),))
    place, records = journal_of(
        tmp_path, "one", TurnStarted(UserMessage("go")), MessageFinished(asked),
        ChildStarted("t1", "look", "session other"), ChildFinished("t1", "done", Usage(), 1),
    )  # fmt: skip

    # The call has no result yet, so it does not stand in the transcript, and its child neither.
    assert transcript_of(records, conversations(place, records)).children == ()
    assert [hit.who for hit in passages(records, ["there"], conversations(place, records))] == [
        "child"
    ]


@pytest.mark.parametrize("name", ["tasks/9", "../old/tasks/1", "session ../old", "", "/etc/passwd"])
def test_a_journal_that_is_gone_or_elsewhere_is_no_conversation(tmp_path: Path, name: str) -> None:
    journal_of(tmp_path, "old")
    place, records = journal_of(tmp_path, "new", ChildStarted("t1", "look", name))

    assert not any(conversations(place, records).values())
