"""The operation `lsp`: where a name is defined, who uses it, what it is, what a new name changes.

The index answers at once, for every language. Where a name has several definitions a language
server, if one is there, says which one is meant. Every answer tells who gave it (`by`), how sure it
is (`sure`) and how much of the tree was looked at.

`sure` is "exact" (a language server, or the one definition there is), "likely" (imports or the
place say so) or "by_name" (there are others of that name).
"""

from __future__ import annotations

import os
import sqlite3
from typing import Any, Callable, Dict, List, Optional, Sequence, Tuple

from agent.toolbox.changes import swap
from agent.toolbox.changes.drafts import alone
from agent.toolbox.code import parsing
from agent.toolbox.files import paths
from agent.toolbox.files.paths import Answer, refusal
from agent.toolbox.symbols import build, consult, renaming, rows, shown
from agent.toolbox.symbols.consult import Spot
from agent.toolbox.symbols.lookup import Found, Lookup
from agent.toolbox.symbols.question import NAME, PLACE, Question, Refused, Target
from agent.toolbox.symbols.ranking import decided, ranked, use_of
from agent.toolbox.symbols.uses import Lines, both, is_call, may_be_others, sorted_out

DEFINITIONS_SHOWN = 12
SYMBOLS_SHOWN = 60
CALLEES_SHOWN = 80
HOVER_LINES = 40
OUTLINE_ROWS = 400


def lsp(arguments: Dict[str, Any], limits: Dict[str, Any]) -> Answer:
    """One question; `target` is a name, `Owner.name`, a path or `path:line[:name]`."""
    return _answer(_OPERATIONS.get(arguments["operation"]), arguments, limits)


def rename(arguments: Dict[str, Any], limits: Dict[str, Any]) -> Answer:
    """What `new_name` for `target` changes; with `apply` it is done, in every file or in none.

    Where some of it may mean something else it is done only when it was `shown` before.
    """
    if not arguments.get("apply"):
        return _answer(_rename, arguments, limits)
    with alone(limits):
        return _answer(_rename, arguments, limits)


def _answer(
    operation: Optional[Callable[[Question], Answer]],
    arguments: Dict[str, Any],
    limits: Dict[str, Any],
) -> Answer:
    target = str(arguments["target"]).strip()
    if operation is None:
        return refusal(target, "unknown_operation")
    try:
        with build.opened(limits["workdir"]) as index:
            question = Question(Lookup(index), target, arguments, limits)
            return question.answered(operation(question))
    except Refused as refused:
        return refused.answer
    except (sqlite3.Error, OSError) as error:
        return refusal(target, "no_index", why=str(error))


# The operations.


def _definition(q: Question) -> Answer:
    target = q.target()
    best, found = q.one(target)
    sure, by = q.sureness(target, best, found), "index"
    if sure != "exact" and target.use is not None:
        said = _server(q, consult.definitions, target, best)
        spots: List[Spot] = said.value if said else []
        places = {(spot.path, spot.line) for spot in spots}
        meant = [one for one in found if (one.path, one.line) in places]
        if said is not None and meant:
            found = meant + [one for one in found if one not in meant]
            sure, by = "exact", said.by
    first = found[:1] if sure != "by_name" else found
    groups = shown.definitions(q.lookup, found[:DEFINITIONS_SHOWN])
    body = shown.body(q.lookup, first[0]) if len(first) == 1 else []
    return {
        "name": target.name, "by": by, "sure": sure, "definitions": len(found),
        "groups": groups, "body": body,
    }  # fmt: skip


def _references(q: Question) -> Answer:
    target = q.target()
    best, found = _definition_or_none(q, target)
    uses, by, sure = q.lookup.references(target.name), "index", "by_name"
    unsure: Lines = {}
    if len(found) == 1 and best is not None:
        tied, bare, unsure = sorted_out(q.lookup, best, uses)
        # There is nothing else in the repository that it could be.
        uses, sure = both(both(tied, bare), unsure), "likely" if unsure else "exact"
    elif best is not None and (said := _server(q, consult.references, target, best)):
        uses, by, sure = _lines(said.value), said.by, "exact"
    elif best is not None and (target.here or target.use or target.owner):
        uses, bare, unsure = sorted_out(q.lookup, best, uses)
        unsure, sure = both(bare, unsure), "likely"
    if best is None and not uses:
        raise q.refuse("unknown_name", name=target.name, near=q.near(target.name))
    answer = shown.uses(q.lookup, target.name, uses, best)
    unsure_count = sum(map(len, unsure.values()))
    return {
        "name": target.name, "by": by, "sure": sure, "definitions": len(found),
        "defined": shown.places(found[:3] if sure == "by_name" else list(found[:1])),
        "unsure": unsure_count, "unsure_files": len(unsure), **answer,
    }  # fmt: skip


