"""The command line: flags in, exit code out. Front ends are imported when they are used."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Coroutine
from pathlib import Path
from typing import Any

import click

from agent import __version__, config
from agent.app import Options, explain_network, shutdown
from agent.cli.exits import Exit, exit_of
from agent.cli.lines import problem_text
from agent.cli.message import message_from
from agent.core.errors import GloveboxError, UserError
from agent.core.events import Problem, problem_of
from agent.core.limits import LEAVE_SECONDS
from agent.host import ending, env, process

_FOLDER = click.Path(exists=True, file_okay=False, resolve_path=True, path_type=Path)
_NEW = click.Path(resolve_path=True, path_type=Path)
_FILE = click.Path(dir_okay=False, path_type=Path)
_AT = click.option("-C", "at", type=_FOLDER, help="The repository in DIR.")


@click.group(invoke_without_command=True, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, "-V", "--version", message="glovebox %(version)s")
@click.option("-C", "directory", type=_FOLDER, default=".", help="Work on the repository in DIR.")
@click.option("-m", "--message", help="Run one turn with this message and exit.")
@click.option("--message-file", type=_FILE, help="The same, with the message from a file.")
@click.option("--model", help="PROVIDER/NAME as litellm spells it, or replay:FILE.")
@click.option("--sandbox", help="Where the tools run: auto, local, docker, daytona.")
@click.option("--network", help="What the sandbox may reach: none, list, registries, open.")
@click.option("--allow-host", "allow_hosts", multiple=True, help="A host it may reach besides.")
@click.option("--image", help="What a docker or daytona sandbox is made of.")
@click.option("--engine", help="The container engine: docker, podman or an address.")
@click.option("--steps", type=int, help="Stop a turn after this many model requests.")
@click.option("--max-cost", type=float, metavar="USD", help="Spend no more in the session.")
@click.option("--max-tokens", type=int, metavar="N", help="Use no more tokens in the session.")
@click.option("--max-turns", type=int, metavar="N", help="Take no more turns in the session.")
@click.option("--deadline", type=float, metavar="SECONDS", help="Stop after so long.")
@click.option("--lint-cmd", metavar="CMD", help="Run CMD on changed files after a turn.")
@click.option("--test-cmd", metavar="CMD", help="Run CMD after a turn; failures go to the model.")
@click.option("--until", metavar="CMD", help="Go on until CMD succeeds; exit code 9 if never.")
@click.option("--tries", type=int, metavar="N", help="Tell the model so many failures of these.")
@click.option("--continue", "latest", is_flag=True, help="Go on with the session used last.")
@click.option("--resume", metavar="ID", help="Go on with session ID (its number or its id).")
@click.option("--fork", metavar="ID", help="Start where session ID stands, beside it.")
@click.option("--record", type=_FILE, help="Record the model's replies for replay:FILE.")
@click.option(
    "--on-ask",
    type=click.Choice(["deny", "allow", "fail"]),
    default="deny",
    help="When something is asked and nobody is there (a question of the model, another host, more"
    " money): no, yes, or exit code 8.",
)
@click.option("--json", "as_json", is_flag=True, help="Print events as JSON lines.")
@click.option("--quiet", is_flag=True, help="Print the answer and nothing else.")
@click.pass_context
def main(context: click.Context, directory: Path, **flags: Any) -> Any:
    """A coding agent whose hands work inside a sandbox.

    Without a message it is a conversation; with -m, --message-file or piped input it runs one turn.
    Work arrives on the branch glovebox/N; your working tree is never touched.
    """
    context.obj = (directory, flags)
    if context.invoked_subcommand is not None:
        return None
    text = message_from(flags["message"], flags["message_file"])
    if text is None:
        from agent.cli.repl import Repl

        return _run(Repl(_options(directory, flags)).run(), tidy=True)
    from agent.cli.once import Once

    once = Once(json=flags["as_json"], quiet=flags["quiet"])
    return _run(once.run(text, lambda: _options(directory, flags)), tidy=True)


@main.command()
@click.option("--model", help="A model of yours instead of the recording.")
@click.option("--keep", is_flag=True, help="Keep the sample repository and its session.")
def demo(model: str | None, keep: bool) -> Any:
    """Watch a session on a sample repository; no key is needed."""
    from agent.cli.demo import Demo

    return _run(Demo(model=model, keep=keep).run())


@main.command()
def paths() -> Any:
    """Print where glovebox keeps its files."""
    click.echo(f"config    {env.config_dir() / config.USER_FILE}")
    click.echo(f"state     {env.state_dir()}")
    click.echo(f"sandboxes {env.sandbox_dir()}")
    return Exit.DONE


@main.command()
@click.argument("words", nargs=-1, metavar="N [-- COMMAND…]", type=click.UNPROCESSED)
@click.option("--new", is_flag=True, help="In a new session.")
@click.option("-t", "--tty", is_flag=True, help="Give COMMAND a terminal of its own.")
@click.option("-C", "at", type=_FOLDER, help="The repository in DIR.")
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
    at = flags.pop("at") or obj[0]
    settings = _settings((at, obj[1]), flags)
    options = Options(at, settings, resume=resume, needs_model=False)
    return _run(Shell(command, tty=tty).run(options), tidy=True)


@main.command()
@click.argument("session", metavar="N", default="")
@click.option("-C", "at", type=_FOLDER, help="The repository in DIR.")
@click.pass_obj
def ports(obj: Any, session: str, at: Path | None) -> Any:
    """List the ports that programs in the sandbox of session N listen on."""
    from agent.cli.ports import run

    return _run(run(at or obj[0], session))


@main.command()
@click.argument("session", metavar="N")
@click.argument("port", type=click.IntRange(1, 65535))
@click.option("--seconds", type=float, default=30.0, help="Wait so long for it.")
@click.option("-C", "at", type=_FOLDER, help="The repository in DIR.")
@click.pass_obj
def preview(obj: Any, session: str, port: int, seconds: float, at: Path | None) -> Any:
    """Print a link to PORT of the sandbox of session N, once it answers."""
    from agent.cli.ports import preview

    return _run(preview(at or obj[0], session, port, seconds))


@main.command()
@click.option("--network", help="With which network policy to try the sandboxes.")
@click.option("--json", "as_json", is_flag=True, help="Print the findings as JSON.")
@click.pass_obj
def doctor(obj: Any, as_json: bool, **flags: Any) -> Any:
    """Test every part of this machine that a session needs, and say how to mend it."""
    from agent.cli.doctor import run

    return _run(run(_settings(obj, flags), as_json=as_json))


@main.command()
@click.option("--sandbox", help="Which sandbox to try: auto, or a backend.")
@click.option("--network", help="With which network policy.")
@click.option("--json", "as_json", is_flag=True, help="Print the score card as JSON.")
@click.pass_obj
def selftest(obj: Any, as_json: bool, **flags: Any) -> Any:
    """Try to get out of a real sandbox, and print what happened."""
    from agent.cli.selftest import run

    return _run(run(_settings(obj, flags), as_json=as_json))


@main.command("config")
@click.argument("action", type=click.Choice(["explain"]))
@click.argument("key")
@click.pass_obj
def explain(obj: Any, action: str, key: str) -> Any:
    """Say what a KEY of the configuration is set to, and for `network` what that allows."""
    if key not in config.KEYS:
        raise click.UsageError(f"there is no key `{key}`; known: {', '.join(config.KEYS)}")
    settings = _settings(obj, {})
    lines = explain_network(settings) if key == "network" else (config.shown(settings, key),)
    click.echo("\n".join(lines))
    return Exit.DONE


@main.command()
@click.option("--dry-run", "dry", is_flag=True, help="Only say what would be removed.")
def reap(dry: bool) -> Any:
    """Remove what crashes left behind: sandboxes, processes and folders of nobody."""
    from agent.cli.reap import run

    return _run(run(dry=dry))


@main.command()
@click.option("--search", default="", metavar="WORDS", help="Those in which all of WORDS are.")
@click.option("--all", "all_of_them", is_flag=True, help="Of all repositories.")
@click.option("--json", "as_json", is_flag=True, help="Print a line of JSON for each.")
@_AT
@click.pass_obj
def sessions(obj: Any, at: Path | None, **flags: Any) -> Any:
    """List the sessions of this repository, the one used last at the end."""
    from agent.cli.sessions import run

    return _run(run(at or obj[0], **flags))


@main.command()
@click.argument("session", metavar="N")
@click.argument("name", metavar="NAME")
@_AT
@click.pass_obj
def rename(obj: Any, session: str, name: str, at: Path | None) -> Any:
    """Call session N by a NAME, which can stand wherever N can; "" takes it away."""
    from agent.cli.sessions import rename

    return _run(rename(at or obj[0], session, name))


@main.command()
@click.argument("session", metavar="N")
@click.option("--turn", type=click.IntRange(min=0), help="Where it stood after this turn.")
@_AT
@click.pass_obj
def fork(obj: Any, session: str, turn: int | None, at: Path | None) -> Any:
    """Make a session that starts where session N stands, with a sandbox and a branch of its own.

    `--fork N` before -m or alone does the same and goes on in it.
    """
    from agent.cli.sessions import fork

    directory = at or obj[0]
    options = Options(directory, _settings((directory, obj[1]), {}), needs_model=False)
    return _run(fork(options, session, turn), tidy=True)


@main.command("import")
@click.argument("file", type=_FILE)
@click.option("--sandbox", help="Where its sandbox is: auto, or a backend.")
@click.option("--network", help="What its sandbox may reach.")
@_AT
@click.pass_obj
def read_in(obj: Any, file: Path, at: Path | None, **flags: Any) -> Any:
    """Make a session of FILE, a transcript in JSON: the conversation, and files that are here.

    `export N --transcript FILE.json` writes one.
    """
    from agent.cli.sessions import read_in

    directory = at or obj[0]
    options = Options(directory, _settings((directory, obj[1]), flags), needs_model=False)
    return _run(read_in(options, file), tidy=True)


@main.command()
@click.argument("sessions", metavar="[N…]", nargs=-1)
@_AT
@click.pass_obj
def adopt(obj: Any, sessions: tuple[str, ...], at: Path | None) -> Any:
    """Take over the sessions of a clone of this repository that is gone, all or those named."""
    from agent.cli.sessions import take_over

    return _run(take_over(at or obj[0], sessions))


@main.command()
@click.argument("session", metavar="N", default="")
@_AT
@click.pass_obj
def log(obj: Any, session: str, at: Path | None) -> Any:
    """List the commits of session N."""
    from agent.cli import outcome

    return _run(outcome.log(at or obj[0], session))


@main.command()
@click.argument("session", metavar="N", default="")
@click.argument("commit", metavar="[COMMIT]", default="")
@_AT
@click.pass_obj
def show(obj: Any, session: str, commit: str, at: Path | None) -> Any:
    """Show a commit of session N, the last one without COMMIT."""
    from agent.cli import outcome

    return _run(outcome.show(at or obj[0], session, commit))


@main.command()
@click.argument("session", metavar="N", default="")
@click.argument("paths", metavar="[PATH…]", nargs=-1)
@_AT
@click.pass_obj
def diff(obj: Any, session: str, paths: tuple[str, ...], at: Path | None) -> Any:
    """Show all that session N changed. Nothing of it runs a program of yours."""
    from agent.cli import outcome

    return _run(outcome.diff(at or obj[0], session, paths))


@main.command()
@click.argument("sessions", metavar="N M…", nargs=-1, required=True)
@click.option("--check", metavar="CMD", help="Run CMD in each sandbox and show how it ended.")
@_AT
@click.pass_obj
def compare(obj: Any, sessions: tuple[str, ...], check: str | None, at: Path | None) -> Any:
    """Put sessions side by side: files, lines, cost, and a check."""
    from agent.cli import outcome

    return _run(outcome.compare(at or obj[0], sessions, check or "", _settings(obj, {})))


@main.command()
@click.argument("session", metavar="N")
@click.option("--patch", default="", metavar="FILE", help="The file to write, `-` for the output.")
@click.option("--folder", type=_NEW, help="A folder with all files instead of a patch.")
@click.option("--transcript", type=_NEW, metavar="FILE", help="The conversation: .md .html .json")
@_AT
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
        return _run(write_transcript(at or obj[0], session, transcript))
    here = Path().resolve()
    return _run(run(at or obj[0], session, here=here, patch=patch, folder=folder))


@main.command()
@click.argument("session", metavar="N")
@click.option("--squash", "how", flag_value="squash", help="As one commit.")
@click.option("--rebase", "how", flag_value="rebase", help="Its commits on top of yours.")
@click.option("--patch", "how", flag_value="patch", help="As uncommitted changes.")
@click.option("-m", "--message", default="", help="What the merge or the commit says.")
@click.option("--no-hooks", is_flag=True, help="Run none of your git hooks.")
@click.option("--yes", is_flag=True, help="Do not ask.")
@_AT
@click.pass_obj
def merge(obj: Any, session: str, at: Path | None, **flags: Any) -> Any:
    """Merge session N into the branch you are at, after showing what comes.

    Your own git does it: your name, your hooks, your signature. A conflict changes nothing.
    """
    from agent.cli import outcome

    return _run(
        outcome.merge(
            at or obj[0],
            session,
            flags["how"] or "merge",
            message=flags["message"],
            hooks=not flags["no_hooks"],
            yes=flags["yes"],
        )
    )


@main.command()
@click.argument("session", metavar="N")
@click.argument("branch", metavar="[BRANCH]", default="")
@click.option("--dirty", is_flag=True, help="Your uncommitted work comes along.")
@_AT
@click.pass_obj
def pull(obj: Any, session: str, branch: str, dirty: bool, at: Path | None) -> Any:
    """Merge your newer commits into the work of session N, inside its sandbox.

    Without BRANCH those of the branch you are at. What conflicts is left for the agent to merge.
    """
    from agent.cli.home import move

    options = _reopened(obj, session, at)
    return _run(move(options, lambda one: one.pull(branch, dirty=dirty)), tidy=True)


@main.command()
@click.argument("session", metavar="N")
@click.option("--turns", type=click.IntRange(min=1), default=1, help="How many.")
@_AT
@click.pass_obj
def undo(obj: Any, session: str, turns: int, at: Path | None) -> Any:
    """Take the last turns of session N back: conversation, files and branch."""
    from agent.cli.home import move

    return _run(move(_reopened(obj, session, at), lambda one: one.undo(turns)), tidy=True)


@main.command()
@click.argument("session", metavar="N")
@_AT
@click.pass_obj
def redo(obj: Any, session: str, at: Path | None) -> Any:
    """Take the last undo of session N back."""
    from agent.cli.home import move

    return _run(move(_reopened(obj, session, at), lambda one: one.redo()), tidy=True)


@main.command()
@click.argument("session", metavar="N")
@_AT
@click.pass_obj
def sync(obj: Any, session: str, at: Path | None) -> Any:
    """Bring home what is only inside session N's sandbox."""
    from agent.cli.home import move

    return _run(move(_reopened(obj, session, at), lambda one: one.sync()), tidy=True)


