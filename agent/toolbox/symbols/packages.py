"""What modules are called besides by their path: names of packages, and short ways to a folder.

A package of this tree says its name in its `package.json` or `go.mod`, `tsconfig.json` has short
ways in `paths`, and `@/` and `~/` mean the folder that the sources are in.
"""

from __future__ import annotations

import posixpath
import re
from typing import Callable, Dict, FrozenSet, Iterable, List, Optional

_NAME = re.compile(r"\"name\"\s*:\s*\"(?P<name>[^\"]+)\"")
_MODULE = re.compile(r"^module\s+(?P<name>\S+)", re.MULTILINE)
_PATHS = re.compile(r"\"paths\"\s*:\s*\{(?P<inside>[^}]*)\}")
_BASE = re.compile(r"\"baseUrl\"\s*:\s*\"(?P<folder>[^\"]*)\"")
_SHORT = re.compile(r"\"(?P<short>[^\"]+)\"\s*:\s*\[\s*\"(?P<way>[^\"]+)\"")
_CONFIGS = ("tsconfig.json", "tsconfig.base.json", "tsconfig.app.json", "jsconfig.json")
_SOURCES = ("", "src", "app")
_ENTRIES = ("src/index", "index", "lib/index", "src/main")
_FOLDERS_MAX = 5_000


class Packages:
    """The packages of one tree, read when they are first asked for.

    `paths` are its files of code; what says how a package is called is looked for around them, and
    `text_of` gives "" where there is none.
    """

    def __init__(self, paths: FrozenSet[str], text_of: Callable[[str], str]) -> None:
        self._paths = paths
        self._text_of = text_of
        self._named: Dict[str, Dict[str, str]] = {}
        self._ways: Dict[str, Dict[str, List[str]]] = {}

    def stems(self, path: str, module: str) -> Iterable[str]:
        """Where a module that the file at `path` imports may be, without the end of its name."""
        for folder in _up(path):
            for short, ways in self._ways_of(folder).items():
                if module == short or (short.endswith("*") and module.startswith(short[:-1])):
                    rest = module[len(short) - 1 :] if short.endswith("*") else ""
                    yield from (posixpath.normpath(way.replace("*", rest)) for way in ways)
        if module.startswith(("@/", "~/")):
            for folder in _up(path):
                yield from (posixpath.join(folder, inner, module[2:]) for inner in _SOURCES)
        package = self._within(module)
        if package is not None:
            folder, rest = self._folders("package.json", _NAME)[package], module[len(package) + 1 :]
            inside = [posixpath.join(inner, rest) for inner in _SOURCES] if rest else _ENTRIES
            yield from (posixpath.join(folder, inner) for inner in inside)

    def go(self, module: str) -> Optional[str]:
        """The folder of a package of Go in this tree."""
        folders = self._folders("go.mod", _MODULE)
        for name in sorted(folders, key=len, reverse=True):
            if module == name or module.startswith(name + "/"):
                return posixpath.join(folders[name], module[len(name) + 1 :]).rstrip("/")
        return None

    def _within(self, module: str) -> Optional[str]:
        """The package of this tree that a module is in."""
        parts = module.split("/")
        name = "/".join(parts[: 2 if module.startswith("@") else 1])
        return name if name in self._folders("package.json", _NAME) else None

    def _folders(self, file: str, name: "re.Pattern[str]") -> Dict[str, str]:
        """The folders of the packages that have such a file, by their names."""
        if file not in self._named:
            found: Dict[str, str] = {}
            folders = sorted({folder for path in self._paths for folder in _up(path)})
            for folder in folders[:_FOLDERS_MAX]:
                said = name.search(self._text_of(posixpath.join(folder, file)))
                if said:
                    found.setdefault(said.group("name"), folder)
            self._named[file] = found
        return self._named[file]

    def _ways_of(self, folder: str) -> Dict[str, List[str]]:
        """The short ways that the configuration in a folder has, and where each leads."""
        if folder not in self._ways:
            ways: Dict[str, List[str]] = {}
            for name in _CONFIGS:
                text = self._text_of(posixpath.join(folder, name))
                said, base = _PATHS.search(text), _BASE.search(text)
                root = posixpath.join(folder, base.group("folder") if base else "")
                for short in _SHORT.finditer(said.group("inside") if said else ""):
                    way = posixpath.join(root, short.group("way"))
                    ways.setdefault(short.group("short"), []).append(way)
            self._ways[folder] = ways
        return self._ways[folder]


def _up(path: str) -> Iterable[str]:
    """The folders around a file, the nearest first."""
    folder = posixpath.dirname(path)
    while folder:
        yield folder
        folder = posixpath.dirname(folder)
    yield ""
