"""What the new directories of a commit hold, measured without walking every path.

A few kilobytes of tree objects can name billions of paths, or nest a hundred thousand deep; the
first kills whatever lists the commit, the second gc, fsck and clone. So depth and path counts are
added up per object, each looked at once.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from agent.core.errors import SyncError
from agent.core.limits import IMPORT_DEPTH_MAX, IMPORT_PATHS_MAX
from agent.core.text import one_line
from agent.git.powers import folded

NAME_MAX_BYTES = 255
_DIRECTORY = b"40000"
_LINK = b"120000"
_MODES = (_DIRECTORY, b"100644", b"100755", _LINK, b"160000")
_ID_BYTES = 20


def entries(tree: bytes) -> Iterator[tuple[bytes, bytes, str]]:
    """Mode, name and id of each entry of a tree object. Raises `SyncError` when it is malformed."""
    at = 0
    while at < len(tree):
        end = tree.find(b"\0", at)
        mode, space, name = tree[at:end].partition(b" ")
        if end < 0 or not space or end + 1 + _ID_BYTES > len(tree):
            raise SyncError("a directory in the bundle is malformed")
        yield mode, name, tree[end + 1 : end + 1 + _ID_BYTES].hex()
        at = end + 1 + _ID_BYTES


def check_trees(trees: Mapping[str, bytes]) -> None:
    """Raise `SyncError` when a tree has a name or mode no work tree can have, or is a bomb.

    Trees that are named but not given are the user's own already and count as one path.
    """
    children: dict[str, list[str]] = {}
    files: dict[str, int] = {}
    for oid, tree in trees.items():
        count, below, links = 0, list[str](), list[bytes]()
        for mode, name, child in entries(tree):  # one by one: there may be millions
            _check_entry(mode, name)
            count += 1
            if mode == _DIRECTORY and child in trees:
                below.append(child)
            elif mode == _LINK:
                links.append(name)
        _check_links(tree, links)
        children[oid], files[oid] = below, count - len(below)
    _check_size(children, files)


def _check_entry(mode: bytes, name: bytes) -> None:
    if mode not in _MODES:
        raise SyncError(f"a file in the bundle has the impossible mode {one_line(repr(mode))}")
    odd = name.lower() in (b"", b".", b"..", b".git") or b"/" in name
    if odd or len(name) > NAME_MAX_BYTES:
        raise SyncError(f"a file in the bundle has the impossible name {one_line(repr(name))}")


def _check_links(tree: bytes, links: Sequence[bytes]) -> None:
    # Where case does not count, the link is what a checkout writes the other's files through.
    if not links:
        return
    like = {_folded(name): name for name in links}
    for mode, name, _ in entries(tree):
        if mode == _DIRECTORY and (link := like.get(_folded(name))):
            raise SyncError(
                f"the bundle holds the link {one_line(repr(link))} and the directory"
                f" {one_line(repr(name))}, which are one where case does not count"
            )


def _folded(name: bytes) -> str:
    return folded(name.decode("utf-8", "replace"))


def _check_size(children: Mapping[str, list[str]], files: Mapping[str, int]) -> None:
    paths: dict[str, int] = {}
    depth: dict[str, int] = {}
    stack = list(children)
    while stack:
        oid = stack[-1]
        waiting = (
            [child for child in children[oid] if child not in paths] if oid not in paths else []
        )
        if waiting:  # ids are hashes, so there is no circle to be caught in
            stack += waiting
            continue
        stack.pop()
        paths[oid] = files[oid] + sum(paths[child] for child in children[oid])
        depth[oid] = 1 + max((depth[child] for child in children[oid]), default=0)
        if paths[oid] > IMPORT_PATHS_MAX or depth[oid] > IMPORT_DEPTH_MAX:
            raise SyncError(
                f"the bundle holds more than {IMPORT_PATHS_MAX} paths"
                f" or directories more than {IMPORT_DEPTH_MAX} deep"
            )
