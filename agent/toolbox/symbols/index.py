"""The symbols of one work tree: kept up to date, completed on demand, honest about what is missing.

`refresh` compares the tree with what is known; it reads no content. Blobs that are not known yet
are parsed by the build in the background, or at once where a question needs few of them.
"""

from __future__ import annotations

import hashlib
import os
import time
from typing import Dict, Iterable, List, NamedTuple, Optional, Sequence, Set, Tuple

from agent.toolbox.code import parsing
from agent.toolbox.files import transfer
from agent.toolbox.symbols import rows, snapshot, store
from agent.toolbox.symbols.store import Parsed, Store

AT_ONCE = 50
"""So many files are parsed while somebody waits; more are left to the background."""
AT_ONCE_SECONDS = 2.0


class Coverage(NamedTuple):
    """How many files of code there are, and how many of them are in the index.

    `complete` is False where the tree has more than can be listed.
    """

    parsed: int
    files: int
    complete: bool

    @property
    def whole(self) -> bool:
        return self.complete and self.parsed >= self.files


class Missing(NamedTuple):
    """A file whose symbols are not known. `oid` is "" where git does not say it."""

    path: str
    token: str
    language: str
    oid: str


class Index:
    """One tree's symbols, for one thread. Raises sqlite3.Error and OSError when it cannot work."""

    def __init__(self, root: str, database: str = "") -> None:
        self.root = os.path.realpath(root)
        self.store = Store(database or store.database())
        self.number, self._state = self.store.root(self.root)
        self._complete = True

    def close(self) -> None:
        self.store.close()

    def refresh(self) -> None:
        """Learn what the tree holds now."""
        now = snapshot.take(self.root)
        self._complete = now.complete
        if now.state == self._state:
            return
        with self.store.writing():
            self._learn(now)
            self.store.run("UPDATE root SET state=? WHERE id=?", now.state, self.number)
        self._state = now.state

    def _learn(self, now: snapshot.Snapshot) -> None:
        before = self.tokens()
        gone = [(self.number, path) for path in before if path not in now.files]
        self.store.many("DELETE FROM file WHERE root=? AND path=?", gone)
        changed = [(p, e) for p, e in now.files.items() if before.get(p) != e.token]
        named = [(e.oid, e.language) for _, e in changed if e.oid]
        add = "INSERT OR IGNORE INTO blob(oid, language, state) VALUES(?,?,0)"
        self.store.many(add, sorted(set(named)))
        link = (
            "INSERT OR REPLACE INTO file(root, path, token, language, blob) VALUES(?,?,?,?,"
            "(SELECT id FROM blob WHERE oid=? AND language=?))"
        )
        rows_ = [(self.number, p, e.token, e.language, e.oid, e.language) for p, e in changed]
        self.store.many(link, sorted(rows_))

    def coverage(self) -> Coverage:
        """As of the last `refresh`."""
        query = (
            "SELECT count(*), count(CASE WHEN blob.state > 0 THEN 1 END)"
            " FROM file LEFT JOIN blob ON blob.id = file.blob WHERE root=?"
        )
        files, parsed = self.store.rows(query, self.number)[0]
        return Coverage(parsed, files, self._complete)

    def live(self) -> Dict[int, List[str]]:
        """The paths of each blob that is parsed and in the tree."""
        query = (
            "SELECT file.blob, file.path FROM file JOIN blob ON blob.id = file.blob"
            " WHERE root=? AND blob.state > 0 ORDER BY file.path"
        )
        paths: Dict[int, List[str]] = {}
        for blob, path in self.store.rows(query, self.number):
            paths.setdefault(blob, []).append(path)
        return paths

    def tokens(self) -> Dict[str, str]:
        """What each path stands for now; another token is another content."""
        return dict(self.store.rows("SELECT path, token FROM file WHERE root=?", self.number))

    def missing(self) -> List[Missing]:
        """What is not parsed yet; of equal files one."""
        query = (
            "SELECT file.path, file.token, file.language, coalesce(blob.oid, ''), file.blob"
            " FROM file LEFT JOIN blob ON blob.id = file.blob"
            " WHERE root=? AND (file.blob IS NULL OR blob.state = 0) ORDER BY file.path"
        )
        seen: Set[int] = set()
        found: List[Missing] = []
        for path, token, language, oid, blob in self.store.rows(query, self.number):
            if blob in seen:
                continue
            if blob is not None:
                seen.add(blob)
            found.append(Missing(path, token, language, oid))
        return found

    # Completing.

    def settle(self, wanted: Iterable[Missing], seconds: float = AT_ONCE_SECONDS) -> None:
        """Parse these now and keep what came of it, as far as the time goes."""
        until = time.monotonic() + seconds
        contents: Dict[str, bytes] = {}
        done: List[Tuple[Missing, str, Optional[Parsed]]] = []
        pending: Dict[str, Tuple[Missing, str]] = {}
        for one in wanted:
            if time.monotonic() > until:
                break
            oid, data = content(self.root, one)
            if data is None or rows.only_listed(data):
                state = store.BROKEN if data is None else store.LISTED
                done.append((one, oid, Parsed(state)))
            elif self.known(oid, one.language):
                done.append((one, oid, None))
            else:
                contents[one.path] = data
                pending[one.path] = (one, oid)
        # The language is told by the path alone there; a script without a suffix is left alone.
        outlines = parsing.outlines(contents, max(0.1, until - time.monotonic()))
        for path, outline in outlines.items():
            one, oid = pending[path]
            if outline.language == one.language:
                done.append((one, oid, rows.parsed(outline, contents[path])))
        self.record(done)

    def record(self, done: Sequence[Tuple[Missing, str, Optional[Parsed]]]) -> None:
        """Keep what was parsed; None stands for a blob that is known already."""
        with self.store.writing():
            link = "UPDATE file SET blob=? WHERE root=? AND path=? AND token=?"
            parsed: List[Tuple[int, Parsed]] = []
            for one, oid, rows_ in done:
                blob = self.store.blob(oid, one.language)
                if rows_ is not None:
                    parsed.append((blob, rows_))
                if oid != one.oid:
                    self.store.run(link, blob, self.number, one.path, one.token)
            self.store.keep(parsed)

    def known(self, oid: str, language: str) -> bool:
        """Whether a blob has been parsed, or given up."""
        query = "SELECT 1 FROM blob WHERE oid=? AND language=? AND state > 0"
        return self.store.one(query, oid, language) is not None


def content(root: str, one: Missing) -> Tuple[str, Optional[bytes]]:
    """The blob id of a file as it is now, and its bytes; None for what cannot be read.

    Of a file that is too large only the beginning is read, and its id is one of our own.
    """
    try:
        descriptor = transfer.open_regular(os.path.join(root, one.path))
        with os.fdopen(descriptor, "rb") as file:
            # So much room is made at once: the most for every file would cost more than reading.
            size = min(os.fstat(descriptor).st_size, rows.FILE_MAX_BYTES)
            data = file.read(size + 1)
            if len(data) > size:
                data += file.read(rows.FILE_MAX_BYTES - size)
    except OSError:
        return "unread " + one.token, None
    if len(data) > rows.FILE_MAX_BYTES:
        return one.oid or "large " + one.token, data
    return blob_id(data, len(one.oid)), data


def blob_id(data: bytes, length: int = 40) -> str:
    """The id that git gives to a content; `length` tells a SHA-256 repository's."""
    kind = hashlib.sha256 if length == 64 else hashlib.sha1
    return kind(b"blob %d\0" % len(data) + data).hexdigest()
