"""Commands that are in a session's sandbox: a shell, and the ports of its programs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from agent.cli.given import AT, options_of
from agent.cli.running import run_job


@click.command()
@click.argument("words", nargs=-1, metavar="N [-- COMMAND…]", type=click.UNPROCESSED)
@click.option("--new", is_flag=True, help="In a new session.")
@click.option("-t", "--tty", is_flag=True, help="Give COMMAND a terminal of its own.")
@AT
@click.option("--sandbox", help="Where a new session's sandbox is: auto, or a backend.")
@click.option("--network", help="What a new session's sandbox may reach.")
@click.pass_obj
def shell(obj: Any, words: tuple[str, ...], new: bool, tty: bool, **flags: Any) -> Any:
    """Be in a session's sandbox: a shell, or COMMAND with its exit code and its output.

    N is a session's number or id; with nothing at all it is the one used last. Work is brought
    home at the end.
    No model is needed.
    """
    from agent.cli.shell import Shell, session_and_command

    resume, command = session_and_command(words, new=new)
    options = options_of(obj, flags.pop("at"), flags, resume=resume, needs_model=False)
    return run_job(Shell(command, tty=tty).run(options), tidy=True)


@click.command()
@click.argument("session", metavar="N", default="")
@AT
@click.pass_obj
def ports(obj: Any, session: str, at: Path | None) -> Any:
    """List the ports that programs in the sandbox of session N listen on."""
    from agent.cli.ports import run

    return run_job(run(at or obj[0], session))


@click.command()
@click.argument("session", metavar="N")
@click.argument("port", type=click.IntRange(1, 65535))
@click.option("--seconds", type=float, default=30.0, help="Wait so long for it.")
@AT
@click.pass_obj
def preview(obj: Any, session: str, port: int, seconds: float, at: Path | None) -> Any:
    """Print a link to PORT of the sandbox of session N, once it answers."""
    from agent.cli.ports import preview

    return run_job(preview(at or obj[0], session, port, seconds))


COMMANDS = (
    shell,
    ports,
    preview,
)
