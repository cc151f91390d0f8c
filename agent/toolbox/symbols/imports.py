"""What a file imports, by its import statements, read with regular expressions.

Which files the modules are in is the business of `modules`.
"""

from __future__ import annotations

import re
from typing import Dict, List, NamedTuple, Tuple

STARS_MAX = 40
# Whoever wrote the file chooses its text, and the toolbox waits for these patterns: none may look
# for a line's beginning or for an end that is missing through the whole of it.
SCRIPTS = frozenset(("javascript", "typescript", "tsx"))

_PYTHON = re.compile(
    r"^[ \t]*(?:from[ \t]+(?P<module>[.\w]+)[ \t]+import[ \t]*"
    r"(?:\((?P<many>[^)]{0,8000})\)|(?P<few>[^\n#;]*))"
    r"|import[ \t]+(?P<plain>[\w., \t]+))",
    re.MULTILINE,
)
_SCRIPT = re.compile(
    r"(?:^|[;\n])[ \t]*(?:import|export)\s(?P<what>[^'\";]{0,4000}?)\bfrom"
    r"\s*['\"](?P<from>[^'\"\n]+)['\"]"
    r"|(?:const|let|var)\s+(?P<bound>[^=\n;]{1,300}?)=\s*(?:await\s+)?(?:require|import)\("
    r"\s*['\"](?P<required>[^'\"\n]+)['\"]"
)
_GO = re.compile(
    r"^[ \t]*(?:import[ \t]+)?(?:(?P<alias>[\w.]+)[ \t]+)?"
    r"\"(?P<path>[^\"\n]+)\"[ \t\r]*$",
    re.MULTILINE,
)
_DOTTED = re.compile(
    r"^[ \t]*(?:import|using|use)[ \t]+(?:static[ \t]+)?(?P<path>[\w.:\\*]+)"
    r"(?:[ \t]+as[ \t]+(?P<alias>\w+))?[ \t]*(?:;[ \t]*)?\r?$",
    re.MULTILINE,
)
_INCLUDE = re.compile(r"^[ \t]*#[ \t]*include[ \t]*[\"<](?P<path>[^\">\n]+)[\">]", re.MULTILINE)
_REQUIRE = re.compile(
    r"^[ \t]*require(?:_relative)?[ \t]*(?:\([ \t]*)?['\"](?P<path>[^'\"\n]+)['\"]", re.MULTILINE
)


class Origin(NamedTuple):
    """What a name stands for: `name` in `module`; the module itself where `name` is ""."""

    module: str
    name: str


class Imports(NamedTuple):
    """What a file imports: names, and modules whose every name it takes."""

    names: Dict[str, Origin]
    stars: Tuple[str, ...]


def read(language: str, text: str) -> Imports:
    """The imports of a file."""
    names: Dict[str, Origin] = {}
    stars: List[str] = []
    if language == "python":
        _python(text, names, stars)
    elif language in SCRIPTS:
        _script(text, names, stars)
    elif language == "go":
        for match in _GO.finditer(text):
            path = match.group("path")
            names[match.group("alias") or path.rsplit("/", 1)[-1]] = Origin(path, "")
    elif language in ("c", "cpp"):
        stars += [match.group("path") for match in _INCLUDE.finditer(text)]
    elif language == "ruby":
        stars += [match.group("path") for match in _REQUIRE.finditer(text)]
    else:
        _dotted(text, names, stars)
    return Imports(names, tuple(stars[:STARS_MAX]))


def _python(text: str, names: Dict[str, Origin], stars: List[str]) -> None:
    for match in _PYTHON.finditer(text):
        module = match.group("module")
        if module is None:
            for item in match.group("plain").split(","):
                path, _, alias = item.strip().partition(" as ")
                if path:
                    name = alias.strip() or path.split(".")[0]
                    names[name] = Origin(path if alias else path.split(".")[0], "")
            continue
        listing = match.group("many") or match.group("few") or ""
        for item in re.sub(r"#[^\n]*|\\", "", listing).split(","):
            name, _, alias = item.strip().partition(" as ")
            if name == "*":
                stars.append(module)
            elif name.isidentifier():
                names[alias.strip() or name] = Origin(module, name)


def _script(text: str, names: Dict[str, Origin], stars: List[str]) -> None:
    for match in _SCRIPT.finditer(text):
        module = match.group("from") or match.group("required")
        what = (match.group("what") or match.group("bound") or "").strip()
        what = re.sub(r"^type\s+", "", what)
        braces = re.search(r"\{([^}]*)\}", what)
        for item in (braces.group(1) if braces else "").split(","):
            item = re.sub(r"^type\s+(?!as\b)", "", item.strip()).replace(":", " as ")
            name, alias = (part.strip() for part in item.partition(" as ")[::2])
            if name:
                names[alias or name] = Origin(module, name)
        outside = re.sub(r"\{[^}]*\}", "", what).strip(" ,")
        star = re.fullmatch(r"\*\s*(?:as\s+(\w+))?", outside)
        if star and star.group(1):
            names[star.group(1)] = Origin(module, "")
        elif star:
            stars.append(module)
        elif re.fullmatch(r"[\w$]+", outside):
            names[outside] = Origin(module, "" if match.group("required") else "default")


def _dotted(text: str, names: Dict[str, Origin], stars: List[str]) -> None:
    for match in _DOTTED.finditer(text):
        path = re.split(r"::|\.|\\", match.group("path"))
        if path[-1] in ("*", "_", ""):
            stars.append("/".join(path[:-1]))
        else:
            names[match.group("alias") or path[-1]] = Origin("/".join(path), path[-1])
