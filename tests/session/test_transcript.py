"""A conversation as a document, and back; and files that are none."""

from __future__ import annotations

import json
import re
from html.parser import HTMLParser
from typing import Any

import msgspec
import pytest

from agent.core.errors import UserError
from agent.core.events import (
    RECORD_VERSION,
    MessageFinished,
    Record,
    SessionStarted,
    Told,
    TurnStarted,
    Undone,
)
from agent.core.messages import AssistantMessage, ToolCall, ToolMessage, ToolResult, UserMessage
from agent.session.fork import folded, record_of
from agent.session.pages import document
from agent.session.transcript import Transcript, decoded, records_of, transcript_of
from tests.nesting import assert_nested

BEGINS = SessionStarted("newone", 2, "p", "m", "local", "none")
PICTURE = "data:image/png;base64,iVBORw0KGgo="
HASH = "ab" * 32
TIP = "c0ffee" + "0" * 34

WORDS = '</pre><script>alert(1)</script> `` ``` ```` \x1b[2J\u202e "quoted" & <b>'
CALL = ToolCall("c1", "bash", {"command": f"echo '{WORDS}'"})
DETAILS = {"path": "/workspace/a", "hash": HASH, "todo": [{"text": "more"}], "other": "x"}
MESSAGES = (
    UserMessage(f"do {WORDS}", images=(PICTURE,), at=1.0),
    AssistantMessage(WORDS, reasoning="why", calls=(CALL,), stop="calls"),
    ToolMessage((ToolResult("c1", False, WORDS, DETAILS, (PICTURE,)),)),
    AssistantMessage("done\n* item"),
    UserMessage("unanswered", at=2.0),
    UserMessage("again", at=3.0),
    AssistantMessage("yes"),
)
WHOLE = Transcript(MESSAGES, number=7, name="<i>", base=TIP, start=TIP, tip=TIP)


def through(found: Transcript) -> Transcript:
    return decoded(document(found, ".json"), "t.json")


def test_what_is_written_is_read_again_as_a_whole_session() -> None:
    found = through(WHOLE)
    made = records_of(found, BEGINS, files=True)
    records = [Record(r.v, n, r.at, r.turn, r.event) for n, r in enumerate(made)]
    assert_nested(records)
    state = folded(records)
    assert [type(m) for m in state.history.messages] == [type(m) for m in MESSAGES]
    assert state.history.messages[0] == MESSAGES[0]
    assert (state.turn, state.seen.hashes) == (3, {"/workspace/a": HASH})
    assert [item.text for item in state.todo.items] == ["more"]
    assert state.forked is not None and state.forked.tip == TIP
    assert state.seeded is not None and state.seeded.tip == TIP
    again = transcript_of(records)
    assert through(again).messages == again.messages
    bare = folded(records_of(found, BEGINS, files=False))
    assert bare.seeded is None and bare.forked is not None and bare.forked.tip == ""


def test_what_was_taken_back_and_what_is_not_over_is_left_out() -> None:
    records = records_of(WHOLE, BEGINS, files=False)[:-1]
    records.append(Record(RECORD_VERSION, 0, 1.0, 3, Undone("", "", turns=2)))
    assert len(transcript_of(records).messages) == 4
    assert len(transcript_of(records[:5]).messages) == 1  # its call has no result yet


def test_what_glovebox_told_the_model_stands_between_two_replies() -> None:
    events = (TurnStarted(UserMessage("go")), said_by(""), Told("say more"), said_by("more"))
    records = [record_of(1, event) for event in events]
    assert [m.text for m in through(transcript_of(records)).messages] == [  # type: ignore[union-attr]
        "go", "", "say more", "more"
    ]  # fmt: skip


def said_by(text: str) -> MessageFinished:
    return MessageFinished(AssistantMessage(text))


def bad(**changes: Any) -> bytes:
    data = json.loads(document(WHOLE, ".json"))
    for path, value in changes.items():
        *steps, last = (int(s) if s.isdigit() else s for s in path.split("__"))
        place: Any = data
        for step in steps:
            place = place[step]
        if value is ...:
            del place[last]
        else:
            place[last] = value
    return json.dumps(data).encode()


