"""Commands about many sessions at once: start, watch, stop, race them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

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
    from agent.cli.person import AtShell

    base, name = flags.pop("base"), flags.pop("name")
    if name and len(tasks) > 1:
        raise click.UsageError("--name is for one task; `glovebox rename N NAME` names the others")
    options = options_of(obj, at, flags, base=base)
    return run_job(spawn(options, tasks, name, AtShell()))


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
    from agent.cli.person import AtShell
    from agent.cli.race import entrants, race

    check, base = flags.pop("check"), flags.pop("base")
    keep, yes = flags.pop("keep"), flags.pop("yes")
    names = flags.pop("models")
    if first := next((name.strip() for name in names.split(",") if name.strip()), ""):
        flags["model"] = first
    options = options_of(obj, at, flags, base=base)
    models = entrants(count, names, options.settings)
    return run_job(race(options, task, models, check, AtShell(yes=yes), keep=keep), tidy=True)


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
    from agent.cli.person import AtShell

    return run_job(ps(at or obj[0], AtShell(), as_json=as_json, every=every))


@click.command()
@click.argument("sessions", metavar="[N…]", nargs=-1)
@AT
@click.pass_obj
def watch(obj: Any, sessions: tuple[str, ...], at: Path | None) -> Any:
    """Show sessions N…, or all that run, until they are done. Ctrl-C leaves them running."""
    from agent.cli.background import watch

    return run_job(watch(at or obj[0], sessions))


@click.command()
@click.argument("sessions", metavar="N…", nargs=-1, required=True)
@AT
@click.pass_obj
def stop(obj: Any, sessions: tuple[str, ...], at: Path | None) -> Any:
    """Interrupt what sessions N… do, wherever they run; their work is brought home."""
    from agent.cli.background import stop
    from agent.cli.person import AtShell

    return run_job(stop(at or obj[0], sessions, AtShell()))


COMMANDS = (
    spawn,
    race,
    host,
    ps,
    watch,
    stop,
)
