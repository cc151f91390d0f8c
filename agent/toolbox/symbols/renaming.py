"""Give a name another one everywhere it is used: shown first, then made in all files or in none."""

from __future__ import annotations

import os
import re
from typing import Any, Dict, List, Sequence, Tuple

from agent.toolbox.changes import swap
from agent.toolbox.files import text
from agent.toolbox.files.read import digest, load
from agent.toolbox.symbols import rows
from agent.toolbox.symbols.consult import Change
from agent.toolbox.symbols.lookup import Lookup

SHOWN_MAX = 60
_CHARS = 120


class Unchanged(Exception):
    """The change cannot be made; the text says why."""


def by_name(
    lookup: Lookup, name: str, new: str, uses: Dict[str, List[int]]
) -> Dict[str, List[Change]]:
    """The changes that put `new` for every `name` in these lines."""
    word = re.compile(rows.whole(name))
    changes: Dict[str, List[Change]] = {}
    for path, lines in sorted(uses.items()):
        made = [
            Change((line, match.start()), (line, match.end()), new)
            for line in lines
            for match in word.finditer(lookup.line(path, line))
        ]
        if made:
            changes[path] = made
    return changes


def made(
    lookup: Lookup, changes: Dict[str, List[Change]], limits: Dict[str, Any], apply: bool
) -> Dict[str, Any]:
    """What the files become; with `apply` they do. Raises `Unchanged`, and `swap.Torn`."""
    groups: List[Dict[str, Any]] = []
    swaps: List[swap.Change] = []
    shown = 0
    for path, edits in sorted(changes.items()):
        where = os.path.join(lookup.index.root, path)
        before, problem = load(where, limits)
        content = text.decode(before) if before is not None else None
        if before is None or content is None:
            raise Unchanged("%s cannot be changed (%s)" % (path, problem.get("reason", "binary")))
        after, changed = _edited(content.text, edits)
        try:
            data = content.encode(after)
        except UnicodeEncodeError as error:
            raise Unchanged("%s: %s" % (path, text.unencodable(error))) from error
        swaps.append(swap.Change(where, before, data))
        room = max(0, SHOWN_MAX - shown)
        groups.append(
            {"path": path, "rows": changed[:room], "count": len(edits), "hash": digest(data)}
        )
        shown += len(changed[:room])
    if apply:
        try:
            swap.swap(swaps, limits["workdir"])
        except swap.Interfered as error:
            raise Unchanged("%s was changed just now" % _inner(lookup, error.path)) from error
        except swap.Failed as error:
            why = "%s cannot be changed (%s)" % (_inner(lookup, error.path), error.error.strerror)
            raise Unchanged(why) from error
    return {
        "groups": groups,
        "total": sum(len(edits) for edits in changes.values()),
        "files": len(changes),
    }


def _inner(lookup: Lookup, path: str) -> str:
    return os.path.relpath(path, lookup.index.root)


def _edited(content: str, edits: Sequence[Change]) -> Tuple[str, List[List[Any]]]:
    """A text with its changes, and the lines that have changed."""
    lines = content.split("\n")
    touched: Dict[int, None] = {}
    for edit in sorted(edits, reverse=True):
        (first, start), (last, end) = edit.start, edit.end
        if first != last or not 0 < first <= len(lines):
            raise Unchanged("a change over several lines was asked for")
        line = lines[first - 1]
        lines[first - 1] = line[:start] + edit.text + line[end:]
        touched[first] = None
    changed: List[List[Any]] = [[n, lines[n - 1].strip()[:_CHARS]] for n in sorted(touched)]
    return "\n".join(lines), changed
