"""Bytes to text and back without loss: encoding, byte order mark, line endings."""

from __future__ import annotations

import codecs
from typing import Any, List, Optional

SNIFFED_BYTES = 8_192

_MARKS = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)
_MAGIC = (
    (b"\x89PNG", "png image"),
    (b"\xff\xd8\xff", "jpeg image"),
    (b"GIF8", "gif image"),
    (b"%PDF", "pdf document"),
    (b"PK\x03\x04", "zip archive"),
    (b"\x1f\x8b", "gzip data"),
    (b"BZh", "bzip2 data"),
    (b"\xfd7zXZ", "xz data"),
    (b"\x28\xb5\x2f\xfd", "zstandard data"),
    (b"\x7fELF", "ELF program"),
    (b"SQLite format 3", "sqlite database"),
    (b"\x00asm", "WebAssembly module"),
)
# Control characters that text does have.
_TEXT_CONTROLS = b"\t\n\f\r\b\x1b"
_CONTROLS = bytes(set(range(32)) - set(_TEXT_CONTROLS)) + b"\x7f"
_WINDOWS = bytes(range(0x80, 0xA0))


class Text:
    """The content of a text file: `text` with its own line endings, and its encoding."""

    def __init__(self, text: str, encoding: str, bom: bool) -> None:
        self.text = text
        self.encoding = encoding
        self.bom = bom

    @property
    def newline(self) -> str:
        windows = self.text.count("\r\n")
        if not windows:
            return "\n"
        return "\r\n" if windows == self.text.count("\n") else "mixed"

    def lines(self) -> List[str]:
        """The lines without their endings; a final newline makes no empty last line."""
        return lines_of(self.text)

    def encode(self, text: str) -> bytes:
        """`text` as bytes in this encoding. Raises UnicodeEncodeError when it does not fit."""
        mark = next(mark for mark, name in _MARKS if name == self.encoding) if self.bom else b""
        return mark + text.encode(self.encoding)


def lines_of(text: str) -> List[str]:
    """The lines of `text` without their endings; a final newline makes no empty last line."""
    lines = text.split("\n")
    if lines[-1] == "":
        lines.pop()
    if "\r\n" in text:
        lines = [line[:-1] if line.endswith("\r") else line for line in lines]
    return lines


def decode(data: bytes) -> Optional[Text]:
    """The text in `data`, or None when it is binary. Every byte survives `encode`."""
    for mark, encoding in _MARKS:
        if data.startswith(mark):
            marked = _decoded(data[len(mark) :], encoding, bom=True)
            return None if marked is None or "\0" in marked.text else marked
    if b"\0" in data:
        return _wide(data)
    return _decoded(data, "utf-8", bom=False) or _western(data)


def _decoded(data: bytes, encoding: str, bom: bool) -> Optional[Text]:
    try:
        return Text(data.decode(encoding), encoding, bom)
    except UnicodeDecodeError:
        return None


def _wide(data: bytes) -> Optional[Text]:
    """UTF-16 without its mark: text in which every other byte is mostly zero."""
    sample = data[:SNIFFED_BYTES]
    zeros = (sample[0::2].count(0), sample[1::2].count(0))
    if len(data) % 2 or 5 * max(zeros) < len(sample) or 50 * min(zeros) > len(sample):
        return None
    found = _decoded(data, "utf-16-le" if zeros[1] > zeros[0] else "utf-16-be", bom=False)
    if found is None or any(chr(code) in found.text for code in _CONTROLS):
        return None
    return found


def _western(data: bytes) -> Optional[Text]:
    """One byte a character: Latin-1, or Windows' own where quotes and dashes of it are in use."""
    sample = data[:SNIFFED_BYTES]
    controls = len(sample) - len(sample.translate(None, _CONTROLS))
    if controls * 20 > len(sample):
        return None
    windows = None if data.translate(None, _WINDOWS) == data else _decoded(data, "cp1252", False)
    return windows or Text(data.decode("latin-1"), "latin-1", False)


def kind(data: bytes) -> str:
    """What sort of binary data this is, for people."""
    return next((name for magic, name in _MAGIC if data.startswith(magic)), "binary data")


def unencodable(error: UnicodeEncodeError) -> Any:
    """Why a text does not fit an encoding."""
    char = error.object[error.start]
    return "U+%04X cannot be written as %s" % (ord(char), error.encoding)
