"""The rules of ignore files, for where no `git` is there to apply them."""

from __future__ import annotations

import os
from typing import List, NamedTuple, Optional, Sequence, Tuple

from agent.toolbox.files import transfer
from agent.toolbox.search.glob import Glob

FILE_MAX_BYTES = 1_000_000
RULES_MAX = 10_000


class Rule(NamedTuple):
    """One line of an ignore file. `depth` is how many segments above its folder are not matched."""

    glob: Glob
    depth: int
    takes_back: bool
    folders_only: bool
    by_name: bool


Rules = Tuple[Rule, ...]


def rules_of(path: str, depth: int) -> Rules:
    """The rules in the file at `path`; none when there is no such file or it cannot be read."""
    try:
        with os.fdopen(transfer.open_regular(path), "rb") as file:
            data = file.read(FILE_MAX_BYTES)
    except OSError:
        return ()
    lines = os.fsdecode(data.replace(b"\r\n", b"\n")).split("\n")[:RULES_MAX]
    rules = (_rule(line, depth) for line in lines)
    return tuple(rule for rule in rules if rule is not None)


def _rule(line: str, depth: int) -> Optional[Rule]:
    while line.endswith(" ") and not line.endswith("\\ "):
        line = line[:-1]
    escapes = len(line) - len(line.rstrip("\\"))
    if not line.strip("!/") or line.startswith("#") or "//" in line or escapes % 2:
        return None  # says nothing, or what fits nothing
    takes_back = line.startswith("!")
    line = line[1:] if takes_back else line
    folders_only = line.endswith("/")
    line = line[:-1] if folders_only else line
    return Rule(Glob(line), depth, takes_back, folders_only, "/" not in line)


def ignored(parts: Sequence[str], folder: bool, rules: Sequence[Rules]) -> bool:
    """Whether the path with these segments is ignored; `rules` from the topmost folder down.

    The last rule that fits decides. Its folder is taken to be not ignored itself.
    """
    for group in reversed(rules):
        for rule in reversed(group):
            if rule.folders_only and not folder:
                continue
            if rule.glob.matches(parts[-1:] if rule.by_name else parts[rule.depth :]):
                return not rule.takes_back
    return False


def rules_above(root: str) -> Tuple[List[Rules], List[str]]:
    """The rules that hold in `root` because of the folders above it, and its segments there.

    Those of the person come first, then those of the repository that `root` is in, from its top
    down. Without a repository no file above `root` counts.
    """
    home = os.environ.get("XDG_CONFIG_HOME") or os.path.expanduser("~/.config")
    rules = [rules_of(os.path.join(home, "git", "ignore"), 0)]
    top = _top(root)
    if top is None:
        return rules, []
    rules.append(rules_of(os.path.join(top, ".git", "info", "exclude"), 0))
    inner = os.path.relpath(root, top)
    parts = [] if inner == "." else inner.split("/")
    folders = (os.path.join(top, *parts[:depth]) for depth in range(len(parts)))
    rules += [rules_of(os.path.join(f, ".gitignore"), depth) for depth, f in enumerate(folders)]
    return rules, parts


def _top(root: str) -> Optional[str]:
    folder = root
    while not os.path.lexists(os.path.join(folder, ".git")):
        if folder == os.path.dirname(folder):
            return None
        folder = os.path.dirname(folder)
    return folder
