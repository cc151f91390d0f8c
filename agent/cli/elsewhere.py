"""Slash commands about other sessions: which there are, going to one, names, transcripts."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Protocol

from agent.app import Options, fork_session, open_session
from agent.cli.sessions import forked, row
from agent.cli.styled import Line, marked, plain
from agent.core.errors import UserError
from agent.core.events import Renamed
from agent.core.text import one_line, terminal_safe
from agent.host import disk, env
from agent.outcome import Outcomes, transcript, words_in
from agent.session.catalog import Catalog
from agent.session.names import checked
from agent.session.pages import document
from agent.session.session import Session

_SHOWN = 20


class Talk(Protocol):
    """What these need of the conversation they are typed in."""

    @property
    def session(self) -> Session: ...

    @property
    def directory(self) -> Path: ...

    def show(self, lines: Sequence[Line]) -> None: ...

    async def change(self, begin: Callable[[Options], Awaitable[Session]]) -> None:
        """Go on in the session that `begin` opens; the one here is closed and kept."""
        ...


async def fork(turn: str, talk: Talk) -> None:
    if turn and not turn.isdigit():
        raise UserError(f"`{one_line(turn)}` is no turn", "type `/fork` or `/fork 2`")
    source = talk.session

    async def begin(options: Options) -> Session:
        after = int(turn) if turn else None
        return await fork_session(options, source.id, turn=after, source=source)

    await talk.change(begin)
    talk.show([line for text in forked(talk.session) for line in plain(terminal_safe(text))])


async def resume(wanted: str, talk: Talk) -> None:
    entry = (await Outcomes.of(talk.directory)).find(wanted).entry
    if entry.id == talk.session.id:
        raise UserError(f"this is session {entry.number}", "`/sessions` lists the others")
    await talk.change(lambda options: open_session(replace(options, resume=entry.id)))


async def sessions(words: str, talk: Talk) -> None:
    found, problems = (await Outcomes.of(talk.directory)).sessions()
    kept = [one for one in found if not words or words_in(one, words.split()) is not None]
    rows = [row(one) for one in kept[-_SHOWN:]] + [terminal_safe(f"! {p}") for p in problems]
    if not rows:
        talk.show(marked("· no session has all of these words"))
        return
    more = len(kept) - _SHOWN
    before = marked(f"· {more} before these; `glovebox sessions` lists all") if more > 0 else []
    talk.show([*before, *plain("\n".join(rows))])


async def rename(name: str, talk: Talk) -> None:
    started = talk.session.state.started
    assert started is not None
    name = checked(name)
    Catalog(env.state_dir()).require_free(started.project, name, started.id)
    talk.session.emit(Renamed(name))
    called = f"is called `{name}`" if name else "has its number alone"
    talk.show(marked(f"✓ session {talk.session.number} {called} now"))


async def export(name: str, talk: Talk) -> None:
    target = talk.directory / name.strip()
    session = (await Outcomes.of(talk.directory)).find(talk.session.id)
    if not disk.write_once(target, document(transcript(session), target.suffix)):
        raise UserError(f"`{target}` exists", "name another file")
    talk.show(marked(f"✓ written to {terminal_safe(str(target))}; what looks like a key is masked"))
