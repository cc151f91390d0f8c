"""What can be typed with a slash in front. To add one: a function and a line in `COMMANDS`."""

from __future__ import annotations

import difflib
import re
from collections.abc import AsyncGenerator, Awaitable, Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import Protocol

from agent.app import check_model
from agent.cli import elsewhere
from agent.cli.budget import budget_lines
from agent.cli.context import context_lines
from agent.cli.lines import cost_text
from agent.cli.ports import port_lines, shown_text
from agent.cli.styled import diff_lines, marked, plain
from agent.core.errors import UserError
from agent.core.events import Record
from agent.core.messages import Usage
from agent.core.text import one_line, terminal_safe
from agent.session import ports
from agent.session.session import Session

# A path or a comment at the start of a message is no command.
_COMMAND = re.compile(r"/([A-Za-z-]*)(?:\s+(.*))?", re.DOTALL)


class Talk(elsewhere.Talk, Protocol):
    """What a command may use of the conversation it is typed in."""

    async def follow(self, records: AsyncGenerator[Record]) -> None:
        """Show records until they end."""
        ...

    def leave(self) -> None: ...


@dataclass(frozen=True, slots=True)
class Command:
    """`run` is given the conversation, before it as text what the command `takes`, if it does.

    What stands in brackets may be left out.
    """

    name: str
    about: str
    run: Callable[..., Awaitable[None]]
    takes: str = ""


def parse(text: str) -> Command | None:
    """The command that was typed, or None for a message.

    Raises `UserError` for one that does not exist, or that is given what it does not take.
    """
    match = _COMMAND.fullmatch(text.strip())
    if match is None:
        return None
    name, rest = match.group(1).lower(), match.group(2)
    command = next((c for c in COMMANDS if c.name == name), None)
    if command is None:
        close = difflib.get_close_matches(name, [c.name for c in COMMANDS], n=1)
        hint = f"did you mean `/{close[0]}`?" if close else "`/help` lists the commands"
        raise UserError(f"there is no command `/{name}`", hint)
    if rest and not command.takes:
        raise UserError(f"`/{name}` takes nothing after it", f"type `/{name}` alone")
    if command.takes and not rest and not command.takes.startswith("["):
        raise UserError(f"`/{name}` needs more", f"type `/{name} {command.takes}`")
    return replace(command, run=partial(command.run, rest or "")) if command.takes else command


async def _help(talk: Talk) -> None:
    rows = [(f"/{c.name} {c.takes}".rstrip(), c.about) for c in COMMANDS] + list(_KEYS)
    width = max(len(name) for name, _ in rows)
    talk.show([(("call", f"  {name:<{width}}"), ("", f"  {about}")) for name, about in rows])


_KEYS = (
    ("Enter", "send; while the agent works, send when it is done"),
    ("Alt-Enter, Ctrl-J", "a new line; pasting never sends"),
    ("Ctrl-C", "interrupt the agent; else clear the line; twice on an empty one: leave"),
    ("Ctrl-D", "leave"),
)


async def _diff(talk: Talk) -> None:
    text = await talk.session.diff()
    talk.show(diff_lines(text) if text.strip() else marked("· nothing changed"))


async def _undo(turns: str, talk: Talk) -> None:
    if turns and not turns.isdigit():
        raise UserError(f"`{turns}` is no number of turns", "type `/undo` or `/undo 2`")
    await talk.follow(talk.session.undo(int(turns or 1)))


async def _map(words: str, talk: Talk) -> None:
    chart = await talk.session.map(words)
    if not chart.text:
        talk.show(marked("· there is no code to map"))
        return
    part = f", {chart.parsed} of {chart.code_files} looked at"
    known = part if chart.parsed < chart.code_files else ""
    talk.show([*plain(terminal_safe(chart.text)), *marked(f"· files: {len(chart.files)}{known}")])


async def _redo(talk: Talk) -> None:
    await talk.follow(talk.session.redo())


async def _ignore(talk: Talk) -> None:
    await talk.follow(talk.session.settle(take=False))


async def _take(talk: Talk) -> None:
    await talk.follow(talk.session.settle(take=True))


async def _pull(words: str, talk: Talk) -> None:
    names = [word for word in words.split() if word != "--dirty"]
    if len(names) > 1:
        raise UserError("only one branch can be pulled at a time", "type `/pull main`")
    dirty = "--dirty" in words.split()
    await talk.follow(talk.session.pull(names[0] if names else "", dirty=dirty))


async def _sync(talk: Talk) -> None:
    if talk.session.state.seeded is None:
        talk.show(marked("· nothing to sync: the sandbox is not up yet"))
        return
    await talk.follow(talk.session.sync())


def _named(session: Session) -> str:
    name = f" {session.state.name}" if session.state.name else ""
    origin = session.state.forked
    fork = f", a fork of {origin.number}" if origin and origin.session else ""
    return f"{session.number}{name} ({session.id}){fork}"


