"""Commands about this machine: what it has, what it keeps, and a first look at all of it."""

from __future__ import annotations

from typing import Any

import click

from agent import config
from agent.app import explain_network
from agent.cli.exits import Exit
from agent.cli.given import settings_of
from agent.cli.running import run_job
from agent.host import env


@click.command()
@click.option("--model", help="A model of yours instead of the recording.")
@click.option("--keep", is_flag=True, help="Keep the sample repository and its session.")
def demo(model: str | None, keep: bool) -> Any:
    """Watch a session on a sample repository; no key is needed."""
    from agent.cli.demo import Demo

    return run_job(Demo(model=model, keep=keep).run())


@click.command()
def paths() -> Any:
    """Print where glovebox keeps its files."""
    for name, place in places():
        click.echo(f"{name:<9} {place}")
    return Exit.DONE


def places() -> tuple[tuple[str, str], ...]:
    """What lies where."""
    return (
        ("config", str(env.config_dir() / config.USER_FILE)),
        ("state", str(env.state_dir())),
        ("sandboxes", str(env.sandbox_dir())),
    )


@click.command()
@click.option("--network", help="With which network policy to try the sandboxes.")
@click.option("--json", "as_json", is_flag=True, help="Print the findings as JSON.")
@click.pass_obj
def doctor(obj: Any, as_json: bool, **flags: Any) -> Any:
    """Test every part of this machine that a session needs, and say how to mend it."""
    from agent.cli.doctor import run

    return run_job(run(settings_of(obj, flags), as_json=as_json))


@click.command()
@click.option("--sandbox", help="Which sandbox to try: auto, or a backend.")
@click.option("--network", help="With which network policy.")
@click.option("--json", "as_json", is_flag=True, help="Print the score card as JSON.")
@click.pass_obj
def selftest(obj: Any, as_json: bool, **flags: Any) -> Any:
    """Try to get out of a real sandbox, and print what happened."""
    from agent.cli.selftest import run

    return run_job(run(settings_of(obj, flags), as_json=as_json))


@click.command("config")
@click.argument("action", type=click.Choice(["explain"]))
@click.argument("key")
@click.pass_obj
def explain(obj: Any, action: str, key: str) -> Any:
    """Say what a KEY of the configuration is set to, and for `network` what that allows."""
    if key not in config.KEYS:
        raise click.UsageError(f"there is no key `{key}`; known: {', '.join(config.KEYS)}")
    settings = settings_of(obj, {})
    lines = explain_network(settings) if key == "network" else (config.shown(settings, key),)
    click.echo("\n".join(lines))
    return Exit.DONE


@click.command()
@click.option("--dry-run", "dry", is_flag=True, help="Only say what would be removed.")
def reap(dry: bool) -> Any:
    """Remove what crashes left behind: sandboxes, processes and folders of nobody."""
    from agent.cli.reap import run

    return run_job(run(dry=dry))


COMMANDS = (
    demo,
    paths,
    doctor,
    selftest,
    explain,
    reap,
)
