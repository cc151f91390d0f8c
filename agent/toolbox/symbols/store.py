"""The symbol database: one SQLite file for all trees of this user, keyed by git's blob ids.

A blob is parsed once, wherever and however often it lies in a tree; a tree is a table of paths. The
file is outside every work tree and carries the version of its contents in its name, so that a newer
toolbox never reads what an older one wrote. Any number of processes may use it: writes are short
transactions, a reader never waits for the background build.
"""

from __future__ import annotations

import contextlib
import json
import os
import sqlite3
import sys
import zlib
from array import array
from operator import itemgetter
from typing import Any, Generator, Iterable, List, NamedTuple, Optional, Sequence, Tuple

from agent.toolbox.code import parsing

VERSION = 2
"""Of the tables and of the rows in them: raise it with any. Grammars have an edition of theirs."""
BUSY_SECONDS = 10.0
MAX_BYTES = 1_500_000_000
CACHE_KB = 16_384

# What became of a blob.
WANTED, FULL, GENERATED, LISTED, BROKEN = range(5)
"""Not parsed yet; parsed; parsed and made by a machine; known by its path alone, since it is too
large or nobody wrote it by hand; given up, since parsing it failed or took too long."""

_SCHEMA = """
CREATE TABLE IF NOT EXISTS root(id INTEGER PRIMARY KEY, path TEXT UNIQUE, state TEXT);
CREATE TABLE IF NOT EXISTS file(
    root INTEGER, path TEXT, token TEXT, language TEXT, blob INTEGER,
    PRIMARY KEY(root, path)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS blob(
    id INTEGER PRIMARY KEY, oid TEXT, language TEXT, state INTEGER, words INTEGER,
    outline BLOB, outward BLOB, UNIQUE(oid, language));
CREATE INDEX IF NOT EXISTS linked ON file(blob);
CREATE TABLE IF NOT EXISTS name(id INTEGER PRIMARY KEY, text TEXT);
CREATE TABLE IF NOT EXISTS definition(
    name INTEGER, blob INTEGER, PRIMARY KEY(name, blob)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS reference(
    name INTEGER, blob INTEGER, lines BLOB, PRIMARY KEY(name, blob)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS word(
    word TEXT, blob INTEGER, count INTEGER, PRIMARY KEY(word, blob)) WITHOUT ROWID;
"""

Row = Tuple[Any, ...]
_FIRST = itemgetter(0)


class Parsed(NamedTuple):
    """What one blob adds to the database; see `rows.parsed`."""

    state: int
    outline: bytes = b""
    outward: bytes = b""
    names: Sequence[Tuple[int, str]] = ()
    references: Sequence[Tuple[int, bytes]] = ()
    words: Sequence[Tuple[str, int]] = ()


def cache_folder() -> str:
    """Where this user's databases are; made when it is absent. Raises OSError when none can be."""
    home = os.environ.get("XDG_CACHE_HOME") or os.path.join(os.path.expanduser("~"), ".cache")
    for base in (home, "/var/tmp", "/tmp"):
        folder = os.path.join(base, "glovebox" if base == home else "glovebox-%d" % os.getuid())
        with contextlib.suppress(OSError):
            os.makedirs(folder, mode=0o700, exist_ok=True)
            if os.stat(folder).st_uid == os.getuid() and os.access(folder, os.W_OK):
                return folder
    raise OSError("no folder for the index can be made")


def database() -> str:
    """The path of the database."""
    python = "%d.%d" % sys.version_info[:2]
    name = "symbols-%d-%s-%s.db" % (VERSION, python, parsing.edition())
    return os.path.join(cache_folder(), name)