def _callers(q: Question) -> Answer:
    target = _or_around(q)
    best, found = q.one(target)
    uses, by, sure = q.lookup.references(target.name), "index", q.sureness(target, best, found)
    unsure: Lines = {}
    if len(found) > 1:
        said = _server(q, consult.references, target, best)
        if said is not None:
            uses, by, sure = _lines(said.value), said.by, "exact"
        elif sure != "by_name":
            uses, _, _ = sorted_out(q.lookup, best, uses)
            sure = "likely"
    else:
        tied, bare, unsure = sorted_out(q.lookup, best, uses)
        uses, sure = both(both(tied, bare), unsure), "likely" if unsure else sure
    calls = {
        path: [line for line in lines if is_call(q.lookup, path, line, target.name)]
        for path, lines in uses.items()
    }
    calls = {path: lines for path, lines in calls.items() if lines}
    return {
        "name": target.name, "by": by, "sure": sure, "definitions": len(found),
        "unsure": sum(map(len, unsure.values())),
        "defined": shown.places([best]), **shown.callers(q.lookup, target.name, calls, best),
    }  # fmt: skip


def _callees(q: Question) -> Answer:
    target = _or_around(q)
    best, found = q.one(target)
    lookup, sure = q.lookup, q.sureness(target, best, found)
    called: Dict[str, int] = {}
    for number in range(best.definition.line, best.definition.end + 1):
        for name in rows.words(lookup.line(best.path, number)):
            if name not in called and is_call(lookup, best.path, number, name):
                called[name] = number
    names = [name for name in called if name != best.name and lookup.defined(name)]
    listed: List[Dict[str, Any]] = []
    for name in names[:CALLEES_SHOWN]:
        use = use_of(lookup, best.path, called[name], name)
        likely = ranked(lookup, lookup.definitions(name), use)
        if likely:
            certain = len(likely) == 1 or decided(lookup, likely[0], use)
            listed.append(shown.callee(called[name], likely, certain))
    return {
        "name": best.qualified, "by": "index", "sure": sure, "definitions": len(found),
        "defined": shown.places([best]), "callees": listed, "total": len(names),
    }  # fmt: skip


def _hover(q: Question) -> Answer:
    target = q.target()
    best, found = q.one(target)
    sure, by, more = q.sureness(target, best, found), "index", ""
    if sure != "exact":
        said = _server(q, consult.hover, target, best)
        if said is not None:
            by, sure, more = said.by, "exact" if target.use or target.here else sure, said.value
            if target.use is not None and (places := _server(q, consult.definitions, target, best)):
                where = {(spot.path, spot.line) for spot in places.value}
                best = next((one for one in found if (one.path, one.line) in where), best)
    uses = q.lookup.references(target.name)
    return {
        "name": target.name if sure == "by_name" else best.qualified,
        "by": by, "sure": sure, "definitions": len(found),
        "groups": shown.definitions(q.lookup, [best]),
        "text": "\n".join(more.split("\n")[:HOVER_LINES]) if more else shown.about(q.lookup, best),
        "total": sum(map(len, uses.values())), "files": len(uses),
    }  # fmt: skip


def _outline(q: Question) -> Answer:
    path = q.relative(
        q.text.partition(":")[0]
        if not os.path.exists(paths.absolute(q.text, q.limits["workdir"]))
        else q.text
    )
    q.lookup.settle_path(path)
    file = q.lookup.file(path)
    definitions = file.definitions if file is not None else ()
    if not definitions:
        data = q.lookup.text(path).encode("utf-8", "surrogatepass")
        q.must_be_file(path)
        outline = parsing.outlines({path: data}, 3.0).get(path)
        definitions = outline.definitions if outline is not None else ()
    listed, left = shown.outline(definitions, OUTLINE_ROWS)
    return {"name": path, "outline": listed, "total": len(definitions), "cut": left}


def _symbols(q: Question) -> Answer:
    first, *others = q.text.split() or [""]
    if not first:
        raise q.refuse("no_name")
    q.lookup.settle_words([first, *others])
    found: List[Found] = []
    names = [
        name
        for name in q.lookup.matching(first)
        if all(other.lower() in name.lower() for other in others)
    ]
    for name in names:
        found += ranked(q.lookup, q.lookup.definitions(name), None)
        if len(found) >= 4 * SYMBOLS_SHOWN:
            break
    groups = shown.definitions(q.lookup, found[:SYMBOLS_SHOWN])
    return {
        "name": q.text,
        "groups": groups,
        "total": len(found),
        "cut": max(0, len(found) - SYMBOLS_SHOWN),
    }


