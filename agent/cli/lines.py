"""Events as plain lines of text, for a terminal that scrolls and for a log file.

Whatever its source, text passes `terminal_safe` here, at the last moment before the terminal.
"""

from __future__ import annotations

from collections.abc import Sequence

from agent.core.events import (
    AnyEvent,
    Attached,
    CallFinished,
    CallStarted,
    Checked,
    Compacted,
    EgressAnswered,
    EgressAsked,
    Granted,
    Mapped,
    ModelChanged,
    Noted,
    Notice,
    Problem,
    Pruned,
    Pulled,
    Ran,
    Redone,
    SandboxState,
    Seeded,
    SyncFinished,
    Told,
    TurnFinished,
    Undone,
    UserAnswered,
    UserAsked,
)
from agent.core.messages import ToolResult, Usage
from agent.core.text import one_line, terminal_safe

_MARK = {"info": "·", "warning": "!", "error": "✗"}


def line_of(event: AnyEvent) -> str | None:
    """One or two lines for an event, or None for those that a log does not need."""
    match event:
        case CallStarted(title=title):
            return f"→ {one_line(title)}"
        case CallFinished(result=result, seconds=seconds):
            mark = "✓" if result.ok else "✗"
            first = f"  {mark} {gist(result.text, ok=result.ok)} ({seconds:.1f} s)"
            return "\n".join([first, *for_people(result)])
        case Notice(level=level, text=text, hint=hint):
            return f"{_MARK[level]} {terminal_safe(text)}" + _hint(hint)
        case SandboxState(state="ready", backend=backend):
            return f"· sandbox `{backend}` is ready"
        case SandboxState(state="lost", backend=backend):
            return f"! sandbox `{backend}` is gone; the next message starts it again"
        case Seeded(base=base, tip=tip):
            extra = "" if base == tip else " and your uncommitted work"
            return f"· the repository is inside: {base[:10]}{extra}"
        case SyncFinished(problem=problem, notes=notes) if problem is not None:
            return f"✗ not mirrored: {problem_text(problem)}" + _notes(notes)
        case SyncFinished(notes=notes):
            return synced(event) + _notes(notes)
        case Redone(commit=commit, notes=notes):
            return f"✓ redone; the branch is at {commit[:10] or 'its start'}" + _notes(notes)
        case Mapped(files=files):
            return f"· the model has a map of the repository: {len(files)} files"
        case Noted(files=files):
            return f"· the model has the notes in {', '.join(map(one_line, files))}"
        case Attached(files=files):
            return f"· the model has {', '.join(map(one_line, files))}"
        case Pruned(texts=texts):
            return f"· old output left out of what the model is sent: {len(texts)}, {_less(event)}"
        case Compacted():
            return f"· the conversation is summed up for the model, {_less(event)}"
        case ModelChanged(model=model):
            return f"· {terminal_safe(model)} answers from now on"
        case Told(text=text):
            return f"· the model was told: {one_line(text.strip('[]'))}"
        case Pulled():
            return pulled(event)
        case Undone(commit=commit, notes=notes):
            return f"✓ undone; the branch is back at {commit[:10] or 'its start'}" + _notes(notes)
        case EgressAsked(host=host, port=port):
            return f"? the sandbox wants to reach {terminal_safe(host)}:{port}"
        case EgressAnswered():
            return crossed(event)
        case UserAsked():
            return asked(event)
        case UserAnswered():
            return answered(event)
        case Checked():
            return checked(event)
        case Ran(exit_code=None, seconds=seconds):
            return f"! ended before it was done ({seconds:.1f} s)"
        case Ran(exit_code=code, seconds=seconds):
            return f"✗ ended with {code} ({seconds:.1f} s)" if code else f"✓ done ({seconds:.1f} s)"
        case Granted(money=money):
            return f"! ${money:g} more may be spent"
        case TurnFinished(problem=problem) if problem is not None:
            return f"✗ {problem_text(problem)}"
        case TurnFinished(outcome="interrupted"):
            return "! interrupted"
        case _:
            return None


def _less(event: Pruned | Compacted) -> str:
    return f"about {event.before:,} → {event.after:,} tokens"


