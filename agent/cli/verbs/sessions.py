"""Commands about sessions as such: list, name, fork, take in, remove."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from agent.cli.given import AT, FILE, options_of
from agent.cli.running import run_job


@click.command()
@click.option("--search", default="", metavar="WORDS", help="Those in which all of WORDS are.")
@click.option("--all", "all_of_them", is_flag=True, help="Of all repositories.")
@click.option("--json", "as_json", is_flag=True, help="Print a line of JSON for each.")
@AT
@click.pass_obj
def sessions(obj: Any, at: Path | None, **flags: Any) -> Any:
    """List the sessions of this repository, the one used last at the end."""
    from agent.cli.sessions import run

    return run_job(run(at or obj[0], **flags))


@click.command()
@click.argument("session", metavar="N")
@click.argument("name", metavar="NAME")
@AT
@click.pass_obj
def rename(obj: Any, session: str, name: str, at: Path | None) -> Any:
    """Call session N by a NAME, which can stand wherever N can; "" takes it away."""
    from agent.cli.sessions import rename

    return run_job(rename(at or obj[0], session, name))


@click.command()
@click.argument("session", metavar="N")
@click.option("--turn", type=click.IntRange(min=0), help="Where it stood after this turn.")
@AT
@click.pass_obj
def fork(obj: Any, session: str, turn: int | None, at: Path | None) -> Any:
    """Make a session that starts where session N stands, with a sandbox and a branch of its own.

    `--fork N` before -m or alone does the same and goes on in it.
    """
    from agent.cli.sessions import fork

    options = options_of(obj, at, {}, needs_model=False)
    return run_job(fork(options, session, turn), tidy=True)


@click.command("import")
@click.argument("file", type=FILE)
@click.option("--sandbox", help="Where its sandbox is: auto, or a backend.")
@click.option("--network", help="What its sandbox may reach.")
@AT
@click.pass_obj
def read_in(obj: Any, file: Path, at: Path | None, **flags: Any) -> Any:
    """Make a session of FILE, a transcript in JSON: the conversation, and files that are here.

    `export N --transcript FILE.json` writes one.
    """
    from agent.cli.sessions import read_in

    options = options_of(obj, at, flags, needs_model=False)
    return run_job(read_in(options, file), tidy=True)


@click.command()
@click.argument("sessions", metavar="[N…]", nargs=-1)
@AT
@click.pass_obj
def adopt(obj: Any, sessions: tuple[str, ...], at: Path | None) -> Any:
    """Take over the sessions of a clone of this repository that is gone, all or those named."""
    from agent.cli.sessions import take_over

    return run_job(take_over(at or obj[0], sessions))


@click.command("rm")
@click.argument("session", metavar="N")
@click.option("--force", is_flag=True, help="Also when not all work is on its branch.")
@click.option("--no-rescue", is_flag=True, help="With --force: write no bundle of that work.")
@AT
@click.pass_obj
def remove(obj: Any, session: str, force: bool, no_rescue: bool, at: Path | None) -> Any:
    """Remove session N with everything it made but its branch."""
    from agent.cli.person import AtShell
    from agent.cli.reap import remove

    rescue = not no_rescue
    return run_job(remove(at or obj[0], session, AtShell(), force=force, rescue=rescue))


COMMANDS = (
    sessions,
    rename,
    fork,
    read_in,
    adopt,
    remove,
)
