"""Outlines without a parser: definitions by the look of their line, their end by indentation.

Good for the scope of a hit and for an index by name where tree-sitter cannot run. Every expression
is tried on one line of bounded length, and none can take more than linear time in it.
"""

from __future__ import annotations

import re
from typing import Dict, List, Pattern, Tuple

from agent.toolbox.code.outline import Definition, Outline

LINE_MAX_CHARS = 400
DEFINITIONS_MAX = 5_000

_C_LIKE = (
    r"^\s*(?:(?:typedef|static|extern|const|public|private|protected|internal|abstract|sealed|final"
    r"|partial|export|default|declare|pub|unsafe)\s+|pub\([a-z ]+\)\s+)*"
)
_SCRIPT = (
    ("class", _C_LIKE + r"class\s+([\w$]+)"),
    ("interface", _C_LIKE + r"interface\s+([\w$]+)"),
    ("enum", _C_LIKE + r"(?:const\s+)?enum\s+([\w$]+)"),
    ("type", _C_LIKE + r"type\s+([\w$]+)\s*[=<]"),
    ("module", _C_LIKE + r"(?:namespace|module)\s+([\w$]+)"),
    ("function", _C_LIKE + r"(?:async\s+)?function\s*\*?\s*([\w$]+)"),
    (
        "function",
        _C_LIKE
        + r"(?:const|let|var)\s+([\w$]+)[^=]*=\s*(?:async\s*)?(?:function\b|\(|[\w$]+\s*=>)",
    ),
    ("constant", r"^(?:export\s+)?(?:const|let|var)\s+([\w$]+)"),
    (
        "method",
        r"^\s+(?:(?:public|private|protected|static|readonly|async|get|set|override)\s+)*\*?#?([\w$]+)\s*\([^;{}]*\)[^;{}=]*\{",
    ),
)
_RULES: Dict[str, Tuple[Tuple[str, str], ...]] = {
    "python": (
        ("class", r"^\s*class\s+(\w+)"),
        ("function", r"^\s*(?:async\s+)?def\s+(\w+)"),
        ("constant", r"^([A-Za-z_]\w*)\s*(?::[^=]+)?=[^=]"),
    ),
    "javascript": _SCRIPT,
    "typescript": _SCRIPT,
    "tsx": _SCRIPT,
    "go": (
        ("method", r"^func\s+\([^)]*\)\s*(\w+)"),
        ("function", r"^func\s+(\w+)"),
        ("type", r"^type\s+(\w+)"),
        ("constant", r"^(?:const|var)\s+(\w+)"),
    ),
    "rust": (
        (
            "function",
            _C_LIKE
            + r"(?:async\s+)?(?:const\s+)?(?:unsafe\s+)?(?:extern\s+\"[^\"]*\"\s+)?fn\s+(\w+)",
        ),
        ("struct", _C_LIKE + r"struct\s+(\w+)"),
        ("enum", _C_LIKE + r"enum\s+(\w+)"),
        ("trait", _C_LIKE + r"trait\s+(\w+)"),
        ("module", _C_LIKE + r"mod\s+(\w+)"),
        ("type", _C_LIKE + r"(?:type|union)\s+(\w+)"),
        ("constant", _C_LIKE + r"(?:const|static)\s+(?:mut\s+)?([A-Z]\w*)\s*:"),
        ("macro", r"^\s*macro_rules!\s*(\w+)"),
        ("impl", r"^\s*(?:unsafe\s+)?impl\b(?:<[^{]*?>)?\s*(?:[\w:<>,' ]+\s+for\s+)?(\w+)"),
    ),
    "java": (
        ("class", _C_LIKE + r"(?:class|record)\s+(\w+)"),
        ("interface", _C_LIKE + r"@?interface\s+(\w+)"),
        ("enum", _C_LIKE + r"enum\s+(\w+)"),
        ("method", r"^\s+(?:[\w@.]+\s+)*[\w<>\[\],.?]+\s+(\w+)\s*\([^;={}]*(?:\{|$)"),
    ),
    "c": (
        ("macro", r"^\s*#\s*define\s+(\w+)"),
        ("struct", r"^(?:typedef\s+)?struct\s+(\w+)\s*(?:\{|$)"),
        ("union", r"^(?:typedef\s+)?union\s+(\w+)\s*(?:\{|$)"),
        ("enum", r"^(?:typedef\s+)?enum\s+(?:class\s+)?(\w+)\s*(?:\{|$)"),
        ("function", r"^(?:[A-Za-z_][\w\s*]*?[\s*])?(\w+)\s*\([^;={}]*\)?\s*(?:\{|$)"),
    ),
    "ruby": (
        ("class", r"^\s*class\s+(?:\w+::)*([A-Z]\w*)"),
        ("module", r"^\s*module\s+(?:\w+::)*([A-Z]\w*)"),
        ("method", r"^\s*def\s+(?:self\.)?(\w+[?!=]?)"),
    ),
    "php": (
        ("class", _C_LIKE + r"(?:readonly\s+)?class\s+(\w+)"),
        ("interface", _C_LIKE + r"interface\s+(\w+)"),
        ("trait", _C_LIKE + r"trait\s+(\w+)"),
        ("enum", _C_LIKE + r"enum\s+(\w+)"),
        ("function", _C_LIKE + r"function\s+&?\s*(\w+)"),
    ),
    "bash": (
        ("function", r"^\s*(?:function\s+)?([\w:.-]+)\s*\(\)"),
        ("function", r"^\s*function\s+([\w:.-]+)"),
    ),
    "kotlin": (
        ("class", _C_LIKE + r"(?:(?:data|open|inner|enum|annotation|value)\s+)*class\s+(\w+)"),
        ("class", _C_LIKE + r"(?:companion\s+)?object\s+(\w+)"),
        ("interface", _C_LIKE + r"(?:fun\s+)?interface\s+(\w+)"),
        ("function", r"^\s*(?:[a-z]+\s+)*fun\s+(?:<[^>]*>\s*)?(?:[\w<>?]+\.)*(\w+)\s*\("),
    ),
    "toml": (("table", r"^\[+\s*([\w.\"'-]+)\s*\]"),),
    "yaml": (("key", r"^([\w./-]+):(?:\s|$)"),),
    "css": (("rule", r"^([^\s{}@/][^{}]*?)\s*\{"),),
}
_RULES["c-sharp"] = (
    *_RULES["java"],
    ("struct", _C_LIKE + r"struct\s+(\w+)"),
    ("module", r"^\s*namespace\s+([\w.]+)"),
)
_RULES["cpp"] = (
    ("class", r"^\s*(?:template\s*<[^{}]*>\s*)?class\s+(\w+)\b[^;]*$"),
    ("module", r"^\s*namespace\s+(\w+)"),
    *_RULES["c"][:-1],
    ("function", r"^(?:[A-Za-z_][\w\s*&:<>,~]*?[\s*&:])?([\w~]+)\s*\([^;={}]*\)?[^;={}]*(?:\{|$)"),
    ("method", r"^\s+[\w\s*&:<>,~]*?\b([\w~]+)\s*\([^;={}]*\)[^;={}]*\{"),
)
_COMPILED: Dict[str, List[Tuple[str, Pattern[str]]]] = {}
_KEYWORDS = frozenset(
    (
        *("if", "else", "elif", "for", "foreach", "while", "do", "switch", "case", "return"),
        *("catch", "try", "new", "throw", "function", "when", "match", "in", "not", "and", "or"),
        *("with", "await", "yield", "sizeof", "typeof", "using", "lock", "synchronized"),
        *("super", "this"),
    )
)

