"""Whole files in and out, as bytes."""

from __future__ import annotations

import os
import stat
from typing import Any, Dict, Optional

from agent.toolbox.channel.jobs import Job, Reply
from agent.toolbox.files import paths

PIECE_BYTES = 262_144


class Put(Job):
    """Write a file from the bytes that arrive."""

    def __init__(self, reply: Reply, arguments: Dict[str, Any], limits: Dict[str, Any]) -> None:
        super().__init__(reply, arguments, limits)
        self._path = paths.absolute(arguments["path"], limits["workdir"])
        self._problem: Optional[OSError] = None
        self._new: Optional[paths.Replacement] = None
        try:
            require_replaceable(self._path)
            self._new = paths.Replacement(self._path)
        except OSError as error:
            self._problem = error

    def data(self, piece: bytes) -> None:
        if self._new is None or self._problem is not None:
            return
        try:
            self._new.file.write(piece)
        except OSError as error:
            self._problem = error

    def run(self) -> None:
        try:
            if self._problem is not None or self._new is None:
                raise self._problem or OSError(0, "cancelled")
            self._new.commit(self.arguments["mode"] & 0o777)
        except OSError as error:
            self.kill()
            self.reply.answer(paths.refused(self._path, error))
        else:
            self.reply.answer({"ok": True, "path": self._path})

    def kill(self) -> None:
        if self._new is not None:
            self._new.discard()


class Get(Job):
    """Send the bytes of a regular file, up to a limit on bytes read, not on what it claims."""

    def __init__(self, reply: Reply, arguments: Dict[str, Any], limits: Dict[str, Any]) -> None:
        super().__init__(reply, arguments, limits)
        self._cancelled = False
        self.start()

    def cancel(self) -> None:
        self._cancelled = True

    def run(self) -> None:
        path = paths.absolute(self.arguments["path"], self.limits["workdir"])
        try:
            descriptor = open_regular(path)
            try:
                self.reply.answer(self._send(path, descriptor))
            finally:
                os.close(descriptor)
        except FileNotFoundError:
            self.reply.answer(paths.refusal(path, "absent"))
        except OSError as error:
            self.reply.answer(paths.refused(path, error))

    def _send(self, path: str, descriptor: int) -> Dict[str, Any]:
        limit, sent = self.arguments["limit"], 0
        if os.fstat(descriptor).st_size > limit:
            return paths.refusal(path, "too_large", size=os.fstat(descriptor).st_size)
        while not self._cancelled:
            piece = os.read(descriptor, min(PIECE_BYTES, limit - sent + 1))
            if not piece:
                return {"ok": True, "path": path, "size": sent}
            sent += len(piece)
            if sent > limit:
                return paths.refusal(path, "too_large", size=sent)
            self.reply.data(piece)
        return paths.refusal(path, "cancelled")


def require_replaceable(path: str) -> None:
    """Raise OSError when something other than a regular file is at `path`."""
    status = paths.stat_of(path)
    if status is not None and not stat.S_ISREG(status.st_mode):
        raise OSError(0, "not a regular file")


def open_regular(path: str) -> int:
    """Open a regular file for reading. Never blocks: a FIFO or device raises OSError."""
    descriptor = os.open(
        paths.possible(path), os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC
    )
    mode = os.fstat(descriptor).st_mode
    if not stat.S_ISREG(mode):
        os.close(descriptor)
        if stat.S_ISDIR(mode):
            raise IsADirectoryError(21, "Is a directory")
        raise OSError(0, "not a regular file but a " + paths.kind_of(mode))
    return descriptor
