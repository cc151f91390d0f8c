from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from pathlib import Path

import pytest

from agent.core.errors import UserError
from agent.git.numbers import allocate_number
from agent.git.repository import Repository
from agent.host import disk
from tests.git.users import IDENTITY, User, look


async def refusal(path: Path) -> UserError:
    with pytest.raises(UserError) as caught:
        await Repository.find(path)
    assert caught.value.hint
    return caught.value


async def test_a_repository_is_found_from_anywhere_in_it(user: User) -> None:
    found = await Repository.find(user.root / "dir")

    git = user.root / ".git"
    assert (found.root, found.git_dir, found.common_dir) == (user.root, git, git)
    assert (found.head, found.branch) == (user.git("rev-parse", "HEAD"), "main")


async def test_no_repository_says_how_to_get_one(tmp_path: Path) -> None:
    error = await refusal(tmp_path)
    assert "not in a git repository" in error.message
    assert "git init" in error.hint


async def test_a_place_that_is_no_directory_is_named(tmp_path: Path) -> None:
    assert f"`{tmp_path}/nothing`" in (await refusal(tmp_path / "nothing")).message


async def test_a_repository_without_commits_is_found(tmp_path: Path) -> None:
    found = await Repository.find(User.start(tmp_path / "new").root)
    assert (found.head, found.branch) == ("", "main")


@pytest.mark.parametrize("place", ["bare.git", "repo/.git", "repo/fixture.git"])
async def test_bare_repositories_are_refused(user: User, tmp_path: Path, place: str) -> None:
    user.git("init", "--quiet", "--bare", str(tmp_path / "bare.git"))
    user.git("init", "--quiet", "--bare", "fixture.git")

    error = await refusal(tmp_path / place)

    assert "a bare repository or inside a `.git` directory" in error.message


async def test_sha256_is_refused_by_name(tmp_path: Path) -> None:
    user = User.start(tmp_path / "new", "--object-format=sha256")
    user.commit("x")
    assert "sha256" in (await refusal(user.root)).message


@pytest.mark.skipif(os.geteuid() != 0, reason="needs to give files away")
async def test_a_foreign_repository_names_the_remedy_and_the_remedy_works(
    user: User, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for path in (user.root, user.root / ".git"):
        os.chown(path, 12345, 12345)

    error = await refusal(user.root / "dir")

    assert "belongs to another user" in error.message
    assert f"git config --global --add safe.directory {user.root}`" in error.hint
    (tmp_path / "gitconfig").write_text(f"[safe]\ndirectory = {user.root}\n")
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", str(tmp_path / "gitconfig"))
    assert (await Repository.find(user.root)).root == user.root


async def test_no_git_says_how_to_install_it(
    user: User, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    error = await refusal(user.root)
    assert "not installed" in error.message
    assert "apt install git" in error.hint


async def test_an_old_git_is_refused(
    user: User, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "git").write_text("#!/bin/sh\necho git version 2.31.9\n")
    (tmp_path / "git").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    assert "2.32" in (await refusal(user.root)).message


async def test_the_identity_is_the_users_own(
    user: User, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert await (await Repository.find(user.root)).identity() == IDENTITY

    user.git("config", "--unset", "user.name")
    user.git("config", "--unset", "user.email")
    (tmp_path / "gitconfig").write_text('[user]\nname = "Gl <o>\\nbal"\n')
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", str(tmp_path / "gitconfig"))

    assert await (await Repository.find(user.root)).identity() == ("Gl o bal", "user@localhost")


async def test_variables_of_the_caller_do_not_lead_astray(
    user: User, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = User.start(tmp_path / "other")
    other.commit("x")
    monkeypatch.setenv("GIT_DIR", str(other.root / ".git"))
    monkeypatch.setenv("GIT_INDEX_FILE", str(tmp_path / "index"))

    assert (await Repository.find(user.root)).root == user.root


async def test_the_project_id_is_one_for_all_worktrees(user: User, tmp_path: Path) -> None:
    user.git("worktree", "add", "--quiet", str(tmp_path / "linked"))
    before = look(user)
    found = [await Repository.find(path) for path in (user.root, tmp_path / "linked")]
    ids = await asyncio.gather(*(repository.project_id() for repository in found * 5))
    assert len(set(ids)) == 1
    assert (user.root / ".git/glovebox/project").read_text() == f"{ids[0]}\n"
    assert look(user) == before


async def test_a_damaged_project_id_is_named(user: User) -> None:
    user.write(".git/glovebox/project", "../../etc\n")
    with pytest.raises(UserError, match="damaged"):
        await (await Repository.find(user.root)).project_id()


_CLAIM = """
import asyncio, sys
from pathlib import Path
from agent.git.repository import Repository
from agent.git.numbers import allocate_number
from agent.host import disk
async def main():
    repository = await Repository.find(Path(sys.argv[1]))
    for _ in range(5):
        print(await allocate_number(repository, Path(sys.argv[2])))
asyncio.run(main())
"""


async def test_processes_that_allocate_at_once_get_different_numbers(
    user: User, tmp_path: Path
) -> None:
    argv = [sys.executable, "-c", _CLAIM, str(user.root), str(tmp_path / "state")]
    running = [subprocess.Popen(argv, stdout=subprocess.PIPE, text=True) for _ in range(4)]
    numbers = [int(n) for p in running for n in p.communicate()[0].split()]
    assert sorted(numbers) == list(range(1, 21))


def _nothing(_: Path) -> tuple[str, ...]:
    return ()


async def test_a_number_taken_since_the_look_is_passed_over(
    user: User, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(disk, "names_in", _nothing)  # as if others claimed since the look
    repository = await Repository.find(user.root)
    assert [await allocate_number(repository, tmp_path / "state") for _ in range(3)] == [1, 2, 3]


async def test_numbers_of_existing_branches_are_not_given_out(user: User, tmp_path: Path) -> None:
    user.git("branch", "glovebox/3")
    user.git("branch", "glovebox/4-2")
    user.git("branch", "glovebox/99-mine")
    repository = await Repository.find(user.root)
    assert await allocate_number(repository, tmp_path / "state") == 5
    assert await allocate_number(repository, tmp_path / "state") == 6


async def test_a_branch_that_blocks_ours_is_named(user: User, tmp_path: Path) -> None:
    user.git("branch", "glovebox")
    with pytest.raises(UserError, match="branch `glovebox`") as caught:
        await allocate_number(await Repository.find(user.root), tmp_path / "state")
    assert "git branch -m" in caught.value.hint