@main.command("rm")
@click.argument("session", metavar="N")
@click.option("--force", is_flag=True, help="Also when not all work is on its branch.")
@click.option("--no-rescue", is_flag=True, help="With --force: write no bundle of that work.")
@click.option("-C", "at", type=_FOLDER, help="The repository in DIR.")
@click.pass_obj
def remove(obj: Any, session: str, force: bool, no_rescue: bool, at: Path | None) -> Any:
    """Remove session N with everything it made but its branch."""
    from agent.cli.reap import remove

    return _run(remove(at or obj[0], session, force=force, rescue=not no_rescue))


@main.command()
@click.argument("tasks", metavar="TASK…", nargs=-1, required=True)
@click.option("--model", help="PROVIDER/NAME as litellm spells it, or replay:FILE.")
@click.option("--sandbox", help="Where the tools run: auto, local, docker, daytona.")
@click.option("--network", help="What the sandboxes may reach.")
@click.option("--steps", type=int, help="Stop each after this many model requests.")
@click.option("--base", default="", metavar="REF", help="Begin at REF instead of what you have.")
@click.option("--name", default="", help="What to call the session, if it is one.")
@_AT
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
    directory = at or obj[0]
    options = Options(directory, _settings((directory, obj[1]), flags), base=base)
    return _run(spawn(options, tasks, name))


