"""Notes and mentioned files: what the model is given, where it comes, and that it comes once."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path

import msgspec
import pytest

from agent.core.errors import SandboxUnavailable, UserError
from agent.core.events import Attached, Compacted, Noted, Notice, TurnFinished
from agent.core.messages import AssistantMessage, Message, ToolMessage, ToolResult, UserMessage
from agent.session.fitting import Fitting
from agent.session.mentions import Mention, mentions
from agent.session.place import Note
from agent.session.session import Parts, Session
from agent.testing.model import Line, Scripted
from agent.tools.base import Arguments, Tool, ToolContext, Toolset
from tests.loop.rig import call, reply
from tests.session.rig import Bench, names, open_session, send

FILES = {"a.py": "one\ntwo\nthree", "docs/b c.md": "words", "big": "x" * 60_000}


class Read(Arguments):
    path: str
    offset: int = 1
    limit: int = 2_000


async def _read(arguments: Read, ctx: ToolContext) -> ToolResult:
    text = FILES.get(arguments.path)
    if text is None:
        return ToolResult(ctx.call_id, False, "absent", {"path": arguments.path})
    begin = arguments.offset - 1
    lines = text.split("\n")[begin : begin + arguments.limit]
    details = {"path": f"/w/{arguments.path}", "hash": "h"}
    images = ("data:p",) if arguments.path == "a.py" else ()
    return ToolResult(ctx.call_id, True, "\n".join(lines), details, images)


class Desk(Bench):
    """A workplace with notes."""

    found: Sequence[Note] = ()

    async def notes(
        self, files: Sequence[str], *, known: Sequence[str], most: int
    ) -> Sequence[Note]:
        await self.ready()
        for _ in range(9):  # a trip takes its time
            await asyncio.sleep(0)
        self.calls.append(f"notes {list(files)} {list(known)}")
        folders = {"", *(file.removeprefix("/w/").rpartition("/")[0] for file in files)}
        of = [note for note in self.found if note.path.rpartition("/")[0] in folders]
        return [note for note in of if note.path not in known]


def opened(path: Path, lines: Sequence[Line], *notes: Note) -> tuple[Session, Desk, Scripted]:
    model = Scripted(lines)
    session, _ = open_session(path, model)
    desk = Desk(session.state, session.emit)
    desk.found = notes
    read = Tool("read", "", Read, _read, True, lambda _: "read")
    parts = Parts(
        model, "m", lambda: "s", (), Toolset([read]), 20, notes=True, fitting=Fitting("Sum up.")
    )
    session.equip(parts, desk)
    return session, desk, model


def texts(messages: Sequence[Message]) -> list[str]:
    return [
        m.results[-1].text if isinstance(m, ToolMessage) else m.text or "call" for m in messages
    ]


ROOT, NESTED = Note("AGENTS.md", "use tabs"), Note("docs/AGENTS.md", "in verse", cut=True)


async def test_notes_come_with_what_is_sent_when_they_are_there(tmp_path: Path) -> None:
    session, desk, model = opened(tmp_path / "j", [reply("", call("read", path="a.py"))], ROOT)
    desk.gate.clear()

    def ended(_: object) -> AssistantMessage:
        return reply("done")

    model._replies = (model._replies[0], ended)  # type: ignore[reportPrivateUsage]
    async for record in session.send("go"):
        if type(record.event).__name__ == "MessageFinished":
            desk.gate.set()
    assert texts(model.requests[0].messages) == ["go"], "no request waits for the sandbox"
    assert texts(model.requests[1].messages)[-1].startswith("one\ntwo\nthree\n\n[Notes that")
    assert "From `AGENTS.md`:\nuse tabs" in texts(model.requests[1].messages)[-1]
    await session.close()


async def test_those_of_a_folder_come_when_a_file_there_was_read(tmp_path: Path) -> None:
    lines = [reply("", call("read", path="docs/b c.md")), reply("done"), reply("more")]
    session, desk, model = opened(tmp_path / "j", lines, ROOT, NESTED)
    await desk.ready()
    records = await send(session, "go")
    noted = [r.event for r in records if isinstance(r.event, Noted)]
    assert [event.files for event in noted] == [("AGENTS.md",), ("docs/AGENTS.md",)]
    assert texts(model.requests[0].messages)[0].startswith("go\n\n[Notes that")
    assert "cut here; the file has more" in texts(model.requests[1].messages)[-1]
    await send(session, "again")
    assert desk.calls.count("notes [] []") == 1
    assert sum("[Notes" in text for text in texts(model.requests[2].messages)) == 2
    before = session.state.history.messages
    await session.close()
    # They are not given again after a resume, and the same bytes are sent.
    again, desk, model = opened(tmp_path / "j", [reply("fine")], ROOT, NESTED)
    await desk.ready()
    assert "Noted" not in names(await send(again, "on"))
    assert model.requests[0].messages[: len(before)] == before
    await again.close()


async def test_what_is_undone_is_given_again(tmp_path: Path) -> None:
    session, desk, _ = opened(tmp_path / "j", [reply("a"), reply("b")], ROOT)
    await desk.ready()
    await send(session, "go")
    async for _ in session.undo():
        pass
    assert "Noted" in names(await send(session, "go"))
    await session.close()


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("look at @a.py", [Mention("a.py")]),
        ("(@a.py), @b/c.md.", [Mention("a.py"), Mention("b/c.md")]),
        ("@a.py:3 and @a.py:2-9", [Mention("a.py", 3, 3), Mention("a.py", 2, 9)]),
        ('@"b c.md" and @"x y":7-3', [Mention("b c.md"), Mention("x y")]),
        ("ada@example.org, `@app.route`, a/@b", []),
        ("@a.py @a.py @", [Mention("a.py")]),
        ("@src/ @.", [Mention("src/")]),
        ("@a.py:0", [Mention("a.py:0")]),
    ],
)
def test_what_a_message_mentions(text: str, found: list[Mention]) -> None:
    assert list(mentions(text)) == found


async def test_mentioned_files_are_added_to_the_message(tmp_path: Path) -> None:
    session, _, model = opened(tmp_path / "j", [reply("ok")])
    text = 'see @a.py:2-3, @"docs/b c.md" and @nothing.py'
    records = await send(session, text)
    message = model.requests[0].messages[0]
    assert isinstance(message, UserMessage) and message.images == ("data:p",)
    assert message.text == (
        f"{text}\n\n[`a.py`, which the user mentions:]\ntwo\nthree\n\n"
        "[`docs/b c.md`, which the user mentions:]\nwords"
    )
    notices = [r.event.text for r in records if isinstance(r.event, Notice)]
    assert notices == ["`@nothing.py` is no file in the sandbox: left as text"]
    assert session.state.history.said() == (text,)
    # It counts as seen, so that it may be edited.
    assert session.state.seen.hashes == {"/w/a.py": "h", "/w/docs/b c.md": "h"}
    await session.close()


async def test_there_is_an_end_to_what_can_be_added(tmp_path: Path) -> None:
    session, _, _ = opened(tmp_path / "j", [reply("ok")])
    records = await send(session, "@big:1-2 @big:1-3 @a.py " + " ".join(f"@{n}" for n in "bcdefg"))
    added = [r.event.files for r in records if isinstance(r.event, Attached)]
    assert added == [("big",), ("a.py",)]
    assert any("too much" in r.event.text for r in records if isinstance(r.event, Notice))
    await session.close()


async def test_a_mention_without_a_sandbox_ends_the_turn_with_its_problem(tmp_path: Path) -> None:
    session, desk, model = opened(tmp_path / "j", [reply("never")])
    desk.failure = SandboxUnavailable("no bubblewrap", "install it")
    records = await send(session, "@a.py")
    finished = records[-1].event
    assert isinstance(finished, TurnFinished) and finished.problem is not None
    assert finished.problem.kind == "SandboxUnavailable"
    assert model.requests == []
    await session.close()


async def test_a_person_can_have_it_summed_up_and_the_bytes_are_the_same_later(
    tmp_path: Path,
) -> None:
    lines = [reply("long " * 200), reply("summary"), reply("next"), reply("last")]
    session, _, model = opened(tmp_path / "j", lines)
    with pytest.raises(UserError, match="nothing to sum up"):
        async for _ in session.compact():
            pass
    await send(session, "first")
    await send_compact(session, "the tests")
    question = model.requests[1].messages[0]
    assert isinstance(question, UserMessage) and question.text.endswith(": the tests")
    assert model.requests[1].system == "Sum up."
    await send(session, "second")
    before = session.state.history.messages
    assert isinstance(before[0], UserMessage) and "--- message 1 ---\nfirst" in before[0].text
    await session.close()
    again, _, model = opened(tmp_path / "j", lines[3:])
    assert again.state.history.messages == before
    await send(again, "third")
    assert model.requests[0].messages[: len(before)] == before
    assert msgspec.json.encode(model.requests[0].messages[: len(before)]) == msgspec.json.encode(
        before
    )
    await again.close()


async def send_compact(session: Session, focus: str) -> None:
    records = [record async for record in session.compact(focus)]
    assert any(isinstance(record.event, Compacted) for record in records)


async def test_a_summary_that_takes_too_long_can_be_interrupted(tmp_path: Path) -> None:
    session, _, model = opened(tmp_path / "j", [reply("long " * 200)])
    await send(session, "first")
    asked = asyncio.Event()

    async def stall(*_: object) -> AssistantMessage:
        asked.set()
        await asyncio.Event().wait()
        raise AssertionError

    model.ask = stall  # type: ignore[method-assign]
    before = session.state.history.messages

    async def compact() -> None:
        async for _ in session.compact():
            pass

    running = asyncio.create_task(compact())
    await asked.wait()
    session.interrupt()
    await running
    assert session.state.history.messages == before
    await session.close()
