"""Commands for the sync engine alone, for any sandbox and any other agent."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from agent.cli.given import AT
from agent.cli.running import run_job


@click.group()
@AT
@click.pass_obj
def mirror(obj: Any, at: Path | None) -> None:
    """The sync engine alone, for any sandbox and any other agent; see docs/git.md.

    COMMAND runs a program that is given to it in your sandbox: docker exec -i BOX, for example.
    """
    click.get_current_context().obj = at or obj[0]


def _of_a_mirror(command: Any) -> Any:
    """What every command for one mirror takes."""
    for add in (
        click.argument("command", metavar="-- COMMAND…", nargs=-1, type=click.UNPROCESSED),
        click.option("--quote", is_flag=True, help="COMMAND hands one string to a shell, as ssh."),
        click.option("--at", "workdir", default="/workspace", help="The directory in the sandbox."),
        click.argument("name"),
    ):
        command = add(command)
    return click.pass_obj(command)


def _mirrored(action: str, at: Path, name: str, flags: dict[str, Any]) -> Any:
    from agent.cli.mirror import ACTIONS, Place

    place = Place(flags.pop("command"), flags.pop("workdir"), flags.pop("quote"))
    return run_job(ACTIONS[action](at, name, place, **flags))


@mirror.command("seed")
@click.option("--branch", default="", help="Where work will arrive; glovebox/NAME by default.")
@_of_a_mirror
def mirror_seed(at: Path, name: str, **flags: Any) -> Any:
    """Put the repository with its uncommitted work into the sandbox."""
    return _mirrored("seed", at, name, flags)


@mirror.command("sync")
@click.option("-m", "--message", default="Work of the agent", help="For what is uncommitted.")
@_of_a_mirror
def mirror_sync(at: Path, name: str, **flags: Any) -> Any:
    """Commit what changed in the sandbox and bring it home to the branch."""
    return _mirrored("sync", at, name, flags)


@mirror.command("status")
@_of_a_mirror
def mirror_status(at: Path, name: str, **flags: Any) -> Any:
    """Say whether all work is home: synced, ahead N, failed (why).

    Without a COMMAND what is inside is not asked.
    """
    return _mirrored("status", at, name, flags)


@mirror.command("rm")
@click.option("--force", is_flag=True, help="Also when not all work is home; it is bundled first.")
@_of_a_mirror
def mirror_rm(at: Path, name: str, **flags: Any) -> Any:
    """Forget the mirror; its branch stays."""
    return _mirrored("rm", at, name, flags)


@mirror.command("import")
@click.argument("bundle", type=click.Path(path_type=Path))
@click.option("--base", required=True, metavar="COMMIT", help="What the work grows from.")
@click.option("--branch", required=True, metavar="NAME", help="Where it is to arrive.")
@click.pass_obj
def mirror_import(at: Path, bundle: Path, base: str, branch: str) -> Any:
    """Check the one commit in BUNDLE as a sync would, and have it on a branch here."""
    from agent.cli.mirror import take

    return run_job(take(at, bundle, base, branch))


COMMANDS = (mirror,)
