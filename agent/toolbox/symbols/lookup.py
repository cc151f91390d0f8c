"""Questions to one tree's index: what is called so, who uses it, what is around a line."""

from __future__ import annotations

import contextlib
import functools
import os
import time
from typing import Any, Dict, List, NamedTuple, Optional, Sequence, Set, Tuple

from agent.toolbox.code.outline import Definition, around, qualified
from agent.toolbox.files import text, transfer
from agent.toolbox.search import tree
from agent.toolbox.symbols import rows, store
from agent.toolbox.symbols.index import AT_ONCE, AT_ONCE_SECONDS, Index, Missing
from agent.toolbox.symbols.modules import Modules
from agent.toolbox.symbols.rows import name_id

SCAN_SECONDS = 3.0
DEFINING_FILES_MAX = 400
NAMES_MAX = 2_000
MENTIONED_MAX = 4
TEXTS_HELD = 200
"""A name may be used in thousands of files: not all of them can be in memory."""


class Found(NamedTuple):
    """A definition in the tree. `qualified` is its name with those of what it belongs to."""

    path: str
    language: str
    definition: Definition
    qualified: str
    generated: bool

    @property
    def name(self) -> str:
        return self.definition.name

    @property
    def line(self) -> int:
        return self.definition.line


class File(NamedTuple):
    """A file of the tree that is in the index."""

    path: str
    language: str
    state: int
    definitions: Tuple[Definition, ...]

    def at(self, line: int) -> Optional[Definition]:
        """The innermost definition around a line."""
        return around(self.definitions, line)

    def qualified(self, definition: Definition) -> str:
        return qualified(self.definitions, definition)

    def found(self, definition: Definition) -> Found:
        made = self.state == store.GENERATED
        return Found(self.path, self.language, definition, self.qualified(definition), made)


