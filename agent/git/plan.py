"""Which files of a working tree go in, and why the others do not: decisions only, no git.

A file that was committed is the user's decision. One that was not has to pass: no name of a secret,
no key or token in it, not too large, no filter that it needs.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from agent.core.text import one_line
from agent.git.keys import LOOK_BYTES, holds_key
from agent.git.rules import INCLUDE_FILE, Rules
from agent.git.secrets import looks_secret
from agent.host import disk, files

GITLINK = b"160000"
NEW = b"000000"
KEY = "holds a key or a token"


def shown(name: bytes) -> str:
    """A file name for people: one printable line."""
    return one_line(name.decode("utf-8", "replace"), 200)


@dataclass(slots=True)
class Index:
    """What git knows of the files. `staged` maps what differs from HEAD to its mode and id there,
    whose mode is `NEW` for what HEAD has not."""

    gitlinks: dict[bytes, bytes] = field(default_factory=dict[bytes, bytes])
    unmerged: dict[bytes, dict[bytes, bytes]] = field(
        default_factory=dict[bytes, dict[bytes, bytes]]
    )  # path to stage to mode and id
    staged: dict[bytes, bytes] = field(default_factory=dict[bytes, bytes])
    attributes: bool = False  # whether a file of attributes is tracked

    def is_new(self, name: bytes) -> bool:
        """Whether a path is in the index and not in HEAD."""
        return self.staged.get(name, b"").startswith(NEW)


@dataclass(slots=True)
class Plan:
    """What to take out of the index copy, put in, pin to an entry and leave behind.

    `include` are ignored files to carry; `size` adds up what is put in. `filters` are the paths
    that need a program of the user's, `keys` those in which a key is new.
    """

    rules: Rules
    root: Path
    index: Index
    filters: Mapping[bytes, str] = field(default_factory=dict[bytes, str])
    keys: frozenset[bytes] = frozenset()
    size: int = 0
    remove: list[bytes] = field(default_factory=list[bytes])
    add: list[bytes] = field(default_factory=list[bytes])
    include: list[bytes] = field(default_factory=list[bytes])
    pin: list[tuple[bytes, bytes]] = field(default_factory=list[tuple[bytes, bytes]])
    left_out: list[str] = field(default_factory=list[str])

    def leave(self, name: bytes, why: str) -> None:
        self.left_out.append(f"`{shown(name)}`: {why}")

    def changed(self, name: bytes) -> None:
        """A tracked path whose file is not what the index says."""
        stages = self.index.unmerged.get(name)
        if stages and any(entry.startswith(GITLINK) for entry in stages.values()):
            self.remove.append(name)
            if ours := stages.get(b"2"):
                self.pin.append((ours, name))
            self.leave(name, "a submodule in conflict; our side's commit is carried")
            return
        found = disk.look(self.root, name)
        if found.kind in ("absent", "dir", "other"):
            self.remove.append(name)
            if found.kind == "other":
                self.leave(name, "not a regular file any more")
            elif disk.look(self.root, name + b"/.git").kind != "absent":
                self.leave(name, "a git repository of its own now")
        elif why := self._doubt(name):
            self._put_back(name, why)
        elif why := self._refusal(name, found):
            if stages or (self.index.is_new(name) and found.size > self.rules.file_max):
                self.remove.append(name)
                self.leave(name, f"{why}; nothing is carried")
            else:
                self.leave(name, f"{why}; what git has staged is carried")
        else:
            self._take(self.add, name, found)
            if stages:
                self.leave(
                    name, "in conflict; the text in the working tree is carried, the sides not"
                )

    def staged(self, name: bytes) -> None:
        """A path whose file is what the index says, and not what HEAD says."""
        if why := self._doubt(name):
            self._put_back(name, why)
        elif self.index.is_new(name):
            size = disk.look(self.root, name).size
            if size > self.rules.file_max:
                self._put_back(name, f"{size} bytes, more than {self.rules.file_max}")

    def untracked(self, name: bytes, into: list[bytes]) -> None:
        """A path that git does not know; it goes `into` one of our lists, or not."""
        if name.endswith(b"/"):
            self.leave(name, "a git repository of its own")
            return
        found = disk.look(self.root, name)
        if looks_secret(name) and not self.rules.lets_in(name):
            self.leave(name, "untracked and looks like a secret")
        elif name in self.keys:
            self.leave(name, KEY)
        elif into is self.include and b"\n" in name:
            self.leave(name, f"a name that `{INCLUDE_FILE}` cannot carry")
        elif why := self._refusal(name, found):
            self.leave(name, why)
        elif found.kind in ("file", "link"):
            self._take(into, name, found)

    def holding_keys(self, names: tuple[bytes, ...]) -> frozenset[bytes]:
        """The files that hold a key or token and that nobody said may go in. Reads them all."""
        return frozenset(name for name in names if self._holds_key(name))

    def _holds_key(self, name: bytes) -> bool:
        found = disk.look(self.root, name)
        if found.kind != "file" or found.size > self.rules.file_max or self.rules.lets_in(name):
            return False
        place = self.root / name.decode("utf-8", "surrogateescape")
        return holds_key(files.read_head(place, LOOK_BYTES))

    def _doubt(self, name: bytes) -> str:
        """Why a tracked path may not go in as it is; it may be on its way into a commit."""
        if self.index.is_new(name) and looks_secret(name) and not self.rules.lets_in(name):
            return "not committed and looks like a secret"
        return KEY if name in self.keys else ""

    def _put_back(self, name: bytes, why: str) -> None:
        """Carry a tracked path as it is in HEAD, whatever is staged."""
        entry = self.index.staged.get(name, b"")
        if name in self.index.unmerged or entry.startswith(NEW):
            self.remove.append(name)
            self.leave(name, f"{why}; nothing is carried")
            return
        if entry:
            self.pin.append((entry, name))
        self.leave(name, f"{why}; what is committed is carried")

    def _refusal(self, name: bytes, found: disk.Found) -> str:
        if driver := self.filters.get(name):
            return f"needs the filter `{one_line(driver)}`, which is not run"
        if found.size > self.rules.file_max:
            return f"{found.size} bytes, more than {self.rules.file_max}"
        if self.size + found.size > self.rules.total_max:
            return f"the uncommitted work is more than {self.rules.total_max} bytes without it"
        return "" if found.readable else "not readable"

    def _take(self, into: list[bytes], name: bytes, found: disk.Found) -> None:
        into.append(name)
        self.size += found.size
