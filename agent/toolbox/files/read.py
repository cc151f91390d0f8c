"""Read files: text by lines, pictures whole, documents as the text in them."""

from __future__ import annotations

import base64
import hashlib
import os
import stat
import threading
from typing import Any, Dict, List, Optional, Tuple

from agent.toolbox.changes.nearest import similar_paths
from agent.toolbox.files import documents, paths, text, transfer
from agent.toolbox.files.documents import NoReader, Unreadable
from agent.toolbox.files.images import Picture, picture
from agent.toolbox.files.paths import Answer, refusal, refused
from agent.toolbox.files.text import Text

PDF_MAX_BYTES = 60_000_000
IMAGE_MAX_PIXELS = 8_000

changing = threading.Lock()
"""Held from reading a file to replacing it, so that of two edits of one file none is lost."""


def digest(data: bytes) -> str:
    """The hash by which a file's content is known."""
    return hashlib.sha256(data).hexdigest()


def load(path: str, limits: Dict[str, Any]) -> Tuple[Optional[bytes], Answer]:
    """The bytes of a regular file, or None and why not. Never blocks, never reads without end."""
    try:
        status = paths.stat_of(path)
        if status is None:
            return None, refusal(path, "absent", nearest=similar_paths(path, limits["workdir"]))
        if stat.S_ISDIR(status.st_mode):
            return None, refusal(path, "directory")
        if not stat.S_ISREG(status.st_mode):
            return None, refusal(path, "special", kind=paths.kind_of(status.st_mode))
        data = _read(path, limits["file_max"])
    except FileNotFoundError:
        return None, refusal(path, "absent", nearest=[])
    except OSError as error:
        return None, refused(path, error)
    if len(data) > limits["file_max"]:
        return None, refusal(path, "too_large", size=max(status.st_size, len(data)))
    return data, {}


def _read(path: str, limit: int) -> bytes:
    with os.fdopen(transfer.open_regular(path), "rb") as file:
        return file.read(limit + 1)


def read(arguments: Dict[str, Any], limits: Dict[str, Any]) -> Answer:
    """Lines `offset`.. of a text file, at most `limit` and at most so many bytes."""
    path = paths.absolute(arguments["path"], limits["workdir"])
    wide = path.lower().endswith(".pdf")
    data, problem = load(path, dict(limits, file_max=PDF_MAX_BYTES) if wide else limits)
    if data is None:
        return problem
    shown = picture(data)
    if shown is not None:
        return _picture(path, data, shown, limits)
    try:
        content, kind = _content(path, data)
    except NoReader:
        return refusal(path, "no_reader", kind=text.kind(data), size=len(data))
    except Unreadable as problem_inside:
        return refusal(path, "unreadable", kind=text.kind(data), why=str(problem_inside))
    if content is None:
        return refusal(path, "binary", kind=text.kind(data), size=len(data))
    limits = dict(limits, read_bytes=min(limits["read_bytes"], arguments.get("bytes", 1 << 30)))
    lines = content.lines()
    first = max(1, arguments.get("offset", 1))
    if first > max(1, len(lines)):
        return refusal(path, "past_end", total=len(lines))
    wanted = min(max(1, arguments.get("limit", limits["read_lines"])), limits["read_lines"])
    page, long_lines, cut = _page(lines, first, wanted, limits)
    return {
        "ok": True,
        "path": path,
        "hash": digest(data),
        "size": len(data),
        "text": "\n".join(page),
        "first": first if page else 0,
        "last": first + len(page) - 1 if page else 0,
        "total": len(lines),
        "encoding": content.encoding,
        "newline": content.newline,
        "bom": content.bom,
        "cut": cut,
        "long_lines": long_lines,
        "document": kind,
    }


def _content(path: str, data: bytes) -> Tuple[Optional[Text], str]:
    """The text of a file and, when that is not simply what is in it, what it is the text of."""
    if data.startswith(b"%PDF-"):
        return Text(documents.pdf(path), "utf-8", False), "PDF"
    if path.endswith(".ipynb"):
        cells = documents.notebook(data)
        if cells is not None:
            return Text(cells, "utf-8", False), "notebook"
    return text.decode(data), ""


def _picture(path: str, data: bytes, shown: Picture, limits: Dict[str, Any]) -> Answer:
    why = "%dx%d pixels" % (shown.width, shown.height)
    facts: Dict[str, Any] = {"kind": shown.media, "size": len(data), "why": why}
    if len(data) > limits["image_max"] or max(shown.width, shown.height) > IMAGE_MAX_PIXELS:
        return refusal(path, "too_large_image", **facts)
    encoded = base64.b64encode(data).decode("ascii")
    return dict(facts, ok=True, path=path, hash=digest(data), image=encoded)


def _page(
    lines: List[str], first: int, wanted: int, limits: Dict[str, Any]
) -> Tuple[List[str], List[int], str]:
    page: List[str] = []
    long_lines: List[int] = []
    room = limits["read_bytes"]
    for number, line in enumerate(lines[first - 1 : first - 1 + wanted], first):
        shown = line[: limits["line_chars"]]
        room -= len(shown.encode("utf-8", "surrogatepass")) + 1
        if room < 0 and page:
            return page, long_lines, "bytes"
        if len(line) > len(shown):
            long_lines.append(number)
        page.append(shown)
    return page, long_lines, "lines" if first - 1 + len(page) < len(lines) else ""
