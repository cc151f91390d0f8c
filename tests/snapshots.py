"""Texts compared with files. `GB_UPDATE=1 pytest …` writes the files anew: read the diff."""

from __future__ import annotations

import os
from pathlib import Path


def assert_snapshot(path: Path, text: str) -> None:
    """`text` is what the file at `path` holds."""
    if os.environ.get("GB_UPDATE"):
        path.parent.mkdir(exist_ok=True)
        path.write_text(text, "utf-8")
    known = path.read_text("utf-8") if path.exists() else ""
    assert text == known, f"{path.name} differs; if that is meant, run again with GB_UPDATE=1"
