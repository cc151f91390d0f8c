"""The user's own git, with their identity, hooks and signing: for what they have agreed to.

Everything else on the host goes through `guard`. Whatever does not succeed here is put back.
"""

from __future__ import annotations

from collections.abc import Sequence

from agent.core.errors import UserError
from agent.core.limits import MERGE_SECONDS
from agent.core.text import one_line
from agent.git.guard import complaint, launch
from agent.git.replay import Step
from agent.git.repository import Repository
from agent.host import disk, env
from agent.host.process import Completed

_GOING_ON = ("MERGE_HEAD", "CHERRY_PICK_HEAD", "REVERT_HEAD", "rebase-merge", "rebase-apply")
# Where git works is ours to say, and what an agent made may decide what a hook runs: hooks get no
# key of a provider.
_ELSEWHERE = ("GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE", "GIT_OBJECT_DIRECTORY", "GIT_PREFIX")
_SECRET = ("_API_KEY", "_TOKEN", "_SECRET", "_PASSWORD", "_CREDENTIALS")
_SETTINGS = (
    *("-c", "submodule.recurse=false", "-c", "merge.autoStash=false", "-c", "merge.ff=true"),
    *("-c", "advice.detachedHead=false", "-c", "gc.auto=0", "-c", "maintenance.auto=false"),
)


class Own:
    """git in the user's working tree, as they would type it; without `hooks` none of them runs."""

    def __init__(self, repository: Repository, *, hooks: bool = True) -> None:
        self._repository = repository
        off = () if hooks else ("-c", "core.hooksPath=/dev/null")
        self._git = ("git", "--no-pager", "-C", str(repository.root), *_SETTINGS, *off)
        self._environment = _environment()

    async def head(self) -> str:
        return (await self._must("rev-parse", "HEAD")).text

    async def hooks_inside(self) -> str:
        """Where the user's hooks lie below the root of the working tree; "" when elsewhere."""
        place = (
            await self._must("rev-parse", "--path-format=absolute", "--git-path", "hooks")
        ).text
        root, git_dir = str(self._repository.root), str(self._repository.common_dir)
        inside = place.startswith(f"{root}/") and not place.startswith(f"{git_dir}/")
        return place.removeprefix(f"{root}/") if inside else ""

    async def require_ready(self, onto: str, *, staged: bool) -> None:
        """Raises `UserError` unless the branch still stands at `onto` with nothing going on."""
        going_on = [name for name in _GOING_ON if self._there(name)]
        if going_on:
            what = going_on[0].partition("_")[0].partition("-")[0].lower()
            raise UserError(f"a {what} is going on in your working tree", "finish or abort it")
        if await self.head() != onto:
            raise UserError("your branch has moved meanwhile", "look at the merge once more")
        if staged and (await self._run("diff", "--cached", "--quiet")).exit_code:
            raise UserError(
                "there are staged changes in your index",
                "commit them, or unstage them with `git restore --staged .`",
            )

    async def made(self, steps: Sequence[Step], onto: str) -> str:
        """The commits of `steps` on top of `onto`, by the user and signed as they sign; the last.

        "" for no steps.
        """
        sign = await self._run("config", "--type=bool", "--get", "commit.gpgSign")
        options = ("-S",) if sign.text == "true" else ()
        at = onto
        for step in steps:
            words = ("commit-tree", step.tree, "-p", at, "-F", "-", *options)
            done = await self._run(*words, stdin=step.message, extra=step.environment())
            if done.exit_code:
                raise UserError(f"your git did not make the commit: {complaint(done)}")
            at = done.text
        return at if steps else ""

    async def merge(self, commit: str, message: str, *, forward: bool) -> None:
        """Merge a commit; with `forward` the branch only moves on to it."""
        how = ("--ff-only",) if forward else ("--no-ff", "-m", message.replace("\0", ""))
        done = await self._run("merge", "--no-edit", "--quiet", *how, commit)
        if done.exit_code:
            if self._there("MERGE_HEAD"):
                await self._must("merge", "--abort")
            raise _refused("merge", done)

    async def squash(self, commit: str, message: str) -> None:
        """One commit with everything of `commit`, which is a child of HEAD."""
        done = await self._run("merge", "--squash", "--quiet", commit)
        if not done.exit_code:
            done = await self._run(
                "commit", "--quiet", "-F", "-", stdin=message.encode("utf-8", "replace")
            )
            if not done.exit_code:
                return
            # Only files that the squash changed and that had no changes of the user's.
            await self._must("reset", "--quiet", "--merge")
        raise _refused("commit", done)

    async def apply(self, patch: bytes) -> None:
        """Change files in the working tree, and nothing else; all of it or none."""
        done = await self._run("apply", "--whitespace=nowarn", "-", stdin=patch)
        if done.exit_code:
            raise _refused("apply", done)

    def _there(self, name: str) -> bool:
        return disk.look(self._repository.git_dir, name.encode()).kind != "absent"

    async def _must(self, *args: str) -> Completed:
        done = await self._run(*args)
        if done.exit_code:
            raise UserError(f"`git {args[0]}` failed: {complaint(done)}")
        return done

    async def _run(
        self, *args: str, stdin: bytes = b"", extra: dict[str, str] | None = None
    ) -> Completed:
        environment = {**self._environment, **(extra or {})}
        return await launch(
            [*self._git, *args], environment, stdin=stdin, seconds=MERGE_SECONDS, limit=1_000_000
        )


def _refused(verb: str, done: Completed) -> UserError:
    said = one_line(done.problem or done.text, 1_000) or f"exit code {done.exit_code}"
    if "would be overwritten" in said or "does not apply" in said or "patch failed" in said:
        hint = "commit or stash your changes to these files, then merge again"
    else:
        hint = "that was your git or a hook of yours; `--no-hooks` merges without them"
    return UserError(f"your git did not {verb} it: {said}", hint)


def _environment() -> dict[str, str]:
    own = {
        name: value
        for name, value in env.variables().items()
        if name not in _ELSEWHERE and not name.upper().endswith(_SECRET)
    }
    return own | {"GIT_EDITOR": "true", "GIT_MERGE_AUTOEDIT": "no", "LC_ALL": "C"}
