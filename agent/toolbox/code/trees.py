"""Outlines by tree-sitter. Runs only in a process that can be killed: a grammar may never return.

What both 0.25 and 0.26 of the core have, and nothing else, is used. The extension modules are
loaded by their files: the packages around them import what we do not need.
"""

from __future__ import annotations

import importlib.machinery
import importlib.util
import os
import re
from bisect import insort
from typing import Any, Dict, FrozenSet, List, Optional, Set, Tuple

from agent.toolbox.code.broken import errors_of, words
from agent.toolbox.code.languages import LANGUAGES, Language
from agent.toolbox.code.outline import Definition, Outline

DEFINITIONS_MAX = 5_000
NAME_MAX_BYTES = 120
SIGNATURE_MAX_BYTES = 600
SIGNATURE_MAX_CHARS = 200
PREFIX_MAX_BYTES = 120

# What also matches a more telling pattern is known by that one.
_WEAK = ("field", "variable", "constant", "type", "prototype")
_HOLDERS = frozenset(("class", "struct", "union", "enum", "interface", "trait", "impl"))
_ALLTEXT = frozenset(("table", "rule", "key"))
_STEPS = ("name", "declarator", "left", "key", "property")
_SCOPED = ("scope", "object", "path")
_RECEIVER = re.compile(rb"([^\W\d]\w*)\s*(?:\[[^)]*)?\)\s*$")
_ID = re.compile(rb"\bid\s*=\s*[\"']?([^\"'\s>]+)")
_PREFIX = re.compile(rb"[\w\s<>\[\].?*&:@]*\Z")
_CALLED = re.compile(rb"[^\W\d]|[:@#$\x80-\xff]")
# What a parser that does not see through macros may take for a function.
_STATEMENTS = frozenset(("if", "else", "for", "while", "do", "switch", "return", "sizeof"))
_STRING = re.compile(rb"[\"']([^\W\d]\w*)[\"']")


class Trees:
    """Parsers for the languages whose grammars lie in `folder`, each loaded when it is needed."""

    def __init__(self, folder: str) -> None:
        self._folder = folder
        self._core: Any = None
        self._loaded: Dict[str, Optional[Grammar]] = {}

    def grammar(self, name: str) -> Optional[Grammar]:
        """The grammar of language `name`; None where it cannot be had."""
        if name not in self._loaded:
            self._loaded[name] = self._load(LANGUAGES[name])
        return self._loaded[name]

    def _load(self, language: Language) -> Optional[Grammar]:
        if not self._folder or not language.module:
            return None
        try:
            if self._core is None:
                self._core = _extension(os.path.join(self._folder, "tree_sitter"), "tree_sitter")
            binding = _extension(os.path.join(self._folder, language.module), language.module)
            grammar = self._core.Language(getattr(binding, language.function)())
            return Grammar(self._core, grammar, language)
        except (ImportError, OSError, AttributeError, ValueError, TypeError):
            # Built for another Python or processor, or of another time: regular expressions do.
            return None


def _strength(kind: str) -> int:
    return _WEAK.index(kind) if kind in _WEAK else len(_WEAK)


def _extension(folder: str, package: str) -> Any:
    names = [name for name in os.listdir(folder) if name.startswith("_binding.")]
    if not names:
        raise ImportError("no extension in %s" % folder)
    path, name = os.path.join(folder, names[0]), package + "._binding"
    loader = importlib.machinery.ExtensionFileLoader(name, path)
    spec = importlib.util.spec_from_file_location(name, path, loader=loader)
    if spec is None:
        raise ImportError("no extension in %s" % folder)
    module = importlib.util.module_from_spec(spec)
    loader.exec_module(module)
    return module


