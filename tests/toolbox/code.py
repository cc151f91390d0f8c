"""Repositories of code for the tests of the index, and the modules inside as used there."""

from __future__ import annotations

import importlib.util
import subprocess
from pathlib import Path
from typing import Any

from agent.toolbox.symbols import build, store
from agent.toolbox.symbols import lsp as symbols
from agent.toolbox.symbols.index import Index


def grammars() -> str:
    """Where the grammars of this environment lie; "" when there are none."""
    spec = importlib.util.find_spec("tree_sitter")
    return str(Path(spec.origin).parent.parent) if spec and spec.origin else ""


def git(root: Path, *arguments: str) -> str:
    who = ("-c", "user.name=t", "-c", "user.email=t@example.org")
    done = subprocess.run(
        ["git", *who, *arguments], cwd=root, capture_output=True, text=True, check=True
    )
    return done.stdout


def write(root: Path, **files: str | bytes) -> None:
    """Files by name without their suffix, `__` standing for a slash."""
    for name, data in files.items():
        plain = name.replace("__init__", "\0").replace("__", "/").replace("\0", "__init__")
        path = root / f"{plain}.py"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data if isinstance(data, bytes) else data.encode())


def repository(root: Path, **files: str | bytes) -> Path:
    """A git repository with one commit of these files."""
    root.mkdir(parents=True, exist_ok=True)
    write(root, **files)
    git(root, "init", "-q", "-b", "main")
    git(root, "add", "-A")
    git(root, "commit", "-q", "-m", "start", "--allow-empty")
    return root


def built(root: Path, **more: Any) -> Index:
    """The index of a tree after a build of it."""
    build.build(str(root), store.database(), grammars(), **more)
    index = Index(str(root))
    index.refresh()
    return index


def ask(root: Path, operation: str, target: str, **more: Any) -> dict[str, Any]:
    """One question to the operation that the tool asks."""
    limits = {"workdir": str(root), "file_max": 10_000_000}
    run = symbols.rename if operation == "rename" else symbols.lsp
    return run({"operation": operation, "target": target, **more}, limits)


def parsed(index: Index) -> int:
    """How many blobs have ever been parsed."""
    return int(index.store.rows("SELECT count(*) FROM blob WHERE state > 0")[0][0])


def places(answer: dict[str, Any]) -> list[str]:
    """`path:line` of everything in an answer."""
    return [f"{group['path']}:{row[0]}" for group in answer["groups"] for row in group["rows"]]
