"""Text for the clipboard of whoever sits at the terminal, wherever that is: OSC 52.

The one control sequence that a text of the model is part of: in base64, and with nothing in it but
what can be seen, white space aside.
"""

from __future__ import annotations

import base64

from agent.cli.fences import Fence, begins
from agent.core.errors import UserError
from agent.core.text import without_controls
from agent.host import env, terminal

_MAX_BYTES = 74_000  # in base64; xterm takes no more, and says nothing


def put(text: str) -> str:
    """Put `text` on the clipboard; what there is to know of it. Raises `UserError`."""
    if not terminal.can_redraw(terminal.STDOUT):
        raise UserError("this terminal has no clipboard that can be reached", "`/export FILE.md`")
    text = without_controls(text)
    coded = base64.b64encode(text.encode("utf-8", "replace"))
    if len(coded) > _MAX_BYTES:
        raise UserError(
            f"{len(text):,} characters are more than terminals take",
            "`/copy code` for the last block of code, `/export FILE.md` for all",
        )
    terminal.tell(b"\x1b]52;c;" + coded + b"\x07")
    if env.variable("TMUX"):
        return "; tmux keeps it to itself unless `set -g set-clipboard on`"
    return "; a terminal that knows no OSC 52 has ignored it"


def last_block(text: str) -> str:
    """The last block of code in Markdown, "" when there is none."""
    found, inside = "", list[str]()
    fence: Fence | None = None
    for line in text.split("\n"):
        if fence is None:
            fence = begins(line)
        elif fence.ends(line):
            found, inside, fence = "\n".join(inside), [], None
        else:
            inside.append(fence.inside(line))
    return "\n".join(inside) if fence and inside else found
