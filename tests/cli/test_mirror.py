"""`glovebox mirror`: the engine alone, for sandboxes that are not glovebox's."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.e2e.rig import Ran, User

DOCS = Path(__file__).resolve().parents[2] / "docs" / "git.md"


def examples() -> list[str]:
    return re.findall(r"```sh\n(.*?)```", DOCS.read_text(), re.DOTALL)


@pytest.fixture
def repo(user: User) -> User:
    user.start({"notes.txt": "one\n"})
    (user.repo / "notes.txt").write_text("one\nuncommitted\n")
    return user


def inside(user: User) -> tuple[str, ...]:
    """A command that runs programs in a directory beside the repository; no wall."""
    return ("--at", str(user.repo.parent / "box"), "--", "env", "-i", "PATH=/usr/bin:/bin")


def mirror(user: User, action: str, *words: str, code: int = 0) -> str:
    """Run a command for the mirror `fix` and return its output, the notes after a line."""
    place = inside(user)
    ran = user.glovebox("mirror", action, "fix", *words, *place)
    assert ran.code == code, ran.err
    return ran.out + ran.err


@pytest.mark.sandbox
def test_the_example_of_the_documentation_does_what_it_says(repo: User, tmp_path: Path) -> None:
    programs = tmp_path / "programs"
    programs.mkdir()
    (programs / "glovebox").write_text(f'#!/bin/sh\nexec {sys.executable} -m agent "$@"\n')
    (programs / "glovebox").chmod(0o755)
    before = repo.fingerprint()

    done = subprocess.run(
        ["bash", "-u", "-c", examples()[0]],
        cwd=repo.repo,
        env=repo.environment | {"PATH": f"{programs}:{repo.environment['PATH']}"},
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 0, done.stderr
    ahead, branch, *log, synced = done.stdout.splitlines()
    assert (ahead, branch, synced) == ("ahead 1", "glovebox/fix", "synced")
    assert [line.split(" ", 1)[1] for line in log] == [
        "Add two",
        "Uncommitted work at the start of the session",
        "start",
    ]
    assert repo.git("show", "glovebox/fix:notes.txt") == "one\nuncommitted\ntwo"
    assert repo.fingerprint() == before
    assert "refs/glovebox" not in repo.git("for-each-ref")
    assert not (repo.repo / ".git/glovebox/mirrors/fix").exists()


def test_a_mirror_goes_round(repo: User) -> None:
    box = repo.repo.parent / "box"
    assert "stands at" in mirror(repo, "seed", "--branch", "topic")
    assert (box / "notes.txt").read_text() == "one\nuncommitted\n"
    assert mirror(repo, "status").startswith("synced\n")
    (box / "made.txt").write_text("made\n")
    assert mirror(repo, "status", code=6).startswith("ahead 1\n")
    assert "(1 file, +1 -0)" in mirror(repo, "sync")
    assert mirror(repo, "status").startswith("synced\n")
    assert repo.git("show", "topic:made.txt") == "made"
    assert "topic is yours" in mirror(repo, "rm")


def test_a_sandbox_that_holds_something_is_not_seeded_over(repo: User) -> None:
    mirror(repo, "seed")
    made = repo.repo.parent / "box/made.txt"
    made.write_text("made\n")
    assert "not empty" in mirror(repo, "seed", code=5)
    assert made.read_text() == "made\n"


def test_work_that_is_not_home_is_not_forgotten_but_by_force(repo: User) -> None:
    mirror(repo, "seed")
    (repo.repo.parent / "box/made.txt").write_text("made\n")
    assert "ahead 1" in mirror(repo, "rm", code=2)

    said = mirror(repo, "rm", "--force")

    bundle = repo.state / "glovebox/rescued/mirror-fix.bundle"
    assert str(bundle) in said
    repo.git("fetch", "--quiet", str(bundle), "refs/glovebox/out")
    assert repo.git("show", "FETCH_HEAD:made.txt") == "made"


def test_a_command_that_quotes_for_a_shell(repo: User) -> None:
    box = repo.repo.parent / "a box"
    words = ("--quote", "--at", str(box), "--", "sh", "-c", 'shift 0; exec sh -c "$*"', "ssh")
    assert repo.glovebox("mirror", "seed", "fix", *words).code == 0
    (box / "made file.txt").write_text("made\n")
    ran = repo.glovebox("mirror", "sync", "fix", "-m", 'It\'s "made"; $HOME', *words)
    assert (ran.code, ran.out) == (0, "glovebox/fix\n"), ran.err
    assert repo.git("log", "-1", "--format=%s", "glovebox/fix") == 'It\'s "made"; $HOME'


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (("seed", "fix"), 2, "no command that runs programs"),
        (("seed", "fix", "--", "no-such-program-here"), 5, "not installed"),
        (("seed", "fix", "--", "false"), 5, "must run a program"),
        (("seed", "7", "--", "env"), 2, "a session's number"),
        (("seed", "../x", "--", "env"), 2, "cannot name a mirror"),
        (("sync", "fix", "--at", "/nowhere", "--", "env"), 6, "lost the commit"),
    ],
)
def test_what_cannot_be_is_said(repo: User, words: tuple[str, ...], code: int, said: str) -> None:
    ran = repo.glovebox("mirror", *words)
    assert (ran.code, ran.out) == (code, "")
    assert said in ran.err


def bundled(user: User, *, ref: str = "HEAD") -> Path:
    """Work of somebody else on a clone of the repository, as a bundle."""
    clone = user.home / "clone"
    user.git("clone", "--quiet", str(user.repo), str(clone), at=user.home)
    for key, value in (("user.name", "Bob"), ("user.email", "bob@example.org")):
        user.git("config", key, value, at=clone)
    (clone / "theirs.txt").write_text("theirs\n")
    user.git("add", "-A", at=clone)
    user.git("commit", "--quiet", "-m", "theirs", at=clone)
    target = user.home / "work.bundle"
    user.git("bundle", "create", "--quiet", str(target), ref, "^origin/main", at=clone)
    return target


def take(user: User, bundle: Path, branch: str = "from-elsewhere", base: str = "main") -> Ran:
    return user.glovebox("mirror", "import", str(bundle), "--base", base, "--branch", branch)


@pytest.mark.parametrize("ref", ["HEAD", "main"])
def test_a_bundle_is_taken_in(repo: User, ref: str) -> None:
    before = repo.fingerprint()

    ran = take(repo, bundled(repo, ref=ref), "glovebox/elsewhere")

    assert (ran.code, ran.out) == (0, "glovebox/elsewhere\n"), ran.err
    assert repo.git("show", "glovebox/elsewhere:theirs.txt") == "theirs"
    assert repo.fingerprint() == before
    assert "refs/glovebox" not in repo.git("for-each-ref")
    repo.git("fsck", "--strict")


def test_a_bundle_goes_to_a_sibling_of_a_branch_that_is_elsewhere(repo: User) -> None:
    bundle = bundled(repo)
    repo.git("branch", "from-elsewhere")
    assert take(repo, bundle).out == "from-elsewhere\n"
    repo.git("commit", "--quiet", "--allow-empty", "-m", "more")
    repo.git("branch", "-f", "from-elsewhere", "main")
    kept = repo.git("rev-parse", "main")
    ran = take(repo, bundle, base="main~1")
    assert ran.out == "from-elsewhere-2\n"
    assert "moved by somebody else" in ran.err
    assert repo.git("rev-parse", "from-elsewhere") == kept


@pytest.mark.parametrize("kind", ["link", "pipe", "directory", "absent", "no bundle", "v3"])
def test_what_is_no_bundle_is_refused(repo: User, kind: str) -> None:
    bundle = repo.home / "odd.bundle"
    match kind:
        case "link":
            bundle.symlink_to(bundled(repo))
        case "pipe":
            os.mkfifo(bundle)
        case "directory":
            bundle.mkdir()
        case "no bundle":
            bundle.write_text(f"gitdir: {repo.repo}/.git\n\n")
        case "v3":
            data = bundled(repo).read_bytes()
            bundle.write_bytes(data.replace(b"# v2", b"# v3", 1))
        case _:
            pass
    refs = repo.git("for-each-ref")

    ran = take(repo, bundle)

    assert ran.code in (2, 6) and ran.out == "" and "Traceback" not in ran.err
    assert repo.git("for-each-ref") == refs


@pytest.mark.parametrize(
    ("base", "branch"),
    [("nothing", "x"), ("main", "--force"), ("main", "a..b"), ("main", "refs/heads/x"), ("", "x")],
)
def test_names_that_cannot_be_are_refused(repo: User, base: str, branch: str) -> None:
    bundle, refs = bundled(repo), repo.git("for-each-ref")
    ran = repo.glovebox("mirror", "import", str(bundle), f"--base={base}", f"--branch={branch}")
    assert ran.code == 2, ran.err
    assert repo.git("for-each-ref") == refs


def test_work_that_does_not_grow_from_the_base_is_refused(repo: User) -> None:
    bundle = bundled(repo)
    repo.git("commit", "--quiet", "--allow-empty", "-m", "more")
    ran = take(repo, bundle)
    assert (ran.code, ran.out) == (6, "")
    assert "does not grow from" in ran.err
