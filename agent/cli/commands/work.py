"""Commands about the work of the session: look at it, take it back, bring it home."""

from __future__ import annotations

from agent.cli import outcome
from agent.cli.commands import offers
from agent.cli.commands.command import Command, Talk
from agent.cli.commands.given import InTalk, given
from agent.cli.styled import diff_lines, marked
from agent.cli.verbs import work as verbs
from agent.core.errors import UserError
from agent.host.files import package_texts


async def diff(talk: Talk) -> None:
    text = await talk.session.diff()
    talk.show(diff_lines(text) if text.strip() else marked("· nothing changed"))


async def review(focus: str, talk: Talk) -> None:
    """In a turn that changes nothing; FOCUS is what it is to look at most.

    The diff is made in the sandbox and goes to the model with the message.
    """
    seeded = talk.session.state.seeded
    if seeded is None or not (await talk.session.diff()).strip():
        talk.show(marked("· nothing changed, so there is nothing to review"))
        return
    await talk.follow(talk.session.run(f"git diff {seeded.tip[:12]}"))
    wanted = f"Look at this most: {focus}" if focus else ""
    text = package_texts("prompts")["review.md"].replace("{focus}", wanted)
    await talk.follow(talk.session.send(text.strip(), looks=True))


async def undo(turns: str, talk: Talk) -> None:
    """What they had led to is kept for `/redo`."""
    if turns and not turns.isdigit():
        raise UserError(f"`{turns}` is no number of turns", "type `/undo` or `/undo 2`")
    await talk.follow(talk.session.undo(int(turns or 1)))


async def redo(talk: Talk) -> None:
    await talk.follow(talk.session.redo())


async def ignore(talk: Talk) -> None:
    await talk.follow(talk.session.settle(take=False))


async def take(talk: Talk) -> None:
    await talk.follow(talk.session.settle(take=True))


async def pull(words: str, talk: Talk) -> None:
    """Without BRANCH those of the branch you are at; with `--dirty` your uncommitted work, too.

    What conflicts is left for the agent to merge.
    """
    names = [word for word in words.split() if word != "--dirty"]
    if len(names) > 1:
        raise UserError("only one branch can be pulled at a time", "type `/pull main`")
    dirty = "--dirty" in words.split()
    await talk.follow(talk.session.pull(names[0] if names else "", dirty=dirty))


async def merge(words: str, talk: Talk) -> None:
    """This session's work, or that of session N, shown first; `--squash` as one commit, `--rebase`
    on top of yours, `--patch` as uncommitted changes. `--no-hooks`, `-m MESSAGE`.

    Your own git does it: your name, your hooks. A conflict changes nothing.
    """
    wanted = given(verbs.merge, words, without=("yes",), free=("session",))
    if not wanted["session"] and talk.session.state.behind:
        await talk.follow(talk.session.sync())
    await outcome.merge(
        talk.directory,
        wanted["session"] or talk.session.id,
        wanted["how"] or "merge",
        InTalk(talk),
        message=wanted["message"],
        hooks=not wanted["no_hooks"],
    )


async def sync(talk: Talk) -> None:
    if talk.session.state.seeded is None:
        talk.show(marked("· nothing to sync: the sandbox is not up yet"))
        return
    await talk.follow(talk.session.sync())


MERGES = ("--squash", "--rebase", "--patch", "--no-hooks")

COMMANDS = (
    Command("diff", "everything the agent changed in this session", diff, at_once=True),
    Command("review", "have the model review what was changed", review, "[FOCUS]"),
    Command("undo", "take the last turns back: conversation, files and branch", undo, "[TURNS]"),
    Command("redo", "take the last undo back", redo),
    Command(
        "pull",
        "merge your newer commits into the work inside",
        pull,
        "[BRANCH] [--dirty]",
        offers=offers.both(offers.words("--dirty"), offers.branches),
    ),
    Command("ignore", "have git inside ignore the new files that a sync held back", ignore),
    Command("take", "take the new files along that a sync held back", take),
    Command(
        "merge",
        "merge the work into the branch you are at",
        merge,
        "[N] [OPTIONS]",
        offers=offers.both(offers.words(*MERGES), offers.sessions),
    ),
    Command("sync", "bring home what has not reached the branch", sync),
)
