"""Search in files: where a pattern is, in which function or class, and how often."""

from __future__ import annotations

import os
from typing import Any, Callable, Dict, List, Sequence, Tuple

from agent.toolbox.code import parsing
from agent.toolbox.code.outline import Outline
from agent.toolbox.files import paths, transfer
from agent.toolbox.files.paths import Answer, refusal
from agent.toolbox.programs.own import answer_of
from agent.toolbox.search import choose
from agent.toolbox.search.glob import BadPattern, expand
from agent.toolbox.search.listing import missing, shown

SECONDS = 20.0
GRACE_SECONDS = 4.0

LEAST_OF_A_FILE = 3
BEST_HITS = 10
FILES_MAX = 200
COUNTED_FILES_MAX = 30
FOLDERS_MAX = 20
CONTEXT_MAX = 20
CONTEXT_LINES_MAX = 400

SCOPED_FILES_MAX = 50
SCOPED_BYTES_MAX = 400_000
SCOPE_SECONDS = 3.0
SCOPE_PARTS = 2


def grep(arguments: Dict[str, Any], limits: Dict[str, Any]) -> Answer:
    """The lines with a match below `path`, in the form that fits their number.

    `form` of the answer: "text" (up to `text_hits`: each with its text and its scope), "places" (up
    to `place_hits`: lines and scopes), "counts" (files and folders, and the hits that look best) or
    "files" (names alone).
    `total` and `files` count everything, whatever is shown.
    """
    workdir = limits["workdir"]
    target = paths.absolute(arguments.get("path") or ".", workdir)
    context = min(max(0, arguments.get("context", 0)), CONTEXT_MAX)
    patterns = choose.relative(arguments.get("patterns", []), workdir)
    ask = {
        "target": target,
        "workdir": workdir,
        "pattern": arguments["pattern"],
        "fixed": bool(arguments.get("fixed")),
        "ignore_case": bool(arguments.get("ignore_case")),
        "patterns": patterns,
        "kind": arguments.get("kind", ""),
        "all": bool(arguments.get("all")),
        "context": context,
        "engine": arguments.get("engine", ""),
        "seconds": arguments.get("seconds", SECONDS),
        "most": arguments["place_hits"],
        "least": LEAST_OF_A_FILE,
    }
    try:
        [expand(pattern) for pattern in patterns]
        found = _searched(ask, limits["cancelled"])
    except BadPattern as problem:
        return refusal(target, "bad_pattern", why=str(problem))
    except OSError as error:
        return missing(target, error, workdir)
    if isinstance(found, str):
        return refusal(target, found)
    answer = _formed(found, arguments, workdir)
    return dict(answer, ok=True, path=target)


def _searched(ask: Dict[str, Any], cancelled: Callable[[], bool]) -> Any:
    """What the searching process answers, or the reason for which it does not."""
    try:
        found = answer_of("search", ask, ask["seconds"] + GRACE_SECONDS, cancelled)
    except TimeoutError:
        return "too_slow"
    except ValueError:
        return "failed"
    if found.get("problem") == "bad_pattern":
        raise BadPattern(found["why"])
    if found.get("problem") == "os":
        raise OSError(found["errno"], found["why"])
    return found


def _formed(found: Dict[str, Any], arguments: Dict[str, Any], workdir: str) -> Answer:
    """The answer in the form that the number of hits, or the mode, asks for."""
    answer = {key: found[key] for key in ("total", "files", "searched", "of", "complete")}
    answer.update({key: found[key] for key in ("engine", "widened", "unusual")})
    answer["slow"] = [shown(found["base"], path, workdir) for path in found["slow"]]
    listed: List[Dict[str, Any]] = found["found"]
    for file in listed:
        file["path"] = shown(found["base"], file["path"], workdir)
    answer["folders"], answer["best"] = [], []
    mode = arguments.get("mode", "")
    if mode in ("files", "count"):
        if mode == "count":
            listed.sort(key=lambda file: (-file["count"], file["path"]))
        answer["form"] = "files" if mode == "files" else "counts"
        answer["found"] = [_counted(file) for file in listed[:FILES_MAX]]
        return answer
    if found["total"] <= arguments["text_hits"]:
        answer["form"] = "text"
        answer["found"] = _with_scopes(listed, workdir, text=True)
        _bound_context(answer["found"])
    elif found["total"] <= arguments["place_hits"]:
        answer["form"] = "places"
        answer["found"] = _with_scopes(listed, workdir, text=False)
    else:
        answer["form"] = "counts"
        answer["best"] = _with_scopes(_best(listed), workdir, text=True)
        listed.sort(key=lambda file: (-file["count"], file["path"]))
        answer["found"] = [_counted(file) for file in listed[:COUNTED_FILES_MAX]]
        answer["folders"] = [
            [shown(found["base"], folder, workdir) if folder else "", hits, files]
            for folder, hits, files in found["folders"][:FOLDERS_MAX]
        ]
    return answer


def _counted(file: Dict[str, Any]) -> Dict[str, Any]:
    return {"path": file["path"], "count": file["count"], "hits": [], "around": []}


def _best(listed: Sequence[Dict[str, Any]]) -> List[Dict[str, Any]]:
    """The few hits of very many that are likeliest to be wanted: definitions before anything."""
    every = [(not hit[2], at, hit) for at, file in enumerate(listed) for hit in file["hits"]]
    chosen: Dict[int, List[Any]] = {}
    for _, at, hit in sorted(every)[:BEST_HITS]:
        chosen.setdefault(at, []).append(hit)
    return [dict(listed[at], hits=sorted(hits), around=[]) for at, hits in sorted(chosen.items())]


def _with_scopes(listed: Sequence[Dict[str, Any]], workdir: str, *, text: bool) -> Any:
    """Hits as [line, text, scope, outer scope, whether the scope begins there]."""
    contents: Dict[str, bytes] = {}
    room = SCOPED_BYTES_MAX * 10
    for file in listed[:SCOPED_FILES_MAX]:
        data = _content(os.path.join(workdir, file["path"]))
        room -= len(data)
        if data and room > 0:
            contents[file["path"]] = data
    outlines = parsing.outlines(contents, SCOPE_SECONDS) if contents else {}
    for file in listed:
        outline = outlines.get(file["path"])
        file["hits"] = [
            [line, said if text else "", *_scope(outline, line)] for line, said, _ in file["hits"]
        ]
    return listed


def _content(path: str) -> bytes:
    try:
        with os.fdopen(transfer.open_regular(path), "rb") as file:
            data = file.read(SCOPED_BYTES_MAX + 1)
    except OSError:
        return b""
    return data if len(data) <= SCOPED_BYTES_MAX else b""


def _scope(outline: Any, line: int) -> Tuple[str, str, bool]:
    """The name of what `line` is in, of what that is in, and whether it begins on this line."""
    around = outline.at(line) if isinstance(outline, Outline) else None
    if around is None:
        return "", "", False
    names = outline.qualified(around).split(".")
    outer = names[:-1][-SCOPE_PARTS:]
    return ".".join(names[-SCOPE_PARTS:]), ".".join(outer), around.line == line


def _bound_context(listed: Sequence[Dict[str, Any]]) -> None:
    """Leave the lines around the later hits out when they are too many."""
    room = CONTEXT_LINES_MAX
    for file in listed:
        file["around"] = file["around"][:room]
        room -= len(file["around"])
