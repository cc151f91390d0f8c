"""What a language server says of a place in the tree, in our terms; None where it says nothing."""

from __future__ import annotations

import os
import time
from typing import Any, Callable, Dict, List, NamedTuple, Optional, Tuple, TypeVar

from agent.toolbox.symbols import servers
from agent.toolbox.symbols.lookup import Lookup
from agent.toolbox.symbols.rpc import Late, ServerFailed, listing, mapping, path_of, uri_of
from agent.toolbox.symbols.servers import IDS, Running

SECONDS = 8.0
PLACES_MAX = 20_000
_SEVERITIES = {1: "error", 2: "warning", 3: "note", 4: "hint"}

Kept = TypeVar("Kept")


class Spot(NamedTuple):
    """A place in a file: line from 1, column in characters from 0."""

    path: str
    line: int
    column: int


class Said(NamedTuple):
    """An answer and the name of the server that gave it."""

    by: str
    value: Any


class Change(NamedTuple):
    """A piece of a file to replace: from and to as (line from 1, column in characters)."""

    start: Tuple[int, int]
    end: Tuple[int, int]
    text: str


def definitions(lookup: Lookup, spot: Spot, language: str) -> Optional[Said]:
    """Where what stands at `spot` is defined, those places that are in the tree."""

    def ask(running: Running, until: float) -> List[Spot]:
        found = _ask(running, "textDocument/definition", _position(lookup, spot), until)
        return _spots(lookup, found)

    return _consult(lookup, spot.path, language, ask)


def references(lookup: Lookup, spot: Spot, language: str) -> Optional[Said]:
    """Every use in the tree of what stands at `spot`."""

    def ask(running: Running, until: float) -> Optional[List[Spot]]:
        if not running.wide:
            return None
        asked = dict(_position(lookup, spot), context={"includeDeclaration": True})
        # The declaration is asked for too: none at all means that it does not know the name.
        return _spots(lookup, _ask(running, "textDocument/references", asked, until)) or None

    return _consult(lookup, spot.path, language, ask)


def hover(lookup: Lookup, spot: Spot, language: str) -> Optional[Said]:
    """What there is to know about what stands at `spot`."""

    def ask(running: Running, until: float) -> Optional[str]:
        found = _ask(running, "textDocument/hover", _position(lookup, spot), until)
        return _words(mapping(found).get("contents")) or None

    return _consult(lookup, spot.path, language, ask)


def diagnostics(lookup: Lookup, path: str, language: str) -> Optional[Said]:
    """Problems of a file: (line, severity, text)."""

    def ask(running: Running, until: float) -> List[Tuple[int, str, str]]:
        where = os.path.join(lookup.index.root, path)
        if running.server.can("diagnosticProvider"):
            asked = {"textDocument": {"uri": uri_of(where)}}
            found = _ask(running, "textDocument/diagnostic", asked, until)
            items = listing(mapping(found).get("items"))
        else:
            items = running.server.await_diagnostics(where, until - time.monotonic())
        return [_problem(mapping(item)) for item in items]

    return _consult(lookup, path, language, ask, anew=True)


def rename(lookup: Lookup, spot: Spot, language: str, new: str) -> Optional[Said]:
    """The changes by file that give what stands at `spot` another name."""

    def ask(running: Running, until: float) -> Optional[Dict[str, List[Change]]]:
        if not running.wide or not running.server.can("renameProvider"):
            return None
        asked = dict(_position(lookup, spot), newName=new)
        return _changes(lookup, _ask(running, "textDocument/rename", asked, until))

    return _consult(lookup, spot.path, language, ask)


