"""`glovebox sessions, log, show, diff, compare, merge`, as a user types them."""

from __future__ import annotations

import re

import pytest

from tests.cli.test_shell import shell
from tests.e2e.rig import Ran, User
from tests.terminal import Terminal

pytestmark = pytest.mark.sandbox


@pytest.fixture
def worked(user: User) -> User:
    """Two sessions that changed the same file, each in its way."""
    user.start({"hello.txt": "hello\n", "keep.txt": "keep\n"})
    assert (
        shell(user, "--new", "--", "sh", "-c", "echo one >>hello.txt; echo 1 >new").returncode == 0
    )
    assert shell(user, "--new", "--", "sh", "-c", "echo two >hello.txt; exit 0").returncode == 0
    return user


def ok(ran: Ran) -> str:
    assert ran.code == 0, ran.err
    return ran.out


def test_sessions_are_listed_and_their_commits_shown(worked: User) -> None:
    listed = ok(worked.glovebox("sessions")).splitlines()
    assert [line.split()[0] for line in listed] == ["1", "2"]
    assert all("glovebox/" in line and "synced" in line for line in listed)
    commits = ok(worked.glovebox("log", "1")).splitlines()
    assert len(commits) == 1
    assert "Work of sh -c" in commits[0]
    shown = ok(worked.glovebox("show", "1", commits[0].split()[0]))
    assert "+one" in shown
    assert ok(worked.glovebox("show", "1")) == shown
    assert worked.glovebox("show", "1", "abcdef").code == 2
    diff = ok(worked.glovebox("diff", "1"))
    assert "+++ b/hello.txt" in diff
    assert "new.txt" not in ok(worked.glovebox("diff", "1", "hello.txt"))
    assert worked.glovebox("log", "7").code == 2


def test_sessions_side_by_side(worked: User) -> None:
    text = ok(worked.glovebox("compare", "1", "2", "--check", "grep -q one hello.txt"))
    rows = {line.split()[0]: line.split()[1:] for line in text.splitlines()}
    assert rows["session"] == ["1", "2"]
    assert rows["files"] == ["2", "1"]
    assert rows["lines"] == ["+2", "-0", "+1", "-1"]
    assert rows["check"] == ["passes", "fails", "(1)"]
    assert rows["new"] == ["+1", "-0", "-"]


def test_a_merge_shows_what_comes_and_needs_a_yes(worked: User) -> None:
    before = worked.fingerprint()
    ran = worked.glovebox("merge", "1")
    assert (ran.code, "+one" in ran.out) == (2, True)
    assert "--yes" in ran.err
    assert worked.fingerprint() == before
    ok(worked.glovebox("merge", "1", "--squash", "--yes", "-m", "Say one"))
    assert worked.git("log", "-1", "--format=%an %s") == "Ada Say one"
    assert (worked.repo / "hello.txt").read_text() == "hello\none\n"
    assert worked.git("status", "--porcelain") == ""


def test_a_conflict_changes_nothing_and_names_the_way_on(worked: User) -> None:
    ok(worked.glovebox("merge", "1", "--yes"))
    before = worked.fingerprint()
    ran = worked.glovebox("merge", "2", "--yes")
    assert ran.code == 2
    assert "both sides changed `hello.txt`; nothing was merged" in ran.err
    assert "glovebox pull 2" in ran.err
    assert worked.fingerprint() == before


def test_what_runs_by_itself_is_named(worked: User) -> None:
    script = "mkdir -p .github/workflows; echo x >.github/workflows/ci.yml; ln -s /etc/passwd p"
    assert shell(worked, "1", "--", "sh", "-c", script).returncode == 0
    ran = worked.glovebox("merge", "1", "--patch", "--yes")
    assert ".github/workflows/ci.yml: CI runs it" in ran.err
    assert "p: a link that leads out, to `/etc/passwd`" in ran.err


def test_nothing_in_a_commit_reaches_the_terminal_as_a_command(worked: User) -> None:
    script = r"""
        printf 'x\033]0;title\007\033[2J' >hello.txt; touch "$(printf 'a\033[31mb')"
        git add -A; git commit -qm "$(printf 'bad \033[2J message')"
    """
    assert shell(worked, "2", "--", "sh", "-c", script).returncode == 0
    for words in (("log", "2"), ("show", "2"), ("diff", "2"), ("compare", "1", "2"), ("sessions",)):
        ran = worked.glovebox(*words)
        assert not re.search(r"[\x00-\x08\x0b-\x1f\x7f\x9b]", ran.out + ran.err), words


def test_a_person_is_asked(worked: User, tty: Terminal) -> None:
    argv = worked.argv("merge", "1")
    tty.start(argv, env=worked.environment, cwd=worked.repo, size=(90, 30))
    tty.wait_for("merge this into main? [y/N]")
    tty.type("y\n")
    tty.wait_for("main is at")
    assert (worked.repo / "hello.txt").read_text() == "hello\none\n"
