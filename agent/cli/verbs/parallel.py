"""Commands about many sessions at once: start, watch, join, stop, race them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from agent import config
from agent.cli.given import AT, options_of
from agent.cli.running import run_job


@click.command()
@click.argument("tasks", metavar="TASK…", nargs=-1, required=True)
@click.option("--model", help="PROVIDER/NAME as litellm spells it, or replay:FILE.")
@click.option("--sandbox", help="Where the tools run: auto, local, docker, daytona.")
@click.option("--network", help="What the sandboxes may reach.")
@click.option("--steps", type=int, help="Stop each after this many model requests.")
@click.option("--base", default="", metavar="REF", help="Begin at REF instead of what you have.")
@click.option("--name", default="", help="What to call the session, if it is one.")
@AT
@click.pass_obj
def spawn(obj: Any, tasks: tuple[str, ...], at: Path | None, **flags: Any) -> Any:
    """Start a session in the background for each TASK, all from one base.

    They run on when the terminal is closed: `ps` lists them, `watch` shows them, `attach` joins
    one, `stop` ends one.
    """
    from agent.cli.background import spawn

    base, name = flags.pop("base"), flags.pop("name")
    if name and len(tasks) > 1:
        raise click.UsageError("--name is for one task; `glovebox rename N NAME` names the others")
    options = options_of(obj, at, flags, base=base)
    return run_job(spawn(options, tasks, name))


@click.command()
@click.argument("count", metavar="N", type=click.IntRange(1, 100))
@click.argument("task")
@click.option("--check", metavar="CMD", required=True, help="What the best has to pass.")
@click.option("--models", metavar="A,B", default="", help="Of these in turn, instead of one.")
@click.option("--sandbox", help="Where the tools run: auto, local, docker, daytona.")
@click.option("--network", help="What the sandboxes may reach.")
@click.option("--steps", type=int, help="Stop each after this many model requests.")
@click.option("--base", default="", metavar="REF", help="Begin at REF instead of what you have.")
@click.option("--keep", is_flag=True, help="Keep the others once the best is merged.")
@click.option("--yes", is_flag=True, help="Merge the best without asking.")
@AT
@click.pass_obj
def race(obj: Any, count: int, task: str, at: Path | None, **flags: Any) -> Any:
    """Make N attempts at TASK side by side, run CMD in each sandbox, and merge the best.

    The best passes CMD with the smallest change, at the lowest cost. Exit code 9: none passes.
    """
    from agent.cli.race import race

    check, base = flags.pop("check"), flags.pop("base")
    keep, yes = flags.pop("keep"), flags.pop("yes")
    names = [name.strip() for name in flags.pop("models").split(",") if name.strip()]
    if names:
        flags["model"] = names[0]
    options = options_of(obj, at, flags, base=base)
    names = names or [config.require_model(options.settings)]
    models = [names[at % len(names)] for at in range(count)]
    return run_job(race(options, task, models, check, yes=yes, keep=keep), tidy=True)


@click.command(hidden=True)
@click.argument("sessions", nargs=-1, required=True)
def host(sessions: tuple[str, ...]) -> Any:
    """Do what `spawn` left to be done."""
    from agent.cli.background import host

    return run_job(host(sessions))


@click.command()
@click.option("--json", "as_json", is_flag=True, help="Print a line of JSON for each.")
@click.option("--all", "every", is_flag=True, help="Older than a day, too.")
@AT
@click.pass_obj
def ps(obj: Any, as_json: bool, every: bool, at: Path | None) -> Any:
    """Say how the sessions of this repository stand, and what each does now."""
    from agent.cli.background import ps

    return run_job(ps(at or obj[0], as_json=as_json, every=every))


@click.command()
@click.argument("sessions", metavar="[N…]", nargs=-1)
@AT
@click.pass_obj
def watch(obj: Any, sessions: tuple[str, ...], at: Path | None) -> Any:
    """Show sessions N…, or all that run, until they are done. Ctrl-C leaves them running."""
    from agent.cli.background import watch

    return run_job(watch(at or obj[0], sessions))


@click.command()
@click.argument("session", metavar="N", default="")
@click.option("--model", help="Another model from your next message on.")
@AT
@click.pass_obj
def attach(obj: Any, session: str, at: Path | None, **flags: Any) -> Any:
    """Join session N while it runs, and go on with it when it is done.

    What you type waits until then; Ctrl-C ends what it does now; Ctrl-D leaves it running.
    """
    from agent.cli.repl import Repl

    options = options_of(obj, at, flags, resume=session)
    return run_job(Repl(options, join=True).run(), tidy=True)


@click.command()
@click.argument("sessions", metavar="N…", nargs=-1, required=True)
@AT
@click.pass_obj
def stop(obj: Any, sessions: tuple[str, ...], at: Path | None) -> Any:
    """Interrupt what sessions N… do, wherever they run; their work is brought home."""
    from agent.cli.background import stop

    return run_job(stop(at or obj[0], sessions))


COMMANDS = (
    spawn,
    race,
    host,
    ps,
    watch,
    attach,
    stop,
)