@main.command()
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
@_AT
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
    directory = at or obj[0]
    options = Options(directory, _settings((directory, obj[1]), flags), base=base)
    names = names or [config.require_model(options.settings)]
    models = [names[at % len(names)] for at in range(count)]
    return _run(race(options, task, models, check, yes=yes, keep=keep), tidy=True)


@main.command(hidden=True)
@click.argument("sessions", nargs=-1, required=True)
def host(sessions: tuple[str, ...]) -> Any:
    """Do what `spawn` left to be done."""
    from agent.cli.background import host

    return _run(host(sessions))


@main.command()
@click.option("--json", "as_json", is_flag=True, help="Print a line of JSON for each.")
@click.option("--all", "every", is_flag=True, help="Older than a day, too.")
@_AT
@click.pass_obj
def ps(obj: Any, as_json: bool, every: bool, at: Path | None) -> Any:
    """Say how the sessions of this repository stand, and what each does now."""
    from agent.cli.background import ps

    return _run(ps(at or obj[0], as_json=as_json, every=every))


@main.command()
@click.argument("sessions", metavar="[N…]", nargs=-1)
@_AT
@click.pass_obj
def watch(obj: Any, sessions: tuple[str, ...], at: Path | None) -> Any:
    """Show sessions N…, or all that run, until they are done. Ctrl-C leaves them running."""
    from agent.cli.background import watch

    return _run(watch(at or obj[0], sessions))


