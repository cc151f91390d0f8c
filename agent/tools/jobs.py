"""Background programs by name: list them, look, wait, type, end. `bash` starts them."""

from __future__ import annotations

import re
from typing import Annotated, Literal

import msgspec
from msgspec.structs import replace

from agent.core.limits import (
    CALL_GRACE_SECONDS,
    JOB_FIRST_SECONDS,
    JOB_LINES,
    JOB_LINES_MAX,
    JOB_WAIT_MAX_SECONDS,
    JOB_WAIT_SECONDS,
)
from agent.core.messages import ToolResult
from agent.core.text import one_line
from agent.tools import wording
from agent.tools.answers import Refusal, ask
from agent.tools.base import Tool, ToolContext

# Keys such as Ctrl-C are meant as they are; anything else is a line.
_KEYS = re.compile(r"[\x00-\x1f]\Z")


class Jobs(msgspec.Struct, forbid_unknown_fields=True):
    action: Literal["list", "tail", "wait", "send", "kill"]
    name: str = ""
    text: Annotated[str, msgspec.Meta(description="wait: to appear; send: a line, or \\u0003.")] = (
        ""
    )
    port: int = 0
    after: Annotated[int, msgspec.Meta(description="Only lines after this number.")] = 0
    lines: int = JOB_LINES
    seconds: float = JOB_WAIT_SECONDS


class Look(msgspec.Struct, frozen=True):
    """What a job printed last, and how it is."""

    name: str
    state: Literal["running", "ended", "lost"]
    exit_code: int | None
    met: str
    text: str
    first: int
    last: int
    total: int
    cut: bool = False


class Known(msgspec.Struct, frozen=True):
    """One line of the list."""

    name: str
    state: Literal["running", "ended", "lost"]
    exit_code: int | None
    seconds: float
    command: str
    lines: int
    last_line: str = ""


class Listed(msgspec.Struct, frozen=True):
    """All jobs."""

    jobs: list[Known]


class Sent(msgspec.Struct, frozen=True):
    """The job has it; it had printed `lines` lines before."""

    lines: int


class Ended(msgspec.Struct, frozen=True):
    """The job has ended, or will not."""

    state: Literal["running", "ended", "lost"]
    exit_code: int | None


class Started(msgspec.Struct, frozen=True):
    """The job runs."""

    name: str


def tool(description: str) -> Tool:
    """The `jobs` tool."""
    return Tool("jobs", description, Jobs, _run, reads_only=False, title=_title, seconds=_seconds)


def _title(arguments: Jobs) -> str:
    what = f" {arguments.text!r}" if arguments.text else ""
    port = f" port {arguments.port}" if arguments.port else ""
    return one_line(f"jobs {arguments.action} {arguments.name}{what}{port}".rstrip())


def _patience(arguments: Jobs) -> float:
    wanted = arguments.seconds if arguments.seconds > 0 else JOB_WAIT_SECONDS
    return min(wanted, JOB_WAIT_MAX_SECONDS) if arguments.action == "wait" else 0.0


def _seconds(arguments: Jobs) -> float:
    return _patience(arguments) + 2 * CALL_GRACE_SECONDS


async def _run(arguments: Jobs, ctx: ToolContext) -> ToolResult:
    if arguments.action == "list":
        return await _list(ctx)
    if not arguments.name:
        return _refused(ctx, arguments.name, Refusal("no_name"))
    match arguments.action:
        case "tail" | "wait":
            return await _look(arguments, ctx)
        case "send":
            return await _send(arguments, ctx)
        case _:
            return await _kill(arguments, ctx)


async def start(ctx: ToolContext, name: str, command: str) -> ToolResult:
    """Start a job for `bash`, and look once: what fails, mostly fails at once."""
    started = await ask(ctx, Started, "job_start", name=name, command=command)
    if isinstance(started, Refusal):
        return _refused(ctx, name, started)
    seen = await ask(ctx, Look, "job_look", name=name, lines=JOB_LINES, seconds=JOB_FIRST_SECONDS)
    if isinstance(seen, Refusal):
        return _refused(ctx, name, seen)
    note = wording.JOB_STARTED.format(name=name) if seen.state == "running" else ""
    return _shown(ctx, seen, note, ok=seen.state == "running" or seen.exit_code == 0)


async def _list(ctx: ToolContext) -> ToolResult:
    listed = await ask(ctx, Listed, "job_list")
    if isinstance(listed, Refusal):
        return _refused(ctx, "", listed)
    rows = [_row(job) for job in listed.jobs]
    details = {"jobs": [msgspec.to_builtins(job) for job in listed.jobs]}
    text = "\n".join(rows) or wording.NO_JOBS
    return ToolResult(ctx.call_id, ok=True, text=text, details=details)


