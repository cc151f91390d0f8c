"""What a question about symbols is about: from the words it was asked in to a definition."""

from __future__ import annotations

import os
import re
from typing import Any, Dict, List, NamedTuple, Optional, Sequence, Tuple

from agent.toolbox.files import paths
from agent.toolbox.files.paths import Answer, refusal
from agent.toolbox.symbols import rows
from agent.toolbox.symbols.consult import Spot
from agent.toolbox.symbols.lookup import Found, Lookup
from agent.toolbox.symbols.ranking import Use, decided, ranked, use_of

NAMES_SHOWN = 8

PLACE = re.compile(r"(.+?):(\d+)(?::(\d+))?(?::(?!\d+$)([^\s:]+))?$")
NAME = re.compile(r"[^\W\d][\w$!?]*$")
_KINDS = frozenset(
    (
        *("class", "struct", "enum", "union", "interface", "trait", "impl", "type", "typedef"),
        *("def", "func", "fn", "fun", "function", "method", "module", "namespace", "package"),
        *("async", "export", "default", "const", "let", "var", "static", "public", "pub"),
    )
)
"""Words before a name that say what it is."""
_SPLIT = re.compile(r"::|\.|#|->")


class Target(NamedTuple):
    """What was asked about: a name, perhaps with what it belongs to, perhaps used at a place."""

    name: str
    owner: str = ""
    use: Optional[Use] = None
    here: Optional[Found] = None


class Refused(Exception):
    """What was asked for cannot be answered; holds the answer that says why."""

    def __init__(self, answer: Answer) -> None:
        super().__init__(answer["reason"])
        self.answer = answer


