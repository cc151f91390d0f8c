"""The grammars that this environment has."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path


def folder() -> str:
    """The directory in which the packages of tree-sitter lie."""
    spec = find_spec("tree_sitter")
    assert spec is not None and spec.origin is not None
    return str(Path(spec.origin).parent.parent)