async def _status(talk: Talk) -> None:
    status = talk.session.status()
    rows = [
        ("session", _named(talk.session)),
        ("model", status.model),
        ("sandbox", f"{status.backend}, {status.sandbox}; network {status.network}"),
        ("branch", status.branch),
        ("sync", await talk.session.standing()),
        ("spent", cost_text(status.usage)),
    ]
    if (before := talk.session.state.inherited) != Usage():
        rows.append(("before", f"{cost_text(before)}, by what it was forked from"))
    talk.show([(("dim", f"  {name:<8}"), ("", terminal_safe(text))) for name, text in rows])


async def _model(name: str, talk: Talk) -> None:
    name = name.strip()
    if not name:
        talk.show(marked(f"· the model is {terminal_safe(talk.session.status().model)}"))
        return
    await check_model(name)
    talk.session.change_model(name)


async def _ports(talk: Talk) -> None:
    rows = port_lines(await ports.listening(await talk.session.enter()))
    talk.show(plain("\n".join(rows)) if rows else marked("· no program in the sandbox listens"))


async def _preview(port: str, talk: Talk) -> None:
    if not (port.isascii() and port.isdigit() and 0 < int(port) < 65_536):
        raise UserError(f"`{port}` is no port", "type `/preview PORT`; `/ports` shows them")
    shown = await ports.shown(await talk.session.enter(), int(port))
    talk.show([*marked(f"· {shown_text(shown)}"), *plain(f"  ↗ {shown.url}", "call")])


async def _jobs(talk: Talk) -> None:
    rows = [_job_line(job) for job in await ports.jobs(await talk.session.enter())]
    talk.show(plain("\n".join(rows)) if rows else marked("· no jobs"))


def _job_line(job: ports.Running) -> str:
    ended = "" if job.exit_code is None else f" ({job.exit_code})"
    return one_line(f"{job.name}  {job.state}{ended}  {job.command}")


async def _todo(talk: Talk) -> None:
    items = talk.session.state.todo.items
    rows = [one_line(f"{_TODO_MARKS[item.state]} {item.text}", 200) for item in items]
    talk.show(plain("\n".join(rows)) if rows else marked("· nothing on the list"))


_TODO_MARKS = {"open": "[ ]", "doing": "[>]", "done": "[x]"}


async def _context(talk: Talk) -> None:
    talk.show(context_lines(await talk.session.weigh()))


async def _budget(talk: Talk) -> None:
    talk.show(budget_lines(talk.session.purse.spent(), talk.session.limits()))


async def _compact(focus: str, talk: Talk) -> None:
    await talk.follow(talk.session.compact(focus))


async def _search(words: str, talk: Talk) -> None:
    hits = talk.session.search(words)
    rows = [f"{hit.turn:>4}  {hit.who:<10}  {hit.text}" for hit in hits[-_HITS_SHOWN:]]
    if not rows:
        talk.show(marked("· not found in this session"))
        return
    more = len(hits) - len(rows)
    before = marked(f"· {more:,} more before these") if more else []
    talk.show([*before, *plain("\n".join(rows))])


_HITS_SHOWN = 20


async def _quit(talk: Talk) -> None:
    talk.leave()


COMMANDS = (
    Command("help", "this list", _help),
    Command("diff", "everything the agent changed in this session", _diff),
    Command("undo", "take the last turns back: conversation, files and branch", _undo, "[TURNS]"),
    Command("redo", "take the last undo back", _redo),
    Command("pull", "merge your newer commits into the work inside", _pull, "[BRANCH] [--dirty]"),
    Command("ignore", "have git inside ignore the new files that a sync held back", _ignore),
    Command("take", "take the new files along that a sync held back", _take),
    Command("sync", "bring home what has not reached the branch", _sync),
    Command("status", "sandbox, branch, model and what was spent", _status),
    Command("model", "which model answers, or another one from now on", _model, "[NAME]"),
    Command("todo", "what the model has to do", _todo),
    Command("budget", "what may be spent, and what of it was", _budget),
    Command("context", "what the model is sent, part by part, in tokens", _context),
    Command("compact", "put a summary in the place of what was said", _compact, "[FOCUS]"),
    Command("search", "find words in all of this session's transcript", _search, "WORDS"),
    Command("map", "files that matter for some words, or for what was touched", _map, "[WORDS]"),
    Command("jobs", "programs in the background of the sandbox", _jobs),
    Command("ports", "ports that programs in the sandbox listen on", _ports),
    Command("preview", "a link to one of them", _preview, takes="PORT"),
    Command("fork", "go on in a copy, from here or after a turn", elsewhere.fork, "[TURN]"),
    Command("sessions", "the sessions of this repository", elsewhere.sessions, "[WORDS]"),
    Command("resume", "go on in another session", elsewhere.resume, "N"),
    Command("rename", "a name that can stand where the number can", elsewhere.rename, "NAME"),
    Command("export", "write the conversation as .md, .html or .json", elsewhere.export, "FILE"),
    Command("quit", "leave; the session is kept", _quit),
    Command("exit", "the same", _quit),
)