class Grammar:
    """One language's parser with its query."""

    def __init__(self, core: Any, grammar: Any, language: Language) -> None:
        self._language = language
        self._parser = core.Parser(grammar)
        self._query = core.Query(grammar, language.query)
        self._cursor = core.QueryCursor
        self._fields = {node: field for node, _, field in language.kinds}

    def outline(self, source: bytes) -> Outline:
        """Everything about one text."""
        root = self._parser.parse(source).root_node
        captures: Dict[str, List[Any]] = self._cursor(self._query).captures(root)
        references = captures.pop("ref", [])
        definitions = self._definitions(captures, source)
        names = _references(references, definitions, source)
        if self._language.name == "python":
            _exported(definitions, captures, source, names)
        return Outline(
            self._language.name, tuple(definitions), names, tuple(errors_of(root, source)), True
        )

    def errors(self, source: bytes) -> List[Tuple[int, str]]:
        """Where the syntax of a text breaks."""
        return errors_of(self._parser.parse(source).root_node, source)

    def _definitions(self, captures: Dict[str, List[Any]], source: bytes) -> List[Definition]:
        found: Dict[Tuple[int, int], Tuple[str, Any]] = {}
        for kind in sorted(captures, key=_strength):
            for node in captures[kind]:
                found[node.start_byte, -node.end_byte] = kind, node
        made = _Making(source, _STATEMENTS if self._language.name in ("c", "cpp") else frozenset())
        for (start, end), (kind, node) in sorted(found.items(), key=lambda item: item[0]):
            made.add(kind, node, start, -end, self._fields.get(node.type))
            if len(made.definitions) >= DEFINITIONS_MAX:
                break
        return made.finish()


class _Making:
    """Definitions in the order of the text, each finding what it is in."""

    def __init__(self, source: bytes, no_names: FrozenSet[str]) -> None:
        self.definitions: List[Definition] = []
        self._source = source
        self._no_names = no_names
        self._around: List[Tuple[int, int]] = []
        self._seen: Dict[Tuple[int, str], int] = {}

    def add(self, kind: str, node: Any, start: int, end: int, field: Optional[str]) -> None:
        name, owner, place = self._name(kind, node, field)
        if not name or name in self._no_names:
            return
        around = self._around
        while around and around[-1][1] < end:
            around.pop()
        parent = around[-1][0] if around else -1
        if kind in ("constant", "variable", "field"):
            # Assigned to again is not defined again.
            if self._seen.setdefault((parent, name), start) != start:
                return
        elif kind == "function" and (owner or (parent >= 0 and self._holds(parent))):
            kind = "method"
        row, column = (place or node).start_point
        last_row, last_column = node.end_point
        if last_column == 0 and last_row > row:
            last_row -= 1  # the end of the line before
        text = self._signature(kind, node, start)
        if kind == "type" and name not in text:
            text = "%s … %s" % (text, name)
        one = Definition(kind, name, row + 1, max(row, last_row) + 1, column, parent, text, owner)
        self.definitions.append(one)
        around.append((len(self.definitions) - 1, end))

    def finish(self) -> List[Definition]:
        """The definitions; those of a holder that stands elsewhere in the file belong to it."""
        holders = {
            one.name: index
            for index, one in reversed(list(enumerate(self.definitions)))
            if one.kind in _HOLDERS or one.kind == "type"
        }
        for index, one in enumerate(self.definitions):
            holder = holders.get(one.owner, -1) if one.owner else -1
            if holder >= 0 and holder != index and one.parent < 0:
                self.definitions[index] = one._replace(parent=holder, owner="")
        return self.definitions

    def _holds(self, index: int) -> bool:
        return self.definitions[index].kind in _HOLDERS

    def _name(self, kind: str, node: Any, field: Optional[str]) -> Tuple[str, str, Any]:
        """A definition's name, what it is said to belong to, and where the name stands."""
        if kind == "element":
            tag = _first(node)
            match = tag and _ID.search(self._source, tag.start_byte, tag.end_byte)
            return (words(match.group(1)) if match else ""), "", None
        place: Any = node.child_by_field_name(field) if field else None
        owner = ""
        if place is None:
            place = _step(node)
        if place is None:
            place = _first(node) or node
        while place.child_count and kind not in _ALLTEXT:
            owner = self._scope(place) or owner
            further = _further(place)
            if further is None:
                break
            place = further
        if node.type == "method_declaration":
            owner = self._receiver(node) or owner
        text = self._source[
            place.start_byte : min(place.end_byte, place.start_byte + NAME_MAX_BYTES)
        ]
        return words(text).strip("\"'` "), owner, place

    def _scope(self, place: Any) -> str:
        for field in _SCOPED:
            scope = place.child_by_field_name(field)
            if scope is not None:
                text = words(self._source[scope.start_byte : scope.end_byte][:NAME_MAX_BYTES])
                text = re.sub(r"<.*|\.prototype$", "", text)
                return re.split(r"::|\.", text)[-1]
        return ""

    def _receiver(self, node: Any) -> str:
        receiver = node.child_by_field_name("receiver")
        if receiver is None:
            return ""
        match = _RECEIVER.search(self._source, receiver.start_byte, receiver.end_byte)
        return words(match.group(1)) if match else ""

    def _signature(self, kind: str, node: Any, start: int) -> str:
        body = node.child_by_field_name("body")
        if body is None and kind in ("function", "method"):
            value = node.child_by_field_name("value") or node.child_by_field_name("right")
            body = value and value.child_by_field_name("body")
        end = min(
            body.start_byte if body is not None else node.end_byte, start + SIGNATURE_MAX_BYTES
        )
        line = self._source.rfind(b"\n", 0, start) + 1
        if start - line <= PREFIX_MAX_BYTES and _PREFIX.match(self._source, line, start):
            start = line
        text = self._source[start:end]
        if body is None:
            text = text.split(b"\n", 1)[0]
        return words(text)[:SIGNATURE_MAX_CHARS].rstrip(" {:=")


