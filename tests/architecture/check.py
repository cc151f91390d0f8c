"""Read the source of every file and say where it breaks the room table."""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from tests.architecture import rooms
from tests.architecture.rooms import Room, room_of

OURS = ("agent", "benchmarks")
DATA = "benchmarks/tasks/"  # what trials work on is no code of ours


@dataclass(frozen=True, order=True)
class Breach:
    """One line that breaks the rules."""

    file: str
    line: int
    what: str

    def __str__(self) -> str:
        return f"{self.file}:{self.line}: {self.what}"


def modules(root: Path) -> dict[str, Path]:
    """Every module of ours under `root`, by its dotted name."""
    found: dict[str, Path] = {}
    for top in OURS:
        for path in sorted((root / top).rglob("*.py")):
            if path.relative_to(root).as_posix().startswith(DATA):
                continue
            parts = path.relative_to(root).with_suffix("").parts
            found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


def breaches(root: Path) -> list[Breach]:
    """All breaches in the tree under `root`."""
    known = modules(root)
    return sorted(b for name, path in known.items() for b in check_file(name, path, root, known))


def check_file(name: str, path: Path, root: Path, known: dict[str, Path]) -> list[Breach]:
    """The breaches in one file."""
    check = _Check(name, known, str(path.relative_to(root)))
    check.visit(ast.parse(path.read_text("utf-8"), filename=str(path)))
    return check.found


def imports(name: str, path: Path, known: dict[str, Path]) -> dict[str, int]:
    """The modules of ours that a file imports, with the line; wherever in the file that happens."""
    found: dict[str, int] = {}
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        for target in _targets(node, known):
            if _top(target) in OURS and target != name:
                found.setdefault(target, node.lineno)  # type: ignore[attr-defined]
    return found


def _targets(node: ast.AST, known: dict[str, Path]) -> Iterator[str]:
    """What an import statement imports; `from package import module` is that module."""
    if isinstance(node, ast.Import):
        yield from (alias.name for alias in node.names)
    elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
        for alias in node.names:
            inner = f"{node.module}.{alias.name}"
            yield inner if inner in known or inner in rooms.PURE else node.module


def _top(module: str) -> str:
    return module.partition(".")[0]


