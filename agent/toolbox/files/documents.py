"""Documents as text: Jupyter notebooks by themselves, PDFs by a program that is there for it."""

from __future__ import annotations

import contextlib
import json
import os
import re
import select
import shutil
import signal
import subprocess
import time
from typing import Any, Dict, Iterator, List, Optional, Tuple

PDF_SECONDS = 30.0
TEXT_MAX_BYTES = 8_000_000
OUTPUT_MAX_CHARS = 4_000

_ESCAPES = re.compile(r"\x1b\[[0-?]*[ -/]*[@-~]")
_BY_PYTHON = """
import sys
try:
    from pypdf import PdfReader
except ImportError:
    try:
        from PyPDF2 import PdfReader
    except ImportError:
        sys.exit(9)
for page in PdfReader(sys.argv[1]).pages:
    sys.stdout.buffer.write((page.extract_text() or "").encode("utf-8", "replace") + b"\\f")
"""
_NOT_THERE = 9


class NoReader(Exception):
    """Nothing in the sandbox can read such a document."""


class Unreadable(Exception):
    """What is there to read it could not; the text says why."""


# Notebooks.


def notebook(data: bytes) -> Optional[str]:
    """The cells of a notebook and what they printed; None when it is no notebook."""
    try:
        content: Any = json.loads(data.decode("utf-8"))
        if not isinstance(content.get("cells"), list):
            return None
        return "\n".join(_cells(content["cells"]))
    except (ValueError, AttributeError, TypeError, KeyError, RecursionError):
        return None


def _cells(cells: List[Any]) -> Iterator[str]:
    for number, cell in enumerate(cells, 1):
        yield "[%d %s]" % (number, cell.get("cell_type", "cell"))
        yield _joined(cell.get("source", ""))
        outputs: List[Any] = cell.get("outputs") or []
        for output in outputs:
            yield from _output(number, output)


def _output(number: int, output: Any) -> Iterator[str]:
    if output.get("output_type") == "error":
        yield "[%d error]" % number
        yield "%s: %s" % (output.get("ename", ""), output.get("evalue", ""))
        yield _cut(_joined(output.get("traceback") or [], "\n"))
        return
    found: Dict[str, Any] = output.get("data") or {}
    said = _joined(output.get("text") or found.get("text/plain") or "")
    others = [kind for kind in found if kind != "text/plain"]
    yield "[%d output%s]" % (number, ": " + ", ".join(others) if others else "")
    if said:
        yield _cut(said)


def _joined(source: Any, between: str = "") -> str:
    text = source if isinstance(source, str) else between.join(map(str, source))
    return _ESCAPES.sub("", text).rstrip("\n")


def _cut(text: str) -> str:
    if len(text) <= OUTPUT_MAX_CHARS:
        return text
    return "%s\n[%d more characters]" % (text[:OUTPUT_MAX_CHARS], len(text) - OUTPUT_MAX_CHARS)


# PDFs.


def pdf(path: str) -> str:
    """The text of a PDF, page by page. Raises NoReader and Unreadable."""
    commands: List[List[str]] = []
    if shutil.which("pdftotext"):
        commands.append(["pdftotext", "-q", "-layout", "-enc", "UTF-8", path, "-"])
    commands += [
        [python, "-c", _BY_PYTHON, path] for python in ("python3", "python") if shutil.which(python)
    ]
    problem = ""
    for command in commands:
        code, said = _captured(command)
        if code == 0:
            return _pages(said.decode("utf-8", "replace"))
        if code != _NOT_THERE:
            problem = "`%s` ended with code %d" % (command[0], code)
    if problem:
        raise Unreadable(problem)
    raise NoReader


def _pages(text: str) -> str:
    pages = text.split("\f")
    if not pages[-1].strip():
        pages.pop()
    shown = ("[page %d]\n%s" % (number, page.strip("\n")) for number, page in enumerate(pages, 1))
    return "\n".join(shown)


def _captured(command: List[str]) -> Tuple[int, bytes]:
    """The exit code of a program and the first of what it prints, in bounded time."""
    until = time.monotonic() + PDF_SECONDS
    process = subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    assert process.stdout is not None
    pipe, data = process.stdout.fileno(), bytearray()
    try:
        while len(data) < TEXT_MAX_BYTES:
            left = until - time.monotonic()
            if left <= 0 or not select.select([pipe], [], [], left)[0]:
                return -signal.SIGKILL, bytes(data)
            piece = os.read(pipe, 262_144)
            if not piece:
                return process.wait(max(0.1, until - time.monotonic())), bytes(data)
            data += piece
        return 0, bytes(data)
    except subprocess.TimeoutExpired:
        return -signal.SIGKILL, bytes(data)
    finally:
        process.stdout.close()
        if process.poll() is None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
        process.wait()
