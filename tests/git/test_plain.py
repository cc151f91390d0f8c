"""A directory without git works like one with it, and is left as it is."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from agent.core.errors import UserError
from agent.git import export, snapshot
from agent.git.numbers import allocate_number
from agent.git.plain import repository_at
from agent.git.repository import Repository
from agent.git.sync import Sync
from agent.git.view import viewing
from agent.host import unpack
from tests.git.hostdir import HostDir
from tests.git.users import User


def files_in(root: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(root)): path.read_bytes() for path in root.rglob("*") if path.is_file()
    }


@pytest.fixture
def notes(tmp_path: Path) -> Path:
    root = tmp_path / "notes"
    (root / "deep").mkdir(parents=True)
    (root / "a.txt").write_text("a\n")
    (root / "deep/b.txt").write_text("b\n")
    (root / "run.sh").write_text("#!/bin/sh\n")
    (root / "run.sh").chmod(0o755)
    (root / ".gitignore").write_text("*.log\n")
    (root / "x.log").write_text("x\n")
    (root / ".env").write_text("A=1\n")
    (root / "node_modules/x").mkdir(parents=True)
    (root / "node_modules/x/index.js").write_text("x\n")
    return root


async def test_a_session_in_a_plain_directory_and_its_work_as_a_patch_and_a_folder(
    notes: Path, tmp_path: Path
) -> None:
    before = files_in(notes)
    repository = await repository_at(notes, tmp_path / "state")
    assert repository.plain
    number = await allocate_number(repository, tmp_path / "state")
    sync = Sync(repository, name="s1", branch=f"glovebox/{number}")
    inside = HostDir(tmp_path / "inside")

    seeded = await sync.seed(inside)
    agent = User(inside.work)
    assert set(agent.tree("HEAD")) == {".gitignore", "a.txt", "deep/b.txt", "run.sh"}
    assert "`.env`: untracked and looks like a secret" in seeded.left_out
    assert "`node_modules/`: made by tools" in seeded.left_out
    assert seeded.base == seeded.tip
    agent.write("a.txt", "changed\n")
    agent.write("made.sh", "#!/bin/sh\n", 0o755)
    agent.write("binary", bytes(range(256)))
    agent.path("deep/b.txt").unlink()
    agent.path("out").symlink_to("/etc/passwd")
    agent.path("link").symlink_to("a.txt")
    done = await sync.run(inside, message="do it")

    assert done.problem is None
    assert files_in(notes) == before
    assert not (notes / ".git").exists()
    async with viewing(repository) as view:
        assert "+changed" in await view.diff(seeded.tip, done.commit)

    made = await export.folder(repository, done.commit, tmp_path / "out" / "here")
    expected = {".gitignore", "a.txt", "run.sh", "made.sh", "binary", "link"}
    assert set(files_in(tmp_path / "out/here")) == expected
    assert made.files == len(expected)
    assert made.left_out == ("`out`: a link that leads out, to `/etc/passwd`",)
    assert (tmp_path / "out/here/made.sh").stat().st_mode & 0o111
    assert (tmp_path / "out/here/link").readlink() == Path("a.txt")

    patch = await export.patch(repository, seeded.base, done.commit)
    subprocess.run(["git", "apply", "-"], cwd=notes, input=patch, check=True)
    (tmp_path / "out/here/link").unlink()
    changed = files_in(notes)
    for name, data in files_in(tmp_path / "out/here").items():
        assert changed[name] == data
    assert "deep/b.txt" not in changed


async def test_the_repository_of_a_directory_is_found_again(notes: Path, tmp_path: Path) -> None:
    state = tmp_path / "state"
    first = await repository_at(notes, state)
    identity = await first.project_id()
    (tmp_path / "way").symlink_to(notes)
    assert await (await repository_at(tmp_path / "way", state)).project_id() == identity
    assert await (await repository_at(notes / "deep", state)).project_id() != identity


async def test_a_later_session_starts_from_what_is_there_then(notes: Path, tmp_path: Path) -> None:
    seen: list[bytes] = []
    for number, text in enumerate(("one\n", "two\n"), start=1):
        (notes / "a.txt").write_text(text)
        repository = await repository_at(notes, tmp_path / "state")
        inside = HostDir(tmp_path / f"inside{number}")
        await Sync(repository, name=f"s{number}", branch=f"glovebox/{number}").seed(inside)
        seen.append((inside.work / "a.txt").read_bytes())
    assert seen == [b"one\n", b"two\n"]


async def test_a_home_and_the_root_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = tmp_path / "homes" / "me"
    home.mkdir(parents=True)
    monkeypatch.setenv("HOME", str(home))
    for place in (home, home.parent, Path("/")):
        with pytest.raises(UserError, match="too much lies in it") as caught:
            await repository_at(place, tmp_path / "state")
        assert "git init" in caught.value.hint


async def test_a_directory_with_too_many_files_is_refused(
    notes: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(snapshot, "PLAIN_FILES_MAX", 3)
    repository = await repository_at(notes, tmp_path / "state")
    sync = Sync(repository, name="s1", branch="glovebox/1")
    with pytest.raises(UserError, match="holds 5 files"):
        await sync.seed(HostDir(tmp_path / "inside"))


async def test_a_git_repository_stays_what_it_is(user: User, tmp_path: Path) -> None:
    found = await repository_at(user.root / "dir", tmp_path / "state")
    assert not found.plain
    assert found.root == user.root
    assert not (tmp_path / "state").exists()


async def test_a_folder_that_is_there_is_not_written_into(user: User, tmp_path: Path) -> None:
    repository = await Repository.find(user.root)
    head = user.git("rev-parse", "HEAD")
    (tmp_path / "full").mkdir()
    (tmp_path / "full/mine").touch()
    (tmp_path / "file").touch()
    for place in ("full", "file", "file/below"):
        with pytest.raises(UserError):
            await export.folder(repository, head, tmp_path / place)
    (tmp_path / "empty").mkdir()
    made = await export.folder(repository, head, tmp_path / "empty")
    assert made.files == 3


async def test_names_that_lead_out_are_not_written(user: User, tmp_path: Path) -> None:
    """Not even when a hostile commit got past every check on its way home."""
    repository = await Repository.find(user.root)
    blob = user.git("hash-object", "-w", "--stdin", stdin=b"evil\n")
    inner = user.git("mktree", stdin=f"100644 blob {blob}\tevil\n".encode())
    for number, name in enumerate(("..", ".")):
        tree = user.git("mktree", stdin=f"040000 tree {inner}\t{name}\n".encode())
        commit = user.git("commit-tree", tree, "-m", "x")
        with pytest.raises(UserError, match="cannot be the name"):
            await export.folder(repository, commit, tmp_path / f"target{number}")
    assert not (tmp_path / "evil").exists()


def test_nothing_is_written_through_a_link_or_over_a_file(tmp_path: Path) -> None:
    (tmp_path / "outside").mkdir()
    target = tmp_path / "target"
    assert unpack.claim(target)
    unpack.link_new(target, b"a", bytes(tmp_path / "outside"))
    unpack.write_new(target, b"deep/down/x", b"1", 0o644)
    for name in (b"a/evil", b"a", b"deep/down/x", b"deep"):
        with pytest.raises(UserError, match="cannot write"):
            unpack.write_new(target, name, b"2", 0o644)
    assert not list((tmp_path / "outside").iterdir())
    assert (target / "deep/down/x").read_bytes() == b"1"
