"""`glovebox ports` and `preview`: the ports of a session that another process of ours holds."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

from agent.app import session_folder
from agent.cli.exits import Exit
from agent.core.errors import UserError
from agent.core.text import one_line
from agent.session.door import NAME, Question, Reply, knock
from agent.session.ports import Listener, Shown


async def run(directory: Path, wanted: str) -> Exit:
    """Print the ports that programs in the sandbox listen on."""
    rows = port_lines((await _asked(directory, wanted, Question("ports"))).ports)
    print("\n".join(rows) or "no program in the sandbox listens on a port")
    return Exit.DONE


async def preview(directory: Path, wanted: str, port: int, seconds: float) -> Exit:
    """Print a link to one of them, once it answers."""
    reply = await _asked(directory, wanted, Question("preview", port, seconds))
    assert reply.shown is not None
    print(reply.shown.url)
    print(f"· {shown_text(reply.shown)}", file=sys.stderr)
    return Exit.DONE


async def _asked(directory: Path, wanted: str, question: Question) -> Reply:
    reply = await knock(await session_folder(directory, wanted) / NAME, question)
    if reply is None:
        raise UserError(
            "this session is not running, so no program in its sandbox is",
            f"run `glovebox --resume {wanted or 'N'}` or `glovebox shell {wanted or 'N'}` besides",
        )
    return reply


def port_lines(listeners: Sequence[Listener]) -> list[str]:
    """One line for each port."""
    return [f"{one.port:<6} {one_line(one.program)}".rstrip() for one in listeners]


def shown_text(shown: Shown) -> str:
    """What is to know of a link."""
    answers = one_line(shown.says, 80) or "no HTTP"
    return f"port {shown.port} answers ({answers}); the link works as long as the session runs"