def said(kind: str, **more: Any) -> dict[str, Any]:
    return {"type": kind, "text": "x", **more}


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (b"", "no transcript"),
        (b"\xff\xfe", "no transcript"),
        (b"{}", "missing required field"),
        (b"[" * 100_000, "no transcript"),
        (b'{"messages":[],"format":"other"}', "Invalid"),
        (bad(version=3), "newer glovebox"),
        (bad(version=1, children=...), ""),
        (bad(extra=1), "unknown field"),
        (bad(tip="HEAD"), "is no commit id"),
        (bad(base="--upload-pack=x"), "is no commit id"),
        (bad(start="../../etc"), "is no commit id"),
        (bad(messages=[said("assistant")]), "message 1 answers nothing"),
        (bad(messages=[{"type": "tool", "results": []}]), "message 1 has not the results"),
        (bad(messages=[said("system")]), "Invalid value 'system'"),
        (bad(messages__2=...), "the calls before message 3 have no results"),
        (bad(messages__2__results__0__call_id="c2"), "message 3 has not the results"),
        (bad(messages__2__results=[]), "message 3 has not the results"),
        (bad(messages__1__calls__0__id=""), "no usable id"),
        (bad(messages__1__calls__0__name="x" * 201), "no usable id"),
        (bad(messages__3=said("user"), messages__4=said("assistant")), ""),
        (bad(messages__5=said("assistant"), messages__6=said("assistant")), "answers nothing"),
        (bad(messages__0__images=["http://evil.example/x.png"]), "not in the file itself"),
        (bad(messages__0__images=["data:text/html;base64,AAAA"]), "not in the file itself"),
        (bad(messages__0__text=1), "Expected `str`"),
        (bad(messages__1__stop="forever"), "Invalid enum value"),
    ],
)
def test_a_file_that_is_none_is_refused_with_the_reason(data: bytes, why: str) -> None:
    if not why:
        decoded(data, "t.json")
        return
    with pytest.raises(UserError, match=re.escape(why)) as caught:
        decoded(data, "t.json")
    assert "\x1b" not in caught.value.message and len(caught.value.message) < 400


@pytest.mark.parametrize(
    "details",
    [
        {"path": "/a", "hash": "no hash"},
        {"path": 1, "hash": HASH},
        {"files": "x", "todo": "y"},
        {"files": [1, {"path": "/a", "hash": 3}], "todo": [{"text": "x", "evil": 1}]},
        {"reason": "not_found", "path": "/a"},
    ],
)
def test_nothing_is_remembered_that_has_not_its_form(details: dict[str, Any]) -> None:
    data = bad(messages__2__results__0__details=details)
    state = folded(records_of(decoded(data, "t"), BEGINS, files=False))
    assert (state.seen.hashes, state.seen.failures, state.todo.items) == ({}, {}, ())


class Tags(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.names: set[str] = set()
        self.attributes: list[tuple[str, str | None]] = []
        self.text = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.names.add(tag)
        self.attributes += attrs

    def handle_data(self, data: str) -> None:
        self.text += data


def test_the_page_holds_the_words_and_none_of_their_tags() -> None:
    text = document(WHOLE, ".html").decode()
    tags = Tags()
    tags.feed(text)
    assert tags.names == {
        *("html", "head", "meta", "title", "style", "body", "h1", "p", "section", "div"),
        *("details", "summary", "pre", "img"),
    }
    assert {name for name, _ in tags.attributes} <= {
        *("lang", "charset", "http-equiv", "content", "name", "class", "alt", "src")
    }
    assert {value for name, value in tags.attributes if name == "src"} == {PICTURE}
    assert "default-src 'none'" in text and "\x1b" not in text and "\u202e" not in text
    assert tags.text.count("<script>alert(1)</script>") >= 4


def test_no_text_ends_the_block_of_code_it_is_in() -> None:
    text = document(WHOLE, ".md").decode()
    assert "\x1b" not in text
    fences = re.findall(r"^(`{3,})text$", text, re.MULTILINE)
    assert fences == ["`````"] * 2
    assert "# \\<i\\>" in text
    with pytest.raises(UserError, match=r"cannot be written as `\.pdf`"):
        document(WHOLE, ".pdf")


def test_the_document_of_today_is_the_one_that_later_versions_read() -> None:
    kept = msgspec.json.decode(document(WHOLE, ".json"))
    assert sorted(kept) == sorted(Transcript.__struct_fields__)
