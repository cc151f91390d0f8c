"""The repository map: which files matter for what is being talked about, with what they define.

Words of the request are looked up among the words in paths and names (BM25); from the files that
match, a walk goes along names to the files that define them and on to those that use them, and
always back to where it began. Nothing is computed for the repository as a whole, so that a map
costs about the same in a large one. The same question to the same tree gives the same bytes.
"""

from __future__ import annotations

import math
import os
import re
import sqlite3
from typing import Any, Dict, Iterable, List, NamedTuple, Sequence, Set, Tuple

from agent.toolbox.code.outline import Definition
from agent.toolbox.files.paths import Answer, refusal
from agent.toolbox.symbols import build, rows, store
from agent.toolbox.symbols.lookup import File, Lookup
from agent.toolbox.symbols.rows import name_id

TOKENS_MAX = 20_000
CHARS_PER_TOKEN = 3.6
WORDS_MAX = 60
STARTS_MAX = 120
WALK_FILES_MAX = 150
STEPS = 6
RESTART = 0.4
BACKWARD = 0.5
DEFINED_IN_MAX = 8
USED_IN_MAX = 30
NAME_MIN = 4
COMPOUND = 3.0
COMPOUND_MIN = 8
SIGNATURE_MAX = 90
GENERIC_FILES_MAX = 20_000
TEXT_MAX_CHARS = 50_000
NAMES_AT_ONCE = 500  # SQLite takes 999 values in one statement

_K1, _B = 1.2, 0.5
_PATH_WEIGHT = 3
_MENTION = 6.0
_IDENTIFIER = re.compile(r"[^\W\d][\w]*")
_PATHS = re.compile(r"[\w./-]{1,300}\.\w+|[\w-]{1,300}/[\w./-]+")
_COMMON = frozenset(
    re.findall(
        r"\w+",
        """the and for with that this from into not are was has have can could should would will
        when where what which who why how all any but its out use used using user make
        made add added adds fix fixes fixed bug support also only more some than then
        them they you your please like need want new get set does don doesn let now just
        about after before been being there their these those too via per see try update
        updated change changed changes remove removed implement improve refactor code
        file files""",
    )
)
_KIND = {
    "class": 3.0, "struct": 3.0, "interface": 3.0, "trait": 3.0, "enum": 2.0, "function": 2.5,
    "method": 1.5, "type": 1.5, "module": 1.0, "macro": 1.0, "constant": 0.6, "variable": 0.5,
    "field": 0.3, "union": 2.0,
}  # fmt: skip


def map_(arguments: Dict[str, Any], limits: Dict[str, Any]) -> Answer:
    """A map for `words` within `tokens`; `touched` files draw it near, `hidden` ones stay out."""
    tokens = max(0, min(int(arguments["tokens"]), TOKENS_MAX))
    try:
        with build.opened(limits["workdir"]) as index:
            lookup = Lookup(index)
            inside = [_relative(path, index.root, limits) for path in arguments.get("touched", ())]
            asked = Asked(str(arguments.get("words", "")), [path for path in inside if path])
            lookup.settle_words(asked.raw)
            chart = Chart(lookup, asked)
            hidden = {_relative(path, index.root, limits) for path in arguments.get("hidden", ())}
            text, shown = chart.render(int(tokens * CHARS_PER_TOKEN), hidden | set(asked.touched))
            coverage = index.coverage()
            return {
                "ok": True, "text": text, "files": shown, "parsed": coverage.parsed,
                "code_files": coverage.files, "complete": coverage.whole,
            }  # fmt: skip
    except (sqlite3.Error, OSError) as error:
        return refusal("", "no_index", why=str(error))


def _relative(path: str, root: str, limits: Dict[str, Any]) -> str:
    whole = os.path.normpath(os.path.join(limits["workdir"], path))
    for base in (root, limits["workdir"]):
        if whole.startswith(base.rstrip("/") + "/"):
            return whole[len(base.rstrip("/")) + 1 :]
    return ""


