"""Quick searches by other programs for the files that may have a match.

They only say which files need not be read: what is a match, and where, is always found by the same
code, so that the answer does not depend on what is installed.
"""

from __future__ import annotations

import os
import shutil
from typing import Any, Dict, Iterator, List, NamedTuple, Optional, Sequence, Set

from agent.toolbox.search.choose import Choice
from agent.toolbox.search.tree import GIT, git_environment, listing

FILES_MIN = 100
"""Fewer are read as quickly as a program is started."""

BATCH_BYTES = 500_000
TEXT_MIN_CHARS = 2
RIPGREP = "rg"
GIT_GREP = "git"
NONE = "python"

# What differs from an ASCII letter only in case, to Python, but not to everybody.
_ODD_CASES = {"k": "\u212a", "s": "\u017f", "i": "\u0130\u0131"}
_MARKS = (b"\xff\xfe", b"\xfe\xff")  # UTF-16 looks like no text to git


class Sieve(NamedTuple):
    """What is left to read, and by which program the rest was ruled out."""

    paths: List[str]
    engine: str


def sieve(
    choice: Choice, texts: Sequence[str], *, ignore_case: bool, engine: str, until: float
) -> Sieve:
    """The files that may hold one of `texts`; all of them where no program can tell.

    `engine` names the program to use, "" is the best that is there.
    """
    everything = Sieve(choice.paths, NONE)
    if not texts or min(map(len, texts)) < TEXT_MIN_CHARS or engine == NONE:
        return everything
    if len(choice.paths) < FILES_MIN and not engine:
        return everything
    if engine in ("", RIPGREP) and shutil.which(RIPGREP):
        found = _ripgrep(choice, texts, ignore_case, until)
        if found is not None:
            return Sieve([path for path in choice.paths if path in found], RIPGREP)
    if engine in ("", GIT_GREP) and choice.tree.by_git:
        left = _not_ruled_out(choice, texts, ignore_case, until)
        if left is not None:
            return Sieve(left, GIT_GREP)
    return everything


def _not_ruled_out(
    choice: Choice, texts: Sequence[str], ignore_case: bool, until: float
) -> Optional[List[str]]:
    """What `git grep` leaves: it reads what is tracked, and on request what is neither that nor
    ignored, but never a repository in the repository."""
    found = _git_grep(choice, texts, ignore_case, until, [])
    if found is None:
        return None
    unread = choice.tree.nested | choice.tree.loose
    if len(choice.tree.loose) >= FILES_MIN:
        others = _git_grep(choice, texts, ignore_case, until, [b"--untracked"])
        if others is not None:
            unread, found = choice.tree.nested, found | others
    return [path for path in choice.paths if path in found or path in unread]


def _ripgrep(
    choice: Choice, texts: Sequence[str], ignore_case: bool, until: float
) -> Optional[Set[str]]:
    command = [RIPGREP, "--no-config", "--no-messages", "--no-ignore", "--hidden", "-a"]
    command += ["--files-with-matches", "--null", "--fixed-strings"]
    command += ["--ignore-case" if ignore_case else "--case-sensitive"]
    command += [part for text in texts for part in ("-e", text)]
    found: Set[str] = set()
    for batch in _batches(choice.paths):
        answer = _run([*command, "--", *batch], choice.base, dict(os.environ), until)
        if answer is None:
            return None
        found.update(os.fsdecode(answer).split("\0"))
    return found


def _git_grep(
    choice: Choice, texts: Sequence[str], ignore_case: bool, until: float, more: List[bytes]
) -> Optional[Set[str]]:
    command: List[bytes] = [part.encode("ascii") for part in GIT]
    command += [b"-c", b"submodule.recurse=false", b"grep", b"--no-color", b"--no-textconv", b"-a"]
    command += [b"--files-with-matches", b"--null", b"--fixed-strings", b"--no-full-name", *more]
    wanted = [text.encode("ascii") for text in texts]
    if ignore_case:
        command.append(b"--ignore-case")
        # In the plain locale it knows no letters but the plain ones.
        letters = "".join(texts).lower()
        wanted += [odd.encode() for c in letters for odd in _ODD_CASES.get(c, "")]
    for each in (*dict.fromkeys(wanted), *_MARKS):
        command += [b"-e", each]
    environment = dict(git_environment(), LC_ALL="C")
    answer = _run([*command, b"--", b"."], choice.base, environment, until)
    return None if answer is None else set(os.fsdecode(answer).split("\0"))


def _batches(paths: Sequence[str]) -> Iterator[List[str]]:
    """`paths` in portions that fit on a command line."""
    batch: List[str] = []
    room = BATCH_BYTES
    for path in paths:
        size = len(os.fsencode(path)) + 9
        if batch and size > room:
            yield batch
            batch, room = [], BATCH_BYTES
        batch.append(path)
        room -= size
    if batch:
        yield batch


def _run(
    command: List[Any], folder: str, environment: Dict[str, str], until: float
) -> Optional[bytes]:
    """What the program lists; None when it cannot be relied upon."""
    done = listing(command, folder, environment, until)
    return done.stdout if done is not None and done.returncode in (0, 1) else None
