"""What was typed at the prompt before: one JSON string a line, private, oldest first."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable
from pathlib import Path

import msgspec
from prompt_toolkit.history import History

from agent.core.errors import HostError
from agent.host import files

KEPT = 1_000
_MAX_BYTES = 50_000_000


class PromptHistory(History):
    """Kept in the file at `path`, which is cut to its newest `KEPT` lines now and then.

    A line that begins with a space is not written down.
    """

    def __init__(self, path: Path) -> None:
        super().__init__()
        self._path = path

    def load_history_strings(self) -> Iterable[str]:
        """The entries, newest first; lines that a crash left torn are skipped."""
        if not files.exists(self._path):
            return []
        rows = files.read_bytes(self._path, limit=_MAX_BYTES).splitlines()
        if len(rows) > 2 * KEPT:
            rows = rows[-KEPT:]
            files.write_whole(self._path, b"".join(row + b"\n" for row in rows))
        return [text for row in reversed(rows) if (text := _decoded(row))]

    def store_string(self, string: str) -> None:
        if string.startswith(" "):
            return
        with contextlib.suppress(HostError):  # a full disk is told of by the session's journal
            file = files.AppendFile(self._path)
            try:
                file.append(msgspec.json.encode(string.encode("utf-8", "replace").decode()) + b"\n")
            finally:
                file.close()


def _decoded(row: bytes) -> str:
    try:
        return msgspec.json.decode(row, type=str)
    except msgspec.MsgspecError:
        return ""
