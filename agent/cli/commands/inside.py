"""Commands about what runs in the sandbox."""

from __future__ import annotations

from typing import cast

import msgspec

from agent.app import Reached, explain_network, reached, session_folder
from agent.cli.commands import offers
from agent.cli.commands.command import Command, Talk
from agent.cli.commands.given import settings_now
from agent.cli.ports import port_lines, shown_text
from agent.cli.styled import marked, plain
from agent.config import Network
from agent.core.errors import UserError
from agent.core.text import one_line, terminal_safe
from agent.session import ports
from agent.session.checks import linting

_HOSTS_SHOWN = 30


async def run(command: str, talk: Talk) -> None:
    """It starts in the work directory and may take half an hour; Ctrl-C ends it.

    What it says stays here, and the model is told with your next message; what it changed comes
    home like the work of a turn. Nothing is ever run outside of the sandbox.
    """
    await talk.follow(talk.session.run(command))


async def test(talk: Talk) -> None:
    """What it says is shown, and the model is told with your next message."""
    await talk.follow(talk.session.run(_set(talk.options.settings.test_cmd, "test_cmd")))


async def lint(talk: Talk) -> None:
    """It is given the files that have changed since the session began, as after a turn."""
    command = _set(talk.options.settings.lint_cmd, "lint_cmd")
    seeded = talk.session.state.seeded
    await talk.follow(talk.session.run(command, linting(command, seeded.tip if seeded else "")))


def _set(command: str, key: str) -> str:
    if command:
        return command
    flag = f"--{key.replace('_', '-')}"
    raise UserError(
        f"there is no `{key}`", f"set it in your configuration, or begin with `{flag} COMMAND`"
    )


async def jobs(words: str, talk: Talk) -> None:
    """`/jobs kill NAME` ends one, as `/kill NAME` does."""
    if words:
        verb, _, name = words.partition(" ")
        if verb != "kill":
            raise UserError(f"`{one_line(verb)}` cannot be done to jobs", "type `/jobs kill NAME`")
        await kill(name.strip(), talk)
        return
    rows = [_job_line(job) for job in await ports.jobs(await talk.session.enter())]
    talk.show(plain("\n".join(rows)) if rows else marked("· no jobs"))


def _job_line(job: ports.Running) -> str:
    ended = "" if job.exit_code is None else f" ({job.exit_code})"
    return one_line(f"{job.name}  {job.state}{ended}  {job.command}")


async def kill(name: str, talk: Talk) -> None:
    ended = await ports.kill(await talk.session.enter(), name)
    talk.show(marked(one_line(f"✓ {name} {ended.state}")))


async def listening(talk: Talk) -> None:
    rows = port_lines(await ports.listening(await talk.session.enter()))
    talk.show(plain("\n".join(rows)) if rows else marked("· no program in the sandbox listens"))


async def net(words: str, talk: Talk) -> None:
    """`/net allow HOST` lets the sandbox reach one more for as long as the session lives;
    docs/network.md says how HOST can be written.
    """
    verb, _, host = words.partition(" ")
    if verb and (verb != "allow" or not host.strip()):
        raise UserError(f"`{one_line(words)}` is not understood", "type `/net allow HOST`")
    if verb:
        talk.session.allow_host(host)
        talk.show(marked(one_line(f"✓ {host.strip()} may be reached in this session")))
        return
    policy = cast("Network", talk.session.status().network)
    rows = list(explain_network(msgspec.structs.replace(settings_now(talk), network=policy)))
    rows += [f"  {host:<32} allowed in this session" for host in talk.session.state.allowed_hosts]
    talk.show(plain(terminal_safe("\n".join(rows))))
    folder = await session_folder(talk.directory, talk.session.id)
    asked = [_asked(one) for one in reached(folder)[-_HOSTS_SHOWN:]]
    talk.show(marked("· what was asked for:" if asked else "· nothing was asked for yet"))
    talk.show([line for row in asked for line in marked(row)])


def _asked(one: Reached) -> str:
    counts = ", ".join(f"{verdict} {count}" for verdict, count in one.counts.items())
    why = f" ({one.why})" if one.why else ""
    return one_line(f"{'✗' if one.why else '✓'} {one.host} {counts}{why}", 160)


async def preview(port: str, talk: Talk) -> None:
    if not (port.isascii() and port.isdigit() and 0 < int(port) < 65_536):
        raise UserError(f"`{port}` is no port", "type `/preview PORT`; `/ports` shows them")
    shown = await ports.shown(await talk.session.enter(), int(port))
    talk.show([*marked(f"· {shown_text(shown)}"), *plain(f"  ↗ {shown.url}", "call")])


COMMANDS = (
    Command("run", "run a command in the sandbox; so does `!COMMAND`", run, "COMMAND"),
    Command("test", "run your `test_cmd` in the sandbox", test),
    Command("lint", "run your `lint_cmd` in the sandbox, on what has changed", lint),
    Command(
        "jobs",
        "programs in the background of the sandbox",
        jobs,
        "[kill NAME]",
        offers=offers.both(offers.words("kill"), offers.jobs),
        at_once=True,
    ),
    Command("kill", "end one of them", kill, "NAME", offers=offers.jobs, at_once=True),
    Command("ports", "ports that programs in the sandbox listen on", listening, at_once=True),
    Command(
        "net",
        "what may be reached, and what was asked for",
        net,
        "[allow HOST]",
        offers=offers.words("allow"),
        at_once=True,
    ),
    Command(
        "preview", "a link to one of them", preview, "PORT", offers=offers.listening, at_once=True
    ),
)
