"""Which files a search is about: a folder or a file, patterns that take in or leave out, a type."""

from __future__ import annotations

import os
from typing import Dict, FrozenSet, List, NamedTuple, Optional, Sequence, Tuple

from agent.toolbox.files import transfer
from agent.toolbox.search import tree
from agent.toolbox.search.glob import BadPattern, Glob, expand
from agent.toolbox.search.kinds import globs_of
from agent.toolbox.search.tree import Tree

MAGIC = "*?[{\\"
PATTERNS_MAX = 50


class Choice(NamedTuple):
    """Some of the files of a tree below `base`."""

    base: str
    paths: List[str]
    tree: Tree


class _Rule(NamedTuple):
    globs: List[Glob]
    leaves_out: bool
    folders_only: bool
    by_name: bool


class Filter:
    """Patterns as `rg -g` takes them: the last that fits decides, `!` leaves out.

    One without a slash is about the name, in any folder; others are about the path from the base,
    or from the work directory: `prefix` leads from there to the base. A final slash means all that
    is in a folder.
    """

    def __init__(self, patterns: Sequence[str], prefix: Sequence[str] = ()) -> None:
        if len(patterns) > PATTERNS_MAX:
            raise BadPattern("more than %d patterns" % PATTERNS_MAX)
        self._rules = [_rule(pattern) for pattern in patterns if pattern.strip("!")]
        self._prefix = tuple(prefix)
        self._takes_in = any(not rule.leaves_out for rule in self._rules)
        self._leaves_out = any(rule.leaves_out for rule in self._rules)
        self._folders: Dict[str, bool] = {"": False}

    def keeps(self, path: str) -> bool:
        """Whether a file is one of those meant."""
        parts = path.split("/")
        if self._leaves_out and self._left_out(path.rpartition("/")[0]):
            return False
        rule = self._last(parts, folder=False)
        return not self._takes_in if rule is None else not rule.leaves_out

    def _left_out(self, folder: str) -> bool:
        known = self._folders.get(folder)
        if known is None:
            known = self._left_out(folder.rpartition("/")[0])
            if not known:
                rule = self._last(folder.split("/"), folder=True)
                known = rule is not None and rule.leaves_out
            self._folders[folder] = known
        return known

    def _last(self, parts: Sequence[str], *, folder: bool) -> Optional[_Rule]:
        for rule in reversed(self._rules):
            if rule.folders_only and not folder:
                continue
            if rule.by_name:
                fits = any(glob.matches(parts[-1:]) for glob in rule.globs)
            else:
                whole = (*self._prefix, *parts)
                fits = any(
                    glob.matches(parts) or (self._prefix and glob.matches(whole))
                    for glob in rule.globs
                )
            if fits:
                return rule
        return None


def _rule(pattern: str) -> _Rule:
    leaves_out = pattern.startswith("!")
    text = pattern[1:] if leaves_out else pattern
    while text.startswith("./"):
        text = "/" + text[2:].lstrip("/")  # here, and not anywhere below
        if text.startswith("/./"):
            text = text[1:]
    whole_folder = text.endswith("/") and not leaves_out
    folders_only = text.endswith("/") and leaves_out
    if whole_folder:
        text = ("" if "/" in text[:-1] else "**/") + text + "**"
    elif folders_only:
        text = text[:-1]
    return _Rule([Glob(each) for each in expand(text)], leaves_out, folders_only, "/" not in text)


def shows_hidden(patterns: Sequence[str]) -> bool:
    """Whether a pattern asks for names with a dot before them by writing one."""
    return any(
        part.startswith(".") and part.strip(".")
        for pattern in patterns
        if not pattern.startswith("!")
        for part in pattern.replace("{", "/").replace(",", "/").split("/")
    )


def relative(patterns: Sequence[str], workdir: str) -> List[str]:
    """Patterns with the work directory, where they name it, taken off."""
    out: List[str] = []
    for pattern in patterns:
        sign, text = ("!", pattern[1:]) if pattern.startswith("!") else ("", pattern)
        if text.startswith("~/"):
            text = os.path.expanduser(text)
        if text.startswith(workdir.rstrip("/") + "/"):
            # A slash at the end of what is taken off stays: the pattern is about a path.
            text = text[len(workdir.rstrip("/")) :]
            while "/./" in text:
                text = text.replace("/./", "/")
        out.append(sign + text)
    return out


def rooted(pattern: str) -> Tuple[str, str]:
    """An absolute pattern as the folder it starts in and the rest; ("", pattern) for others.

    Also for one that starts with a slash where no such folder is: it is about the base.
    """
    if not pattern.startswith("/"):
        return "", pattern
    parts = pattern.split("/")
    fixed = 1
    while fixed < len(parts) - 1 and not any(char in parts[fixed] for char in MAGIC):
        fixed += 1
    folder = "/".join(parts[:fixed])
    if fixed < 2 or not os.path.isdir(folder):
        return "", pattern
    return folder, "/".join(parts[fixed:])


def choose(
    target: str,
    patterns: Sequence[str],
    kind: str,
    *,
    workdir: str,
    hidden: bool,
    ignored: bool,
    seconds: float = tree.SECONDS,
) -> Choice:
    """The files at or below `target`. Raises BadPattern, and OSError where it cannot be read."""
    if not os.path.isdir(target):
        os.close(transfer.open_regular(target))
        base, name = os.path.split(target)
        none: FrozenSet[str] = frozenset()
        return Choice(base, [name], Tree([name], none, none, none, False, True))
    inner = os.path.relpath(target, workdir)
    outside = inner == "." or inner == ".." or inner.startswith("../")
    wanted = Filter(patterns, () if outside else inner.split("/"))
    typed = Filter(globs_of(kind)) if kind else None
    found = tree.scan(
        target, hidden=hidden or shows_hidden(patterns), ignored=ignored, seconds=seconds
    )
    paths = found.paths
    if patterns:
        paths = [path for path in paths if wanted.keeps(path)]
    if typed is not None:
        paths = [path for path in paths if typed.keeps(path)]
    return Choice(target, paths, found)