_HASH = ("python", "ruby", "bash", "toml", "yaml")
_STRINGS = r"\"(?:[^\"\\\n]|\\.)*\"|'(?:[^'\\\n]|\\.)*'|`(?:[^`\\\n]|\\.)*`"
_NOISE = {
    True: re.compile(
        r"\"\"\"[\s\S]*?(?:\"\"\"|\Z)|'''[\s\S]*?(?:'''|\Z)|" + _STRINGS + r"|#[^\n]*"
    ),
    False: re.compile(r"/\*[\s\S]*?(?:\*/|\Z)|//[^\n]*|" + _STRINGS),
}
_NAME = re.compile(r"[^\W\d]\w*")


def outline(language: str, source: str) -> Outline:
    """The outline of `source` by its looks."""
    definitions = _definitions(language, source.split("\n"))
    references: Dict[str, List[int]] = {}
    if language in _RULES and language not in ("toml", "yaml", "css"):
        references = _references(language, source)
        for one in definitions:
            lines = references.get(one.name, [])
            if one.line in lines:
                lines.remove(one.line)
                if not lines:
                    del references[one.name]
    return Outline(language, tuple(definitions), references, (), False)


def _definitions(language: str, lines: List[str]) -> List[Definition]:
    if language not in _COMPILED:
        rules = _RULES.get(language, ())
        _COMPILED[language] = [(kind, re.compile(rule)) for kind, rule in rules]
    rules = _COMPILED[language]
    ends = _Ends(lines, language in ("c", "cpp"))
    found: List[Definition] = []
    around: List[int] = []
    for row, line in enumerate(lines):
        shown = line[:LINE_MAX_CHARS]
        if not shown or len(found) >= DEFINITIONS_MAX:
            continue
        for kind, rule in rules:
            match = rule.match(shown)
            if match is None or match.group(1) in _KEYWORDS:
                continue
            while around and found[around[-1]].end <= row:
                around.pop()
            parent = around[-1] if around else -1
            if kind == "function" and parent >= 0 and found[parent].kind in ("class", "impl"):
                kind = "method"
            column = len(shown[: match.start(1)].encode("utf-8", "replace"))
            signature = " ".join(shown.split())[:200].rstrip(" {:")
            end = ends.of(row)
            found.append(
                Definition(kind, match.group(1), row + 1, end + 1, column, parent, signature)
            )
            around.append(len(found) - 1)
            break
    return found


