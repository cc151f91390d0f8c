from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from agent.cli.live import DIFF_LINES, OUTPUT_LINES, Live, Stream
from agent.cli.styled import Line
from agent.core.events import (
    AnyEvent,
    CallFinished,
    CallOutput,
    CallStarted,
    Entered,
    MessageFinished,
    Problem,
    Ran,
    ReasoningDelta,
    SyncFinished,
    SyncStarted,
    TextDelta,
    TurnFinished,
    TurnStarted,
)
from agent.core.messages import AssistantMessage, ToolCall, ToolResult, Usage, UserMessage
from agent.core.text import terminal_safe
from agent.session.byhand import BY_HAND


def text(lines: list[Line]) -> list[str]:
    return ["".join(part for _, part in line) for line in lines]


def styles(lines: list[Line]) -> list[str]:
    return [style for line in lines for style, _ in line]


def told(live: Live, *events: AnyEvent) -> list[str]:
    return text([line for event in events for line in live.apply(event)])


def started(call_id: str, name: str = "bash") -> CallStarted:
    return CallStarted(ToolCall(call_id, name, {}), f"$ {call_id}")


def finished(call_id: str, output: str, *, ok: bool = True) -> CallFinished:
    return CallFinished(ToolResult(call_id, ok=ok, text=output), 0.25)


@given(st.text(), st.lists(st.integers(0, 30)))
def test_streamed_text_is_what_the_whole_text_would_be(whole: str, cuts: list[int]) -> None:
    stream, lines, at = Stream(), [], 0
    for cut in cuts:
        lines += stream.feed(whole[at : at + cut])
        at += cut
    lines += [*stream.feed(whole[at:]), *stream.end()]

    # A carriage return that nothing follows is dropped, and an empty last line is no line.
    expected = terminal_safe(whole.removesuffix("\r")).split("\n")
    assert lines == (expected[:-1] if expected[-1] == "" else expected)


def test_a_line_break_cut_in_two_is_one_line_break() -> None:
    stream = Stream()

    assert stream.feed("one\r") == []
    assert stream.feed("\ntwo") == ["one"]
    assert stream.tail == "two"


def test_a_reply_grows_below_the_transcript_and_joins_it_line_by_line() -> None:
    live = Live()

    assert told(live, TextDelta("Hello\nwor")) == ["Hello"]
    assert text(live.area()) == ["wor"]
    assert told(live, TextDelta("ld")) == []
    assert told(live, MessageFinished(AssistantMessage("Hello\nworld"))) == ["world"]
    assert live.area() == []


def test_a_reply_that_did_not_stream_is_shown_whole() -> None:
    assert told(Live(), MessageFinished(AssistantMessage("a\nb"))) == ["a", "b"]


def test_reasoning_is_dim_and_ends_where_the_reply_begins() -> None:
    live = Live()

    lines = [*live.apply(ReasoningDelta("hm")), *live.apply(TextDelta("yes\n"))]

    assert lines == [(("dim", "hm"),), (("", "yes"),)]


def test_an_escape_sequence_in_a_reply_does_not_reach_the_terminal() -> None:
    live = Live()

    lines = told(live, TextDelta("a\x1b]0;owned"), TextDelta("\x07\x9b2J\n"))

    assert lines == ["a␛]0;owned␇\ufffd2J"]


def test_live_output_shows_its_last_lines_only() -> None:
    live = Live()
    told(live, started("c1"))
    for number in range(1000):
        live.apply(CallOutput("c1", f"line {number}\n"))

    area = text(live.area())

    assert len(area) == OUTPUT_LINES + 1
    assert area[0] == f"  … {1000 - OUTPUT_LINES:,} more lines"
    assert area[-1] == "  line 999"


def test_a_flood_of_output_costs_no_more_than_its_end() -> None:
    live = Live()
    told(live, started("c1"))
    for _ in range(500):
        live.apply(CallOutput("c1", "x" * 100_000))

    assert sum(len(row) for row in text(live.area())) < 1_000


def test_a_progress_bar_shows_its_last_state_and_no_colours() -> None:
    live = Live()
    told(live, started("c1"), CallOutput("c1", "\x1b[32m10%\x1b[0m\r\x1b[32m90%\x1b[0"))

    assert text(live.area()) == ["  90%"]


def test_the_end_of_the_output_stays_in_the_transcript() -> None:
    live = Live()
    told(live, started("c1"), CallOutput("c1", "one\ntwo\n"))

    assert told(live, finished("c1", "one\ntwo")) == ["  one", "  two", "  ✓ (0.2 s)"]
    assert live.area() == []


