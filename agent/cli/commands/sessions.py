"""Commands about sessions: which there are, going to one, names, transcripts."""

from __future__ import annotations

from dataclasses import replace

from agent.app import Options, fork_session, open_session
from agent.cli import outcome, reap
from agent.cli.commands import offers
from agent.cli.commands.command import Command, Talk
from agent.cli.commands.given import InTalk, given, settings_now
from agent.cli.sessions import forked, row
from agent.cli.styled import marked, plain
from agent.cli.verbs import work
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


async def fork(turn: str, talk: Talk) -> None:
    if turn and not turn.isdigit():
        raise UserError(f"`{one_line(turn)}` is no turn", "type `/fork` or `/fork 2`")
    source = talk.session

    async def begin(options: Options) -> Session:
        after = int(turn) if turn else None
        return await fork_session(options, source.id, turn=after, source=source)

    await talk.change(begin)
    talk.show([line for text in forked(talk.session) for line in plain(terminal_safe(text))])


async def new(ref: str, talk: Talk) -> None:
    """It begins with what you have, or at REF, and has the models of this one and no word of it.

    This one is kept.
    """
    settings, chosen = settings_now(talk), dict(talk.session.state.chosen)

    async def begin(options: Options) -> Session:
        session = await open_session(replace(options, settings=settings, base=ref.strip()))
        for setting, value in chosen.items():
            session.choose(setting, value)
        return session

    await talk.change(begin)


async def resume(wanted: str, talk: Talk) -> None:
    entry = (await Outcomes.of(talk.directory)).find(wanted).entry
    if entry.id == talk.session.id:
        raise UserError(f"this is session {entry.number}", "`/sessions` lists the others")
    await talk.change(lambda options: open_session(replace(options, resume=entry.id)), recalls=True)


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


async def delete(wanted: str, talk: Talk) -> None:
    """You are asked before. Its branch stays, and one with work that is on no branch is refused."""
    one = (await Outcomes.of(talk.directory)).find(wanted)
    if one.entry.id == talk.session.id:
        raise UserError(f"you are in session {one.number}", "`/new` and `/resume N` leave it")
    named = one_line(f"{one.number}: {one.name or one.title or 'nothing was asked'}", 60)
    if not await talk.confirm(f"remove session {named}, and its sandbox?"):
        talk.show(marked("· nothing was removed"))
        return
    await reap.remove(talk.directory, one.entry.id, InTalk(talk), force=False, rescue=True)


async def compare(words: str, talk: Talk) -> None:
    wanted: tuple[str, ...] = given(work.compare, words, without=("check",))["sessions"]
    settings, person = talk.options.settings, InTalk(talk)
    await outcome.compare(talk.directory, wanted, "", settings, person)


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


COMMANDS = (
    Command("sessions", "the sessions of this repository", sessions, "[WORDS]", at_once=True),
    Command(
        "new", "begin another session", new, "[REF]", aliases=("clear",), offers=offers.branches
    ),
    Command("resume", "go on in another session", resume, "N", offers=offers.sessions),
    Command("fork", "go on in a copy, from here or after a turn", fork, "[TURN]"),
    Command("rename", "a name that can stand where the number can", rename, "NAME"),
    Command(
        "compare",
        "sessions side by side: files, lines, cost",
        compare,
        "N M…",
        offers=offers.sessions,
    ),
    Command(
        "delete", "remove another session and its sandbox", delete, "N", offers=offers.sessions
    ),
    Command("export", "write the conversation as .md, .html or .json", export, "FILE"),
)
