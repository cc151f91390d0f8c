"""Files under change: what one request makes of them, put in place together at its end."""

from __future__ import annotations

import contextlib
import os
import stat
from typing import Any, Dict, Generator, List, Mapping, Optional, Sequence

from agent.toolbox.changes import records, swap
from agent.toolbox.changes.hunks import Splice
from agent.toolbox.files import paths, text
from agent.toolbox.files import read as files
from agent.toolbox.files.paths import Answer, refusal, refused
from agent.toolbox.files.text import Text


@contextlib.contextmanager
def alone(limits: Dict[str, Any]) -> Generator[None, None, None]:
    """Nobody else here changes files meanwhile; first, what a killed one left is undone."""
    with files.changing:
        records.recover(limits["workdir"])
        yield


class Refused(Exception):
    """The request cannot be done as asked; `answer` says why."""

    def __init__(self, answer: Answer) -> None:
        super().__init__(answer["reason"])
        self.answer = answer


class Draft:
    """One file: what it has, and what it is to have. `text` None: it is to go."""

    def __init__(
        self, path: str, real: str, before: Optional[bytes], content: Optional[Text]
    ) -> None:
        self.path = path
        self.real = real
        self.before = before
        self.raw = before if content is None else None  # it is no text: only to be moved or to go
        self.content = content or Text("", "utf-8", False)
        self.text: Optional[str] = None if before is None else self.content.text
        self.mode = -1
        self.origin = ""  # where it was moved from
        self.source = before  # what it was made from, here or where it was moved from
        self.replaced = 0
        self.steps: List[str] = []  # how places were found that were not as written
        self.after = before

    def lines(self) -> List[str]:
        return text.lines_of(self.text or "")

    def splice(self, splices: Sequence[Splice], newline: Optional[bool] = None) -> None:
        """Replace lines. All others keep their endings; `newline` says how the file shall end."""
        self.text = spliced(self.text or "", splices, newline)
        if self.content.bom and self.text.startswith("\ufeff"):
            self.text = self.text[1:]  # the file has it already

    def encode(self) -> None:
        """Settle what bytes it is to have. Raises `Refused`."""
        try:
            whole = self.raw if self.raw is not None else self.content.encode(self.text or "")
            self.after = None if self.text is None else whole
        except UnicodeEncodeError as error:
            raise Refused(refusal(self.path, "encoding", why=text.unencodable(error))) from error


