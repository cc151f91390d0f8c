"""Commands about other sessions at work: start, look at, join, stop, race them."""

from __future__ import annotations

import asyncio
from dataclasses import replace

from agent.cli import background
from agent.cli.commands import offers
from agent.cli.commands.command import Command, Talk
from agent.cli.commands.given import InTalk, alike, given, settings_now
from agent.cli.verbs import parallel
from agent.core.errors import UserError
from agent.outcome import Outcomes


async def spawn(task: str, talk: Talk) -> None:
    """It begins with what you have now, on a branch of its own, and needs no terminal."""
    await background.spawn(alike(talk), [task.strip()], "", InTalk(talk))


async def ps(words: str, talk: Talk) -> None:
    """Those that run or ran within a day; `--all` also older ones."""
    every = given(parallel.ps, words, without=("as_json",))["every"]
    person, here = InTalk(talk), talk.session.id
    await background.ps(talk.directory, person, as_json=False, every=every, but=here)


async def watch(words: str, talk: Talk) -> None:
    """A line for each change, of all that run or of those named, until none of them does.

    Ctrl-C leaves them running.
    """
    for wanted in words.split():
        await another(wanted, talk)
    person, enough, here = InTalk(talk), asyncio.Event(), talk.session.id
    with talk.until(enough.set):
        changes = background.Changes(person)
        seen = await background.shown_until(enough, talk.directory, words.split(), changes, here)
    if not seen:
        person.answer("· no other session is running")


async def attach(wanted: str, talk: Talk) -> None:
    """Its turn is shown as it goes on, Ctrl-C ends it, Ctrl-D leaves it running.

    What you type reaches the model while it works; after that the session is yours.
    """
    await another(wanted, talk)
    await talk.attach(wanted.strip())


async def another(wanted: str, talk: Talk) -> None:
    """Raises `UserError` for a session that is not there, or that this one is."""
    if (await Outcomes.of(talk.directory)).find(wanted.strip()).entry.id == talk.session.id:
        raise UserError(f"this is session {talk.session.number}", "`/ps` lists the others")


async def stop(words: str, talk: Talk) -> None:
    for wanted in words.split():
        await another(wanted, talk)
    await background.stop(talk.directory, words.split(), InTalk(talk))


async def race(words: str, talk: Talk) -> None:
    """N attempts at TASK side by side; the smallest change that passes CMD is offered for merge.

    Without `--check` it is your `test_cmd`. `--models A,B` takes these in turn, `--base REF` begins
    at REF, `--keep` keeps the others. Ctrl-C ends them all.
    """
    from agent.cli.race import entrants, race

    without, free = ("sandbox", "network", "steps", "yes"), ("task", "check")
    wanted = given(parallel.race, words, without=without, free=free)
    settings = settings_now(talk)
    check = wanted["check"] or settings.test_cmd
    if not check:
        raise UserError("there is no check", "say `--check COMMAND`: the best has to pass it")
    options = replace(alike(talk), base=wanted["base"])
    models = entrants(wanted["count"], wanted["models"], settings)
    await race(options, wanted["task"], models, check, InTalk(talk), keep=wanted["keep"])


COMMANDS = (
    Command("spawn", "do something in a session in the background", spawn, "TASK"),
    Command(
        "ps",
        "how the other sessions of this repository stand",
        ps,
        "[--all]",
        offers=offers.words("--all"),
        at_once=True,
    ),
    Command("watch", "the same, as it changes", watch, "[N…]", offers=offers.sessions),
    Command("attach", "join a session while it runs", attach, "N", offers=offers.sessions),
    Command(
        "stop",
        "end what other sessions do; their work comes home",
        stop,
        "N…",
        offers=offers.sessions,
    ),
    Command("race", "several attempts at one task, the best for merge", race, "N TASK [OPTIONS]"),
)
