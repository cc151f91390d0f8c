"""Sessions whose repository is not where it was: remembered, found, and taken over by a new clone.

A new clone of a repository has another random id, so it has no sessions. Those of the old one are
offered when that one is gone from its place and the clone has commits of it. Taking them over is
the user's decision: somebody else's repository may hold the same commits.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from agent.core.errors import UserError
from agent.core.events import Adopted
from agent.core.text import one_line
from agent.git.numbers import allocate_number
from agent.git.plain import repository_at
from agent.git.repository import Repository
from agent.host import env, files
from agent.session import about
from agent.session.about import About
from agent.session.catalog import Catalog, Entry
from agent.session.journal import Journal

_STEPS = (0, 1, 3, 10, 30, 100, 299)


@dataclass(frozen=True, slots=True)
class Stray:
    """A session of a repository that is gone: it was at `path`."""

    project: str
    path: str
    entry: Entry


@dataclass(frozen=True, slots=True)
class Taken:
    """A session that was taken over, with the number it had and the one it has now."""

    old: int
    number: int


async def remember(catalog: Catalog, repository: Repository, project: str) -> None:
    """Write down where `project` is and some of its commits, unless that is known."""
    known = about.read(catalog.root, project)
    here = (str(repository.root), repository.head)
    if known is not None and (known.path, "".join(known.commits[:1])) == here:
        return
    commits: list[str] = []
    if repository.head:
        words = ("rev-list", "--first-parent", f"--max-count={_STEPS[-1] + 1}", repository.head)
        listed = (await repository.git.run(*words)).text.split()
        commits = [listed[n] for n in _STEPS if n < len(listed)]
    about.write(catalog.root, project, About(str(repository.root), tuple(commits)))


async def strays(directory: Path) -> list[Stray]:
    """Sessions of repositories that are gone and whose history the one here has."""
    catalog, repository, project = await _here(directory)
    return await _strays(catalog, repository, project)


async def adopt(directory: Path, wanted: tuple[str, ...] = ()) -> list[Taken]:
    """Make strays sessions of the repository here: those that are `wanted` by number or id, or all.

    A number that is taken here becomes another. Raises `UserError` for what is none.
    """
    catalog, repository, project = await _here(directory)
    found = await _strays(catalog, repository, project)
    chosen = [one for one in found if not wanted or _fits(one, wanted)]
    for name in wanted:
        if not any(_fits(one, (name,)) for one in found):
            raise UserError(
                f"no session of a lost repository fits `{one_line(name)}`",
                "`glovebox sessions` says which there are",
            )
    # From the highest number down: whoever needs another gets one above all of them.
    taken = [await _adopt(catalog, repository, project, one) for one in reversed(chosen)]
    return taken[::-1]


async def _here(directory: Path) -> tuple[Catalog, Repository, str]:
    catalog = Catalog(env.state_dir())
    repository = await repository_at(directory, catalog.root)
    return catalog, repository, await repository.project_id()


def _fits(stray: Stray, wanted: tuple[str, ...]) -> bool:
    return str(stray.entry.number) in wanted or stray.entry.id in wanted


async def _strays(catalog: Catalog, repository: Repository, project: str) -> list[Stray]:
    others: list[tuple[str, About]] = []
    for other in catalog.projects():
        known = about.read(catalog.root, other) if other != project else None
        if known is not None and known.commits:
            others.append((other, known))
    if not others:
        return []
    asked = {commit for _, known in others for commit in known.commits}
    there = await _present(repository, sorted(asked))
    return [
        Stray(other, known.path, entry)
        for other, known in others
        if there.intersection(known.commits) and not await _lives(known.path, other)
        for entry in sorted(catalog.entries(other), key=lambda e: e.number)
    ]


async def _lives(path: str, project: str) -> bool:
    """Whether the repository at `path` still is that one."""
    if not files.exists(Path(path)):
        return False
    try:
        found = await Repository.find(Path(path))
    except UserError:
        return False
    place = found.common_dir / "glovebox" / "project"
    return files.exists(place) and files.read_text(place, limit=1000).strip() == project


async def _present(repository: Repository, commits: list[str]) -> set[str]:
    asked = "".join(f"{commit}\n" for commit in commits).encode()
    words = ("cat-file", "--batch-check=%(objectname) %(objecttype)")
    done = await repository.git.run(*words, stdin=asked)
    return {line.split(" ")[0] for line in done.text.split("\n") if line.endswith(" commit")}


async def _adopt(catalog: Catalog, repository: Repository, project: str, stray: Stray) -> Taken:
    """Move one. Killed in between, it is a session of both, and is moved again."""
    journal = Journal(catalog.journal(stray.entry.id))
    try:
        number = await allocate_number(repository, catalog.root, wanted=stray.entry.number)
        journal.append(journal.turn, Adopted(project, number))
        journal.flush()
        catalog.record(project, number, stray.entry.id)
        catalog.leave(stray.project, stray.entry.number)
    finally:
        journal.close()
    return Taken(stray.entry.number, number)