class Lookup:
    """One question's view of a refreshed index; what it reads it keeps for the question's time."""

    def __init__(self, index: Index) -> None:
        self.index = index
        self._store = index.store
        self._missing = index.missing()
        self._files: Dict[str, File] = {}
        self.text = functools.lru_cache(TEXTS_HELD)(self._text)
        self.lines = functools.lru_cache(TEXTS_HELD)(self._lines)
        self._see()

    def _see(self) -> None:
        self._found: Dict[str, List[Found]] = {}
        self.meant: Dict[Tuple[str, str, int], Optional[Found]] = {}
        self.live = self.index.live()
        self.blob_of = {path: blob for blob, paths in self.live.items() for path in paths}
        # All files there are: what passes a name on need not have it in its own text.
        self.modules = Modules(self.index.tokens(), self.text)

    # Completing.

    def settle(self, name: str) -> int:
        """Parse now what is missing and has the name in it; how many such files are left out."""
        if not self._missing:
            return 0
        candidates = self._missing
        if len(candidates) > AT_ONCE:
            candidates = self._mentioning(name)
        self.settle_files(candidates[:AT_ONCE])
        return max(0, len(candidates) - AT_ONCE)

    def settle_words(self, words: Sequence[str]) -> None:
        """Parse now what is missing and most likely about these words, by paths and by content."""
        if not self._missing:
            return
        if len(self._missing) <= AT_ONCE:
            self.settle_files(self._missing)
            return
        parts = {part for word in words for part in rows.parts(word)}
        telling = sorted(words, key=lambda word: (-len(word), word))[:MENTIONED_MAX]
        mentioned = (telling and _grep(self.index.root, *telling)) or ()

        def key(one: Missing) -> Tuple[object, ...]:
            score = 2 * len(parts.intersection(rows.parts(one.path))) + (one.path in mentioned)
            return (-score, rows.test(one.path) or rows.vendored(one.path), one.path)

        self.settle_files(sorted(self._missing, key=key)[:AT_ONCE])

    def settle_files(self, files: Sequence[Missing], seconds: float = AT_ONCE_SECONDS) -> None:
        """Parse these now."""
        self.index.settle(files, seconds)
        self._missing = self.index.missing()
        self._see()

    def settle_path(self, path: str) -> None:
        """Parse one file now, if it is not known."""
        wanted = [one for one in self._missing if one.path == path]
        if wanted:
            self.settle_files(wanted)

    def _mentioning(self, name: str) -> List[Missing]:
        """The missing files with the name in them, those without tests in their path first."""
        said = _grep(self.index.root, name)
        missing = sorted(self._missing, key=lambda one: (rows.test(one.path), one.path))
        if said is not None:
            return [one for one in missing if one.path in said]
        until, wanted = time.monotonic() + SCAN_SECONDS, name.encode("utf-8", "replace")
        found: List[Missing] = []
        for one in missing:
            if time.monotonic() > until or len(found) > AT_ONCE:
                break
            if wanted in self._bytes(one.path):
                found.append(one)
        return found

    # Files.

    def file(self, path: str) -> Optional[File]:
        """What is known of the file at `path`."""
        blob = self.blob_of.get(path)
        if blob is None:
            return None
        if path not in self._files:
            found = self._store.one("SELECT language, state, outline FROM blob WHERE id=?", blob)
            assert found is not None
            language, state, packed = found
            definitions = tuple(Definition(*row) for row in store.unpack_outline(packed))
            self._files[path] = File(path, language, state, definitions)
        return self._files[path]

    def _text(self, path: str) -> str:
        """A file's text as it is now; empty when there is none."""
        content = text.decode(self._bytes(path))
        return content.text if content is not None else ""

    def _lines(self, path: str) -> List[str]:
        return self.text(path).split("\n")

    def line(self, path: str, number: int) -> str:
        """One line of a file, "" when it has none such."""
        lines = self.lines(path)
        return lines[number - 1].rstrip("\r") if 0 < number <= len(lines) else ""

    def _bytes(self, path: str) -> bytes:
        with contextlib.suppress(OSError):
            descriptor = transfer.open_regular(os.path.join(self.index.root, path))
            with os.fdopen(descriptor, "rb") as file:
                return file.read(rows.FILE_MAX_BYTES)
        return b""

    def names_on(self, path: str, line: int) -> List[str]:
        """The names that are used in a line, in its order."""
        blob = self.blob_of.get(path)
        found = blob and self._store.one("SELECT outward FROM blob WHERE id=?", blob)
        used = {name for name, _ in store.unpack_outward(found[0] if found else None)}
        words = dict.fromkeys(rows.words(self.line(path, line)))
        return [word for word in words if name_id(word) in used and self._used(word, blob, line)]

    def _used(self, name: str, blob: Any, line: int) -> bool:
        query = "SELECT lines FROM reference WHERE name=? AND blob=?"
        found = self._store.one(query, name_id(name), blob)
        return found is not None and line in store.unpack_lines(found[0])

    # Names.

    def definitions(self, name: str) -> List[Found]:
        """Every definition of a name, by path and line; promises of one where there is no other."""
        if name in self._found:
            return list(self._found[name])
        query = "SELECT blob FROM definition WHERE name=?"
        blobs = [blob for (blob,) in self._store.rows(query, name_id(name)) if blob in self.live]
        found: List[Found] = []
        for path in sorted(p for blob in blobs for p in self.live[blob])[:DEFINING_FILES_MAX]:
            file = self.file(path)
            if file is not None:
                named = (d for d in file.definitions if d.name == name)
                found += [file.found(d) for d in named if d.kind not in rows.SCOPES]
        self._found[name] = found
        return list(found)

    def defined(self, name: str) -> bool:
        """Whether anything in the tree is called so."""
        query = "SELECT blob FROM definition WHERE name=?"
        return any(blob in self.live for (blob,) in self._store.rows(query, name_id(name)))

    def defines(self, path: str, name: str) -> bool:
        """Whether a file defines a name that can be taken from it."""
        query = "SELECT 1 FROM definition WHERE name=? AND blob=?"
        if self._store.one(query, name_id(name), self.blob_of.get(path)) is None:
            return False
        file = self.file(path)
        return file is not None and any(d.name == name and d.parent < 0 for d in file.definitions)

    def references(self, name: str) -> Dict[str, List[int]]:
        """The lines of every file that use a name."""
        query = "SELECT blob, lines FROM reference WHERE name=?"
        found: Dict[str, List[int]] = {}
        for blob, lines in self._store.rows(query, name_id(name)):
            for path in self.live.get(blob, ()):
                found[path] = store.unpack_lines(lines)
        return found

    def matching(self, part: str) -> List[str]:
        """Names that are defined and have `part` in them, the closest first."""
        escaped = part.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")
        query = "SELECT text FROM name WHERE text LIKE ? ESCAPE '\\' LIMIT ?"
        found = [name for (name,) in self._store.rows(query, "%" + escaped + "%", 20 * NAMES_MAX)]
        low = part.lower()

        def distance(name: str) -> Tuple[Any, ...]:
            lower = name.lower()
            return (name != part, lower != low, not lower.startswith(low), len(name), name)

        return sorted(found, key=distance)[:NAMES_MAX]


def _grep(root: str, *names: str) -> Optional[Set[str]]:
    """The files that git finds one of some words in; None where git is no help."""
    sought = [part for name in names for part in ("-e", name)]
    how = ("-l", "-z", "-F", "-w", "--untracked", "-I")
    command = [*tree.GIT, "grep", *how, *sought, "--", "."]
    done = tree.listing(command, root, tree.git_environment(), time.monotonic() + SCAN_SECONDS)
    if done is None or done.returncode not in (0, 1):
        return None
    return set(os.fsdecode(done.stdout).split("\0"))