@main.command()
@click.argument("session", metavar="N", default="")
@click.option("--model", help="Another model from your next message on.")
@_AT
@click.pass_obj
def attach(obj: Any, session: str, at: Path | None, **flags: Any) -> Any:
    """Join session N while it runs, and go on with it when it is done.

    What you type waits until then; Ctrl-C ends what it does now; Ctrl-D leaves it running.
    """
    from agent.cli.repl import Repl

    directory = at or obj[0]
    options = Options(directory, _settings((directory, obj[1]), flags), resume=session)
    return _run(Repl(options, join=True).run(), tidy=True)


@main.command()
@click.argument("sessions", metavar="N…", nargs=-1, required=True)
@_AT
@click.pass_obj
def stop(obj: Any, sessions: tuple[str, ...], at: Path | None) -> Any:
    """Interrupt what sessions N… do, wherever they run; their work is brought home."""
    from agent.cli.background import stop

    return _run(stop(at or obj[0], sessions))


@main.group()
@click.option("-C", "at", type=_FOLDER, help="The repository in DIR.")
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
    return _run(ACTIONS[action](at, name, place, **flags))


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

    return _run(take(at, bundle, base, branch))


def _settings(obj: Any, flags: dict[str, Any]) -> config.Settings:
    """The settings for a subcommand: its own flags win over those before its name."""
    directory, general = obj
    merged = general | {key: value for key, value in flags.items() if value is not None}
    return config.load(directory, {key: merged.get(key) for key in config.KEYS})


