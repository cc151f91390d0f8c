"""The command that joins a session which another process runs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from agent.cli.given import AT, options_of
from agent.cli.running import run_job


@click.command()
@click.argument("session", metavar="N", default="")
@click.option("--model", help="Another model from your next message on.")
@AT
@click.pass_obj
def attach(obj: Any, session: str, at: Path | None, **flags: Any) -> Any:
    """Join session N while it runs, and go on with it when it is done.

    What you type reaches the model while it works; Ctrl-C ends what it does now; Ctrl-D leaves it
    running.
    """
    from agent.cli.repl import Repl

    options = options_of(obj, at, flags, resume=session, model=flags["model"])
    return run_job(Repl(options, join=True).run(), tidy=True)


COMMANDS = (attach,)