class Asked:
    """What a map is for: words of a request, names and paths in it, files that were touched."""

    def __init__(self, text: str, touched: Sequence[str]) -> None:
        self.touched = tuple(dict.fromkeys(touched))
        text = text[:TEXT_MAX_CHARS]
        self.raw = [w for w in dict.fromkeys(_IDENTIFIER.findall(text)) if len(w) > 2]
        words: Dict[str, None] = {}
        for raw in self.raw:
            for part in rows.parts(raw):
                if len(part) > 2 and part not in _COMMON and raw.lower() not in _COMMON:
                    words[part] = None
        self.words = list(words)[:WORDS_MAX]
        self.names = [w for w in self.raw if len(w) >= NAME_MIN and w.lower() not in _COMMON]
        self.paths = [p.strip("./") for p in _PATHS.findall(text)]
        self.about_tests = "test" in self.words


class _Name(NamedTuple):
    """A name that files share: how much it tells, who defines and who uses it."""

    weight: float
    defined: Tuple[int, ...]
    used: Tuple[int, ...]


class Chart:
    """The scores of files and names for one question."""

    def __init__(self, lookup: Lookup, asked: Asked) -> None:
        self._lookup = lookup
        self._store = lookup.index.store
        self._live = lookup.live
        self._asked = asked
        self._names: Dict[int, _Name] = {}
        self._outward: Dict[int, List[Tuple[int, int]]] = {}
        self._inward: Dict[int, List[int]] = {}
        self.name_mass: Dict[int, float] = {}
        self._idf: Dict[str, float] = {}
        self._direct: Dict[str, float] = {}
        self._blob_of = lookup.blob_of
        start = self._start()
        self._mass = self._walk(start) if start else self._generic()

    # Where the walk begins.

    def _start(self) -> Dict[int, float]:
        scores = self._matches()
        for path in self._asked.paths:
            for known in self._blob_of:
                if known == path or known.endswith("/" + path):
                    scores[known] = scores.get(known, 0.0) + _MENTION * 2
        best = sorted(scores, key=lambda path: (-scores[path], path))[:STARTS_MAX]
        self._direct = {path: scores[path] for path in best}
        start: Dict[int, float] = {}
        total = sum(scores[path] for path in best)
        for path in best:
            blob = self._blob_of[path]
            start[blob] = start.get(blob, 0.0) + scores[path] / total
        near = [self._blob_of[path] for path in self._asked.touched if path in self._blob_of]
        share = 0.5 if start else 1.0
        if near:
            start = {blob: mass * (1 - share) for blob, mass in start.items()} if start else {}
            for blob in near:
                start[blob] = start.get(blob, 0.0) + share / len(near)
        return start

    def _matches(self) -> Dict[str, float]:
        """BM25 of the words over paths and names, by path; names that are mentioned besides."""
        in_paths = self._path_words()
        sizes = dict(self._store.rows("SELECT id, words FROM blob WHERE state > 0"))
        count = max(1, len(self._blob_of))
        mean = sum(sizes.get(b, 0) or 0 for b in self._live) / max(1, len(self._live)) + 5.0
        scores: Dict[str, float] = {}
        for word in self._asked.words:
            hits: Dict[str, int] = dict.fromkeys(in_paths.get(word, ()), _PATH_WEIGHT)
            query = "SELECT blob, count FROM word WHERE word=?"
            for blob, number in self._store.rows(query, word):
                for path in self._live.get(blob, ()):
                    hits[path] = hits.get(path, 0) + number
            idf = math.log(1 + (count - len(hits) + 0.5) / (len(hits) + 0.5))
            self._idf[word] = idf
            for path, number in hits.items():
                size = (sizes.get(self._blob_of[path]) or 0) + 5
                value = number * (_K1 + 1) / (number + _K1 * (1 - _B + _B * size / mean))
                scores[path] = scores.get(path, 0.0) + idf * value * self._worth(path)
        defining = self._defining([name_id(name) for name in self._asked.names])
        for name in self._asked.names:
            blobs = defining.get(name_id(name), [])
            if 0 < len(blobs) <= DEFINED_IN_MAX:
                telling = "_" in name or not name.islower()
                for path in (path for blob in blobs for path in self._live[blob]):
                    more = (_MENTION if telling else _MENTION / 3) * self._worth(path)
                    scores[path] = scores.get(path, 0.0) + more
        return scores

    def _path_words(self) -> Dict[str, List[str]]:
        wanted = set(self._asked.words)
        found: Dict[str, List[str]] = {}
        for path in self._blob_of:
            for word in wanted.intersection(rows.parts(path)):
                found.setdefault(word, []).append(path)
        return found

    def _worth(self, path: str) -> float:
        """Less for what is rarely meant."""
        worth = 1.0
        if rows.test(path) and not self._asked.about_tests:
            worth *= 0.4
        if rows.vendored(path):
            worth *= 0.15
        return worth

    # The walk.

    def _walk(self, start: Dict[int, float]) -> Dict[int, float]:
        """Where a walk is found that goes from file to file by names and often starts anew."""
        mass = dict(start)
        for _ in range(STEPS):
            after: Dict[int, float] = {blob: RESTART * part for blob, part in start.items()}
            order = sorted(mass, key=lambda blob: (-mass[blob], self._live[blob][0]))
            self._know(order[:WALK_FILES_MAX])
            for blob in order[:WALK_FILES_MAX]:
                self._spread(blob, (1 - RESTART) * mass[blob], after)
            mass = after
        return mass

    def _spread(self, blob: int, mass: float, after: Dict[int, float]) -> None:
        shares: List[Tuple[int, float, Sequence[int]]] = []
        for name, count in self._outward[blob]:
            known = self._names[name]
            if known.defined and blob not in known.defined:
                shares.append((name, known.weight * math.sqrt(count), known.defined))
        for name in self._inward[blob]:
            known = self._names[name]
            others = known.used
            if others and len(known.defined) <= DEFINED_IN_MAX:
                shares.append((name, BACKWARD * known.weight, others))
        total = sum(share for _, share, _ in shares)
        if not total:
            after[blob] = after.get(blob, 0.0) + mass
            return
        so_far = after.get  # looked up once: this is most of what a map costs
        for name, share, blobs in shares:
            part = mass * share / total
            self.name_mass[name] = self.name_mass.get(name, 0.0) + part
            each = part / len(blobs)
            for other in blobs:
                after[other] = so_far(other, 0.0) + each

    def _know(self, blobs: Iterable[int]) -> None:
        """Load what these files use and define."""
        new = [blob for blob in blobs if blob not in self._outward]
        wanted: Set[int] = set()
        for blob in new:
            found = self._store.one("SELECT outward, outline FROM blob WHERE id=?", blob)
            assert found is not None
            outward, outline = store.unpack_outward(found[0]), store.unpack_outline(found[1])
            own = {
                name_id(row[1])
                for row in outline
                if row[0] not in rows.SCOPES and len(row[1]) >= NAME_MIN
            }
            self._outward[blob] = outward
            self._inward[blob] = sorted(own)
            wanted.update(name for name, _ in outward)
            wanted.update(own)
        self._weigh(sorted(wanted.difference(self._names)))
        for blob in new:
            self._outward[blob] = [p for p in self._outward[blob] if self._names[p[0]].defined]

    def _weigh(self, names: Sequence[int]) -> None:
        count = max(2, len(self._live))
        defining = self._defining(names)
        texts = self._by_name("SELECT id, text FROM name WHERE id IN (%s)", sorted(defining))
        for name in names:
            defined = defining.get(name, [])
            text = texts.get(name, ("",))
            if not 0 < len(defined) <= DEFINED_IN_MAX or len(text[0]) < NAME_MIN:
                self._names[name] = _Name(0.0, (), ())
                continue
            query = "SELECT blob FROM reference WHERE name=? LIMIT ?"
            users = [
                blob
                for (blob,) in self._store.rows(query, name, 2_000)
                if blob in self._live and blob not in defined
            ]
            weight = math.log(1 + count / (1 + len(users))) / len(defined)
            if text[0].startswith("_"):
                weight *= 0.1
            elif len(text[0]) >= COMPOUND_MIN and len(rows.parts(text[0])) > 1:
                weight *= COMPOUND
            used = tuple(users) if len(users) <= USED_IN_MAX else ()
            self._names[name] = _Name(weight, tuple(defined), used)

    def _by_name(self, query: str, names: Sequence[int]) -> Dict[int, List[Any]]:
        """What pairs a query finds for these names, many of them at a time."""
        found: Dict[int, List[Any]] = {}
        for at in range(0, len(names), NAMES_AT_ONCE):
            some = names[at : at + NAMES_AT_ONCE]
            for name, value in self._store.rows(query % ",".join("?" * len(some)), *some):
                found.setdefault(name, []).append(value)
        return found

    def _defining(self, names: Sequence[int]) -> Dict[int, List[int]]:
        """The files of this tree that define these names."""
        found = self._by_name("SELECT name, blob FROM definition WHERE name IN (%s)", names)
        return {name: sorted(b for b in blobs if b in self._live) for name, blobs in found.items()}

    # Without a request: what most others use.

    def _generic(self) -> Dict[int, float]:
        if len(self._live) > GENERIC_FILES_MAX:
            return {blob: 1.0 / (1 + paths[0].count("/")) for blob, paths in self._live.items()}
        users = dict(self._store.rows("SELECT name, count(*) FROM reference GROUP BY name"))
        defined: Dict[int, List[int]] = {}
        for name, blob in self._store.rows("SELECT name, blob FROM definition"):
            if blob in self._live:
                defined.setdefault(name, []).append(blob)
        mass: Dict[int, float] = {}
        for name, blobs in defined.items():
            if len(blobs) <= 2 and users.get(name, 0) > 1:
                self.name_mass[name] = math.log(users[name])
                for blob in blobs:
                    mass[blob] = mass.get(blob, 0.0) + self.name_mass[name] / len(blobs)
        return {blob: math.sqrt(part) for blob, part in mass.items()}

    # On paper.

    def ranked(self, hidden: Set[str]) -> List[str]:
        """The paths to show, the likeliest first."""
        scores: Dict[str, float] = {}
        made = {
            b for (b,) in self._store.rows("SELECT id FROM blob WHERE state=?", store.GENERATED)
        }
        for blob, mass in self._mass.items():
            # Equal files, empty ones most of all, share what was found for all of them.
            paths = self._live[blob]
            total = sum(self._direct.get(path, 0.0) for path in paths)
            for path in paths:
                part = self._direct.get(path, 0.0) / total if total else 1.0 / len(paths)
                worth = self._worth(path) * (0.2 if blob in made else 1.0)
                if path not in hidden and mass * part > 0:
                    scores[path] = mass * part * worth
        return sorted(scores, key=lambda path: (-round(scores[path], 12), path))

    def render(self, room: int, hidden: Set[str]) -> Tuple[str, List[str]]:
        """The map in at most `room` characters, and the paths in it."""
        parts: List[str] = []
        shown: List[str] = []
        for number, path in enumerate(self.ranked(hidden)):
            file = self._lookup.file(path)
            if file is None:
                continue
            most = 5 if number < 4 else 3 if number < 10 else 2 if number < 40 else 1
            for count in range(most, -1, -1):
                piece = self._piece(file, count)
                if len(piece) + 1 <= room:
                    parts.append(piece)
                    shown.append(path)
                    room -= len(piece) + 1
                    break
            else:
                break
        return "\n".join(parts), shown

    def _piece(self, file: File, most: int) -> str:
        chosen = sorted(file.definitions, key=lambda d: self._value(d, file), reverse=True)[:most]
        lines = [file.path.replace("\n", "␊")]
        for one in sorted(chosen, key=lambda d: d.line):
            text = one.signature or "%s %s" % (one.kind, one.name)
            lines.append("%d: %s" % (one.line, text[:SIGNATURE_MAX]))
        return "\n".join(lines)

    def _value(self, one: Definition, file: File) -> Tuple[float, int]:
        """How much a definition tells of its file for this question."""
        weight = _KIND.get(one.kind, 0.2)
        value = weight * (1.0 if one.parent < 0 else 0.6)
        if one.kind in rows.SCOPES:
            return 0.0, -one.line
        for word in set(rows.parts(one.name)):
            value += 2.0 * self._idf.get(word, 0.0)
        if one.name in self._asked.names:
            value += 10.0
        value += 10.0 * weight * self.name_mass.get(name_id(one.name), 0.0)
        if one.name.startswith("_"):
            value *= 0.3
        return round(value, 9), -one.line
