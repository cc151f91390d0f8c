"""How much of the history goes in, and which tags belong to it.

The ids are the user's own: a history that is cut is what git calls a shallow clone, whose oldest
commits keep the ids of parents that are not there.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from agent.core.limits import HISTORY_COMMITS, HISTORY_FULL_BYTES, TAGS_MAX
from agent.git.guard import Git
from agent.git.repository import Repository
from agent.git.rules import Rules
from agent.host import disk

_LIST_BYTES = 1_000_000_000


@dataclass(frozen=True, slots=True)
class Tag:
    """A tag that names a commit: itself, and that commit (the same for a lightweight one)."""

    ref: str
    id: str
    commit: str


@dataclass(frozen=True, slots=True)
class History:
    """The commits that go in, and those whose parents do not."""

    commits: frozenset[str]
    cuts: tuple[str, ...]


async def history_of(git: Git, repository: Repository, rules: Rules) -> History:
    """The history of HEAD that `rules` ask for; nothing before the first commit."""
    if not repository.head:
        return History(frozenset(), ())
    limit = await _limit(repository) if rules.history is None else rules.history
    known = await _parents(git, [repository.head], limit)
    there = await _nearest(git, repository.head, known, limit) if limit else set(known)
    cut = {one for one in there if not there.issuperset(known[one])}
    return History(frozenset(there), tuple(sorted(cut | (set(repository.shallow) & there))))


async def _parents(git: Git, tips: Iterable[str], limit: int) -> dict[str, list[str]]:
    """The newest commits from `tips` on, each with its parents."""
    newest = (f"--max-count={2 * limit}",) if limit else ()
    listed = "".join(f"{tip}\n" for tip in tips).encode()
    words = ("rev-list", "--parents", *newest, "--stdin")
    done = await git.run(*words, stdin=listed, limit=_LIST_BYTES)
    lines = (line.split(" ") for line in done.text.split("\n") if line)
    return {one: above for one, *above in lines}


async def _nearest(git: Git, head: str, known: dict[str, list[str]], limit: int) -> set[str]:
    """As many commits as `limit` allows, in whole steps away from `head`.

    Not the newest: git cuts off all parents of a commit or none, and where an old branch was merged
    yesterday that would cut off everything.
    """
    there, step = {head}, {head}
    while step:
        above = {parent for one in step for parent in known[one]} - there
        if unknown := above - known.keys():
            known |= await _parents(git, unknown, limit)
        if len(there) + len(above) > limit:
            break
        there |= above
        step = above
    return there


async def _limit(repository: Repository) -> int:
    """How many commits when nobody said: all of a small repository, 0, else enough for a look."""
    places = [repository.objects]
    said = await repository.git.run("count-objects", "-v")
    places += [Path(name) for name in re.findall(r"^alternate: (.*)$", said.text, re.MULTILINE)]
    packs = [(place / "pack", name) for place in places for name in disk.names_in(place / "pack")]
    size = sum(
        disk.look(place, name.encode("utf-8", "surrogateescape")).size for place, name in packs
    )
    return 0 if size <= HISTORY_FULL_BYTES else HISTORY_COMMITS


async def tags_of(repository: Repository, history: History) -> tuple[Tag, ...]:
    """The tags of commits that go in, the newest first when there are too many."""
    done = await repository.git.run(
        *("for-each-ref", "--sort=-creatordate", "refs/tags/"),
        "--format=%(objecttype) %(*objecttype) %(objectname) %(*objectname) %(refname)",
        limit=_LIST_BYTES,
    )
    found: list[Tag] = []
    nested: list[tuple[str, str]] = []
    for line in done.text.split("\n") if done.text else ():
        kind, peeled, oid, commit, ref = line.split(" ", 4)
        if peeled == "tag":
            nested.append((ref, oid))
        elif (commit := oid if kind == "commit" else commit) in history.commits:
            found.append(Tag(ref, oid, commit))
    found += [tag for tag in await _peeled(repository, nested) if tag.commit in history.commits]
    return tuple(found[:TAGS_MAX])


async def _peeled(repository: Repository, nested: list[tuple[str, str]]) -> list[Tag]:
    """Tags of tags, with what they name in the end."""
    if not nested:
        return []
    asked = "".join(f"{oid}^{{}}\n" for _, oid in nested).encode()
    done = await repository.git.run("cat-file", "--batch-check=%(objectname)", stdin=asked)
    ends = done.text.split("\n")
    return [Tag(ref, oid, end) for (ref, oid), end in zip(nested, ends, strict=True)]


def packed_refs(tags: tuple[Tag, ...]) -> bytes:
    """The tags as the file of refs that git keeps."""
    lines = ["# pack-refs with: peeled fully-peeled sorted \n"]
    for tag in sorted(tags, key=lambda tag: tag.ref.encode("utf-8", "surrogateescape")):
        lines.append(f"{tag.id} {tag.ref}\n")
        lines += [f"^{tag.commit}\n"] if tag.id != tag.commit else []
    return "".join(lines).encode("utf-8", "surrogateescape")
