"""Where a name in a file comes from, by what the file imports: evidence, not proof.

A module is followed to the file it is in, and through a package's `__init__` or an `index` that
passes names on.
"""

from __future__ import annotations

import os
import posixpath
import re
from typing import Callable, Dict, FrozenSet, Iterable, List, Optional, Set

from agent.toolbox.symbols.imports import SCRIPTS, Imports, Origin, read
from agent.toolbox.symbols.packages import Packages

DEPTH_MAX = 6

_SCRIPT_ENDS = ("", ".ts", ".tsx", ".js", ".jsx", ".mjs", ".cjs", ".mts", ".d.ts")
_SCRIPT_INDEX = ("/index.ts", "/index.tsx", "/index.js", "/index.jsx", "/index.mjs")
_RUST_OWN = frozenset(("crate", "self", "super"))
_RUST_STANDARD = frozenset(("std", "core", "alloc"))


class Modules:
    """Finds the files that modules are in, among the paths of one tree."""

    def __init__(self, paths: Iterable[str], text_of: Callable[[str], str]) -> None:
        self._paths: FrozenSet[str] = frozenset(paths)
        self._text_of = text_of
        self._by_end: Optional[Dict[str, List[str]]] = None
        self._read: Dict[str, Imports] = {}
        self._packages = Packages(self._paths, text_of)

    def imports(self, path: str, language: str) -> Imports:
        """What the file at `path` imports."""
        if path not in self._read:
            self._read[path] = read(language, self._text_of(path))
        return self._read[path]

    def origins(
        self,
        path: str,
        language: str,
        name: str,
        before: str,
        defines: Callable[[str, str], bool],
        line: str = "",
    ) -> Optional[Set[str]]:
        """The files that `name`, used in `path` after `before` and a dot, is defined in.

        None where the imports say nothing of it. `defines` tells whether a file defines a name.
        An import `line` that it is used in says it best: there it may be given another name.
        """
        imports = self.imports(path, language)
        bound = imports.names.get(before or name)
        if bound is None and not before and not defines(path, name):  # it has another name here
            bound = next((one for one in imports.names.values() if one.name == name), None)
        for origin in read(language, line).names.values() if line else ():
            if origin.name == name:
                bound = origin
        if bound is not None:
            wanted = name if before else (bound.name or name)
            if before and bound.name and not self._files(path, language, bound.module, bound.name):
                return None  # an attribute of something that is no module
            module, extra = bound.module, bound.name if before else ""
            found = self._files(path, language, module, extra)
            if not found and extra:
                found = self._files(path, language, module, "")
            if extra and language in SCRIPTS:
                found = self._space(found, language, extra, 0) or found
            ends = self._through(found, language, wanted, defines, 0, set())
            if not ends and self._passed_on(language, module):
                return None
            return ends or set(found)
        if before:
            return None
        for star in imports.stars:
            found = self._files(path, language, star, "")
            ends = self._through(found, language, name, defines, 0, set())
            if ends:
                return ends
        return None

    def _through(
        self,
        files: Iterable[str],
        language: str,
        name: str,
        defines: Callable[[str, str], bool],
        depth: int,
        seen: Set[str],
    ) -> Set[str]:
        """Those of `files` that define a name, or what they take it from."""
        ends: Set[str] = set()
        for file in files:
            if file in seen or depth > DEPTH_MAX:
                continue
            seen.add(file)
            if defines(file, name):
                ends.add(file)
                continue
            imports = self.imports(file, language)
            bound = imports.names.get(name)
            if bound is not None:
                further = self._files(file, language, bound.module, "")
                ends |= self._through(
                    further, language, bound.name or name, defines, depth + 1, seen
                )
            for star in () if ends else imports.stars:
                further = self._files(file, language, star, "")
                ends |= self._through(further, language, name, defines, depth + 1, seen)
        return ends

    def _space(self, files: Iterable[str], language: str, name: str, depth: int) -> List[str]:
        """The files of the whole module that `files` pass on as `name`."""
        for file in files if depth <= DEPTH_MAX else ():
            imports = self.imports(file, language)
            bound = imports.names.get(name)
            stars = [Origin(star, name) for star in imports.stars]
            for one in [bound] if bound is not None else stars:
                found = self._files(file, language, one.module, "")
                found = self._space(found, language, one.name, depth + 1) if one.name else found
                if found:
                    return found
        return []

    def _files(self, path: str, language: str, module: str, inner: str) -> List[str]:
        """The files of a module, as named in the file at `path`; of the module in it `inner`."""
        if language == "python":
            return self._python(
                path,
                module + ("." if not module.endswith(".") else "") + inner if inner else module,
            )
        if language in SCRIPTS:
            return self._script(path, module)
        if language == "go":
            return self._folder(module)
        if language == "rust":
            return self._crate(path, module)
        if language in ("c", "cpp", "ruby"):
            return self._ending(path, module)
        return self._nested(path, module)

    def _passed_on(self, language: str, module: str) -> bool:
        """Whether what a module has may be in files that its name does not lead to."""
        if language == "rust":
            return module.split("/")[0] not in _RUST_STANDARD
        if language == "kotlin":  # a function is in a file of any name
            folder = "/" + posixpath.dirname(module)
            return any(("/" + posixpath.dirname(p)).endswith(folder) for p in self._paths)
        return False

    def _python(self, path: str, module: str) -> List[str]:
        dots = len(module) - len(module.lstrip("."))
        inner = module.lstrip(".").replace(".", "/")
        if dots:
            folder = path
            for _ in range(dots):
                folder = posixpath.dirname(folder)
            return self._module(posixpath.join(folder, inner) if inner else folder)
        here = posixpath.dirname(path)
        direct = self._module(inner) or self._module("src/" + inner)
        if direct:
            return direct
        # Wherever a folder on the way is the one that is imported from.
        while here:
            found = self._module(posixpath.join(here, inner))
            if found:
                return found
            here = posixpath.dirname(here)
        return self._suffix(inner + ".py") or self._suffix(inner + "/__init__.py")

    def _module(self, stem: str) -> List[str]:
        names = (stem + ".py", stem + ".pyi", posixpath.join(stem, "__init__.py"))
        return [name for name in names if name in self._paths][:1]

    def _script(self, path: str, module: str) -> List[str]:
        if module.startswith("."):
            stems: Iterable[str] = [posixpath.join(posixpath.dirname(path), module)]
        else:
            stems = self._packages.stems(path, module)
        for stem in map(posixpath.normpath, stems):
            bare = re.sub(r"\.(?:m|c)?jsx?$", "", stem)
            for base in dict.fromkeys((stem, bare)):
                for end in (*_SCRIPT_ENDS, *_SCRIPT_INDEX):
                    if base + end in self._paths:
                        return [base + end]
        return []

    def _crate(self, path: str, module: str) -> List[str]:
        """Of Rust: what is within `super` is in this file or beside it, other things by name."""
        parts = [part for part in module.split("/") if part not in _RUST_OWN]
        if parts and parts[0] in _RUST_STANDARD:
            return []
        near = [path] if module.startswith(("super/", "self/")) else []
        for size in range(len(parts), 0, -1):
            stem = "/".join(parts[:size])
            found = self._suffix(stem + ".rs") or self._suffix(stem + "/mod.rs")
            if found:
                return [*near, *found]
        return near

    def _nested(self, path: str, module: str) -> List[str]:
        """The file of a class, or of the one that it is in."""
        parts = module.split("/")
        for size in range(len(parts), min(2, len(parts)) - 1, -1):
            found = self._ending(path, "/".join(parts[:size]))
            if found:
                return found
        return []

    def _folder(self, module: str) -> List[str]:
        own = self._packages.go(module)
        if own is not None:
            return sorted(p for p in self._paths if posixpath.dirname(p) == own)
        parts = module.split("/")
        for at in range(len(parts)):
            folder = "/".join(parts[at:])
            found = [p for p in self._paths if posixpath.dirname(p) == folder]
            if found:
                return sorted(found)
        return []

    def _ending(self, path: str, module: str) -> List[str]:
        stem = module.replace("\\", "/").strip("/")
        near = posixpath.normpath(posixpath.join(posixpath.dirname(path), stem))
        if near in self._paths:
            return [near]
        name = posixpath.basename(stem)
        return self._suffix(stem) or [
            p
            for p in self._ends().get(name, ())
            if ("/" + p).rpartition(".")[0].endswith("/" + stem)
        ]

    def _suffix(self, end: str) -> List[str]:
        name = posixpath.basename(end)
        stem = name.rpartition(".")[0] or name
        return [p for p in self._ends().get(stem, ()) if ("/" + p).endswith("/" + end)]

    def _ends(self) -> Dict[str, List[str]]:
        if self._by_end is None:
            self._by_end = {}
            for path in sorted(self._paths):
                name = os.path.basename(path)
                self._by_end.setdefault(name.rpartition(".")[0] or name, []).append(path)
        return self._by_end
