"""The toolbox operations `read`, `write` and `edit`, as far as a test of the loop needs them."""

from __future__ import annotations

import hashlib
import posixpath
from collections.abc import Callable, Mapping
from typing import Any

from agent.core.errors import ToolboxError
from agent.testing.memory.files import WORKDIR, Files

Answer = dict[str, Any]


class MemoryToolbox:
    """See `protocol.Toolbox`; `files` gives the files, or raises that they are lost."""

    def __init__(self, files: Callable[[], Files]) -> None:
        self._files = files

    async def call(self, op: str, **arguments: Any) -> Answer:
        files = self._files()
        path = posixpath.normpath(posixpath.join(WORKDIR, arguments.get("path", ".")))
        try:
            match op:
                case "read":
                    return _read(files, path)
                case "write":
                    return _write(files, path, arguments)
                case "edit":
                    return _edit(files, path, arguments)
                case _:
                    raise ToolboxError(f"the sandbox in memory has no operation `{op}`")
        except FileNotFoundError:
            return _refused(path, "absent", nearest=[])
        except IsADirectoryError:
            return _refused(path, "directory", entries=files.names(path))
        except OSError:
            return _refused(path, "denied")


def _read(files: Files, path: str) -> Answer:
    data = files.read(path)
    lines = data.decode().splitlines()
    return {
        "ok": True, "path": path, "hash": _hash(data), "size": len(data),
        "text": "\n".join(lines), "first": 1, "last": len(lines), "total": len(lines),
        "encoding": "utf-8", "newline": "\n", "bom": False, "cut": "", "long_lines": [],
    }  # fmt: skip


def _write(files: Files, path: str, arguments: Mapping[str, Any]) -> Answer:
    data = arguments["text"].encode()
    files.make_folders(posixpath.dirname(path))
    files.write(path, data)
    size = {"lines": arguments["text"].count("\n"), "bytes": len(data)}
    return _changed(path, data) | {"created": True} | size


def _edit(files: Files, path: str, arguments: Mapping[str, Any]) -> Answer:
    text, old, new = files.read(path).decode(), arguments["old"], arguments["new"]
    found = text.count(old)
    if found == 0:
        return _refused(path, "not_found", nearest=[])
    if found > 1 and not arguments.get("all"):
        return _refused(path, "ambiguous", count=found, lines=[])
    data = text.replace(old, new).encode()
    files.write(path, data)
    first = text[: text.index(old)].count("\n") + 1
    place = {"first": first, "last": first + new.count("\n"), "text": new}
    return _changed(path, data) | {"replaced": found} | place


def _refused(path: str, reason: str, **more: Any) -> Answer:
    return {"ok": False, "reason": reason, "path": path, **more}


def _changed(path: str, data: bytes) -> Answer:
    return {"ok": True, "path": path, "hash": _hash(data), "diff": ""}


def _hash(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()
