"""What was probably meant by a path that does not exist."""

from __future__ import annotations

import difflib
import itertools
import os
from typing import Dict, Iterator, List, Tuple

SIMILAR_MAX = 3
NAMES_MAX = 10
WALKED_MAX = 5_000
RATIO_MIN = 0.6
SKIPPED = {".git", "node_modules", ".venv", "venv", "__pycache__", "target", "dist", "build"}


def similar_paths(path: str, workdir: str) -> List[str]:
    """Up to three paths that exist, have a name like that of `path` and are most like it."""
    name, folder = os.path.basename(path), path
    while not os.path.isdir(folder) and folder != "/":
        folder = folder.rpartition("/")[0] or "/"
    # What is near first: in a large tree a walk from its top ends before it comes there.
    tops = [folder, workdir] if (folder + "/").startswith(workdir + "/") else [folder]
    by_name: Dict[str, Dict[str, None]] = {}
    for top in dict.fromkeys(tops):
        for found in itertools.islice(_walk(top), WALKED_MAX):
            by_name.setdefault(os.path.basename(found), {})[found] = None
    matcher = difflib.SequenceMatcher(None, "", os.path.relpath(path, tops[-1]), autojunk=False)
    alike: List[Tuple[float, str]] = []
    for known in difflib.get_close_matches(name, by_name, NAMES_MAX):
        for found in by_name[known]:
            matcher.set_seq1(os.path.relpath(found, tops[-1]))
            if known == name or matcher.ratio() >= RATIO_MIN:
                alike.append((-matcher.ratio(), found))
    return [found for _, found in sorted(alike)[:SIMILAR_MAX]]


def _walk(top: str) -> Iterator[str]:
    for folder, folders, names in os.walk(top):
        folders[:] = sorted(name for name in folders if name not in SKIPPED)
        for name in sorted(names) + folders:
            yield os.path.join(folder, name)
