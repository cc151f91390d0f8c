"""Which language a file is in, and what counts as a definition in it.

A grammar is told by tables: lines `node kind [field]`, the field being where the name is found, or
lines with a whole pattern that captures `@kind`. `NAMES` says how to get from a definition to its
name where a field is not enough; see `trees`.
"""

from __future__ import annotations

import re
from typing import Dict, List, NamedTuple, Tuple

from agent.toolbox.code.tables import TABLES


class Language(NamedTuple):
    """What is known about a language; `module` is the grammar's, "" where we have none."""

    name: str
    module: str
    function: str
    kinds: Tuple[Tuple[str, str, str], ...]
    patterns: Tuple[str, ...]
    identifiers: Tuple[str, ...]

    @property
    def query(self) -> str:
        """The query whose captures are definitions by kind, and `@ref` for identifiers."""
        parts = ["(%s) @%s" % (node, kind) for node, kind, _ in self.kinds]
        parts += self.patterns
        if self.identifiers:
            parts.append("[%s] @ref" % " ".join("(%s)" % name for name in self.identifiers))
        return "\n".join(parts)


def _language(table: str) -> Tuple[Language, str, str, str]:
    head: Dict[str, str] = {}
    kinds: List[Tuple[str, str, str]] = []
    patterns: List[str] = []
    for line in filter(None, map(str.strip, table.strip().split("\n"))):
        words = line.split()
        if line.startswith("("):
            patterns.append(line)
        elif words[0].endswith(":"):
            head[words[0][:-1]] = " ".join(words[1:])
        else:
            kinds.append((words[0], words[1], words[2] if len(words) > 2 else "name"))
    module, _, function = head.get("grammar", "").partition(" ")
    language = Language(
        head["language"],
        module,
        function or "language",
        tuple(kinds),
        tuple(patterns),
        tuple(head.get("identifiers", "").split()),
    )
    return language, head.get("suffixes", ""), head.get("files", ""), head.get("runs", "")


LANGUAGES: Dict[str, Language] = {}
_SUFFIXES: Dict[str, str] = {}
_FILES: Dict[str, str] = {}
_INTERPRETERS: Dict[str, str] = {}
for _table in TABLES:
    _known, _suffixes, _files, _runs = _language(_table)
    LANGUAGES[_known.name] = _known
    _SUFFIXES.update((word, _known.name) for word in _suffixes.split())
    _FILES.update((word, _known.name) for word in _files.split())
    _INTERPRETERS.update((word, _known.name) for word in _runs.split())

_CPP = re.compile(rb"^\s*(?:(?:class|namespace|template|using)\b|public:|private:)", re.MULTILINE)

MODULES = sorted({known.module for known in LANGUAGES.values() if known.module})


def language_of(path: str, head: bytes = b"") -> str:
    """The language of the file at `path`, which begins with `head`; "" when it is unknown."""
    name = path.rsplit("/", 1)[-1]
    if name in _FILES:
        return _FILES[name]
    suffix = name.rpartition(".")[2] if "." in name else ""
    known = _SUFFIXES.get(suffix) or _SUFFIXES.get(suffix.lower())
    if known == "c" and suffix == "h" and _CPP.search(head):
        return "cpp"
    if known:
        return known
    if head.startswith(b"#!") and (not suffix or suffix == "in"):
        return _interpreter(head.split(b"\n", 1)[0])
    return ""


def _interpreter(line: bytes) -> str:
    words = line[2:].decode("utf-8", "replace").split()
    for word in words:
        program = word.rsplit("/", 1)[-1]
        if program == "env" or program.startswith("-") or "=" in program:
            continue
        return _INTERPRETERS.get(program.rstrip("0123456789."), "")
    return ""
