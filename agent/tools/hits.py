"""Hits of a search as lines for a model: each path once, each scope when it changes."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import groupby
from typing import Literal

import msgspec

from agent.core.limits import TEXT_HITS_MAX
from agent.tools import finding
from agent.tools.places import bounded, line

Hit = tuple[int, str, str, str, bool]
"""Line, text, the scope around it, the scope around that, whether the inner one begins there."""


class FileHits(msgspec.Struct, frozen=True):
    """What one file has; `around` are the lines near its hits."""

    path: str
    count: int
    hits: list[Hit] = msgspec.field(default_factory=list[Hit])
    around: list[tuple[int, str]] = msgspec.field(default_factory=list[tuple[int, str]])


class Hits(msgspec.Struct, frozen=True):
    """An answer of `grep`: everything counted, and as much shown as `form` says."""

    total: int
    files: int
    searched: int
    of: int
    form: Literal["text", "places", "counts", "files"]
    found: list[FileHits]
    best: list[FileHits] = msgspec.field(default_factory=list[FileHits])
    folders: list[tuple[str, int, int]] = msgspec.field(default_factory=list[tuple[str, int, int]])
    complete: bool = True
    widened: bool = False
    unusual: str = ""
    slow: list[str] = msgspec.field(default_factory=list[str])
    engine: str = ""


def shown(answer: Hits) -> list[str]:
    """The whole answer, how to go on included."""
    lines = [_head(answer)]
    if answer.total:
        lines += bounded(_FORMS[answer.form](answer))
    return [*lines, *_notes(answer)]


def _head(answer: Hits) -> str:
    if not answer.total:
        return (finding.NO_HIT if answer.of else finding.NO_FILE).format(searched=answer.searched)
    template = finding.HITS if answer.files > 1 else finding.IN_ONE_FILE
    if answer.total == 1:
        template = finding.ONE_HIT
    return template.format(total=answer.total, files=answer.files)


def _notes(answer: Hits) -> Iterator[str]:
    if answer.unusual:
        yield finding.UNUSUAL.format(why=line(answer.unusual))
    if answer.widened:
        yield finding.WIDENED
    if answer.slow:
        yield finding.SLOW.format(paths=", ".join(map(line, answer.slow)))
    if answer.searched < answer.of:
        yield finding.CUT_SHORT.format(searched=answer.searched, of=answer.of)
    elif not answer.complete:
        yield finding.TOO_MANY_FILES


def _text(answer: Hits) -> Iterator[str]:
    for file in answer.found:
        yield from _file(file)


def _file(file: FileHits) -> Iterator[str]:
    yield line(file.path)
    near = iter([*file.around, (0, "")])
    number, beside = next(near)
    known: set[str] = {""}
    for at, text, scope, outer, begins in file.hits:
        while number and number < at:
            yield finding.NEAR_LINE.format(line=number, text=beside)
            number, beside = next(near)
        around = outer if begins else scope
        if around not in known:
            yield finding.SCOPE.format(scope=line(around))
        known = {"", scope, outer}
        yield finding.LINE.format(line=at, text=text)
    while number:
        yield finding.NEAR_LINE.format(line=number, text=beside)
        number, beside = next(near)


def _places(answer: Hits) -> Iterator[str]:
    for file in answer.found:
        yield line(file.path)
        for scope, hits in groupby(file.hits, key=lambda hit: hit[2]):
            lines = ", ".join(str(hit[0]) for hit in hits)
            template = finding.LINES_OF_SCOPE if scope else "{lines}"
            yield " " + template.format(scope=line(scope), lines=lines)
    yield finding.PLACES_NEXT.format(most=TEXT_HITS_MAX)


def _counts(answer: Hits) -> Iterator[str]:
    if answer.best:
        yield finding.BEST
        for file in answer.best:
            yield from _file(file)
        yield finding.MOST
    for file in answer.found:
        yield finding.FILE_COUNT.format(path=line(file.path), count=file.count)
    if answer.folders and answer.files > len(answer.found):
        yield finding.BY_FOLDER
        for path, count, files in answer.folders:
            yield finding.FOLDER_COUNT.format(path=line(path) or ".", count=count, files=files)
    elif answer.files > len(answer.found):
        yield finding.FILES_CUT.format(count=answer.files - len(answer.found))
    if answer.best:
        yield finding.COUNTS_NEXT


def _files(answer: Hits) -> Iterator[str]:
    yield from (line(file.path) for file in answer.found)
    if answer.files > len(answer.found):
        yield finding.FILES_CUT.format(count=answer.files - len(answer.found))


_FORMS = {"text": _text, "places": _places, "counts": _counts, "files": _files}
