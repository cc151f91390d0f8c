"""How a session stands, from its records alone."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path

import pytest

from agent.core.errors import JournalError
from agent.core.events import (
    AnyEvent,
    CallFinished,
    CallStarted,
    Entered,
    MessageFinished,
    ModelChanged,
    Notice,
    Problem,
    Record,
    Renamed,
    SessionStarted,
    StepFinished,
    StepStarted,
    SyncFinished,
    SyncStarted,
    TurnFinished,
    TurnStarted,
    UserAnswered,
    UserAsked,
)
from agent.core.messages import AssistantMessage, ToolCall, ToolResult, Usage, UserMessage
from agent.session.glance import Glance
from agent.session.journal import Journal, at_rest, encode, in_use
from agent.session.status import status_of
from agent.session.tail import Tail
from agent.testing.model import Scripted
from tests.loop import rig
from tests.loop.rig import reply
from tests.session.rig import names, open_session, send

CALL = ToolCall("c1", "bash", {})


def glance(*events: AnyEvent) -> Glance:
    found = Glance()
    started = SessionStarted("abcd", 1, "p", "m", "local", "none")
    for seq, event in enumerate((started, *events)):
        found.apply(Record(1, seq, 100.0 + seq, 1 if seq else 0, event))
    return found


def look(found: Glance, *, held: bool = True, waits: bool = False) -> tuple[str, str]:
    return found.standing(held=held, waits=waits), found.now(held=held, waits=waits)


TURN = (TurnStarted(UserMessage("mend\nit")), StepStarted(1))
SAID = MessageFinished(AssistantMessage("I run it", calls=(CALL,), usage=Usage(100, 0, 20, 0.5)))


def test_a_turn_is_told_step_by_step() -> None:
    assert look(glance()) == ("running", "begins")
    assert look(glance(), waits=True) == ("idle", "")
    assert look(glance(TURN[0])) == ("running", "begins")
    assert look(glance(*TURN)) == ("running", "waits for the model")
    running = glance(*TURN, SAID, CallStarted(CALL, "$ make test"))
    assert look(running) == ("running", "$ make test")
    assert (running.title, running.usage.cost, running.state.step) == ("mend it", 0.5, 1)
    assert (running.began, running.at) == (100.0, 104.0)
    result = CallFinished(ToolResult("c1", ok=True, text="fine"), 1.0)
    ended = (StepFinished(1, Usage()), TurnFinished("done", Usage(100, 0, 20, 0.5), 1))
    done = (*TURN, SAID, CallStarted(CALL, "x"), result, *ended)
    assert look(glance(*done)) == ("running", "brings the work home")
    assert look(glance(*done, SyncStarted())) == ("running", "brings the work home")
    home = (*done, SyncStarted(), SyncFinished("glovebox/1", "c"))
    assert look(glance(*home)) == ("running", "")  # a check, or its end
    assert look(glance(*home), waits=True) == ("idle", "")
    assert look(glance(*home, Entered("make x"))) == ("running", "$ make x")
    assert look(glance(*home, Entered("x"), SyncStarted())) == ("running", "brings the work home")
    assert look(glance(*done), held=False) == ("done", "I run it")
    assert glance(*done).usage.cost == 0.5
    assert glance(*done, Renamed("mender")).title == "mender"


def test_a_provider_that_is_waited_for() -> None:
    later, before = time.time() + 900, time.time() - 1
    busy = (*TURN, Notice("warning", "busy; trying again in 900 s", until=later))
    clock = time.strftime("%H:%M:%S", time.localtime(later))
    assert look(glance(*busy)) == ("running", f"waits for the provider until {clock}")
    again = Notice("warning", "busy; trying again in 1 s", until=before)
    assert look(glance(*busy, again)) == ("running", "waits for the model")
    asked = (*busy, MessageFinished(AssistantMessage("well")), StepFinished(1, Usage()))
    assert look(glance(*asked, StepStarted(2))) == ("running", "waits for the model")


def test_who_waits_for_a_person_says_for_what() -> None:
    asks = (*TURN, UserAsked("q", "which one?"))
    assert look(glance(*asks)) == ("waiting", "asks: which one?")
    assert look(glance(*asks, UserAnswered("q", "late"))) == ("running", "waits for the model")


def test_how_it_ended() -> None:
    problem = Problem("BudgetError", "too dear")
    limit = glance(*TURN, TurnFinished("limit", Usage(), 1, problem))
    assert look(limit, held=False) == ("limit", "too dear")
    cut = glance(*TURN)
    assert look(cut, held=False) == ("failed", "its process ended in the middle of a turn")
    unsynced = glance(*TURN, TurnFinished("done", Usage(), 1), SyncFinished("", problem=problem))
    assert look(unsynced, held=False) == ("done", "too dear")
    said = glance(Notice("error", "no such sandbox"))
    assert look(said, held=False) == ("failed", "no such sandbox")


def test_a_badge_counts_each_turn_once_and_has_the_model_that_answers() -> None:
    cost, more = Usage(100, 0, 20, 0.5), Usage(100, 0, 20, 0.25)
    changed = (TurnFinished("done", cost, 1), ModelChanged("n"))
    first = glance(*TURN, SAID, *changed).state
    assert (status_of(first).usage.cost, status_of(first).model) == (0.5, "n")
    again = MessageFinished(AssistantMessage("", usage=more))
    assert status_of(glance(*TURN, SAID, *changed, TURN[0], again).state).usage.cost == 0.75


def test_an_errand_that_nobody_is_at() -> None:
    assert glance().standing(held=False, outlook="begins") == "starting"
    assert glance().standing(held=True, outlook="begins") == "starting"
    assert glance().standing(held=False, outlook="lost") == "failed"
    ended = glance(*TURN, TurnFinished("done", Usage(), 1))
    assert ended.standing(held=False, outlook="lost") == "done"
    assert ended.standing(held=True, outlook="begins") == "running"  # its sandbox, until that ends
    assert ended.standing(held=False, outlook="begins") == "done"
    assert ended.standing(held=True, waits=True, outlook="lost") == "idle"


async def test_only_who_waits_for_a_person_is_idle(tmp_path: Path) -> None:
    path = tmp_path / "journal"
    llm = Scripted([reply("", rig.call("echo")), reply("done")])
    session, _ = open_session(path, llm, rig.ECHO)
    tail, found = Tail(path), Glance()

    def standing() -> str:
        waits = at_rest(path)
        for record in tail.news():
            found.apply(record)
        return found.standing(held=in_use(path), waits=waits)

    seen = [standing()]
    session.listeners.append(lambda _: seen.append(standing()))
    assert names(await send(session, "go"))[-2:] == ["SyncStarted", "SyncFinished"]
    seen.append(standing())
    assert set(seen) == {"running"}
    between = session.between()
    waiting = asyncio.create_task(anext(between))
    await asyncio.sleep(0)
    assert standing() == "idle"
    session.emit(Renamed("one"))
    await waiting
    assert standing() == "idle"
    await between.aclose()
    assert standing() == "running"
    await session.close()
    assert standing() == "done"


def test_a_journal_is_read_on_while_it_grows(tmp_path: Path) -> None:
    tail = Tail(tmp_path / "j")
    assert tail.news() == []
    journal = Journal(tmp_path / "j")
    first = journal.append(0, Notice("info", "one"))
    assert tail.news() == [first]
    assert tail.news() == []
    line = encode(Record(1, 1, 1.0, 0, Notice("info", "two")))
    with open(tmp_path / "j", "ab") as file:
        file.write(line[:9])
        file.flush()
        assert tail.news() == []
        file.write(line[9:])
    assert [r.event for r in tail.news()] == [Notice("info", "two")]
    with open(tmp_path / "j", "ab") as file:
        file.write(b"nonsense\n")
    assert tail.news() == []
    with open(tmp_path / "j", "ab") as file:
        file.write(line)
    with pytest.raises(JournalError, match="no record"):
        tail.news()
    journal.close()
