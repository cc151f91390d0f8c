"""What would come of bringing an agent's commits onto a branch, without touching anything.

It is worked out in a repository of our own, by `git merge-tree`: no working tree, no index, no
driver or filter of anybody's. Commits are replayed as `git cherry-pick` does it: a three-way merge
between the branch and a commit, with that commit's parent as the base. merge-tree finds the base by
itself, so the branch's tree is given to it in a commit that has this parent.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from agent.core.errors import UserError
from agent.core.limits import IMPORT_SECONDS
from agent.core.text import one_line
from agent.git.guard import Git
from agent.git.repository import Identity

COMMITS_MAX = 1_000
NOBODY = Identity("glovebox", "glovebox@localhost").environment()


class Conflict(UserError):
    """The same lines were changed on both sides; `paths` says in which files."""

    def __init__(self, paths: Sequence[str]) -> None:
        shown = ", ".join(f"`{one_line(path, 100)}`" for path in paths[:10])
        more = f" and {len(paths) - 10} more" if len(paths) > 10 else ""
        super().__init__(f"both sides changed {shown}{more}")
        self.paths = tuple(paths)


@dataclass(frozen=True, slots=True)
class Step:
    """One commit to make: whose it is, what it says, and the tree it has."""

    tree: str
    author: str
    message: bytes

    def environment(self) -> dict[str, str]:
        name, _, rest = self.author.partition(" <")
        mail, _, date = rest.partition("> ")
        return {
            "GIT_AUTHOR_NAME": name or "unknown",
            "GIT_AUTHOR_EMAIL": mail,
            "GIT_AUTHOR_DATE": f"@{date}",
        }


async def merged_tree(git: Git, ours: str, theirs: str) -> str:
    """The tree of a merge of two commits. Raises `Conflict`, `UserError` when git cannot."""
    done = await git.run(
        *("merge-tree", "--write-tree", "--no-messages", "--name-only", "-z", ours, theirs),
        ok=(0, 1, 128, 129),
        seconds=IMPORT_SECONDS,
    )
    tree, *paths = done.stdout.decode("utf-8", "surrogateescape").rstrip("\0").split("\0")
    if done.exit_code > 1:
        raise UserError(
            f"git could not work out the merge: {one_line(done.problem, 300)}",
            "git 2.38 or newer is needed for that; `git merge` by hand works with any",
        )
    if done.exit_code:
        raise Conflict(paths)
    return tree


async def picked_tree(git: Git, onto: str, base: str, commit: str) -> str:
    """The tree of `onto` with what lies between `base` and `commit`. Raises `Conflict`."""
    posing = await git.using(**NOBODY).line("commit-tree", f"{onto}^{{tree}}", "-p", base)
    return await merged_tree(git, posing, commit)


async def steps(git: Git, onto: str, since: str, tip: str) -> tuple[Step, ...]:
    """The commits of `since..tip`, merges left out, one after the other on top of `onto`.

    What `onto` has already is skipped, as are commits that change nothing there.
    """
    listed = await git.run(
        *("rev-list", "--reverse", "--topo-order", "--no-merges", f"--max-count={COMMITS_MAX + 1}"),
        *(tip, f"^{since}", f"^{onto}"),
        seconds=IMPORT_SECONDS,
    )
    commits = listed.text.split()
    if len(commits) > COMMITS_MAX:
        raise UserError(f"more than {COMMITS_MAX} commits to replay", "merge or squash them")
    found: list[Step] = []
    at = onto
    for commit in commits:
        raw = (await git.run("cat-file", "commit", commit)).stdout
        tree = await picked_tree(git, at, f"{commit}^1", commit)
        if tree == await git.line("rev-parse", f"{at}^{{tree}}"):
            continue
        found.append(_step(tree, raw))
        at = await make(git.using(**NOBODY), found[-1], at)
    return tuple(found)


async def make(git: Git, step: Step, parent: str, *options: str) -> str:
    """The commit of a step on top of `parent`, by `git`'s own committer."""
    extra = {**git.extra, **step.environment()}
    return await git.using(**extra).line(
        "commit-tree", step.tree, "-p", parent, "-F", "-", *options, stdin=step.message
    )


def _step(tree: str, raw: bytes) -> Step:
    head, _, message = raw.partition(b"\n\n")
    author = next(line for line in head.split(b"\n") if line.startswith(b"author "))
    return Step(tree, author[7:].decode("utf-8", "replace"), message)