def _diagnostics(q: Question) -> Answer:
    path = q.relative(q.text)
    q.must_be_file(path)
    language = shown.language(q.lookup, path)
    said = consult.diagnostics(q.lookup, path, language)
    if said is not None:
        return {"name": path, "by": said.by, "problems": [list(one) for one in said.value]}
    data = q.lookup.text(path).encode("utf-8", "surrogatepass")
    found = parsing.new_errors(path, None, data, 3.0)
    return {
        "name": path,
        "by": "syntax",
        "problems": [[line, "error", what] for line, what in found],
        "macros": language in ("c", "cpp"),
    }


def _rename(q: Question) -> Answer:
    new = str(q.arguments.get("new_name", ""))
    if not NAME.match(new):
        raise q.refuse("bad_new_name")
    target = q.target()
    best, found = q.one(target)
    if new == target.name:
        raise q.refuse("same")
    said = _server_rename(q, target, best, new)
    if said is not None:
        changes, by, sure, doubtful = said.value, said.by, "exact", {}
    else:
        uses = dict(q.lookup.references(target.name))
        doubtful = may_be_others(q.lookup, best, uses) if len(found) == 1 else {}
        for one in found:
            uses[one.path] = sorted({*uses.get(one.path, ()), one.line})
        changes, by = renaming.by_name(q.lookup, target.name, new, uses), "index"
        sure = "by_name" if len(found) > 1 else "likely" if doubtful else "exact"
    if not changes:
        raise q.refuse("unknown_name", name=target.name, near=[])
    apply, unsure = bool(q.arguments.get("apply")), sum(map(len, doubtful.values()))
    if apply and (sure == "by_name" or q.left):
        raise q.refuse("ambiguous_rename", count=len(found), name=target.name)
    if apply and sure == "likely" and not q.arguments.get("shown"):
        raise q.refuse("unsure_rename", count=unsure, name=target.name)
    try:
        result = renaming.made(q.lookup, changes, q.limits, apply)
    except renaming.Unchanged as error:
        raise q.refuse("not_renamed", why=str(error)) from error
    except swap.Torn as error:
        raise q.refuse("torn", names=[q.relative(path) for path in error.paths]) from error
    for group in result["groups"]:
        marked = doubtful.get(group["path"], ())
        group["rows"] = [[line, text, line in marked] for line, text in group["rows"]]
    taken = q.lookup.definitions(new)
    return {
        "name": target.name, "new_name": new, "by": by, "sure": sure, "definitions": len(found),
        "taken": shown.places(taken[:3]), "applied": apply, "unsure": unsure, **result,
    }  # fmt: skip


_OPERATIONS: Dict[str, Callable[[Question], Answer]] = {
    "definition": _definition,
    "references": _references,
    "hover": _hover,
    "outline": _outline,
    "symbols": _symbols,
    "callers": _callers,
    "callees": _callees,
    "diagnostics": _diagnostics,
}


# Parts of them.


def _definition_or_none(q: Question, target: Target) -> Tuple[Optional[Found], List[Found]]:
    found = q.candidates(target)
    return (found[0] if found else None), found


def _or_around(q: Question) -> Target:
    """The target; a place in the middle of a function means the function."""
    place = PLACE.match(q.text)
    if place and not place.group(4):
        path = place.group(1)
        if os.path.isfile(paths.absolute(path, q.limits["workdir"])):
            path = q.relative(path)
            q.lookup.settle_path(path)
            file = q.lookup.file(path)
            around = file.at(int(place.group(2))) if file is not None else None
            if file is not None and around is not None:
                q.left = q.lookup.settle(around.name)
                return Target(around.name, "", None, file.found(around))
    return q.target()


def _server(q: Question, ask: Any, target: Target, best: Found) -> Any:
    """What a language server says, when one is there and a place to ask it about."""
    spot = q.spot(target, best if (target.here or target.use or target.owner) else None)
    if spot is None:
        return None
    return ask(q.lookup, spot, shown.language(q.lookup, spot.path))


def _server_rename(q: Question, target: Target, best: Found, new: str) -> Any:
    spot = q.spot(target, best)
    if spot is None or (
        not (target.here or target.use or target.owner) and len(q.candidates(target)) > 1
    ):
        return None
    return consult.rename(q.lookup, spot, shown.language(q.lookup, spot.path), new)


def _lines(spots: Sequence[Spot]) -> Lines:
    lines: Lines = {}
    for spot in spots:
        into = lines.setdefault(spot.path, [])
        if spot.line not in into:
            into.append(spot.line)
    return lines