def _reopened(obj: Any, session: str, at: Path | None) -> Options:
    """What opens a session again for something that needs no model."""
    directory = at or obj[0]
    return Options(directory, _settings((directory, obj[1]), {}), resume=session, needs_model=False)


def _options(directory: Path, flags: dict[str, Any]) -> Options:
    settings = config.load(directory, {key: flags.get(key) for key in config.KEYS})
    fork = flags["fork"]
    if fork is not None and (flags["resume"] is not None or flags["latest"]):
        raise UserError("--fork begins a session, --resume and --continue go on with one")
    resume = flags["resume"] if flags["resume"] is not None else ("" if flags["latest"] else None)
    record, on_ask = flags["record"], flags["on_ask"]
    model = flags["model"]
    return Options(directory, settings, record, resume, on_ask=on_ask, fork=fork, model=model)


def _run(job: Coroutine[Any, Any, int], *, tidy: bool = False) -> int:
    async def whole() -> int:
        process.spare_threads()
        try:
            if not tidy:
                return await job
            from agent.cli.reap import in_the_background

            async with in_the_background():
                return await job
        finally:
            await shutdown()

    code: int = Exit.INTERRUPTED
    # What is left after the job is of no use to anybody: a thread, a connection that does not end.
    watchdog = ending.Watchdog(lambda: ending.leave(code))

    async def watched() -> None:
        nonlocal code
        code = Exit.OURS  # should the job raise
        try:
            code = await whole()
        finally:
            watchdog.watch(LEAVE_SECONDS)

    try:
        asyncio.run(watched())
    except KeyboardInterrupt:
        return Exit.INTERRUPTED
    finally:
        watchdog.call_off()
    return code


def run() -> int:
    """Parse the command line, run it, and return its exit code; the last border for errors."""
    try:
        return int(main(standalone_mode=False) or 0)
    except click.ClickException as error:
        error.show()
        return _refused(Problem("UsageError", error.format_message()))
    except (click.Abort, KeyboardInterrupt):
        return _refused(Problem("Interrupted", "interrupted before anything was done"))
    except GloveboxError as error:
        problem = problem_of(error)
        print(f"glovebox: {problem_text(problem)}", file=sys.stderr)
        return _refused(problem)
    except BrokenPipeError:
        # The reader of our output has gone; nobody is left to tell.
        return Exit.OURS


def last() -> None:
    """Run the command line as all that this process does, and end with its exit code."""
    code = run()
    ending.Watchdog(lambda: ending.leave(code)).watch(LEAVE_SECONDS)
    sys.exit(code)


def _refused(problem: Problem) -> Exit:
    """The code of what never began; where a result was asked for, there is one."""
    code, words = exit_of(problem), sys.argv[1:]
    if "--json" in words and not set(words) & set(main.commands):
        from agent.cli.once import result_of

        print(result_of(problem, code), end="")
    return code
