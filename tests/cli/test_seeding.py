"""What goes into a sandbox, as the user's configuration says; plain directories; `export`."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from agent.app.seeding import rules_of
from agent.core.errors import ConfigError
from agent.git.rules import Rules
from tests.cli.test_shell import shell
from tests.e2e.rig import User
from tests.egress.test_settings import Place
from tests.git.test_owned import TRAPS, Owned
from tests.git.users import User as GitUser


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path)


def rules(place: Place) -> Rules:
    return rules_of(place.load())


def test_what_is_set_reaches_the_seed(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    assert rules(place) == Rules()
    place.user("history: 50\nuncommitted: false\nlargest_file: 1MB\nnot_secret: [a.pem]\n")
    assert rules(place) == Rules(50, uncommitted=False, file_max=1_000_000, secrets=("a.pem",))
    monkeypatch.setenv("GLOVEBOX_HISTORY", "all")
    monkeypatch.setenv("GLOVEBOX_NOT_SECRET", "b.pem,*.key")
    monkeypatch.setenv("GLOVEBOX_UNCOMMITTED", "true")
    assert rules(place) == Rules(0, file_max=1_000_000, secrets=("b.pem", "*.key"))
    monkeypatch.setenv("GLOVEBOX_HISTORY", "7")
    assert rules(place).history == 7


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("history: 0", "at least 1"),
        ("history: some", "`history`"),
        ("largest_file: much", "`much` is not a size"),
        ("not_secret: 3", "`not_secret`"),
    ],
)
def test_what_does_not_fit_is_named(place: Place, text: str, why: str) -> None:
    place.user(f"{text}\n")
    with pytest.raises(ConfigError, match=why):
        place.load()


@pytest.mark.parametrize("key", ["history: 1", "not_secret: ['*']", "largest_file: 9GB"])
def test_the_repository_cannot_set_them(place: Place, key: str) -> None:
    place.repo(f"{key}\n")
    with pytest.raises(ConfigError, match="not the repository's to set"):
        place.load()


@pytest.mark.sandbox
def test_work_on_a_plain_directory_is_exported(user: User) -> None:
    user.repo.mkdir()
    (user.repo / "hello.txt").write_text("hello\n")
    (user.repo / ".env").write_text("A=1\n")
    made = shell(user, "--new", "--", "sh", "-c", "echo more >>hello.txt; echo 1 >new; ls -a")
    assert made.returncode == 0, made.stderr
    assert b".env" not in made.stdout
    assert sorted(os.listdir(user.repo)) == [".env", "hello.txt"]
    assert user.glovebox("sessions").out.split()[0] == "1"
    assert "+more" in user.glovebox("diff", "1").out
    refused = user.glovebox("merge", "1", "--yes")
    assert (refused.code, "glovebox export" in refused.err) == (2, True)

    assert user.glovebox("export", "1", "--patch", "-").out.startswith("diff --git")
    written = user.glovebox("export", "1")
    assert (written.code, written.out.split(":")[0]) == (0, str(user.repo / "glovebox-1.patch"))
    assert user.glovebox("export", "1").code == 2
    folder = user.home / "out"
    assert user.glovebox("export", "1", "--folder", str(folder)).code == 0
    assert (folder / "hello.txt").read_text() == "hello\nmore\n"
    subprocess.run(["git", "apply", "glovebox-1.patch"], cwd=user.repo, check=True)
    assert (user.repo / "hello.txt").read_text() == "hello\nmore\n"
    assert (user.repo / "new").read_text() == "1\n"
    assert user.glovebox("rm", "1").code == 0


@pytest.mark.sandbox
def test_a_home_directory_is_refused(user: User) -> None:
    refused = shell(user, "--new", "--", "true", at=user.home)
    assert refused.returncode == 2
    assert b"too much lies in it" in refused.stderr


@pytest.mark.sandbox
def test_a_repository_without_a_commit_is_a_place_to_begin(user: User) -> None:
    user.repo.mkdir()
    user.git("init", "-q", "-b", "main")
    done = shell(user, "--new", "--", "sh", "-c", "echo 1 >new")
    assert done.returncode == 0, done.stderr
    assert user.git("show", "glovebox/1:new") == "1"
    user.git("merge", "-q", "glovebox/1")
    assert (user.repo / "new").read_text() == "1\n"


@pytest.mark.sandbox
def test_no_command_springs_a_trap_of_the_repository(user: User, tmp_path: Path) -> None:
    user.start()
    owned = Owned(GitUser(user.repo), tmp_path)
    for name in TRAPS:
        owned.lay(name)
    owned.clear()

    made = shell(user, "--new", "--", "sh", "-c", "echo more >>hello.txt; echo 1 >new")
    assert made.returncode == 0, made.stderr
    for words in (("sessions",), ("log", "1"), ("show", "1"), ("diff", "1"), ("compare", "1", "1")):
        ran = user.glovebox(*words)
        assert ran.code == 0, ran.err
    assert "+more" in user.glovebox("merge", "1").out  # shown, and not accepted
    assert user.glovebox("export", "1", "--folder", str(tmp_path / "out")).code == 0
    assert user.glovebox("rm", "1").code == 0

    assert owned.sprung() == []
