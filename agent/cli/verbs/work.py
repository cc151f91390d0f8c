"""Commands about the work of a session: look at it, move it, bring it home, merge it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from agent.cli.given import AT, NEW, reopened, settings_of
from agent.cli.running import run_job


@click.command()
@click.argument("session", metavar="N", default="")
@AT
@click.pass_obj
def log(obj: Any, session: str, at: Path | None) -> Any:
    """List the commits of session N."""
    from agent.cli import outcome

    return run_job(outcome.log(at or obj[0], session))


@click.command()
@click.argument("session", metavar="N", default="")
@click.argument("commit", metavar="[COMMIT]", default="")
@AT
@click.pass_obj
def show(obj: Any, session: str, commit: str, at: Path | None) -> Any:
    """Show a commit of session N, the last one without COMMIT."""
    from agent.cli import outcome

    return run_job(outcome.show(at or obj[0], session, commit))


@click.command()
@click.argument("session", metavar="N", default="")
@click.argument("paths", metavar="[PATH…]", nargs=-1)
@AT
@click.pass_obj
def diff(obj: Any, session: str, paths: tuple[str, ...], at: Path | None) -> Any:
    """Show all that session N changed. Nothing of it runs a program of yours."""
    from agent.cli import outcome

    return run_job(outcome.diff(at or obj[0], session, paths))


@click.command()
@click.argument("sessions", metavar="N M…", nargs=-1, required=True)
@click.option("--check", metavar="CMD", help="Run CMD in each sandbox and show how it ended.")
@AT
@click.pass_obj
def compare(obj: Any, sessions: tuple[str, ...], check: str | None, at: Path | None) -> Any:
    """Put sessions side by side: files, lines, cost, and a check."""
    from agent.cli import outcome
    from agent.cli.person import AtShell

    settings = settings_of(obj, {})
    return run_job(outcome.compare(at or obj[0], sessions, check or "", settings, AtShell()))


@click.command()
@click.argument("session", metavar="N")
@click.option("--patch", default="", metavar="FILE", help="The file to write, `-` for the output.")
@click.option("--folder", type=NEW, help="A folder with all files instead of a patch.")
@click.option("--transcript", type=NEW, metavar="FILE", help="The conversation: .md .html .json")
@AT
@click.pass_obj
def export(
    obj: Any,
    session: str,
    patch: str,
    folder: Path | None,
    transcript: Path | None,
    at: Path | None,
) -> Any:
    """Write the work of session N as a patch or into a new folder, or what was said in it."""
    from agent.cli.export import run, write_transcript

    if transcript is not None:
        if patch or folder is not None:
            raise click.UsageError("--transcript is written alone")
        return run_job(write_transcript(at or obj[0], session, transcript))
    here = Path().resolve()
    return run_job(run(at or obj[0], session, here=here, patch=patch, folder=folder))


@click.command()
@click.argument("session", metavar="N")
@click.option("--squash", "how", flag_value="squash", help="As one commit.")
@click.option("--rebase", "how", flag_value="rebase", help="Its commits on top of yours.")
@click.option("--patch", "how", flag_value="patch", help="As uncommitted changes.")
@click.option("-m", "--message", default="", help="What the merge or the commit says.")
@click.option("--no-hooks", is_flag=True, help="Run none of your git hooks.")
@click.option("--yes", is_flag=True, help="Do not ask.")
@AT
@click.pass_obj
def merge(obj: Any, session: str, at: Path | None, **flags: Any) -> Any:
    """Merge session N into the branch you are at, after showing what comes.

    Your own git does it: your name, your hooks, your signature. A conflict changes nothing.
    """
    from agent.cli import outcome
    from agent.cli.person import AtShell

    return run_job(
        outcome.merge(
            at or obj[0],
            session,
            flags["how"] or "merge",
            AtShell(yes=flags["yes"]),
            message=flags["message"],
            hooks=not flags["no_hooks"],
        )
    )


@click.command()
@click.argument("session", metavar="N")
@click.argument("branch", metavar="[BRANCH]", default="")
@click.option("--dirty", is_flag=True, help="Your uncommitted work comes along.")
@AT
@click.pass_obj
def pull(obj: Any, session: str, branch: str, dirty: bool, at: Path | None) -> Any:
    """Merge your newer commits into the work of session N, inside its sandbox.

    Without BRANCH those of the branch you are at. What conflicts is left for the agent to merge.
    """
    from agent.cli.home import move

    options = reopened(obj, session, at)
    return run_job(move(options, lambda one: one.pull(branch, dirty=dirty)), tidy=True)


@click.command()
@click.argument("session", metavar="N")
@click.option("--turns", type=click.IntRange(min=1), default=1, help="How many.")
@AT
@click.pass_obj
def undo(obj: Any, session: str, turns: int, at: Path | None) -> Any:
    """Take the last turns of session N back: conversation, files and branch."""
    from agent.cli.home import move

    return run_job(move(reopened(obj, session, at), lambda one: one.undo(turns)), tidy=True)


@click.command()
@click.argument("session", metavar="N")
@AT
@click.pass_obj
def redo(obj: Any, session: str, at: Path | None) -> Any:
    """Take the last undo of session N back."""
    from agent.cli.home import move

    return run_job(move(reopened(obj, session, at), lambda one: one.redo()), tidy=True)


@click.command()
@click.argument("session", metavar="N")
@AT
@click.pass_obj
def sync(obj: Any, session: str, at: Path | None) -> Any:
    """Bring home what is only inside session N's sandbox."""
    from agent.cli.home import move

    return run_job(move(reopened(obj, session, at), lambda one: one.sync()), tidy=True)


COMMANDS = (
    log,
    show,
    diff,
    compare,
    export,
    merge,
    pull,
    undo,
    redo,
    sync,
)