def pulled(event: Pulled) -> str:
    """What came of a pull, and what to do about conflicts."""
    if not event.commit:
        return "· inside has all of it already" + _notes(event.left_out)
    branch, commit = terminal_safe(event.branch), event.commit[:10]
    if not event.conflicts:
        return f"✓ {commit} is merged inside" + _notes(event.left_out)
    paths = ", ".join(one_line(path) for path in event.conflicts[:10])
    return (
        f"! {commit} conflicts with the work inside in {paths}; it is there as branch {branch}"
        + _hint(f"ask the agent: merge the branch {branch} and resolve the conflicts")
        + _notes(event.left_out)
    )


def checked(event: Checked) -> str:
    """How a check went, and the end of what it said when it failed."""
    command = one_line(event.command, 200)
    if event.exit_code == 0:
        return f"✓ {command} ({event.seconds:.1f} s)"
    how = "did not end" if event.exit_code is None else f"exit code {event.exit_code}"
    last = [line for line in terminal_safe(event.output).splitlines() if line.strip()][-5:]
    next_one = "the model is told" if event.left else "nothing more is tried"
    return "\n".join([f"✗ {command}: {how}; {next_one}", *(f"    {line}" for line in last)])


def crossed(event: EgressAnswered) -> str:
    """What was decided about a host."""
    named = f"{terminal_safe(event.host)}:{event.port}"
    if not event.allowed:
        return f"✗ {named} stays out of reach"
    return f"✓ {named} may be reached" + (" in this session" if event.remember else ", this once")


def asked(event: UserAsked) -> str:
    """The model's question, whole, and what can be chosen."""
    options = [f"  {number} {one_line(o)}" for number, o in enumerate(event.options, 1)]
    return "\n".join([f"? {terminal_safe(event.question)}", *options])


def answered(event: UserAnswered) -> str:
    """How a question ended."""
    if event.how == "answered":
        words = [*event.chosen, *([event.text] if event.text else [])]
        return "  = " + one_line("; ".join(words), 200)
    if event.how == "policy" and event.chosen:
        return f"! nobody to answer; the first option was taken: {one_line(event.chosen[0])}"
    return {
        "declined": "! not answered",
        "policy": "! nobody to answer; the model goes on without",
        "late": "! not answered in time; the model goes on without",
    }.get(event.how, "! not answered: interrupted")


def for_people(result: ToolResult) -> list[str]:
    """What a result shows to people besides its first line: a link, the list of what is to do."""
    url, items = result.details.get("url"), result.details.get("todo")
    lines = [f"  ↗ {one_line(url, 1000)}"] if isinstance(url, str) else []
    if isinstance(items, list):
        lines += [f"    {one_line(line)}" for line in result.text.splitlines()[1:]]
    return lines


def synced(event: SyncFinished) -> str:
    """Where the work is now."""
    if not event.commit or not event.branch:
        return "· nothing changed"
    count = f"{event.files} file" + ("" if event.files == 1 else "s")
    return f"✓ {event.branch} is at {event.commit[:10]} ({count}, +{event.added} -{event.removed})"


def problem_text(problem: Problem) -> str:
    """An error as a person reads it: what happened, then what to do."""
    return terminal_safe(problem.message) + _hint(problem.hint)


def cost_text(usage: Usage) -> str:
    """Tokens and money; a price that is not known says so."""
    money = "cost unknown" if usage.cost is None else f"${usage.cost:.4f}"
    return f"{usage.prompt + usage.completion:,} tokens, {money}"


def _notes(notes: Sequence[str]) -> str:
    return "".join(f"\n! {terminal_safe(note)}" for note in notes)


def _hint(hint: str) -> str:
    return f"\n    {terminal_safe(hint)}" if hint else ""


def gist(text: str, *, ok: bool) -> str:
    """What a result says most briefly: the first line of a success, the last ones of a failure."""
    lines = [line for line in text.splitlines() if line.strip()]
    if not lines:
        return "no output"
    if ok or len(lines) == 1:
        return one_line(lines[0]).removesuffix(":")
    return one_line(f"{lines[-1].rstrip('.')}: {lines[-2].strip()}")
