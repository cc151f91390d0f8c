"""The matches in one file: how many there are, the lines of the first, and what stands there."""

from __future__ import annotations

import os
import re
from typing import IO, Iterator, List, NamedTuple, Optional, Sequence, Tuple

from agent.toolbox.files import text, transfer
from agent.toolbox.search.dialect import Wanted

WHOLE_MAX_BYTES = 16_000_000
SNIFFED_BYTES = 8_000
LINE_SHOWN_CHARS = 160
BEFORE_CHARS = 60

DEFINES = re.compile(
    r"\s*(?:(?:export|default|pub(?:\([^)]*\))?|public|private|protected|internal|static|final|"
    r"abstract|async|unsafe|extern|inline|virtual|override|data|sealed|open|declare)\s+)*"
    r"(?:def|class|func|fun|fn|function|struct|interface|trait|enum|impl|type|module|namespace|"
    r"const|let|var|val|macro_rules!|\#\s*define|sub|object|protocol|extension|record)\b"
)


class Hit(NamedTuple):
    """A line with a match: its number, what of it is shown, whether it looks like a definition."""

    line: int
    text: str
    defines: bool


class Matches(NamedTuple):
    """What one file has. `hits` are the first of `total`, `around` the lines near them."""

    total: int
    hits: List[Hit]
    around: List[Tuple[int, str]]


def matches_in(path: str, wanted: Wanted, *, most: int, context: int) -> Optional[Matches]:
    """The matches in the file at `path`; None for one that is no text. Raises OSError.

    `most` hits are kept, each with `context` lines before and after it.
    """
    with os.fdopen(transfer.open_regular(path), "rb") as file:
        data = file.read(WHOLE_MAX_BYTES)
        if b"\0" in data[:SNIFFED_BYTES] and not data.startswith((b"\xff\xfe", b"\xfe\xff")):
            return None
        rest = file.read(1)
        if rest:
            file.seek(0)
            return _in_blocks(_blocks(file), wanted, most)
    content = text.decode(data)
    if content is None:
        return None
    body = content.text.replace("\r\n", "\n")
    return _in_text(body, wanted, most, context, 0)


def _blocks(file: IO[bytes]) -> Iterator[str]:
    """The text of a large file in pieces that end with a line, a line without end excepted."""
    left = b""
    while True:
        piece = file.read(WHOLE_MAX_BYTES)
        data = left + piece
        if not piece:
            if data:
                yield _plain(data)
            return
        end = data.rfind(b"\n") + 1 or len(data)
        left = data[end:]
        yield _plain(data[:end])


def _plain(data: bytes) -> str:
    return data.decode("utf-8", "surrogateescape").replace("\r\n", "\n")


def _in_blocks(blocks: Iterator[str], wanted: Wanted, most: int) -> Matches:
    hits: List[Hit] = []
    count = before = 0
    for block in blocks:
        found = _in_text(block, wanted, most - len(hits), 0, before)
        count += found.total
        hits += found.hits
        before += block.count("\n")
    return Matches(count, hits, [])


def _in_text(body: str, wanted: Wanted, most: int, context: int, before: int) -> Matches:
    hits: List[Hit] = []
    count, number, counted = 0, before + 1, 0
    for start, end, at in _lines(body, wanted):
        count += 1
        if len(hits) < most:
            number += body.count("\n", counted, start)
            counted = start
            line = body[start:end]
            shown = around_match(line, at - start, margin=context > 0)
            hits.append(Hit(number, shown, _defines(line, at - start)))
    near = _around(body, hits, context) if context and hits else []
    return Matches(count, hits, near)


def _lines(body: str, wanted: Wanted) -> Iterator[Tuple[int, int, int]]:
    """Where each line with a match starts and ends, and where its first match starts."""
    texts = wanted.texts
    sought = body
    if wanted.regex.flags & re.IGNORECASE:
        # Only there is the text as long in lower case as it was.
        sought, texts = (body.lower(), texts) if body.isascii() else (body, ())
    if texts and not wanted.spans:
        yield from _lines_with(body, sought, texts, wanted)
    elif wanted.alone:
        yield from _lines_alone(body, wanted)
    else:
        yield from _lines_found(body, wanted)


def _lines_with(
    body: str, sought: str, texts: Sequence[str], wanted: Wanted
) -> Iterator[Tuple[int, int, int]]:
    """Lines that have a text without which there is no match: mostly all that need be looked at."""
    search, size = wanted.regex.search, len(body)
    after = size + 1
    places = [_found_at(sought, text, 0, after) for text in texts]
    while True:
        place = min(places)
        if place == after:
            return
        start = body.rfind("\n", 0, place) + 1
        end = body.find("\n", place)
        end = size if end < 0 else end
        if wanted.alone:
            match = search(body[start:end])
            first = start + match.start() if match else 0
        else:
            match = search(body, start, end)
            first = match.start() if match else 0
        if match:
            yield start, end, first
        places = [
            at if at > end else _found_at(sought, text, end, after)
            for at, text in zip(places, texts)
        ]


def _found_at(sought: str, text: str, start: int, absent: int) -> int:
    at = sought.find(text, start)
    return absent if at < 0 else at


def _lines_found(body: str, wanted: Wanted) -> Iterator[Tuple[int, int, int]]:
    search, at, size = wanted.regex.search, 0, len(body)
    while at < size or (at == 0 and wanted.spans):
        match = search(body, at)
        if match is None or (match.start() == size and body.endswith("\n")):
            return
        first = match.start()
        start = body.rfind("\n", 0, first) + 1
        end = body.find("\n", first)
        end = size if end < 0 else end
        if start < at:
            start = at
        yield start, end, first
        at = end + 1
        if wanted.spans and match.end() > at:
            at = match.end()


def _lines_alone(body: str, wanted: Wanted) -> Iterator[Tuple[int, int, int]]:
    search, at = wanted.regex.search, 0
    for line in body.split("\n"):
        if at == len(body):
            return  # what follows the last newline is no line
        match = search(line)
        if match is not None:
            yield at, at + len(line), at + match.start()
        at += len(line) + 1


def _defines(line: str, at: int) -> bool:
    """Whether the match looks like the name of what the line defines."""
    found = DEFINES.match(line[:500])
    if found is None:
        return False
    return at <= found.end() + 1 or not line[found.end() : at].strip()


def around_match(line: str, at: int, *, margin: bool = False) -> str:
    """`line`, without its margin unless that is wanted, cut to what is around position `at`."""
    line = line.rstrip()
    if not margin:
        at = max(0, at - len(line) + len(line.lstrip()))
        line = line.lstrip()
    if len(line) <= LINE_SHOWN_CHARS:
        return line
    start = max(0, min(at - BEFORE_CHARS, len(line) - LINE_SHOWN_CHARS))
    end = start + LINE_SHOWN_CHARS
    return ("…" if start else "") + line[start:end] + ("…" if end < len(line) else "")


def _around(body: str, hits: List[Hit], context: int) -> List[Tuple[int, str]]:
    """The lines near the hits that are none themselves, indentation kept."""
    lines = body.split("\n")
    if lines[-1] == "":
        lines.pop()
    own = {hit.line for hit in hits}
    wanted = {
        number
        for hit in hits
        for number in range(hit.line - context, hit.line + context + 1)
        if 1 <= number <= len(lines) and number not in own
    }
    return [(number, lines[number - 1].rstrip()[:LINE_SHOWN_CHARS]) for number in sorted(wanted)]
