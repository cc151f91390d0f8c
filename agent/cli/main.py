"""The command line: flags in, exit code out. Front ends are imported when they are used."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import click

from agent import __version__
from agent.app import Options
from agent.cli.exits import Exit, exit_of
from agent.cli.given import FILE, FOLDER, settings_of
from agent.cli.lines import problem_text
from agent.cli.message import message_from
from agent.cli.running import run_job
from agent.cli.verbs import attaching, inside, machine, mirror, parallel, sessions, work
from agent.core.errors import GloveboxError, UserError
from agent.core.events import Problem, problem_of
from agent.core.limits import LEAVE_SECONDS
from agent.host import ending, trouble


@click.group(invoke_without_command=True, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, "-V", "--version", message="glovebox %(version)s")
@click.option("-C", "directory", type=FOLDER, default=".", help="Work on the repository in DIR.")
@click.option("-m", "--message", help="Run one turn with this message and exit.")
@click.option("--message-file", type=FILE, help="The same, with the message from a file.")
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
@click.option("--record", type=FILE, help="Record the model's replies for replay:FILE.")
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

        return run_job(Repl(_options(directory, flags)).run(), tidy=True)
    from agent.cli.once import Once

    once = Once(json=flags["as_json"], quiet=flags["quiet"])
    return run_job(once.run(text, lambda: _options(directory, flags)), tidy=True)


def _options(directory: Path, flags: dict[str, Any]) -> Options:
    settings = settings_of((directory, flags), {})
    fork = flags["fork"]
    if fork is not None and (flags["resume"] is not None or flags["latest"]):
        raise UserError("--fork begins a session, --resume and --continue go on with one")
    resume = flags["resume"] if flags["resume"] is not None else ("" if flags["latest"] else None)
    record, on_ask = flags["record"], flags["on_ask"]
    model = flags["model"]
    return Options(directory, settings, record, resume, on_ask=on_ask, fork=fork, model=model)


for verbs in (attaching, inside, machine, mirror, parallel, sessions, work):
    for command in verbs.COMMANDS:
        main.add_command(command)


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
    except (OSError, MemoryError, RuntimeError) as error:
        named = trouble.named(error)
        if named is None:
            raise
        problem = problem_of(named)
        print(f"glovebox: {problem_text(problem)}", file=sys.stderr)
        return _refused(problem)


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
