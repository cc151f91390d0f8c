"""Git repositories for trials: one commit, nobody's configuration, no history."""

from __future__ import annotations

from pathlib import Path

from agent.core.errors import UserError
from agent.host import env, files, process
from benchmarks.images import unpack
from benchmarks.tasks import Tree, data_of


async def lay(tree: Tree, repository: Path) -> None:
    """A repository with `tree` as its only commit; its path is absolute."""
    files.make_private_dir(repository)
    if tree.repository is not None:
        await _check_out(tree.repository, tree.commit, repository)
    if tree.image is not None:
        await unpack(tree.image, repository)
    if tree.folder is not None:
        await _copy(tree.folder, repository)
    for name, content in tree.files.items():
        files.make_private_dir((repository / name).parent)
        files.jot(repository / name, data_of(content))
    await _commit(repository)


async def make_repository(source: Path, repository: Path) -> None:
    """A repository with the files of the directory `source` and one commit."""
    await lay(Tree(folder=source), repository)


async def git(arguments: list[str], folder: Path, **environment: str) -> str:
    """What git prints in `folder`, with nobody's configuration. Raises `UserError`."""
    return await _run(["git", *arguments], folder, **environment)


async def _check_out(source: Path, commit: str, repository: Path) -> None:
    """The files of a commit without its history: neither later commits nor what mends the task."""
    place = {"GIT_INDEX_FILE": str(repository / ".index")}
    await git(["read-tree", commit], source, **place)
    prefix = f"--prefix={repository}/"
    await git(["checkout-index", "-a", "-q", prefix], source, **place)
    files.remove_file(repository / ".index")


async def _commit(repository: Path) -> None:
    for arguments in (
        ["init", "-q", "-b", "main"],
        ["add", "-A", "-f"],
        ["commit", "-q", "--allow-empty", "-m", "Task"],
    ):
        await git(arguments, repository)


async def _copy(source: Path, target: Path) -> None:
    await _run(["cp", "-R", "--", f"{source}/.", str(target)], None)


async def _run(argv: list[str], cwd: Path | None, **environment: str) -> str:
    done = await process.run(argv, env=_environment() | environment, cwd=cwd, seconds=600)
    if done.exit_code != 0:
        raise UserError(f"`{argv[0]}` failed: {done.problem}", "look at the task's files")
    return done.text


def _environment() -> dict[str, str]:
    identity = {
        f"GIT_{who}_{what}": value
        for who in ("AUTHOR", "COMMITTER")
        for what, value in (("NAME", "benchmark"), ("EMAIL", "benchmark@localhost"))
    }
    quiet = {"GIT_CONFIG_GLOBAL": "/dev/null", "GIT_CONFIG_NOSYSTEM": "1"}
    return {"PATH": env.variable("PATH"), "LC_ALL": "C.UTF-8", **identity, **quiet}
