"""A session's records as a transcript that only grows, and the few lines below it that change.

Knows no screen. Text becomes terminal-safe here, however the pieces of it were cut.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import msgspec

from agent.cli.countdown import waiting
from agent.cli.lines import cost_text, for_people, gist, line_of
from agent.cli.printed import Printed, overwritten, uncoloured
from agent.cli.styled import Line, diff_lines, marked, plain
from agent.core.events import (
    AnyEvent,
    CallFinished,
    CallOutput,
    CallStarted,
    Checked,
    Checking,
    EgressAnswered,
    EgressAsked,
    Entered,
    MessageFinished,
    Ran,
    ReasoningDelta,
    SandboxState,
    Seeded,
    SyncFinished,
    SyncStarted,
    TextDelta,
    TurnFinished,
    TurnStarted,
)
from agent.core.messages import ToolResult, Usage
from agent.core.text import one_line, terminal_safe
from agent.session.byhand import BY_HAND

if TYPE_CHECKING:
    from agent.cli.markdown import Markdown

OUTPUT_LINES, DIFF_LINES = 6, 16
_OUTPUT_CHARS = 4_000
_LINE_CHARS = 200


class Stream:
    """Streamed text, cut into safe lines; a carriage return waits for the piece that follows it."""

    def __init__(self) -> None:
        self._rest = ""
        self._parts: list[str] = []
        self.tail = ""
        """The end of the line that is begun."""

    def feed(self, text: str) -> list[str]:
        """The lines that `text` completes."""
        text = self._rest + text
        self._rest = "\r" if text.endswith("\r") else ""
        safe = terminal_safe(text.removesuffix("\r") if self._rest else text)
        first, *others = safe.split("\n")
        self._parts.append(first)
        if not others:
            self.tail = (self.tail + first)[-_OUTPUT_CHARS:]
            return []
        whole = ["".join(self._parts), *others[:-1]]
        self._parts, self.tail = [others[-1]], others[-1][-_OUTPUT_CHARS:]
        return whole

    def end(self) -> list[str]:
        """What is left, as a last line; nothing when there is nothing."""
        left = "".join(self._parts)
        self._rest, self._parts, self.tail = "", [], ""
        return [left] if left else []


@dataclass(slots=True)
class _Running:
    """A call under way and the end of what it printed."""

    name: str
    tail: str = ""
    lines: int = 0

    def add(self, text: str) -> None:
        self.lines += text.count("\n")
        self.tail = (self.tail + text)[-_OUTPUT_CHARS:]

    def shown(self) -> list[Line]:
        """The last lines, as a terminal would leave them."""
        text = uncoloured(self.tail).replace("\r\n", "\n").rstrip("\n")
        rows = [overwritten(row) for row in text.split("\n")] if text else []
        kept = rows[-OUTPUT_LINES:]
        more = max(self.lines + (not self.tail.endswith("\n")), len(rows)) - len(kept)
        head = plain(f"  … {more:,} more lines", "dim") if kept and more > 0 else []
        return [*head, *(_output(row) for row in kept)]


def _output(row: str) -> Line:
    return (("dim", f"  {terminal_safe(row[:_LINE_CHARS])}"),)


class Live:
    """Feed it events: `apply` answers with new lines of the transcript, `area` is what changes."""

    def __init__(self, make_markdown: Callable[[], Markdown] | None = None) -> None:
        """Replies are shown by what `make_markdown` makes for the first; without, as they are."""
        self._make_markdown = make_markdown
        self._markdown: Markdown | None = None
        self._stream = Stream()
        self._style = ""
        self._said = False
        self._running: dict[str, _Running] = {}
        self._printed = Printed()
        self._ran = False
        self._newest = ""
        self._doing = ""
        self._home = ""
        self._notes: set[str] = set()
        self.waits = 0
        """Seconds until something that is waited for goes on; whoever has a clock counts them."""

    def apply(self, event: AnyEvent) -> list[Line]:
        """The lines that this event adds for good."""
        match event:
            case TextDelta(text=text):
                self._said = True
                return self._streamed(text, "")
            case ReasoningDelta(text=text):
                return self._streamed(text, "dim")
            case CallOutput(call_id=call_id, text=text) if call_id == BY_HAND:
                return plain("\n".join(lines)) if (lines := self._printed.feed(text)) else []
            case CallOutput(call_id=call_id, text=text):
                if call_id in self._running:
                    self._running[call_id].add(text)
                return []
            case SandboxState() | Seeded() | EgressAsked() | EgressAnswered():
                return self._told(event)  # in the middle of a reply, perhaps
            case _:
                return [*self._flushed(), *self._told(event)]

    def end(self) -> list[Line]:
        """What is left of what broke off without an event that says so."""
        self._doing, self._running = "", {}
        return self._flushed()

    def area(self) -> list[Line]:
        """The unfinished line of the reply, the output of what runs, and what is being done."""
        lines = [line for call in self._running.values() for line in call.shown()]
        if self._printed.open:
            lines.append((("", self._printed.open[-_OUTPUT_CHARS:]),))
        if self._markdown is not None and not self._style:
            lines += self._markdown.preview(self._stream.tail)
        elif self._stream.tail:
            lines.append(((self._style, self._stream.tail),))
        if self.waits:
            lines.append((("warning", f"{waiting(self.waits)}; Ctrl-C interrupts"),))
        elif self._doing:
            lines.append((("dim", self._doing),))
        return lines

    def _streamed(self, text: str, style: str) -> list[Line]:
        before = self._flushed() if style != self._style else []
        self._style = style
        if not style and self._markdown is None and self._make_markdown is not None:
            self._markdown = self._make_markdown()
        return [*before, *self._styled(self._stream.feed(text))]

    def _flushed(self) -> list[Line]:
        lines = self._styled(self._stream.end())
        return lines + self._markdown.end() if self._markdown is not None else lines

    def _styled(self, lines: Iterable[str]) -> list[Line]:
        if self._markdown is None or self._style:
            return [((self._style, line),) for line in lines]
        return [row for line in lines for row in self._markdown.line(line)]

    def _told(self, event: AnyEvent) -> list[Line]:
        match event:
            case TurnStarted():
                self._doing = "· working; Ctrl-C interrupts"
            case Entered():
                self._doing = "· running; Ctrl-C interrupts"
            case Checking(command=command):
                self._doing = (
                    f"· checking: {one_line(command, 60)}; Ctrl-C interrupts" if command else ""
                )
            case Checked():
                self._doing = ""
            case Ran():
                self._doing, self._ran = "", True
                return [*((("", line),) for line in self._printed.end()), *self._line(event)]
            case SyncStarted():
                self._doing = "· bringing the work home"
            case SyncFinished():
                self._doing = ""
                quiet, self._ran = self._ran and _moved_nothing(event, self._home), False
                return [] if quiet else marked(self._came_home(event))
            case TurnFinished(usage=usage):
                self._doing = ""
                return [*self._line(event), *_spent(usage)]
            case MessageFinished(message=message):
                said, self._said = self._said, False
                if said or not message.text:
                    return []
                return [*self._streamed(message.text, ""), *self._flushed()]
            case CallStarted(call=call):
                self._running[call.id] = _Running(call.name)
                self._newest = call.id
            case CallFinished():
                return self._finished(event)
            case _:
                pass
        return self._line(event)

    def _came_home(self, event: SyncFinished) -> str:
        """What a sync says that has not been said: a turn of words alone moves nothing."""
        known, self._home = event.commit == self._home, event.commit
        notes = tuple(note for note in event.notes if note not in self._notes)
        self._notes |= set(notes)
        told = msgspec.structs.replace(event, notes=notes, commit="" if known else event.commit)
        return line_of(told) or ""

    def _line(self, event: AnyEvent) -> list[Line]:
        text = line_of(event)
        return [] if text is None else marked(text)

    def _finished(self, event: CallFinished) -> list[Line]:
        """The end of what the call printed, then how it ended; named when others came between."""
        result = event.result
        running = self._running.pop(result.call_id, _Running(""))
        shown = running.shown()
        mark = "✓" if result.ok else "✗"
        name = "" if self._newest == result.call_id else f"{one_line(running.name, 20)}: "
        says = _outcome(result, shown=bool(shown))
        first = marked(f"  {mark} {name}{says}({event.seconds:.1f} s)")
        more = [line for text in for_people(result) for line in plain(text, "call")]
        return [*shown, *first, *more, *_changed(result.details.get("diff"))]


def _moved_nothing(event: SyncFinished, home: str) -> bool:
    """Whether there is nothing to say after a command of which nobody said that it changes any."""
    return event.commit in ("", home) and not event.problem and not event.notes


def _outcome(result: ToolResult, *, shown: bool) -> str:
    """How a call ended, briefer when the output it belongs to has just been shown."""
    if result.details.get("interrupted"):
        return "interrupted "
    if shown and result.ok:
        return ""
    text = result.text.rstrip().rpartition("\n")[2] if shown else result.text
    return f"{gist(text, ok=result.ok)} "


def _changed(diff: object) -> list[Line]:
    """The beginning of what a call changed in files."""
    if not isinstance(diff, str) or not diff:
        return []
    rows = diff.splitlines()
    shown = diff_lines("\n".join(row[:_LINE_CHARS] for row in rows[:DIFF_LINES]))
    more = len(rows) - len(shown)
    end = plain(f"    … {more:,} more lines; /diff has all", "dim") if more > 0 else []
    return [*((("", "    "), *line) for line in shown), *end]


def _spent(usage: Usage) -> list[Line]:
    return marked(f"· {cost_text(usage)}") if usage.prompt or usage.completion else []