def _state(state: str, code: int | None) -> str:
    """How a job stands. What was ended by a signal has a negative exit code."""
    signal = -code if state == "ended" and code is not None and code < 0 else 0
    template = wording.JOB_STATES["killed" if signal else state]
    return template.format(code=code, signal=signal)


def _row(job: Known) -> str:
    state = _state(job.state, job.exit_code)
    return wording.JOB.format(
        name=job.name,
        state=state,
        seconds=job.seconds,
        command=one_line(job.command, 120),
        lines=job.lines,
        last=one_line(job.last_line, 120),
    ).rstrip()


async def _look(arguments: Jobs, ctx: ToolContext) -> ToolResult:
    lines = max(1, min(arguments.lines, JOB_LINES_MAX))
    seen = await ask(
        ctx,
        Look,
        "job_look",
        name=arguments.name,
        lines=lines,
        after=arguments.after,
        text=arguments.text if arguments.action == "wait" else "",
        port=arguments.port,
        seconds=_patience(arguments),
    )
    if isinstance(seen, Refusal):
        return _refused(ctx, arguments.name, seen)
    if arguments.action == "tail":
        return _shown(ctx, seen, "", ok=True)
    wanted = "text" if arguments.text else "port" if arguments.port else "end"
    note = _met(seen, wanted, arguments)
    result = _shown(ctx, seen, note, ok=seen.met in ("text", "port") or seen.met == wanted)
    # That time has passed is something: a model that waits again does not go round in circles.
    return replace(result, details=result.details | {"waited": True})


def _met(seen: Look, wanted: str, arguments: Jobs) -> str:
    if seen.met == "text":
        return wording.CAME.format(text=arguments.text)
    if seen.met == "port":
        return wording.ANSWERS.format(port=arguments.port)
    if seen.met == "end":
        return "" if wanted == "end" else wording.NEVER_CAME
    return wording.NOT_YET.format(seconds=_patience(arguments))


async def _send(arguments: Jobs, ctx: ToolContext) -> ToolResult:
    text = arguments.text if _KEYS.search(arguments.text) else f"{arguments.text}\n"
    sent = await ask(ctx, Sent, "job_send", name=arguments.name, text=text)
    if isinstance(sent, Refusal):
        return _refused(ctx, arguments.name, sent)
    said = wording.SENT.format(name=arguments.name, lines=sent.lines)
    return ToolResult(ctx.call_id, ok=True, text=said, details={"name": arguments.name})


async def _kill(arguments: Jobs, ctx: ToolContext) -> ToolResult:
    ended = await ask(ctx, Ended, "job_kill", name=arguments.name)
    if isinstance(ended, Refusal):
        return _refused(ctx, arguments.name, ended)
    said = _state(ended.state, ended.exit_code)
    text = wording.KILLED.format(name=arguments.name, state=said)
    details = {"name": arguments.name, "state": ended.state}
    return ToolResult(ctx.call_id, ok=ended.state != "running", text=text, details=details)


def _shown(ctx: ToolContext, seen: Look, note: str, *, ok: bool) -> ToolResult:
    state = _state(seen.state, seen.exit_code)
    place = wording.JOB_LINES if seen.text or seen.first else wording.JOB_SILENT
    place = place if seen.total else wording.JOB_MUTE
    parts = [
        wording.JOB_CUT if seen.cut else "",
        seen.text,
        place.format(
            name=seen.name, state=state, first=seen.first, last=seen.last, total=seen.total
        ),
        note,
    ]
    details = {"name": seen.name, "state": seen.state, "exit_code": seen.exit_code}
    text = "\n".join(part for part in parts if part)
    return ToolResult(ctx.call_id, ok=ok, text=text, details=details)


def _refused(ctx: ToolContext, name: str, no: Refusal) -> ToolResult:
    template = wording.JOB_REFUSALS.get(no.reason, wording.JOB_UNKNOWN)
    if no.reason == "absent" and not no.names:
        template = wording.JOB_NONE
    state = _state(no.state, no.exit_code) if no.state else ""
    text = template.format(
        name=one_line(name),
        names=", ".join(no.names),
        count=no.count,
        why=no.why,
        state=state,
        reason=no.reason,
    )
    return ToolResult(ctx.call_id, ok=False, text=text, details={"reason": no.reason})
