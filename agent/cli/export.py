"""`glovebox export N`: the work of a session as a patch or a folder, or what was said in it."""

from __future__ import annotations

import sys
from pathlib import Path

from agent.cli.exits import Exit
from agent.core.errors import UserError
from agent.core.text import terminal_safe
from agent.host import disk
from agent.host.terminal import STDOUT, is_terminal, write_all
from agent.outcome import Outcomes, transcript
from agent.session.pages import document

STREAM = "-"


async def run(directory: Path, wanted: str, *, here: Path, patch: str, folder: Path | None) -> Exit:
    """Write what came home from a session to a new file, to a new folder or to the output.

    `here` is where a patch goes whose name says no more.

    Raises `UserError` where something is already.
    """
    outcomes = await Outcomes.of(directory)
    session = outcomes.find(wanted)
    if folder is not None:
        made = await outcomes.folder(session, folder)
        for line in made.left_out:
            print(terminal_safe(f"! left out: {line}"), file=sys.stderr)
        print(terminal_safe(f"{made.files} files in {folder}"))
        return Exit.DONE
    if patch == STREAM and is_terminal(STDOUT):
        raise UserError(
            "a patch is not made to be shown on a terminal",
            f"`glovebox diff {wanted}` shows it; `--patch FILE` writes it",
        )
    data = await outcomes.patch(session)
    if patch == STREAM:
        write_all(STDOUT, data)
        return Exit.DONE
    target = here / (patch or f"glovebox-{session.number}.patch")
    if not disk.write_once(target, data):
        raise UserError(f"`{target}` exists", "name another file with `--patch FILE`")
    print(terminal_safe(f"{target}: `git apply` or `patch -p1` takes it"))
    return Exit.DONE


async def write_transcript(directory: Path, wanted: str, target: Path) -> Exit:
    """Write a session's conversation, secrets masked; what it is written as, the ending says.

    Raises `UserError` where something is already.
    """
    outcomes = await Outcomes.of(directory)
    session = outcomes.find(wanted)
    data = document(transcript(session), target.suffix)
    if not disk.write_once(target, data):
        raise UserError(f"`{target}` exists", "name another file")
    print(terminal_safe(f"{target}: {len(session.state.history.messages)} messages"))
    print("· what looks like a key was masked; look through it before you give it to others")
    return Exit.DONE
