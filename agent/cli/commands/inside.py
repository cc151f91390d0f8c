"""Commands about what runs in the sandbox."""

from __future__ import annotations

from agent.cli.commands.command import Command, Talk
from agent.cli.ports import port_lines, shown_text
from agent.cli.styled import marked, plain
from agent.core.errors import UserError
from agent.core.text import one_line
from agent.session import ports


async def jobs(talk: Talk) -> None:
    rows = [_job_line(job) for job in await ports.jobs(await talk.session.enter())]
    talk.show(plain("\n".join(rows)) if rows else marked("· no jobs"))


def _job_line(job: ports.Running) -> str:
    ended = "" if job.exit_code is None else f" ({job.exit_code})"
    return one_line(f"{job.name}  {job.state}{ended}  {job.command}")


async def listening(talk: Talk) -> None:
    rows = port_lines(await ports.listening(await talk.session.enter()))
    talk.show(plain("\n".join(rows)) if rows else marked("· no program in the sandbox listens"))


async def preview(port: str, talk: Talk) -> None:
    if not (port.isascii() and port.isdigit() and 0 < int(port) < 65_536):
        raise UserError(f"`{port}` is no port", "type `/preview PORT`; `/ports` shows them")
    shown = await ports.shown(await talk.session.enter(), int(port))
    talk.show([*marked(f"· {shown_text(shown)}"), *plain(f"  ↗ {shown.url}", "call")])


COMMANDS = (
    Command("jobs", "programs in the background of the sandbox", jobs),
    Command("ports", "ports that programs in the sandbox listen on", listening),
    Command("preview", "a link to one of them", preview, "PORT"),
)