class _Ends:
    """Where the blocks end that begin at lines, all told in one pass from the last to the first."""

    def __init__(self, lines: List[str], directives: bool) -> None:
        self._next: List[int] = [0] * len(lines)
        open_rows: List[int] = []  # rows below, each further left than the one before it
        for row in range(len(lines) - 1, -1, -1):
            text = lines[row].strip()
            if not text or (directives and text.startswith("#")):
                self._next[row] = -1
                continue
            indent = len(lines[row]) - len(lines[row].lstrip())
            while open_rows and self._indent(lines, open_rows[-1]) > indent:
                open_rows.pop()
            self._next[row] = open_rows[-1] if open_rows else len(lines)
            open_rows.append(row)
        self._lines = lines

    @staticmethod
    def _indent(lines: List[str], row: int) -> int:
        return len(lines[row]) - len(lines[row].lstrip())

    def of(self, row: int) -> int:
        """The last row of what begins at `row`."""
        lines, after = self._lines, self._next[row]
        own = self._indent(lines, row)
        while 0 <= after < len(lines) and self._indent(lines, after) == own:
            text = lines[after].strip()
            closing = text[:1] in "})]"
            if (closing and text[-1:] not in "{:") or text == "end" or text.startswith("end "):
                return after
            if not closing and text[:1] != "{":
                break
            after = self._next[after]
        last = min(after, len(lines)) - 1
        while last > row and not lines[last].strip():
            last -= 1
        return max(row, last)


def _references(language: str, source: str) -> Dict[str, List[int]]:
    quiet = _NOISE[language in _HASH].sub(_blank, source)
    references: Dict[str, List[int]] = {}
    for row, line in enumerate(quiet.split("\n"), 1):
        for name in set(_NAME.findall(line)):
            references.setdefault(name, []).append(row)
    return references


def _blank(match: "re.Match[str]") -> str:
    return "\n" * match.group().count("\n") or " "
