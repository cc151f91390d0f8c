"""What was probably meant by a path that does not exist."""

from __future__ import annotations

import difflib
import os
from typing import Iterator, List

SIMILAR_MAX = 3
WALKED_MAX = 5_000
SKIPPED = {".git", "node_modules", ".venv", "venv", "__pycache__", "target", "dist", "build"}


def similar_paths(path: str, workdir: str) -> List[str]:
    """Up to three paths that exist and look like `path`."""
    name = os.path.basename(path)
    folder: str = os.path.dirname(path)
    while not os.path.isdir(folder) and folder != "/":
        folder = os.path.dirname(folder)
    top = workdir if (folder + "/").startswith(workdir + "/") else folder
    seen = list(_walk(top))
    same = [found for found in seen if os.path.basename(found) == name]
    by_name = {beside: os.path.join(os.path.dirname(path), beside) for beside in _beside(path)}
    close = [by_name[match] for match in difflib.get_close_matches(name, by_name, SIMILAR_MAX)]
    if not same and not close:
        relative = {os.path.relpath(found, top): found for found in seen[:500]}
        matches = difflib.get_close_matches(os.path.relpath(path, top), relative, SIMILAR_MAX, 0.75)
        close = [relative[match] for match in matches]
    return list(dict.fromkeys(same + close))[:SIMILAR_MAX]


def _beside(path: str) -> List[str]:
    """The names in the same folder, wherever a walk of the tree would end."""
    try:
        return sorted(os.listdir(os.path.dirname(path)))[:WALKED_MAX]
    except (OSError, ValueError):
        return []


def _walk(top: str) -> Iterator[str]:
    count = 0
    for folder, folders, names in os.walk(top):
        folders[:] = sorted(name for name in folders if name not in SKIPPED)
        for name in sorted(names) + folders:
            count += 1
            if count > WALKED_MAX:
                return
            yield os.path.join(folder, name)
