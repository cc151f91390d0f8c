"""`read`, `write`, `edit`, `ls`, `glob` and `grep` by what a shell and git can tell.

The same answers as the toolbox's, as far as they go: text is UTF-8 or latin-1, nothing is known of
scopes, and names with a line feed in them are not seen. Whatever else is asked raises
`SandboxLacks`, or is answered with a plain no where nobody waits for it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Awaitable, Callable
from posixpath import join, normpath
from typing import Any, Protocol

from agent.core import limits
from agent.core.errors import SandboxError, SandboxLacks
from agent.sandbox.plain import search
from agent.sandbox.plain.notes import notes
from agent.sandbox.plain.shell import Shell, told

BEHIND = frozenset({"map", "index", "grammars"})
"""What is asked for behind everything else, by nobody who could be told."""
REASONS = {3: "absent", 4: "directory", 5: "special", 6: "denied", 7: "too_large"}

_BOM = b"\xef\xbb\xbf"
_LOAD = """
[ -e "$1" ] || exit 3
[ ! -d "$1" ] || exit 4
[ -f "$1" ] || exit 5
[ -r "$1" ] || exit 6
size=$(wc -c <"$1")
[ "$size" -le "$2" ] || { echo "$size"; exit 7; }
exec cat "$1"
"""

Answer = dict[str, Any]


class Put(Protocol):
    """Writes a file; see `protocol.Sandbox.put`."""

    def __call__(self, path: str, data: bytes, *, mode: int = ...) -> Awaitable[None]: ...


class PlainToolbox:
    """See `protocol.Toolbox`."""

    def __init__(self, shell: Shell, workdir: str, put: Put) -> None:
        self._shell = shell
        self._workdir = workdir
        self._put = put
        self._operations: dict[str, Callable[[str, Answer], Awaitable[Answer]]] = {
            "read": self._read,
            "write": self._write,
            "edit": self._edit,
            "ls": self._ls,
            "glob": self._glob,
            "grep": self._grep,
            "notes": self._notes,
            "paths": self._paths,
        }

    async def call(self, op: str, **arguments: Any) -> Answer:
        operation = self._operations.get(op)
        if operation is not None:
            path = normpath(join(self._workdir, str(arguments.get("path") or ".")))
            if "\0" in path:
                return {"ok": False, "reason": "denied", "path": path, "why": "Invalid argument"}
            return await operation(path, arguments)
        if op in BEHIND:
            return {"ok": False, "reason": "no_python"}
        raise SandboxLacks(f"`{op}` needs Python inside the sandbox, and there is none it can use")

    async def _notes(self, path: str, arguments: Answer) -> Answer:
        return await notes(self._shell, path, arguments)

    async def _paths(self, path: str, arguments: Answer) -> Answer:
        return await search.everything(self._shell, path, int(arguments["most"]))

    async def _load(self, path: str) -> tuple[bytes | None, Answer]:
        """The bytes of a file, or None and why not."""
        code, said = await told(
            self._shell, _LOAD, path, str(limits.FILE_MAX_BYTES), limit=limits.FILE_MAX_BYTES
        )
        if code == 0:
            return said, {}
        refusal: Answer = {"ok": False, "reason": REASONS.get(code, "denied"), "path": path}
        if code == 7 and said.strip().isdigit():
            refusal["size"] = int(said)
        if code == 6:
            refusal["why"] = "Permission denied"
        return None, refusal

    async def _read(self, path: str, arguments: Answer) -> Answer:
        data, problem = await self._load(path)
        if data is None:
            return problem
        if b"\0" in data[:8000]:
            return {
                "ok": False,
                "reason": "binary",
                "path": path,
                "kind": "data",
                "size": len(data),
            }
        text, encoding = _decoded(data)
        crlf = text.count("\r\n")
        newline = "\n" if not crlf else "\r\n" if crlf == text.count("\n") else "mixed"
        lines = text.replace("\r\n", "\n").split("\n") if newline == "\r\n" else text.split("\n")
        if lines[-1] == "":
            lines.pop()
        first = max(1, int(arguments.get("offset", 1)))
        if first > max(1, len(lines)):
            return {"ok": False, "reason": "past_end", "path": path, "total": len(lines)}
        page, long_lines = _page(lines, first, arguments)
        more = first - 1 + len(page) < len(lines)
        return {
            "ok": True,
            "path": path,
            "hash": hashlib.sha256(data).hexdigest(),
            "size": len(data),
            "text": "\n".join(page),
            "first": first if page else 0,
            "last": first + len(page) - 1 if page else 0,
            "total": len(lines),
            "encoding": encoding,
            "newline": newline,
            "cut": "lines" if more else "",
            "long_lines": long_lines,
        }

    async def _write(self, path: str, arguments: Answer) -> Answer:
        before, problem = await self._load(path)
        seen = arguments.get("hash")
        if before is None and problem["reason"] != "absent":
            return problem
        if before is not None and seen != hashlib.sha256(before).hexdigest():
            reason = "unread" if seen is None else "stale"
            return {"ok": False, "reason": reason, "path": path}
        text = str(arguments["text"])
        if before and b"\r\n" in before and b"\n" not in before.replace(b"\r\n", b""):
            text = text.replace("\r\n", "\n").replace("\n", "\r\n")
        data = text.encode("utf-8", "surrogateescape")
        size = {"lines": len(text.splitlines()), "bytes": len(data)}
        return await self._replaced(path, data, created=before is None, **size)

    async def _edit(self, path: str, arguments: Answer) -> Answer:
        """Exact and literal, in one place or with `all` in every one."""
        old, new = str(arguments["old"]), str(arguments["new"])
        data, problem = await self._load(path)
        if data is None:
            return problem
        if arguments.get("hash") not in (None, hashlib.sha256(data).hexdigest()):
            return {"ok": False, "reason": "stale", "path": path}
        text, encoding = _decoded(data)
        found = text.count(old) if old else 0
        if not old or old == new or not found:
            reason = "empty_old" if not old else "same" if old == new else "not_found"
            return {"ok": False, "reason": reason, "path": path}
        if found > 1 and not arguments.get("all"):
            lines = [number for number, line in enumerate(text.split("\n"), 1) if old in line]
            more = {"count": found, "lines": lines[:50]}
            return {"ok": False, "reason": "ambiguous", "path": path, **more}
        first = text[: text.index(old)].count("\n") + 1
        after = text.replace(old, new)
        try:
            changed = after.encode(encoding)
        except UnicodeEncodeError as error:
            return {"ok": False, "reason": "encoding", "path": path, "why": error.reason}
        if data.startswith(_BOM):
            changed = _BOM + changed
        shown = after.split("\n")[first - 1 : first + new.count("\n")]
        place = {"first": first, "last": first + len(shown) - 1, "text": "\n".join(shown)}
        return await self._replaced(path, changed, replaced=found, **place)

    async def _replaced(self, path: str, data: bytes, **told: Any) -> Answer:
        try:
            await self._put(path, data)
        except SandboxError as error:
            why = error.message.rpartition(": ")[2]
            return {"ok": False, "reason": "denied", "path": path, "why": why}
        digest = hashlib.sha256(data).hexdigest()
        return {"ok": True, "path": path, "hash": digest, "diff": "", **told}

    async def _ls(self, path: str, arguments: Answer) -> Answer:
        return await search.ls(self._shell, path, int(arguments.get("depth", 1)))

    async def _glob(self, path: str, arguments: Answer) -> Answer:
        return await search.glob(self._shell, self._below(path), path, arguments)

    async def _grep(self, path: str, arguments: Answer) -> Answer:
        return await search.grep(self._shell, self._below(path), path, arguments)

    def _below(self, path: str) -> str:
        """What stands before the names of files in `path`, as seen from the work directory."""
        if path == self._workdir:
            return ""
        return f"{path.removeprefix(f'{self._workdir}/')}/"


def _decoded(data: bytes) -> tuple[str, str]:
    try:
        return data.removeprefix(_BOM).decode("utf-8"), "utf-8"
    except UnicodeDecodeError:
        return data.decode("latin-1"), "latin-1"


def _page(lines: list[str], first: int, arguments: Answer) -> tuple[list[str], list[int]]:
    """The lines that fit, and which of them were cut."""
    wanted = min(max(1, int(arguments.get("limit", limits.READ_MAX_LINES))), limits.READ_MAX_LINES)
    room = min(limits.READ_MAX_BYTES, int(arguments.get("bytes", limits.READ_MAX_BYTES)))
    page: list[str] = []
    long_lines: list[int] = []
    for number, line in enumerate(lines[first - 1 : first - 1 + wanted], first):
        shown = line[: limits.LINE_MAX_CHARS]
        room -= len(shown.encode("utf-8", "surrogatepass")) + 1
        if room < 0 and page:
            break
        if len(shown) < len(line):
            long_lines.append(number)
        page.append(shown)
    return page, long_lines