def _step(node: Any) -> Any:
    for field in _STEPS:
        inner = node.child_by_field_name(field)
        if inner is not None:
            return inner
    return None


def _first(node: Any) -> Any:
    return node.named_child(0) if node.named_child_count else None


def _further(place: Any) -> Any:
    """The next node on the way from what a field gave to the name itself."""
    inner = _step(place)
    if inner is not None:
        return inner
    kind = place.type
    if kind == "generic_type":
        return place.child_by_field_name("type") or _first(place)
    if kind.endswith("_declarator") and place.named_child_count:
        return place.named_child(place.named_child_count - 1)
    return None


def _references(
    nodes: List[Any], definitions: List[Definition], source: bytes
) -> Dict[str, List[int]]:
    found: Dict[bytes, List[int]] = {}
    jumbled: Set[bytes] = set()
    seen = found.get  # looked up once: this is done for every word of a text
    for node in nodes:
        name = source[node.start_byte : node.end_byte]
        line = node.start_point[0] + 1
        lines = seen(name)
        if lines is None:
            found[name] = [line]
        elif lines[-1] != line:
            if lines[-1] > line:
                jumbled.add(name)
            lines.append(line)
    for name in jumbled:
        found[name] = sorted(set(found[name]))
    names: Dict[str, List[int]] = {}
    for name, lines in found.items():
        if len(name) > NAME_MAX_BYTES or not _CALLED.match(name):
            continue
        called = name.decode("utf-8", "replace").lstrip(":@")
        if called in names:
            lines = sorted({*lines, *names[called]})
        names[called] = lines
    for one in definitions:
        lines = names.get(one.name)
        if lines is not None and one.line in lines:
            lines.remove(one.line)
            if not lines:
                del names[one.name]
    return names


def _exported(
    definitions: List[Definition],
    captures: Dict[str, List[Any]],
    source: bytes,
    names: Dict[str, List[int]],
) -> None:
    """The strings of `__all__` refer to names."""
    if not any(one.name == "__all__" for one in definitions):
        return
    for node in captures.get("constant", ()):
        if source.startswith(b"__all__", node.start_byte):
            text, row = source[node.start_byte : node.end_byte], node.start_point[0] + 1
            for at, line in enumerate(text.split(b"\n")):
                for name in _STRING.findall(line):
                    lines = names.setdefault(name.decode("utf-8", "replace"), [])
                    if row + at not in lines:
                        insort(lines, row + at)
