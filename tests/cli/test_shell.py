"""`glovebox shell`: one command as a script sees it, and a shell as a person sees it."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Sequence
from pathlib import Path

import pytest

from tests.e2e.rig import User
from tests.terminal import Terminal

pytestmark = pytest.mark.sandbox


def shell(
    user: User, *words: str, stdin: bytes = b"", at: Path | None = None
) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(
        user.argv("shell", *words),
        cwd=at or user.repo,
        env=user.environment,
        input=stdin,
        capture_output=True,
        timeout=120,
        check=False,
    )


def test_a_commands_streams_and_exit_code_are_its_own(user: User) -> None:
    user.start()
    before = user.fingerprint()
    script = 'cat; printf "\\377\\0 %s" "$1"; printf "err\\r\\n" >&2; echo made >new.txt; exit 7'
    done = shell(user, "--new", "--", "sh", "-c", script, "sh", "a b", stdin=b"in\0\xff")
    assert (done.returncode, done.stdout) == (7, b"in\0\xff\xff\0 a b")
    assert done.stderr == b"err\r\n"
    assert user.fingerprint() == before
    assert user.git("show", "glovebox/1:new.txt") == "made"
    assert user.git("log", "-1", "--format=%s%n%an", "glovebox/1").startswith("Work of sh -c")


def test_a_session_goes_on_by_number_and_from_elsewhere(user: User) -> None:
    user.start()
    assert shell(user, "--new", "--", "sh", "-c", "echo one >~/kept").returncode == 0
    assert shell(user, "1", "--", "cat", "/home/agent/kept").stdout == b"one\n"
    done = shell(user, "-C", str(user.repo), "1", "--", "cat", "/home/agent/kept", at=user.home)
    assert done.stdout == b"one\n"
    missing = shell(user, "9", "--", "true")
    assert missing.returncode == 2
    assert b"no session fits" in missing.stderr
    assert user.git("branch", "--list", "glovebox/*") == ""  # nothing changed


def test_much_output_is_whole_and_a_reader_that_leaves_ends_it(user: User) -> None:
    user.start()
    size = 7_000_000
    done = shell(user, "--new", "--", "sh", "-c", f"head -c {size} /dev/zero; exit 3")
    assert (done.returncode, len(done.stdout)) == (3, size)
    argv = user.argv("shell", "1", "--", "yes")
    with subprocess.Popen(
        argv, cwd=user.repo, env=user.environment, stdout=subprocess.PIPE, stdin=subprocess.DEVNULL
    ) as endless:
        assert endless.stdout is not None
        assert endless.stdout.read(4) == b"y\ny\n"
        endless.stdout.close()
        assert endless.wait(60) == 128 + signal.SIGPIPE


@pytest.mark.parametrize(
    ("number", "times", "script", "code"),
    [
        (signal.SIGINT, 1, "trap 'exit 42' INT; echo up; while :; do sleep 0.05; done", 42),
        (signal.SIGTERM, 1, "echo up; exec sleep 86371", 128 + 15),
        (signal.SIGTERM, 2, "trap 'echo no' TERM; echo up; while :; do sleep 0.05; done", 128 + 15),
    ],
)
def test_signals_are_for_the_command_and_a_second_end_is_for_us(
    user: User, number: signal.Signals, times: int, script: str, code: int
) -> None:
    user.start()
    argv = user.argv("shell", "--new", "--", "sh", "-c", script)
    with subprocess.Popen(
        argv,
        cwd=user.repo,
        env=user.environment,
        stdout=subprocess.PIPE,
        stdin=subprocess.DEVNULL,
        start_new_session=True,
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"up\n"
        os.kill(process.pid, number)
        if times == 2:
            assert process.stdout.readline() == b"no\n"
            os.kill(process.pid, number)
        assert process.wait(60) == code


@pytest.mark.parametrize("closed", ["<&-", ">&-", "2>&-"])
def test_a_stream_that_is_closed_is_no_problem(user: User, closed: str) -> None:
    user.start()
    argv = user.argv("shell", "--new", "--", "sh", "-c", "cat; echo out; echo err >&2; exit 4")
    done = subprocess.run(
        ["sh", "-c", f'exec "$@" {closed}', "sh", *argv],
        cwd=user.repo,
        env=user.environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 4
    assert done.stdout == (b"" if closed == ">&-" else b"out\n")
    assert done.stderr == (b"" if closed == "2>&-" else b"err\n")


def test_work_whose_visit_was_killed_comes_home_with_the_next(user: User) -> None:
    user.start()
    argv = user.argv("shell", "--new", "--", "sh", "-c", "echo x >work.txt; echo up; sleep 86372")
    with subprocess.Popen(
        argv, cwd=user.repo, env=user.environment, stdout=subprocess.PIPE, stdin=subprocess.DEVNULL
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"up\n"
        process.kill()
    assert shell(user, "1", "--", "true").returncode == 0
    assert user.git("show", "glovebox/1:work.txt") == "x"


def start(
    tty: Terminal, user: User, words: Sequence[str], size: tuple[int, int] = (90, 30)
) -> None:
    tty.start(user.argv("shell", *words), env=user.environment, cwd=user.repo, size=size)


def test_a_shell_in_a_terminal(user: User, tty: Terminal) -> None:
    user.start()
    start(tty, user, ["--new"])
    tty.wait_for("session 1")
    tty.wait_for("$ ")
    tty.type("stty size; pwd; tty\n")
    tty.wait_for("30 90\n/workspace\n/dev/pts/")
    tty.type("sleep 86373\n")
    tty.wait_for("sleep 86373")
    tty.key("C-c")
    tty.type("echo still-$((40+2)) >note.txt; cat note.txt\n")
    tty.wait_for("still-42")
    tty.resize(70, 20)
    tty.wait_for(lambda text: "20 70" in text if tty.type("stty size\n") is None else False)
    tty.type("printf '\\033[?25l\\033[?1049h\\033[31m'; exit 5\n")
    text = tty.wait_for("exit code 5")
    assert "glovebox/1 is at" in text
    assert user.git("show", "glovebox/1:note.txt") == "still-42"


def test_a_command_gets_a_terminal_only_when_asked(user: User, tty: Terminal) -> None:
    user.start()
    start(tty, user, ["--new", "--", "sh", "-c", "test -t 1; echo tty=$?"])
    tty.wait_for("tty=1")
    tty.wait_for("exit code 0")
    start(tty, user, ["1", "-t", "--", "sh", "-c", "test -t 1; echo tty=$?; stty -a"])
    tty.wait_for("tty=0")
    # What we leave behind is the terminal we got.
    tty.wait_for("exit code 0")