class Question:
    """One question: what is asked about, and the index to answer from."""

    def __init__(
        self, lookup: Lookup, text: str, arguments: Dict[str, Any], limits: Dict[str, Any]
    ) -> None:
        self.lookup = lookup
        self.text = text
        self.arguments = arguments
        self.limits = limits
        self.left = 0

    def answered(self, answer: Answer) -> Answer:
        """The answer with what it rests on."""
        coverage = self.lookup.index.coverage()
        more = {"parsed": coverage.parsed, "code_files": coverage.files, "left": self.left}
        return dict(
            {"ok": True, "by": "index", "sure": "exact", "complete": coverage.whole},
            **more,
            **answer,
        )

    def refuse(self, reason: str, **more: Any) -> Refused:
        return Refused(refusal(self.text, reason, **more))

    def must_be_file(self, path: str) -> None:
        """Raises `Refused` for what is none."""
        whole = os.path.join(self.lookup.index.root, path)
        if not os.path.isfile(whole):
            raise self.refuse("directory" if os.path.isdir(whole) else "absent", nearest=[])

    # What was asked about.

    def relative(self, path: str) -> str:
        """A path as the index has it. Raises `Refused` for one outside the tree."""
        root = self.lookup.index.root
        whole = os.path.realpath(paths.absolute(path, self.limits["workdir"]))
        if not whole.startswith(root.rstrip("/") + "/"):
            raise self.refuse("outside")
        return whole[len(root.rstrip("/")) + 1 :]

    def target(self) -> Target:
        """The name that is meant. Raises `Refused`."""
        place = PLACE.match(self.text)
        if place and os.path.isfile(paths.absolute(place.group(1), self.limits["workdir"])):
            path = self.relative(place.group(1))
            self.lookup.settle_path(path)
            target = self._at(path, int(place.group(2)), place.group(4) or "")
        else:
            target = self._named()
        self.left = self.lookup.settle(target.name)
        return target

    def _named(self) -> Target:
        """A name, perhaps after words for its kind, what it belongs to, or a file and a colon."""
        words = self.text.split()
        while len(words) > 1 and words[0].lower() in _KINDS:
            del words[0]
        head, _, name = words[0].rpartition(":") if len(words) == 1 else ("", "", "")
        if NAME.match(name) and os.path.isfile(paths.absolute(head, self.limits["workdir"])):
            return self._in_file(self.relative(head), name)
        parts = [part for part in _SPLIT.split(" ".join(words).rstrip("()")) if part]
        if not parts or not NAME.match(parts[-1]):
            raise self.refuse("no_name")
        return Target(parts[-1], ".".join(parts[:-1]))

    def _in_file(self, path: str, name: str) -> Target:
        self.lookup.settle_path(path)
        file = self.lookup.file(path)
        found = [d for d in file.definitions if d.name == name] if file is not None else []
        found = [d for d in found if d.kind not in rows.SCOPES] or found
        used = self.lookup.references(name).get(path) if not found else None
        if used:
            return self._at(path, used[0], name)
        if file is None or not found:
            raise self.refuse("not_in_file", name=name)
        if len(found) > 1:
            lines = ["%s:%d" % (path, d.line) for d in found[:NAMES_SHOWN]]
            raise self.refuse("which_line", name=name, count=len(found), names=lines)
        return Target(name, "", None, file.found(found[0]))

    def _at(self, path: str, line: int, name: str) -> Target:
        lookup, file = self.lookup, self.lookup.file(path)
        if file is None:
            raise self.refuse("not_code")
        begun = [d for d in file.definitions if d.line == line and d.kind not in rows.SCOPES]
        if name:
            parts = [part for part in _SPLIT.split(name.rstrip("()")) if part]
            name = parts[-1] if parts else name
            here = next((d for d in begun if d.name == name), None)
            if here is None and name not in rows.words(lookup.line(path, line)):
                raise self.refuse("not_there", name=name, line=line, names=self._names(path, line))
        else:
            here = begun[0] if begun else None
            names = lookup.names_on(path, line) if here is None else []
            known = [one for one in names if lookup.defined(one)] or names
            if len(known) > 1:
                raise self.refuse("several_names", line=line, names=known[:NAMES_SHOWN])
            if here is None and not known:
                raise self.refuse("no_names", line=line)
            name = here.name if here is not None else known[0]
        found = file.found(here) if here is not None else None
        return Target(name, "", None if found else use_of(lookup, path, line, name), found)

    def _names(self, path: str, line: int) -> List[str]:
        return self.lookup.names_on(path, line)[:NAMES_SHOWN]

    def candidates(self, target: Target) -> List[Found]:
        """Every definition of the name, those that are meant first, then the likeliest."""
        found = self.lookup.definitions(target.name)
        if target.here is not None:
            others = [one for one in found if one != target.here]
            return [target.here, *ranked(self.lookup, others, None)]
        found = ranked(self.lookup, found, target.use)
        if target.owner:
            found.sort(key=lambda one: not belongs(one, target.owner))
        return found

    def one(self, target: Target) -> Tuple[Found, List[Found]]:
        """The likeliest definition and all of that name. Raises `Refused` when there is none."""
        found = self.candidates(target)
        if not found and os.path.isfile(paths.absolute(self.text, self.limits["workdir"])):
            raise self.refuse("is_file")
        if not found:
            raise self.refuse("unknown_name", name=target.name, near=self.near(target.name))
        return found[0], found

    def near(self, name: str) -> List[str]:
        near = [one for one in self.lookup.matching(name) if self.lookup.defined(one)]
        if not near and len(name) > 4:
            part = max(rows.parts(name) or (name,), key=len)
            near = [one for one in self.lookup.matching(part) if self.lookup.defined(one)]
        return near[:NAMES_SHOWN]

    def sureness(self, target: Target, best: Found, found: Sequence[Found]) -> str:
        """How sure it is that the first of `found` is meant."""
        if target.here is not None or len(found) == 1:
            return "exact"
        if target.use is not None and decided(self.lookup, best, target.use):
            return "likely"
        if target.owner and sum(belongs(one, target.owner) for one in found) == 1:
            return "exact"
        return "by_name"

    def spot(self, target: Target, best: Optional[Found]) -> Optional[Spot]:
        """Where to put a language server's finger: the use, else the definition itself."""
        if target.use is not None:
            text = self.lookup.line(target.use.path, target.use.line)
            match = re.search(rows.whole(target.name), text)
            return Spot(target.use.path, target.use.line, match.start()) if match else None
        if best is None:
            return None
        return spot_of(self.lookup, best)


def spot_of(lookup: Lookup, found: Found) -> Spot:
    """Where the name of a definition stands."""
    head = lookup.line(found.path, found.line).encode("utf-8", "surrogatepass")
    column = len(head[: found.definition.column].decode("utf-8", "replace"))
    return Spot(found.path, found.line, column)


def belongs(one: Found, owner: str) -> bool:
    """Whether a definition is in what `owner` names: a class, a module, a file's name."""
    parts = [part for part in _SPLIT.split(owner) if part]
    around = os.path.splitext(one.path)[0].split("/") + one.qualified.split(".")[:-1]
    around = [part for part in around if part not in ("__init__", "index", "mod")]
    return around[-len(parts) :] == parts
