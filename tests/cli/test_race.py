"""`glovebox race`: real sandboxes, a provider on a real socket whose attempts differ."""

from __future__ import annotations

import json
import os
import queue
import re
import signal
import subprocess
import threading
from typing import Any

import pytest

from tests.cli.talking import bubblewraps
from tests.e2e.rig import MODEL, User
from tests.servers.answers import Answer
from tests.servers.openai import OpenAIServer, call, reply, say
from tests.terminal import Terminal

pytestmark = [pytest.mark.sandbox, pytest.mark.slow]

FILES = {
    "add.py": "def add(a, b):\n    return a - b\n",
    "check.py": "from add import add\nassert add(2, 3) == 5, 'not the sum'\n",
}
WRONG = "def add(a, b):\n    return a * b\n"
LONG = '"""Sums."""\n\n\ndef add(a, b):\n    total = a\n    total += b\n    return total\n'
RIGHT = "def add(a, b):\n    return a + b\n"
CHECK = "python3 check.py"


def attempts(*texts: str) -> Any:
    """A model that writes another text in each session; told apart by their branches."""

    def script(request: dict[str, Any]) -> Answer:
        if request["messages"][-1]["role"] == "tool":
            return say("it adds now")
        found = re.search(r"glovebox/(\d+)", json.dumps(request["messages"][0]))
        assert found is not None
        text = texts[int(found[1]) - 1]
        if not text:
            return say("I would rather not")
        return reply("", call("bash", {"command": f"cat > add.py <<'E'\n{text}E"}))

    return script


def race(user: User, server: OpenAIServer, count: int, *flags: str) -> Any:
    words = ("race", str(count), "mend add", "--check", CHECK, *flags)
    return user.glovebox("--model", MODEL, *words, server=server)


def test_the_smallest_that_passes_is_merged_and_the_others_go(user: User) -> None:
    user.start(FILES)
    with OpenAIServer(attempts(WRONG, LONG, RIGHT, "")) as server:
        done = race(user, server, 4, "--yes", "--models", f"{MODEL},openai/other")
    assert done.code == 0, done.out + done.err
    rows = [line.split() for line in done.out.splitlines() if re.match(r"\d ", line)]
    assert [row[0] for row in rows] == ["3", "2", "4", "1"]
    assert [row[1] for row in rows] == ["passes", "passes", "fails", "fails"]
    assert [row[-1] for row in rows] == [MODEL, "openai/other", "openai/other", MODEL]
    assert "✓ session 3 is the best" in done.out
    assert "not the sum" in done.err
    assert user.git("show", "main:add.py") + "\n" == RIGHT
    assert user.git("status", "--porcelain") == ""
    assert [line.split()[0] for line in user.glovebox("sessions").out.splitlines()] == ["3"]
    assert "glovebox/2" in user.git("branch", "--list", "glovebox/*")
    assert {request["model"] for request in server.requests} == {"test-model", "other"}


def test_without_a_word_nothing_is_merged_and_all_are_kept(user: User) -> None:
    user.start(FILES)
    before = user.fingerprint()
    with OpenAIServer(attempts(RIGHT, WRONG)) as server:
        done = race(user, server, 2)
    assert done.code == 0, done.out + done.err
    assert "`glovebox merge 1` takes it" in done.err
    assert user.fingerprint() == before
    assert len(user.glovebox("sessions").out.splitlines()) == 2
    # What the check left behind is no work of the attempt.
    assert user.git("diff", "--name-only", "main", "glovebox/1") == "add.py"


def test_none_passes(user: User) -> None:
    user.start(FILES)
    with OpenAIServer(attempts(WRONG, "")) as server:
        done = race(user, server, 2, "--yes")
    assert done.code == 9, done.out + done.err
    assert "none passes" in done.err
    assert len(user.glovebox("sessions").out.splitlines()) == 2


def test_control_c_ends_all_attempts_and_brings_their_work_home(tty: Terminal, user: User) -> None:
    user.start(FILES)
    before = user.fingerprint()
    written, script = threading.Semaphore(0), attempts(RIGHT, WRONG)

    def stalls(request: dict[str, Any]) -> Answer:
        if request["messages"][-1]["role"] == "tool":
            written.release()
            return say("never", stall_after=0)
        return script(request)

    with OpenAIServer(stalls) as server:
        words = ("--model", MODEL, "race", "2", "mend add", "--check", CHECK)
        tty.start(user.argv(*words), env=user.with_server(server), cwd=user.repo, size=(120, 20))
        assert all(written.acquire(timeout=120) for _ in range(2))
        tty.key("C-c")
        shown = tty.wait_for("exit code 130", 120)
    rows = [line.removeprefix("^C") for line in shown.splitlines()]
    said = [row for row in rows if row.startswith(("!", "✗", "✓", "session"))]
    on = "glovebox/1, glovebox/2"
    assert said == [f"! stopped; nothing was checked or merged, what the attempts did is on {on}"]
    assert "Traceback" not in shown
    assert user.git("show", "glovebox/1:add.py") + "\n" == RIGHT
    assert user.git("show", "glovebox/2:add.py") + "\n" == WRONG
    assert user.fingerprint() == before
    assert bubblewraps(user) == []


def test_one_that_is_to_outlive_its_terminal_does(user: User) -> None:
    user.start(FILES)
    begun, script = queue.Queue[int](1), attempts(RIGHT, WRONG)
    hung_up = threading.Event()

    def hangs_up(request: dict[str, Any]) -> Answer:
        if not hung_up.is_set():
            os.kill(begun.get(timeout=60), signal.SIGHUP)
            hung_up.set()
        return script(request)

    with OpenAIServer(hangs_up) as server:
        words = ("--model", MODEL, "race", "2", "mend add", "--check", CHECK)
        with subprocess.Popen(
            user.argv(*words),
            env=user.with_server(server),
            cwd=user.repo,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            preexec_fn=lambda: signal.signal(signal.SIGHUP, signal.SIG_IGN),  # as nohup does
        ) as process:
            begun.put(process.pid)
            shown = process.communicate(timeout=240)[0].decode()
    assert process.returncode == 0, shown
    assert hung_up.is_set() and "session 1 is the best" in shown