@dataclass
class _Check(ast.NodeVisitor):
    name: str
    known: dict[str, Path]
    file: str
    found: list[Breach] = field(default_factory=list[Breach])
    bound: dict[str, str] = field(
        default_factory=dict[str, str]
    )  # names in this file that are modules

    @property
    def room(self) -> Room:
        return room_of(self.name)

    def may(self, capability: str) -> bool:
        return capability in self.room.may

    def breach(self, node: ast.AST, what: str) -> None:
        self.found.append(Breach(self.file, node.lineno, what))  # type: ignore[attr-defined]

    def _excepted(self, what: str) -> bool:
        return (self.name, what) in rooms.EXCEPTIONS

    # imports

    def visit_Import(self, node: ast.Import) -> None:
        for alias in node.names:
            self._module(node, alias.name)
            self.bound[alias.asname or _top(alias.name)] = (
                alias.name if alias.asname else _top(alias.name)
            )

    def visit_ImportFrom(self, node: ast.ImportFrom) -> None:
        if node.level or not node.module:
            self.breach(node, "relative import; write the whole name")
            return
        for target in dict.fromkeys(_targets(node, self.known)):
            self._module(node, target)
        for alias in node.names:
            inner = f"{node.module}.{alias.name}"
            if inner in self.known or inner in rooms.PURE:
                self.bound[alias.asname or alias.name] = inner
            elif alias.name == "*":
                self.breach(node, f"`from {node.module} import *` hides what it imports")
            else:
                self._taken(node, node.module, alias.name)

    def _module(self, node: ast.AST, target: str) -> None:
        top = _top(target)
        if top in OURS:
            self._ours(node, target)
        elif top in sys.stdlib_module_names or top == "_typeshed":
            self._standard(node, target)
        elif not any(_within(self.name, owner) for owner in rooms.OWNERS.get(top, ())):
            owners = ", ".join(rooms.OWNERS.get(top, ())) or "nobody; declare its owner"
            self.breach(node, f"imports `{top}`, which belongs to {owners}")
        elif self.room.name == "agent.toolbox":
            self.breach(node, f"imports `{top}`; the toolbox has the standard library alone")

    def _ours(self, node: ast.AST, target: str) -> None:
        other = room_of(target)
        if other.name != self.room.name and other.name not in self.room.imports:
            self.breach(node, f"room `{self.room.name}` may not import `{target}`")

    def _standard(self, node: ast.AST, target: str) -> None:
        if target == "signal" and self.may(rooms.SIGNALS):
            return
        if target not in rooms.PURE and not self.may(rooms.HOST) and not self._excepted(target):
            self.breach(node, f"`{target}` reaches the host; only agent/host may")

    def _taken(self, node: ast.AST, module: str, name: str) -> None:
        """A name taken out of a module, by `from … import` or by attribute."""
        if module == "sys" and name in rooms.STREAMS:
            if not self.may(rooms.TERMINAL):
                self.breach(node, f"`sys.{name}`: only the command line talks to the terminal")
        elif module == "pathlib" and name in ("Path", "PosixPath", "WindowsPath"):
            if not self.may(rooms.PATHS):
                self.breach(node, "paths here are inside: use PurePosixPath or posixpath")
        elif not self.may(rooms.HOST):
            if name in rooms.IMPURE.get(module, "").split() or name in rooms.ATTRIBUTES:
                if _top(module) not in OURS:
                    self.breach(
                        node, f"`{module}.{name}` reaches the host or leads round the rules"
                    )
            elif self._borrowed(module, name):
                self.breach(node, f"`{module}.{name}` borrows a module from another")

    def _borrowed(self, module: str, name: str) -> bool:
        """Whether `module.name` is some other standard module, such as `pathlib.os`."""
        inner = f"{module}.{name}"
        return (
            name in sys.stdlib_module_names
            and _top(module) in (*OURS, *sys.stdlib_module_names)
            and inner not in rooms.PURE
            and inner not in self.known
            and name != module.rpartition(".")[2]
        )

    # names, attributes, calls

    def visit_Name(self, node: ast.Name) -> None:
        if node.id == "print" and not self.may(rooms.TERMINAL):
            self.breach(node, "print: only the command line talks to the terminal")
        if node.id not in rooms.BUILTINS or self.may(rooms.HOST):
            return
        if not self._excepted(node.id):
            self.breach(node, f"`{node.id}` reaches the host or leads round the rules")

    def visit_Attribute(self, node: ast.Attribute) -> None:
        module = self._module_of(node.value)
        if module is not None:
            self._taken(node, module, node.attr)
        if not self.may(rooms.HOST) and not (module and _top(module) in OURS):
            on_class = isinstance(node.value, ast.Name) and node.value.id == "Path"
            if node.attr in rooms.ATTRIBUTES or (on_class and node.attr in rooms.PATH_CLASS):
                self.breach(node, f"`.{node.attr}` reaches the host or leads round the rules")
        self.generic_visit(node)

    def _module_of(self, node: ast.expr) -> str | None:
        """The module that an expression is, where it is a plain dotted name."""
        if isinstance(node, ast.Name):
            return self.bound.get(node.id)
        if isinstance(node, ast.Attribute) and (outer := self._module_of(node.value)):
            inner = f"{outer}.{node.attr}"
            return inner if inner in self.known or inner in rooms.PURE else None
        return None

    def visit_Call(self, node: ast.Call) -> None:
        called = node.func
        if not self.may(rooms.HOST):
            if isinstance(called, ast.Attribute) and self._like_path(called, node):
                self.breach(node, f"`.{called.attr}()` in the shape of pathlib's reaches the host")
            if isinstance(called, ast.Name) and called.id in ("getattr", "setattr", "delattr"):
                self._getattr(node)
        if isinstance(called, ast.Attribute | ast.Name) and _last(called) == "suppress":
            self._broad(node, node.args)
        self.generic_visit(node)

    def _like_path(self, called: ast.Attribute, node: ast.Call) -> bool:
        if called.attr not in rooms.CALLS or self._module_of(called.value):
            return False
        given = len(node.args) + len(node.keywords)
        if called.attr in ("resolve", "absolute") and self.may(rooms.RESOLVE):
            return False
        match called.attr:
            case "replace" | "rename":  # str.replace takes two, dataclasses.replace keywords
                return given == 1 and len(node.args) == 1
            case "absolute" | "stat":
                return not node.args
            case "resolve":
                return not node.args or (given == 1 and _is_constant(node.args[0]))
            case _:  # open
                return not node.args or _is_constant(node.args[0])

    def _getattr(self, node: ast.Call) -> None:
        name = node.args[1] if len(node.args) > 1 else None
        if not isinstance(name, ast.Constant):
            if self.name not in rooms.COMPUTED_GETATTR:
                self.breach(node, "a computed attribute name can reach anything")
        elif name.value in rooms.ATTRIBUTES | rooms.BUILTINS | rooms.CALLS | {"modules"}:
            self.breach(node, f"`{name.value}` by getattr leads round the rules")

    def visit_Constant(self, node: ast.Constant) -> None:
        dunder = isinstance(node.value, str) and node.value.startswith("__")
        if dunder and not self.may(rooms.HOST) and node.value in rooms.ATTRIBUTES | rooms.BUILTINS:
            self.breach(node, f"the name `{node.value}` leads round the rules")

    # broad catches

    def visit_ExceptHandler(self, node: ast.ExceptHandler) -> None:
        last = node.body[-1]
        if not (isinstance(last, ast.Raise) and last.exc is None):
            caught = node.type
            self._broad(node, caught.elts if isinstance(caught, ast.Tuple) else [caught])
        self.generic_visit(node)

    def _broad(self, node: ast.AST, caught: list[ast.expr | None] | list[ast.expr]) -> None:
        broad = [c for c in caught if c is None or _last(c) in ("Exception", "BaseException")]
        if broad and self.name not in rooms.BROAD:
            self.breach(node, "catches everything; name what is expected, or re-raise")


def _within(module: str, owner: str) -> bool:
    return module == owner or module.startswith(owner + ".")


def _is_constant(node: ast.expr) -> bool:
    return isinstance(node, ast.Constant)


def _last(node: ast.expr) -> str:
    if isinstance(node, ast.Attribute):
        return node.attr
    return node.id if isinstance(node, ast.Name) else ""
