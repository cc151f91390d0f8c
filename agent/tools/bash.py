"""Run a shell command: live output to people, head and tail to the model, the whole in a log.

Each call is a shell of its own that starts in the work directory; only files are shared.
"""

from __future__ import annotations

import codecs
import re
from collections.abc import Callable
from typing import Annotated

import msgspec

from agent.core.errors import SandboxError, SandboxLost
from agent.core.limits import (
    BASH_DEFAULT_SECONDS,
    BASH_MAX_LINES,
    BASH_MAX_SECONDS,
    CALL_GRACE_SECONDS,
    LOG_MAX_BYTES,
    OUTPUT_HEAD_BYTES,
)
from agent.core.messages import ToolResult
from agent.core.text import one_line
from agent.sandbox.protocol import ExecResult, OnOutput
from agent.tools import wording
from agent.tools.base import Tool, ToolContext
from agent.tools.jobs import start

HEAD_LINES = BASH_MAX_LINES // 3
TAIL_LINES = BASH_MAX_LINES - HEAD_LINES
CANNOT_START = 127

# Colours, cursor moves, window titles: nothing to a model. What is left of a broken sequence is
# made visible by the outermost wrapper.
_ESCAPES = re.compile(r"\x1b\[[0-?]*[ -/]*[@-~]|\x1b\][^\x07\x1b]*(?:\x07|\x1b\\)|\x1b[()][0-9A-B]")
_UNTEXT = re.compile(r"[\x00-\x08\x0e-\x1a\x1c-\x1f\x7f\ufffd]")


class Bash(msgspec.Struct, forbid_unknown_fields=True):
    command: Annotated[str, msgspec.Meta(description="Shell command or script.")]
    seconds: Annotated[
        float | None,
        msgspec.Meta(
            description=f"Deadline; default {BASH_DEFAULT_SECONDS}, at most {BASH_MAX_SECONDS}."
        ),
    ] = None
    background: Annotated[
        str, msgspec.Meta(description="Run it as a job of this name and return at once.")
    ] = ""


def tool(description: str) -> Tool:
    """The `bash` tool."""
    return Tool("bash", description, Bash, _run, reads_only=False, title=_title, seconds=_bound)


def _title(arguments: Bash) -> str:
    job = f"job {arguments.background}: " if arguments.background else ""
    return one_line(f"{job}$ {arguments.command}")


def _deadline(arguments: Bash) -> float:
    wanted = arguments.seconds
    return min(wanted, BASH_MAX_SECONDS) if wanted and wanted > 0 else BASH_DEFAULT_SECONDS


def _bound(arguments: Bash) -> float:
    return _deadline(arguments) + CALL_GRACE_SECONDS


async def _run(arguments: Bash, ctx: ToolContext) -> ToolResult:
    if arguments.background:
        return await start(ctx, arguments.background, arguments.command)
    log = _log_path(ctx.call_id)
    result = await _exec(arguments, ctx, log)
    head, tail = _ends(result)
    kept = await _keep(result, ctx, log) if tail else None
    return ToolResult(
        ctx.call_id,
        ok=result.exit_code == 0,
        text="\n".join([*_shown(result, head, tail), *_ending(result, arguments, kept)]),
        details={
            "exit_code": result.exit_code,
            "timed_out": result.timed_out,
            "dropped": result.dropped,
            "seconds": result.seconds,
        },
    )


async def _keep(result: ExecResult, ctx: ToolContext, log: str) -> str:
    """The log that holds what is left out, "" when there is none."""
    if result.dropped:
        return result.log
    # Few bytes, many lines: the sandbox kept no log of these.
    try:
        await ctx.sandbox.put(log, result.output)
    except SandboxLost:
        raise
    except SandboxError:
        return ""
    return log


async def _exec(arguments: Bash, ctx: ToolContext, log: str) -> ExecResult:
    async def attempt(shell: str) -> ExecResult:
        feed, finish = _decoded(ctx.on_output)
        result = await ctx.sandbox.exec(
            [shell, "-c", arguments.command],
            cwd=ctx.sandbox.workdir,
            seconds=_deadline(arguments),
            on_output=feed,
            log=log,
        )
        finish()
        return result

    result = await attempt("bash")
    if result.exit_code == CANNOT_START and not await _has_bash(ctx):
        return await attempt("sh")
    return result


async def _has_bash(ctx: ToolContext) -> bool:
    probe = await ctx.sandbox.exec(["bash", "-c", "exit 0"], cwd=ctx.sandbox.workdir)
    return probe.exit_code == 0


def _decoded(on_text: Callable[[str], None]) -> tuple[OnOutput, Callable[[], None]]:
    """Bytes in, text out: a character split between two pieces arrives whole."""
    decoder = codecs.getincrementaldecoder("utf-8")("replace")

    def feed(data: bytes, final: bool = False) -> None:
        text = decoder.decode(data, final)
        if text:
            on_text(text)

    return feed, lambda: feed(b"", True)


def _log_path(call_id: str) -> str:
    return f"/tmp/glovebox/{re.sub(r'[^A-Za-z0-9_-]', '_', call_id)[:80]}.log"


def _plain(output: bytes) -> str:
    text = output.decode("utf-8", "replace")
    if "\r" in text:
        # What a terminal writes over: of a progress bar all but its last state.
        lines = (line.rstrip("\r").rpartition("\r")[2] for line in text.split("\n"))
        text = "\n".join(lines)
    return _ESCAPES.sub("", text)


def _ends(result: ExecResult) -> tuple[str, str]:
    """What to show: everything and "", or a head and a tail."""
    if result.dropped:
        head = _plain(result.output[:OUTPUT_HEAD_BYTES]).strip("\ufffd").split("\n")
        tail = _plain(result.output[OUTPUT_HEAD_BYTES:]).strip("\ufffd").split("\n")
    else:
        head = tail = _plain(result.output).rstrip("\n").split("\n")
        if len(head) <= BASH_MAX_LINES:
            return "\n".join(head), ""
    return "\n".join(head[:HEAD_LINES]), "\n".join(tail[-TAIL_LINES:]).rstrip("\n")


def _shown(result: ExecResult, head: str, tail: str) -> list[str]:
    if not head and not tail:
        return [wording.SILENT]
    if len(_UNTEXT.findall(head + tail)) * 10 > len(head + tail) * 3:
        return [wording.BINARY.format(size=len(result.output) + result.dropped)]
    return [head, wording.GAP, tail] if tail else [head]


def _ending(result: ExecResult, arguments: Bash, log: str | None) -> list[str]:
    """How it ended, and where the rest of the output is: None when nothing is left out."""
    lines: list[str] = []
    if result.timed_out:
        seconds = _deadline(arguments)
        lines.append(wording.TIMED_OUT.format(seconds=seconds, most=BASH_MAX_SECONDS))
    elif result.exit_code is not None and result.exit_code < 0:
        lines.append(wording.SIGNAL.format(signal=-result.exit_code))
    else:
        lines.append(wording.EXIT.format(code=result.exit_code))
    if log is not None:
        size = len(result.output) + result.dropped
        lines.append(_whole(size, log))
    return lines


def _whole(size: int, log: str) -> str:
    if not log:
        return wording.NO_LOG.format(size=size)
    template = wording.LOG if size <= LOG_MAX_BYTES else wording.LOG_PART
    return template.format(size=size, log=log, kept=LOG_MAX_BYTES)
