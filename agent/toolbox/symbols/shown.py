"""What an answer about symbols shows: each path once, lines, scopes where they change, no more."""

from __future__ import annotations

import re
from typing import Any, Dict, List, Optional, Sequence, Tuple

from agent.toolbox.code.languages import language_of
from agent.toolbox.code.outline import Definition
from agent.toolbox.symbols import rows
from agent.toolbox.symbols.lookup import Found, Lookup

TEXT_MAX_HITS = 60
LINES_MAX_HITS = 300
FILES_MAX = 100
CALLERS_MAX = 120
TEXT_MAX_CHARS = 120
BODY_LINES = 12
ABOUT_LINES = 25

Groups = List[Dict[str, Any]]
_DOCSTRING = re.compile(r"\s*[rRuU]?(\"\"\"|''')(.*?)(?:\1|\Z)", re.DOTALL)
_COMMENT = re.compile(r"\s*(?://|#(?!include|define|if|endif)|\*|/\*|--|;|@|\[)")


def language(lookup: Lookup, path: str) -> str:
    """The language of a file."""
    file = lookup.file(path)
    return file.language if file is not None else language_of(path)


def places(found: Sequence[Found]) -> List[List[Any]]:
    """Where definitions are: path, line, kind and full name."""
    return [[one.path, one.line, one.definition.kind, one.qualified] for one in found]


def definitions(lookup: Lookup, found: Sequence[Found]) -> Groups:
    """Definitions with their signatures, grouped by file in the order given."""
    groups: Dict[str, Dict[str, Any]] = {}
    for one in found:
        group = groups.setdefault(one.path, {"path": one.path, "rows": []})
        scope = ".".join(one.qualified.split(".")[:-1][-2:])
        group["rows"].append([one.line, scope, _cut(one.definition.signature, one.name)])
    return list(groups.values())


def body(lookup: Lookup, one: Found) -> List[List[Any]]:
    """The first lines of a definition."""
    last = min(one.definition.end, one.line + BODY_LINES - 1)
    return [[n, lookup.line(one.path, n)[:TEXT_MAX_CHARS]] for n in range(one.line, last + 1)]


def about(lookup: Lookup, one: Found) -> str:
    """What was written about a definition: its docstring, or the comment above it."""
    text = lookup.lines(one.path)
    if one.language == "python":
        inner = "\n".join(text[one.line - 1 : one.definition.end])
        end = re.search(r":[ \t]*(?:#[^\n]*)?\n", inner)
        match = _DOCSTRING.match(inner, end.end()) if end else None
        lines = match.group(2).split("\n") if match else []
        return "\n".join(line.strip() for line in lines[:ABOUT_LINES]).strip()
    above: List[str] = []
    for number in range(one.line - 2, max(-1, one.line - 2 - ABOUT_LINES), -1):
        if not _COMMENT.match(text[number]):
            break
        above.append(text[number].strip())
    return "\n".join(reversed(above))


def uses(
    lookup: Lookup, name: str, found: Dict[str, List[int]], best: Optional[Found]
) -> Dict[str, Any]:
    """Uses as text, as lines with scopes or as counts, by how many there are."""
    total = sum(map(len, found.values()))
    order = _near_first(found, best)
    view = "text" if total <= TEXT_MAX_HITS else "lines" if total <= LINES_MAX_HITS else "counts"
    if view == "text":
        groups = [_texts(lookup, path, found[path], name) for path in order]
    elif view == "lines":
        groups = [_scopes(lookup, path, found[path]) for path in order]
    else:
        order.sort(key=lambda path: -len(found[path]))
        groups = [{"path": path, "count": len(found[path])} for path in order[:FILES_MAX]]
    cut = max(0, len(order) - len(groups))
    return {"view": view, "total": total, "files": len(found), "groups": groups, "cut": cut}


def callers(
    lookup: Lookup, name: str, calls: Dict[str, List[int]], best: Optional[Found]
) -> Dict[str, Any]:
    """Who calls: one row for each function that does, at its first call."""
    groups: Groups = []
    count = 0
    total = 0
    for path in _near_first(calls, best):
        callers_: Dict[str, List[Any]] = {}
        for line in calls[path]:
            scope = _scope(lookup, path, line)
            row = callers_.setdefault(scope, [line, scope, _line(lookup, path, line, name), 0])
            row[3] += 1
        total += len(callers_)
        if count < CALLERS_MAX:
            kept = list(callers_.values())[: CALLERS_MAX - count]
            groups.append({"path": path, "rows": kept})
            count += len(kept)
    return {"total": total, "files": len(calls), "groups": groups, "cut": total - count}


def callee(line: int, likely: Sequence[Found], certain: bool) -> Dict[str, Any]:
    """What is called, and where it most likely is."""
    best = likely[0]
    return {
        "line": line, "name": best.qualified if certain else best.name, "path": best.path,
        "at": best.line, "others": 0 if certain else len(likely) - 1,
    }  # fmt: skip


def outline(found: Sequence[Definition], most: int) -> Tuple[List[List[Any]], int]:
    """Rows of depth, line, end and signature; of a long one the fields are left out first."""
    kept = list(range(len(found)))
    for weak in (("field", "variable", "constant", "key"), ("method", "prototype")):
        if len(kept) > most:
            kept = [at for at in kept if found[at].kind not in weak]
    listed: List[List[Any]] = []
    for at in kept[:most]:
        depth, parent = 0, found[at].parent
        while parent >= 0 and depth < 20:
            depth, parent = depth + 1, found[parent].parent
        text = found[at].signature or "%s %s" % (found[at].kind, found[at].name)
        listed.append([depth, found[at].line, found[at].end, _cut(text, found[at].name)])
    return listed, len(found) - len(listed)


def _near_first(found: Dict[str, List[int]], best: Optional[Found]) -> List[str]:
    home = best.path if best is not None else ""

    def key(path: str) -> Tuple[object, ...]:
        return (path != home, rows.test(path), rows.vendored(path), path)

    return sorted(found, key=key)


def _texts(lookup: Lookup, path: str, lines: Sequence[int], name: str) -> Dict[str, Any]:
    shown: List[List[Any]] = [
        [line, _scope(lookup, path, line), _line(lookup, path, line, name)] for line in lines
    ]
    return {"path": path, "rows": shown}


def _scopes(lookup: Lookup, path: str, lines: Sequence[int]) -> Dict[str, Any]:
    scopes: Dict[str, List[int]] = {}
    for line in lines:
        scopes.setdefault(_scope(lookup, path, line), []).append(line)
    return {"path": path, "scopes": [[scope, found] for scope, found in scopes.items()]}


def _scope(lookup: Lookup, path: str, line: int) -> str:
    """What is around a line, in its last two parts; "" at the top or where it begins itself."""
    file = lookup.file(path)
    one = file.at(line) if file is not None else None
    while file is not None and one is not None and (one.line == line or one.kind in _FLAT):
        one = file.definitions[one.parent] if one.parent >= 0 else None
    return ".".join(file.qualified(one).split(".")[-2:]) if file is not None and one else ""


_FLAT = ("constant", "variable", "field", "prototype")


def _line(lookup: Lookup, path: str, line: int, name: str) -> str:
    return _cut(lookup.line(path, line).strip(), name)


def _cut(text: str, name: str) -> str:
    if len(text) <= TEXT_MAX_CHARS:
        return text
    at = max(0, text.find(name) - TEXT_MAX_CHARS // 3)
    piece = text[at : at + TEXT_MAX_CHARS]
    return ("…" if at else "") + piece + ("…" if at + TEXT_MAX_CHARS < len(text) else "")