class Store:
    """One connection, for one thread. Raises sqlite3.Error when the database cannot be used."""

    def __init__(self, path: str) -> None:
        self.path = path
        self._db = _opened(path)

    def close(self) -> None:
        self._db.close()

    @contextlib.contextmanager
    def writing(self) -> Generator[None, None, None]:
        """One transaction: all of what is done in it, or nothing."""
        self._db.execute("BEGIN IMMEDIATE")
        try:
            yield
        except BaseException:
            self._db.execute("ROLLBACK")
            raise
        self._db.execute("COMMIT")

    def rows(self, query: str, *values: Any) -> List[Row]:
        return self._db.execute(query, values).fetchall()

    def one(self, query: str, *values: Any) -> Optional[Row]:
        return self._db.execute(query, values).fetchone()

    def run(self, query: str, *values: Any) -> None:
        self._db.execute(query, values)

    def many(self, query: str, rows: Iterable[Row]) -> None:
        self._db.executemany(query, rows)

    def full(self) -> bool:
        """Whether it has grown to its bound: then nothing is added any more."""
        (pages,) = self.rows("PRAGMA page_count")[0]
        (size,) = self.rows("PRAGMA page_size")[0]
        return pages * size > MAX_BYTES

    # Trees.

    def root(self, path: str) -> Tuple[int, str]:
        """The number of a tree, and the state it was last seen in."""
        found = self.one("SELECT id, state FROM root WHERE path=?", path)
        if found is None:
            self.run("INSERT OR IGNORE INTO root(path, state) VALUES(?, '')", path)
            found = self.one("SELECT id, state FROM root WHERE path=?", path)
        assert found is not None
        return found[0], found[1]

    def blob(self, oid: str, language: str) -> int:
        """The number of a blob, known or not yet. In a transaction."""
        query = "SELECT id FROM blob WHERE oid=? AND language=?"
        found = self.one(query, oid, language)
        if found is None:
            self.run("INSERT INTO blob(oid, language, state) VALUES(?,?,0)", oid, language)
            found = self.one(query, oid, language)
        assert found is not None
        return found[0]

    def keep(self, parsed: Iterable[Tuple[int, Parsed]]) -> None:
        """Add what was parsed, by blob. In a transaction; a blob that is there stays as it is."""
        new = sorted([(b, p) for b, p in parsed if self._begin(b, p)], key=_FIRST)
        names = {pair for _, p in new for pair in p.names}
        # In the order of the keys, of which the blobs are in order already: what is next to each
        # other is written together.
        self._add("name", sorted(names))
        self._add("definition", sorted([(n, b) for b, p in new for n, _ in p.names], key=_FIRST))
        references = [(n, b, lines) for b, p in new for n, lines in p.references]
        self._add("reference", sorted(references, key=_FIRST))
        words = [(word, b, count) for b, p in new for word, count in p.words]
        self._add("word", sorted(words, key=_FIRST))

    def _add(self, table: str, rows: Sequence[Row]) -> None:
        if rows:
            marks = ",".join("?" * len(rows[0]))
            self.many("INSERT OR IGNORE INTO %s VALUES(%s)" % (table, marks), rows)

    def _begin(self, blob: int, parsed: Parsed) -> bool:
        changed = self._db.execute(
            "UPDATE blob SET state=?, words=?, outline=?, outward=? WHERE id=? AND state=0",
            (
                parsed.state,
                sum([count for _, count in parsed.words]),
                parsed.outline,
                parsed.outward,
                blob,
            ),
        )
        return changed.rowcount > 0

    def forget(self, blobs: Sequence[int]) -> None:
        """Take blobs out with all that came from them. In a transaction."""
        for blob in blobs:
            found = self.one("SELECT outward FROM blob WHERE id=?", blob)
            keys = [(name, blob) for name, _ in unpack_outward(found[0] if found else None)]
            self.many("DELETE FROM reference WHERE name=? AND blob=?", keys)
        marks = [(blob,) for blob in blobs]
        # These two are small, and hold nothing by which their rows of a blob could be found.
        self.run("CREATE TEMP TABLE IF NOT EXISTS gone(blob INTEGER PRIMARY KEY)")
        self.many("INSERT OR IGNORE INTO gone VALUES(?)", marks)
        for table in ("definition", "word"):
            self.run("DELETE FROM %s WHERE blob IN (SELECT blob FROM gone)" % table)
        self.run("DELETE FROM blob WHERE id IN (SELECT blob FROM gone)")
        self.run("DELETE FROM gone")


def _opened(path: str) -> sqlite3.Connection:
    try:
        return _connected(path)
    except sqlite3.DatabaseError as error:
        if isinstance(error, sqlite3.OperationalError):
            raise
        # Not a database, or a damaged one. It holds nothing that cannot be made again.
        for suffix in ("", "-wal", "-shm"):
            with contextlib.suppress(FileNotFoundError):
                os.unlink(path + suffix)
        return _connected(path)


def _connected(path: str) -> sqlite3.Connection:
    db = sqlite3.connect(path, timeout=BUSY_SECONDS, isolation_level=None)
    try:
        db.execute("PRAGMA journal_mode=WAL")
        db.execute("PRAGMA synchronous=NORMAL")
        db.execute("PRAGMA cache_size=-%d" % CACHE_KB)
        db.execute("PRAGMA journal_size_limit=67108864")
        if not db.execute("SELECT name FROM sqlite_master WHERE name='word'").fetchone():
            db.executescript("BEGIN IMMEDIATE;" + _SCHEMA + "COMMIT;")
        # Reads the first pages: a file that is none is found out now.
        db.execute("SELECT count(*) FROM root").fetchone()
    except BaseException:
        db.close()
        raise
    return db


def pack_outline(definitions: List[List[Any]]) -> bytes:
    """The definitions of a file, as they are kept."""
    text = json.dumps(definitions, separators=(",", ":"))
    return zlib.compress(text.encode("ascii"), 1)


def unpack_outline(data: Optional[bytes]) -> List[List[Any]]:
    """What `pack_outline` was given."""
    return json.loads(zlib.decompress(data).decode("ascii")) if data else []


def pack_lines(lines: Sequence[int]) -> bytes:
    """Sorted line numbers; two bytes each where that is enough."""
    if lines[-1] < 0x10000:
        if len(lines) == 1:
            return lines[0].to_bytes(2, sys.byteorder)
        return array("H", lines).tobytes()
    return b"\0" + array("I", lines).tobytes()


def unpack_lines(data: bytes) -> List[int]:
    """What `pack_lines` was given."""
    lines = array("I" if len(data) % 2 else "H")
    lines.frombytes(data[1:] if len(data) % 2 else data)
    return list(lines)


def pack_outward(counts: Iterable[Tuple[int, int]]) -> bytes:
    """What names a file uses, each once, and how often."""
    return array("Q", sorted([(n << 16) | min(c, 0xFFFF) for n, c in counts])).tobytes()


def unpack_outward(data: Optional[bytes]) -> List[Tuple[int, int]]:
    """Pairs of name and count."""
    packed = array("Q")
    packed.frombytes(data or b"")
    return [(pair >> 16, pair & 0xFFFF) for pair in packed]