def _consult(
    lookup: Lookup,
    path: str,
    language: str,
    ask: Callable[[Running, float], Optional[Kept]],
    anew: bool = False,
) -> Optional[Said]:
    until = time.monotonic() + SECONDS
    root = lookup.index.root
    running = servers.ask_for(root, language)
    if running is None:
        return None
    try:
        servers.sync(root, lookup.index.tokens())
        where = os.path.join(root, path)
        if anew:
            running.server.forget_diagnostics(where)
        running.server.show(where, lookup.text(path), IDS.get(language, language))
        value = ask(running, max(until, time.monotonic() + 1.0))
    except Late:
        return None  # it goes on thinking; the next question may find it ready
    except (ServerFailed, KeyError, TypeError, ValueError):
        if not running.server.alive:
            servers.give_up(root, running)
        return None
    return None if value is None else Said(running.name, value)


def _ask(running: Running, method: str, params: Any, until: float) -> Any:
    return running.server.ask(method, params, until - time.monotonic())


# The protocol's places are ours from 0, in halves of UTF-16 pairs.


def _position(lookup: Lookup, spot: Spot) -> Dict[str, Any]:
    line = lookup.line(spot.path, spot.line)
    units = len(line[: spot.column].encode("utf-16-le", "surrogatepass")) // 2
    return {
        "textDocument": {"uri": uri_of(os.path.join(lookup.index.root, spot.path))},
        "position": {"line": spot.line - 1, "character": units},
    }


def _characters(lookup: Lookup, path: str, line: int, units: int) -> int:
    data = lookup.line(path, line).encode("utf-16-le", "surrogatepass")[: 2 * units]
    return len(data.decode("utf-16-le", "replace"))


def _spots(lookup: Lookup, found: Any) -> List[Spot]:
    locations = listing(found) or ([found] if found else [])
    spots: Dict[Spot, None] = {}
    for location in map(mapping, locations[:PLACES_MAX]):
        uri = location.get("uri") or location.get("targetUri")
        area: Any = location.get("range") or location.get("targetSelectionRange")
        path = _inside(lookup, str(uri))
        if path:
            start = area["start"]
            line = int(start["line"]) + 1
            column = _characters(lookup, path, line, int(start["character"]))
            spots[Spot(path, line, column)] = None
    return sorted(spots)


def _inside(lookup: Lookup, uri: str) -> str:
    """The path in the tree that an address is; "" for any other."""
    path = os.path.realpath(path_of(uri) or "/")
    root = lookup.index.root.rstrip("/") + "/"
    return path[len(root) :] if path.startswith(root) else ""


def _changes(lookup: Lookup, found: Any) -> Optional[Dict[str, List[Change]]]:
    said = mapping(found)
    by_uri: Dict[str, List[Any]] = {}
    for change in map(mapping, listing(said.get("documentChanges"))):
        if "textDocument" not in change:
            return None  # files are to be moved or made: not what was asked for
        uri = str(change["textDocument"]["uri"])
        by_uri.setdefault(uri, []).extend(listing(change["edits"]))
    for uri, edits in mapping(said.get("changes")).items():
        by_uri.setdefault(uri, []).extend(listing(edits))
    changes: Dict[str, List[Change]] = {}
    for uri, edits in by_uri.items():
        path = _inside(lookup, uri)
        if not path:
            return None  # it would change what is not in the repository
        changes[path] = sorted({_change(lookup, path, edit) for edit in edits})
    return changes


def _change(lookup: Lookup, path: str, edit: Any) -> Change:
    ends: List[Tuple[int, int]] = []
    for end in (edit["range"]["start"], edit["range"]["end"]):
        line = int(end["line"]) + 1
        ends.append((line, _characters(lookup, path, line, int(end["character"]))))
    return Change(ends[0], ends[1], str(edit["newText"]))


def _problem(item: Dict[str, Any]) -> Tuple[int, str, str]:
    severity = _SEVERITIES.get(item.get("severity", 1), "note")
    code = item.get("code")
    text = str(item.get("message", "")) + (" [%s]" % code if isinstance(code, str) else "")
    return int(item["range"]["start"]["line"]) + 1, severity, " ".join(text.split())


def _words(contents: Any) -> str:
    if isinstance(contents, str):
        return contents
    if isinstance(contents, list):
        return "\n".join(filter(None, map(_words, listing(contents))))
    return str(mapping(contents).get("value", ""))