def test_a_failed_call_says_how_it_ended() -> None:
    live = Live()
    told(live, started("c1"), started("c2"), CallOutput("c2", "boom\n"))

    lines = live.apply(finished("c1", "boom\nexit code 2", ok=False))

    assert text(lines) == ["  ✗ bash: exit code 2: boom (0.2 s)"]
    assert styles(lines) == ["bad"]
    shown = told(live, finished("c2", "boom\nexit code 2", ok=False))
    assert shown == ["  boom", "  ✗ exit code 2 (0.2 s)"]


def test_of_calls_side_by_side_each_end_names_its_call() -> None:
    live = Live()
    told(live, started("c1", "read"), started("c2", "read"))

    assert told(live, finished("c1", "one")) == ["  ✓ read: one (0.2 s)"]
    assert told(live, finished("c2", "two")) == ["  ✓ two (0.2 s)"]


def test_what_is_being_done_is_below_the_transcript_until_it_is_done() -> None:
    live = Live()
    told(live, TurnStarted(UserMessage("hi")))
    assert "Ctrl-C" in text(live.area())[0]
    lines = told(live, TurnFinished("done", Usage(10, 0, 5, None), 1))
    assert lines == ["· 15 tokens, cost unknown"]
    assert live.area() == []
    told(live, SyncStarted())
    assert text(live.area()) == ["· bringing the work home"]
    told(live, SyncFinished("glovebox/1", "c" * 40))
    assert live.area() == []


def test_a_turn_that_moves_nothing_says_so_and_no_note_is_told_twice() -> None:
    live = Live()
    one = SyncFinished("glovebox/1", "c" * 40, files=1, added=2, notes=("`x` stayed inside",))

    assert told(live, one) == [
        "✓ glovebox/1 is at cccccccccc (1 file, +2 -0)",
        "! `x` stayed inside",
    ]
    assert told(live, one) == ["· nothing changed"]
    other = SyncFinished("glovebox/1", "d" * 40, files=1, notes=("`x` stayed inside", "more"))
    assert told(live, other) == ["✓ glovebox/1 is at dddddddddd (1 file, +0 -0)", "! more"]
    lost = SyncFinished("glovebox/1", "d" * 40, problem=Problem("SyncError", "no room"))
    assert told(live, lost) == ["✗ not mirrored: no room"]


def test_a_change_shows_what_it_changed_and_how_much_more() -> None:
    live = Live()
    told(live, started("c1", "edit"))
    rows = ["@@ -1,2 +1,2 @@", " def add(a, b):", "-\x1b[2Jold", "+new", *["+x"] * DIFF_LINES]
    result = ToolResult("c1", ok=True, text="Edited f:\n1\tnew", details={"diff": "\n".join(rows)})

    lines = live.apply(CallFinished(result, 0.25))

    assert text(lines)[:5] == [
        "  ✓ Edited f (0.2 s)",
        "    @@ -1,2 +1,2 @@",
        "     def add(a, b):",
        "    -␛[2Jold",
        "    +new",
    ]
    assert text(lines)[-1] == "    … 4 more lines; /diff has all"
    assert lines[3][-1][0] == "diff.removed" and lines[4][-1][0] == "diff.added"
    assert told(live, started("c2", "write"), finished("c2", "Wrote f")) == [
        "→ $ c2",
        "  ✓ Wrote f (0.2 s)",
    ]


def test_what_a_person_runs_is_shown_whole_and_its_sync_when_something_moved() -> None:
    live = Live()
    wild = "\x1b[31mred\x1b[0m\nold\rnew\n\x1b]52;c;eA==\x07\nlast"
    shown = told(live, Entered("make"), *(CallOutput(BY_HAND, char) for char in wild))
    assert shown == ["red", "new", "␛]52;c;eA==␇"]
    assert text(live.area()) == ["last", "· running; Ctrl-C interrupts"]
    assert told(live, Ran("make", "", 2, 0.5)) == ["last", "✗ ended with 2 (0.5 s)"]
    assert told(live, SyncStarted(), SyncFinished("")) == []
    lines = told(live, Entered("x"), Ran("x", "", None), SyncStarted(), SyncFinished("b", "c0ffee"))
    assert lines == ["! ended before it was done (0.0 s)", "✓ b is at c0ffee (0 files, +0 -0)"]
    assert live.area() == []
