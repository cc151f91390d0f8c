"""A walk over a folder that ends: no link is followed, every count is bounded."""

from __future__ import annotations

import os
import time
from typing import Iterator, List, NamedTuple, Sequence, Tuple

from agent.toolbox.search.ignore import Rules, ignored, rules_above, rules_of

OWN_FOLDERS = frozenset((".git", ".hg", ".svn", ".jj"))
"""What version control keeps for itself: never anybody's files."""

DEPTH_MAX = 200


class Found(NamedTuple):
    """A file or a link below the folder walked: its path from there."""

    path: str
    link: bool


class _Folder(NamedTuple):
    path: str  # from the root, "" or ending in a slash
    parts: Tuple[str, ...]  # from where the rules above the root start
    rules: Tuple[Rules, ...]


def walk(root: str, *, hidden: bool, everything: bool, until: float) -> Iterator[Found]:
    """Files and links below `root`, a folder's own before those of the folders in it.

    `everything` takes no notice of ignore files. What cannot be read is left out; at the time
    `until` (monotonic) the walk stops by raising TimeoutError.
    """
    rules, parts = ([], []) if everything else rules_above(root)
    waiting = [_Folder("", tuple(parts), tuple(rules))]
    while waiting:
        if time.monotonic() > until:
            raise TimeoutError
        folder = waiting.pop()
        if not everything:
            depth = len(folder.parts)
            own = rules_of(os.path.join(root, folder.path, ".gitignore"), depth)
            if own:
                folder = folder._replace(rules=(*folder.rules, own))
        inner: List[_Folder] = []
        for entry in _entries(os.path.join(root, folder.path)):
            kind = _kind(entry)
            if not kind or (entry.name.startswith(".") and not hidden):
                continue
            below = (*folder.parts, entry.name)
            if entry.name in OWN_FOLDERS:
                continue  # a file of such a name says where the folder is
            if not everything and ignored(below, kind == "folder", folder.rules):
                continue
            if kind == "folder":
                if len(below) <= DEPTH_MAX:
                    inner.append(_Folder(folder.path + entry.name + "/", below, folder.rules))
            else:
                yield Found(folder.path + entry.name, kind == "link")
        waiting.extend(reversed(inner))


def _entries(path: str) -> Sequence[os.DirEntry[str]]:
    try:
        with os.scandir(path) as entries:
            return sorted(entries, key=_name)
    except OSError:
        return ()


def _name(entry: os.DirEntry[str]) -> str:
    return entry.name


def _kind(entry: os.DirEntry[str]) -> str:
    """What an entry is to a walk: "" is nothing of interest, such as a socket."""
    try:
        if entry.is_symlink():
            return "link"
        if entry.is_dir(follow_symlinks=False):
            return "folder"
        return "file" if entry.is_file(follow_symlinks=False) else ""
    except OSError:
        return ""
