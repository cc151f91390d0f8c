"""Where the work of one mirror is on its way home, written down before and after every step.

A line is the whole of it, so the last whole line is the truth and a torn one after it is no loss.
It lies in the repository, `<common dir>/glovebox/mirrors/<name>/`, beside the refs it speaks of.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Literal

import msgspec

from agent.core.errors import SyncError, UserError
from agent.host import files

Step = Literal["clean", "committed", "bundled", "carried", "verified", "mirrored"]
"""What was reached last; docs/git.md says what each promises and how it is taken up again."""

_LINES_MAX_BYTES = 200_000
_WAIT_SECONDS, _LOOK_SECONDS = 120.0, 0.02


class Position(msgspec.Struct, frozen=True, omit_defaults=True):
    """How far the work has come.

    `base` was seeded, for a branch that is `wanted`. `tip` is the newest commit that is here and
    checked. `since` and `new` are the two ends of what is under way, or was last. `value` is what
    we last put on `branch`. `held` are new files that stayed inside. `problem` is why the last
    attempt ended early, `hint` the next step.
    """

    step: Step = "clean"
    base: str = ""
    wanted: str = ""
    tip: str = ""
    since: str = ""
    new: str = ""
    branch: str = ""
    value: str = ""
    notes: tuple[str, ...] = ()
    held: tuple[str, ...] = ()
    problem: str = ""
    hint: str = ""


class Journal:
    """The journal of one mirror, held by this process alone; get one from `held`."""

    def __init__(self, place: Path) -> None:
        self.bundle = place / "bundle"
        self._place = place
        self.at = read(place)
        path = _file(place)
        if len(files.read_head(path, _LINES_MAX_BYTES + 1)) > _LINES_MAX_BYTES:
            files.write_whole(path, _line(self.at))
        torn = files.exists(path) and not files.read_bytes(path).endswith(b"\n")
        self._file = files.AppendFile(path)
        if torn:
            self._file.append(b"\n")

    def note(self, step: Step, **changes: Any) -> Position:
        """Write down that `step` was reached, with what else changed; on the disk on return."""
        changes = {"problem": "", "hint": ""} | changes
        self.at = msgspec.structs.replace(self.at, step=step, **changes)
        self._file.append(_line(self.at))
        self._file.flush()
        return self.at

    def forget(self) -> None:
        """Remove it; the mirror is no more."""
        files.remove_tree(self._place)

    def close(self) -> None:
        self._file.close()


def place_of(common_dir: Path, name: str) -> Path:
    """Where the journal of the mirror `name` lies. Raises `UserError` for an impossible name."""
    if not re.fullmatch(r"[a-z0-9][a-z0-9-]{0,63}", name):
        raise UserError(f"`{name}` cannot name a mirror", "use the characters a-z, 0-9 and -")
    return common_dir / "glovebox" / "mirrors" / name


def read(place: Path) -> Position:
    """The position written down last; that of a new mirror where there is none."""
    path = _file(place)
    if not files.exists(path):
        return Position()
    for line in reversed(files.read_bytes(path, limit=10 * _LINES_MAX_BYTES).split(b"\n")):
        if line:
            try:
                return msgspec.json.decode(line, type=Position)
            except msgspec.DecodeError:
                continue  # torn by a crash: the one before it counts
    return Position()


@asynccontextmanager
async def held(place: Path) -> AsyncGenerator[Journal]:
    """The journal at `place`, once no other process has it. Raises `SyncError` after a while."""
    repository = place.parents[2]
    if not files.exists(repository / "HEAD"):  # nothing of it is to be made again at its old place
        raise SyncError(
            f"the repository is not at `{repository}` any more",
            "nothing is lost inside; move it back, or go on with `--continue` where it is now",
        )
    lock = files.FileLock(place / "lock")
    try:
        async with asyncio.timeout(_WAIT_SECONDS):
            while not lock.acquire():  # noqa: ASYNC110 - the kernel tells nobody
                await asyncio.sleep(_LOOK_SECONDS)
    except TimeoutError as error:
        raise SyncError(
            "another process is syncing the same work", "wait until it is done, then sync again"
        ) from error
    try:
        journal = Journal(place)
        try:
            yield journal
        finally:
            journal.close()
    finally:
        lock.release()


def _file(place: Path) -> Path:
    return place / "journal.jsonl"


def _line(at: Position) -> bytes:
    return msgspec.json.encode(at) + b"\n"