class Drafts:
    """The files that one request touches, by where they really are."""

    def __init__(self, limits: Dict[str, Any], seen: Mapping[str, str]) -> None:
        self.limits = limits
        self._seen = seen
        self._drafts: Dict[str, Draft] = {}

    def __iter__(self) -> Any:
        return iter(self._drafts.values())

    def has(self, path: str) -> bool:
        """Whether there is such a file, as far as the request has come."""
        path = paths.absolute(path, self.limits["workdir"])
        draft = self._drafts.get(_real(path))
        return os.path.lexists(path) if draft is None else draft.text is not None

    def open(self, path: str, *, raw: bool = False) -> Draft:
        """A file that exists, and is text unless `raw` is enough. Raises `Refused`."""
        path = paths.absolute(path, self.limits["workdir"])
        real = _real(path)
        draft = self._drafts.get(real)
        if draft is not None and draft.text is None:
            raise Refused(refusal(path, "absent", nearest=[]))
        if draft is None:
            draft = self._drafts[real] = self._loaded(path, real)
        if draft.raw is not None and not raw:
            what = {"kind": text.kind(draft.raw), "size": len(draft.raw)}
            raise Refused(refusal(path, "binary", **what))
        return draft

    def create(self, path: str, content: str, *, mode: int = -1) -> Draft:
        """A new file, or one that the model has seen as it is and wants replaced. May refuse."""
        path = paths.absolute(path, self.limits["workdir"])
        real = _real(path)
        draft = self._drafts.get(real)
        if draft is None:
            draft = self._drafts[real] = self._new(path, real)
        elif draft.text is not None:
            raise Refused(refusal(path, "twice"))
        if draft.content.newline == "\r\n" and "\r\n" not in content:
            content = content.replace("\n", "\r\n")
        try:
            draft.content.encode(content)
        except UnicodeEncodeError:
            draft.content = Text("", "utf-8", False)
        draft.text, draft.mode, draft.raw = content, mode, None
        return draft

    def delete(self, path: str) -> Draft:
        """A file that is to go; of a symbolic link the link alone. Raises `Refused`."""
        path = paths.absolute(path, self.limits["workdir"])
        if _is_link(path):
            real = _real(os.path.dirname(path)) + "/" + os.path.basename(path)
            target = os.fsencode(os.readlink(path))
            draft = self._drafts[real] = Draft(path, real, target, None)
        else:
            draft = self.open(path, raw=True)
        draft.text = None
        return draft

    def move(self, name: str, to: str) -> Draft:
        """The file `name` under another name, where no file may be. Raises `Refused`."""
        draft = self.open(name, raw=True)
        path = paths.absolute(to, self.limits["workdir"])
        real = _real(path)
        if real == draft.real:
            return draft
        if _is_link(paths.absolute(name, self.limits["workdir"])):
            raise Refused(refusal(paths.absolute(name, self.limits["workdir"]), "link"))
        other = self._drafts.get(real)
        if other.text is not None if other else os.path.lexists(path):
            raise Refused(refusal(path, "exists"))
        if other is None:
            other = self._drafts[real] = Draft(path, real, None, None)
        other.content, other.text, other.raw = draft.content, draft.text, draft.raw
        other.origin, other.source = draft.path, draft.source
        other.replaced, other.steps = draft.replaced, draft.steps
        other.mode = draft.mode if draft.mode >= 0 else _mode(draft.real)
        draft.text, draft.mode = None, -1
        return other

    def commit(self) -> None:
        """Put all in place, or nothing. Raises `Refused`."""
        for draft in self:
            draft.encode()
        changes = [
            swap.Change(draft.real, draft.before, draft.after, draft.mode)
            for draft in self
            if draft.before != draft.after or (draft.mode >= 0 and draft.mode != _mode(draft.real))
        ]
        names = {draft.real: draft.path for draft in self}
        try:
            if changes:
                swap.swap(changes, self.limits["workdir"])
        except swap.Interfered as error:
            raise Refused(refusal(names[error.path], "stale")) from error
        except swap.Failed as error:
            raise Refused(refused(names[error.path], error.error)) from error
        except swap.Torn as error:
            left = [names[path] for path in error.paths]
            raise Refused(refusal(left[0], "torn", entries=left)) from error

    def _loaded(self, path: str, real: str) -> Draft:
        data, problem = files.load(path, self.limits)
        if data is None:
            raise Refused(problem)
        if self._seen.get(path, files.digest(data)) != files.digest(data):
            raise Refused(refusal(path, "stale", hash=files.digest(data)))
        return Draft(path, real, data, text.decode(data))

    def _new(self, path: str, real: str) -> Draft:
        data, problem = files.load(path, self.limits)
        if data is None and problem["reason"] not in ("absent", "too_large"):
            raise Refused(problem)
        if data is None and problem["reason"] == "absent":
            return Draft(path, real, None, None)
        seen = self._seen.get(path)
        if data is None or seen != files.digest(data):
            raise Refused(refusal(path, "unread" if seen is None else "stale"))
        return Draft(path, real, data, text.decode(data))


def spliced(source: str, splices: Sequence[Splice], newline: Optional[bool] = None) -> str:
    """`source` with lines replaced; new lines end like those around them."""
    lines = source.split("\n")
    ended = lines[-1] == ""
    ends = ["\r\n" if line.endswith("\r") else "\n" for line in lines[:-1]]
    lines = [line[: -1 if end == "\r\n" else None] for line, end in zip(lines, ends)] + lines[-1:]
    if ended:
        lines.pop()
    else:
        ends.append(ends[-1] if ends else "\n")
    # From the end, so that places stay what they are; of two insertions the later one first.
    for splice in sorted(splices, key=lambda splice: splice[:2])[::-1]:
        before = max(0, splice.start - 1)
        near = [*ends[splice.start : splice.end], *ends[before : splice.start + 1], "\n"]
        added = [line[:-1] if _doubled(line, near[0]) else line for line in splice.lines]
        lines[splice.start : splice.end] = added
        ends[splice.start : splice.end] = near[:1] * len(splice.lines)
    if not lines:
        return ""
    if not (ended if newline is None else newline):
        ends[-1] = ""
    return "".join(line + end for line, end in zip(lines, ends))


def _doubled(line: str, end: str) -> bool:
    """Whether a line has brought a part of its end with it."""
    return end == "\r\n" and line.endswith("\r")


def _real(path: str) -> str:
    try:
        return os.path.realpath(paths.possible(path))
    except OSError as error:
        raise Refused(refused(path, error)) from error


def _is_link(path: str) -> bool:
    try:
        return os.path.islink(path)
    except ValueError:
        return False


def _mode(real: str) -> int:
    try:
        return stat.S_IMODE(os.stat(real).st_mode)
    except OSError:
        return swap.NEW_MODE
