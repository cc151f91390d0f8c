"""Where a one-shot message comes from: a flag, a file, a pipe, or a flag about what is piped."""

from __future__ import annotations

import sys
from pathlib import Path

from agent.core.errors import UserError
from agent.host import env, files


def message_from(flag: str | None, file: Path | None) -> str | None:
    """The message, or None where a person is to be asked. Raises `UserError` for an empty one."""
    if flag is not None and file is not None:
        raise UserError("both --message and --message-file are given", "give one of them")
    given = files.read_text(file) if file is not None else flag
    piped = _piped(given is not None)
    if given is None and piped is None:
        return None
    text = "\n\n".join(part for part in (given, _quoted(piped, given)) if part and part.strip())
    if not text:
        raise UserError("the message is empty", "write what the agent is to do after `-m`")
    return text


def _piped(optional: bool) -> str | None:
    """What comes in through a pipe or a redirected file; nothing of a terminal is read."""
    if not env.stdin_is_piped():
        return None
    if optional:
        print("· reading standard input (use `< /dev/null` to leave it out)", file=sys.stderr)
    return sys.stdin.buffer.read().decode("utf-8", "replace")


def _quoted(piped: str | None, given: str | None) -> str | None:
    if piped is None or given is None or not piped.strip():
        return piped
    return f"<stdin>\n{piped.rstrip()}\n</stdin>"
