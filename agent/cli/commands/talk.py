"""Commands about the conversation itself."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from agent import config
from agent.app import session_folder
from agent.cli import clipboard
from agent.cli.commands import offers
from agent.cli.commands.command import Command, Subjects, Talk, find
from agent.cli.commands.given import settings_now
from agent.cli.lines import cost_text
from agent.cli.styled import Line, marked, plain
from agent.cli.verbs.machine import places
from agent.core.errors import UserError
from agent.core.messages import AssistantMessage, Message, Usage
from agent.core.text import one_line, terminal_safe
from agent.session.session import Session

KEYS = (
    ("Enter", "send; while the agent works, a message goes along with its next step"),
    ("Alt-Enter, Ctrl-J", "a new line, as is Shift-Enter in many terminals; pasting never sends"),
    ("Ctrl-C", "interrupt the agent; else clear the line; twice on an empty one: leave"),
    ("Esc Esc", "clear the line"),
    ("Up, Down, Ctrl-R", "what was typed before; search it"),
    ("Ctrl-G, Ctrl-X Ctrl-E", "write in your $EDITOR"),
    ("Ctrl-L", "an empty screen; what was there is in the scrollback"),
    ("Ctrl-Z", "to your shell; `fg` comes back"),
    ("Ctrl-D", "leave"),
)


def help_of(subjects: Callable[[], Subjects]) -> Command:
    """The command that lists those of all `subjects`."""

    async def run(name: str, talk: Talk) -> None:
        talk.show(_about(find(subjects(), name.removeprefix("/"))) if name else _all(subjects()))

    async def names(talk: Talk) -> Sequence[tuple[str, str]]:
        return [(c.name, c.about) for _, commands in subjects() for c in commands]

    return Command(
        "help", "this list, or more about one command", run, "[NAME]", offers=names, at_once=True
    )


def _all(subjects: Subjects) -> list[Line]:
    tables = [(title, [(c.usage, c.about) for c in commands]) for title, commands in subjects]
    tables.append(("Keys", list(KEYS)))
    width = max(len(usage) for _, rows in tables for usage, _ in rows)
    lines: list[Line] = []
    for title, rows in tables:
        lines += plain(title, "dim")
        lines += [(("call", f"  {usage:<{width}}"), ("", f"  {about}")) for usage, about in rows]
    return [*lines, *marked("· `/help NAME` says more")]


def _about(command: Command) -> list[Line]:
    also = f" (also {', '.join(f'/{one}' for one in command.aliases)})" if command.aliases else ""
    first: Line = (("call", command.usage), ("", f"  {command.about}{also}"))
    return [first, *(plain(command.more) if command.more else [])]


async def status(talk: Talk) -> None:
    now = talk.session.status()
    rows = [
        ("session", _named(talk.session)),
        ("model", now.model),
        ("sandbox", f"{now.backend}, {now.sandbox}; network {now.network}"),
        ("branch", now.branch),
        ("sync", await talk.session.standing()),
        ("spent", cost_text(now.usage)),
    ]
    if (before := talk.session.state.inherited) != Usage():
        rows.append(("before", f"{cost_text(before)}, by what it was forked from"))
    talk.show([(("dim", f"  {name:<8}"), ("", terminal_safe(text))) for name, text in rows])


def _named(session: Session) -> str:
    name = f" {session.state.name}" if session.state.name else ""
    origin = session.state.forked
    fork = f", a fork of {origin.number}" if origin and origin.session else ""
    return f"{session.number}{name} ({session.id}){fork}"


async def editor(talk: Talk) -> None:
    """That is `$VISUAL` or `$EDITOR`; Ctrl-G does the same. Enter sends what it has left."""
    talk.edit()


async def settings(key: str, talk: Talk) -> None:
    """As they hold in this session; with KEY that one alone, as `glovebox config explain KEY`."""
    now = settings_now(talk)
    if key and key not in config.KEYS:
        raise UserError(f"there is no key `{one_line(key)}`", f"known: {', '.join(config.KEYS)}")
    rows = [(name, config.shown(now, name)) for name in ([key] if key else config.KEYS)]
    width = max(len(name) for name, _ in rows)
    talk.show(
        [(("dim", f"  {name:<{width}}  "), ("", terminal_safe(text or "-"))) for name, text in rows]
    )


async def doctor(talk: Talk) -> None:
    """Every part of this machine that a session needs is tried, which takes some seconds."""
    from agent.cli import doctor

    report = await doctor.examined(settings_now(talk))
    talk.show([line for row in report.splitlines() for line in marked(row)])


async def paths(talk: Talk) -> None:
    rows = [*places(), ("session", str(await session_folder(talk.directory, talk.session.id)))]
    talk.show([(("dim", f"  {name:<10}"), ("", terminal_safe(place))) for name, place in rows])


async def copy(what: str, talk: Talk) -> None:
    """To the clipboard of your own terminal, also over ssh, by OSC 52. `/copy code` takes the last
    block of code in it.
    """
    if what not in ("", "code"):
        raise UserError(f"`{one_line(what)}` cannot be copied", "type `/copy` or `/copy code`")
    reply = last_reply(talk.session.state.history.everything)
    text = clipboard.last_block(reply) if what else reply
    if not text.strip():
        raise UserError("there is no code in the last reply" if reply else "nothing was said yet")
    note = clipboard.put(text)
    lines = text.strip().count("\n") + 1
    talk.show(marked(f"✓ copied: {lines} line{'' if lines == 1 else 's'}{note}"))


def last_reply(messages: Sequence[Message]) -> str:
    """What the model said last, in any turn."""
    said = (m.text for m in reversed(messages) if isinstance(m, AssistantMessage))
    return next((text for text in said if text.strip()), "")


async def quit_(talk: Talk) -> None:
    talk.leave()


COMMANDS = (
    Command("status", "sandbox, branch, model and what was spent", status, at_once=True),
    Command("editor", "write the next message in your editor", editor),
    Command(
        "copy",
        "the last reply, or the last code in it",
        copy,
        "[code]",
        offers=offers.words("code"),
        at_once=True,
    ),
    Command(
        "settings",
        "what is set, and to what",
        settings,
        "[KEY]",
        offers=offers.words(*config.KEYS),
        at_once=True,
    ),
    Command("doctor", "what works on this machine, and how to mend what does not", doctor),
    Command("paths", "where files are kept", paths, at_once=True),
    Command("quit", "leave; the session is kept", quit_, aliases=("exit",)),
)
