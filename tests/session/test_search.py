"""Names of sessions, and words in them."""

from __future__ import annotations

from pathlib import Path

import pytest

from agent.core.errors import UserError
from agent.core.events import (
    CallFinished,
    CallStarted,
    MessageFinished,
    Renamed,
    SessionStarted,
    TurnStarted,
)
from agent.core.messages import AssistantMessage, ToolCall, ToolResult, UserMessage
from agent.outcome import masking
from agent.session.catalog import Catalog
from agent.session.journal import Journal
from agent.session.names import checked
from agent.session.search import Hit, passages, search


def session(catalog: Catalog, number: int) -> Journal:
    identity = catalog.new_id()
    journal = Journal(catalog.journal(identity))
    journal.append(0, SessionStarted(identity, number, "p", "m", "local", "none"))
    catalog.record("p", number, identity)
    return journal


@pytest.mark.parametrize("bad", ["12", "-m", "a\nb", "x" * 61, "a\x1b[2J", "a\u202eb"])
def test_a_name_that_could_be_something_else_is_refused(bad: str) -> None:
    with pytest.raises(UserError, match="cannot name a session"):
        checked(bad)


@pytest.mark.parametrize("good", ["parser", "the big one", "3a", "ünïcode 🎉", ""])
def test_any_other_line_is_a_name(good: str) -> None:
    assert checked(f" {good} ") == good


def test_a_name_stands_where_a_number_can(tmp_path: Path) -> None:
    catalog = Catalog(tmp_path)
    one, two = session(catalog, 1), session(catalog, 2)
    one.append(0, Renamed("first"))
    one.append(0, Renamed("parser"))
    call = ToolCall("c", "x", {"type": "Renamed", "name": "other"})
    two.append(0, CallStarted(call, "x"))
    assert catalog.find("p", "parser").number == 1
    for gone in ("first", "other"):
        with pytest.raises(UserError, match="no session fits"):
            catalog.find("p", gone)
    with pytest.raises(UserError, match="session 1 is called `parser` already"):
        catalog.require_free("p", "parser", two.path.parent.name)
    catalog.require_free("p", "parser", one.path.parent.name)
    catalog.require_free("q", "parser", "x")
    for journal in (one, two):
        journal.close()


def test_words_are_found_wherever_they_are(tmp_path: Path) -> None:
    journal = session(Catalog(tmp_path), 1)
    call = ToolCall("c", "bash", {"command": "grep Needle\nhay"})
    events = [
        (1, TurnStarted(UserMessage("Fix the PARSER\x1b[2J please"))),
        (1, MessageFinished(AssistantMessage("I look", reasoning="deep thought", calls=(call,)))),
        (1, CallStarted(call, "bash")),
        (1, CallFinished(ToolResult("c", True, "first\n" + "x" * 300 + " straße end"), 0.1)),
        (2, TurnStarted(UserMessage("and the parser's needle"))),
    ]
    records = [journal.append(turn, event) for turn, event in events]
    journal.close()
    assert search(records, ["parser", "needle"]) == [
        Hit(2, "and the parser's needle"),
        Hit(1, "Fix the PARSER␛[2J please"),
        Hit(1, '{"command":"grep Needle\\nhay"}'),
    ]
    assert search(records, ["parser", "absent"]) is None
    found = search(records, ["STRASSE"])
    assert found is not None and found[0].text.startswith("…x") and "straße" in found[0].text
    assert search(records, ["thought"]) == [Hit(1, "I look deep thought")]


def test_what_opens_doors_is_not_shown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GLOVEBOX_TEST_TOKEN", "open-sesame-42")
    journal = session(Catalog(tmp_path), 1)
    call = ToolCall("c", "bash", {"command": 'export A_KEY="hunter2hunter2"; echo needle'})
    records = [
        journal.append(1, CallStarted(call, "bash")),
        journal.append(1, CallFinished(ToolResult("c", True, "needle is open-sesame-42"), 0.1)),
    ]
    journal.close()
    shown = ['…port A_KEY=\\"[secret]\\"; echo needle"}', "needle is [secret]"]
    assert texts(search(records, ["needle"], {}, masking())) == shown
    assert texts(passages(records, ["needle"], {}, masking())) == shown
    # Whoever looks for where a key has gone finds it.
    assert texts(search(records, ["hunter2"], {}, masking())) == [
        '{"command":"export A_KEY=\\"[secret]\\"; echo needle"}'
    ]


def texts(hits: list[Hit] | None) -> list[str]:
    return [hit.text for hit in hits or ()]
