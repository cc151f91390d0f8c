"""`glovebox spawn, ps, watch, stop, attach` as processes that know of each other by files only."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import re
import signal
import subprocess
import threading
from pathlib import Path
from typing import Any, Self

import pytest

from tests.e2e.rig import MODEL, User, traces
from tests.servers.answers import Answer
from tests.servers.openai import OpenAIServer, call, reply, say
from tests.terminal import Terminal

pytestmark = [pytest.mark.sandbox, pytest.mark.slow]

TASK = re.compile(r"write (\w+)")


def task_of(request: dict[str, Any]) -> str:
    """The word that a session was told to write."""
    first = next(m for m in request["messages"] if m["role"] == "user")
    found = TASK.search(json.dumps(first["content"]))
    assert found is not None
    return found[1]


def writer(request: dict[str, Any]) -> Answer:
    """Writes its word into a file of that name, then says it."""
    word = task_of(request)
    if request["messages"][-1]["role"] == "tool":
        return say(f"{word} is written")
    return reply("", call("bash", {"command": f"echo {word} > {word}.txt"}))


class Held:
    """A model that writes and then says nothing more until it is let go, or the test is over."""

    def __init__(self) -> None:
        self.go = threading.Event()
        self.asked = threading.Event()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.go.set()

    def __call__(self, request: dict[str, Any]) -> Answer:
        if request["messages"][-1]["role"] == "tool":
            self.asked.set()
            self.go.wait()
        return writer(request)


def ps(user: User, *flags: str) -> dict[int, dict[str, Any]]:
    done = user.glovebox("ps", "--json", *flags)
    assert done.code == 0, done.err
    found = [json.loads(line) for line in done.out.splitlines()]
    return {one["number"]: one for one in found}


def spawn(user: User, server: OpenAIServer, *words: str) -> list[int]:
    done = user.glovebox("spawn", "--model", MODEL, *words, server=server)
    assert done.code == 0, done.err
    return [int(line.split()[0]) for line in done.out.splitlines()]


def test_sessions_run_on_by_themselves_from_one_base(user: User) -> None:
    user.start()
    before = user.fingerprint()
    with OpenAIServer(writer) as server:
        numbers = spawn(user, server, "write one", "write two", "write three")
        assert numbers == [1, 2, 3]
        done = user.glovebox("watch", "1", "2", "3")
    assert done.code == 0, done.out + done.err
    assert "✓ 2 done two is written" in done.out
    for number, word in enumerate(("one", "two", "three"), 1):
        assert user.git("show", f"glovebox/{number}:{word}.txt") == word
        assert user.git("diff", "--name-only", "main", f"glovebox/{number}") == f"{word}.txt"
    found = ps(user)
    assert [(one["state"], one["sync"], one["turn"]) for one in found.values()] == [
        ("done", "synced", 1)
    ] * 3
    assert found[1]["title"] == "write one" and found[1]["commit"]
    assert user.fingerprint() == before
    log = next((user.state / "glovebox" / "sessions").glob("*/host.log"))
    with log.with_name("host.lock").open() as lock:
        fcntl.flock(lock, fcntl.LOCK_SH)  # its host has it as long as it lives
    assert traces(user) == []
    assert log.read_text() == ""
    assert not list(log.parents[1].glob("*/errand.json"))  # whoever goes on is in no errand


def test_one_is_seen_at_work_and_stopped_with_its_work(user: User) -> None:
    user.start()
    held = Held()
    with OpenAIServer(held) as server, held:
        spawn(user, server, "write one")
        assert held.asked.wait(60)
        seen = ps(user)[1]
        assert (seen["state"], seen["step"], seen["now"]) == ("running", 2, "waits for the model")
        done = user.glovebox("stop", "1")
    assert done.code == 0, done.err
    assert "session 1 is stopped; its work is on glovebox/1" in done.out
    assert user.git("show", "glovebox/1:one.txt") == "one"
    assert ps(user)[1]["state"] == "interrupted"
    again = user.glovebox("stop", "1")
    assert again.code == 2 and "not running" in again.err


def test_a_terminal_shows_one_table_that_replaces_itself(tty: Terminal, user: User) -> None:
    user.start()
    with contextlib.ExitStack() as each:
        held = {word: Held() for word in ("one", "two")}
        for word, one in held.items():
            spawn(user, each.enter_context(OpenAIServer(one)), f"write {word}")
            each.enter_context(one)
            assert one.asked.wait(60)
        tty.start(user.argv("watch"), env=user.environment, cwd=user.repo, size=(90, 20))
        tty.wait_for(lambda text: states(text) == {"1": "running", "2": "running"})
        tty.key("C-c")
        tty.wait_for("exit code 130")
        assert {seen["state"] for seen in ps(user).values()} == {"running"}
        tty.stop()
        tty.start(user.argv("watch"), env=user.environment, cwd=user.repo, size=(90, 20))
        tty.wait_for(lambda text: states(text) == {"1": "running", "2": "running"})
        held["two"].go.set()
        tty.wait_for(lambda text: states(text) == {"1": "running", "2": "done"})
        held["one"].go.set()
        shown = tty.wait_for("exit code 0")
    assert states(shown) == {"1": "done", "2": "done"}
    rows = [line for line in shown.splitlines() if line.strip()]
    assert [row.split()[0] for row in rows] == ["N", "1", "2", "exit"]
    assert "two is written" in rows[2]


def states(text: str) -> dict[str, str]:
    """What a table says of each session by its number."""
    found = (re.match(r"(\d+) +(\w+)", line) for line in text.splitlines())
    return {match[1]: match[2] for match in found if match}


def test_what_cannot_begin_says_why(user: User) -> None:
    user.start()
    done = user.glovebox("spawn", "--model", "replay:/nowhere/x.jsonl", "write one")
    assert done.code == 0, done.err
    watched = user.glovebox("watch", "1")
    assert watched.code == 1
    assert "✗ 1 failed" in watched.out and "x.jsonl" in watched.out
    assert ps(user)[1]["state"] == "failed"
    nothing = user.glovebox("spawn", "--model", MODEL, " ")
    assert nothing.code == 2 and "empty" in nothing.err
    absent = user.glovebox("spawn", "--model", MODEL, "--base", "no-such", "x")
    assert absent.code == 2 and "no commit" in absent.err


def test_another_base_is_where_they_begin(user: User) -> None:
    user.start()
    (user.repo / "hello.txt").write_text("later\n")
    user.git("commit", "-qam", "later")
    (user.repo / "dirty.txt").write_text("dirty\n")
    with OpenAIServer(writer) as server:
        spawn(user, server, "--base", "HEAD~1", "--name", "early", "write one")
        assert user.glovebox("watch", "early").code == 0
    assert user.git("diff", "--name-only", "main~1", "glovebox/1") == "one.txt"
    assert ps(user)[1]["title"] == "early"


def host_of(user: User) -> int:
    """The one process that runs the sessions in the background."""
    marker = f"HOME={user.home}".encode()
    for folder in Path("/proc").iterdir():
        try:
            argv = (folder / "cmdline").read_bytes().split(b"\0")
            environment = (folder / "environ").read_bytes().split(b"\0")
        except OSError:
            continue
        if b"host" in argv and marker in environment:
            return int(folder.name)
    raise AssertionError("no host runs")


def test_a_host_that_is_killed_is_no_secret_and_its_session_goes_on(user: User) -> None:
    user.start()
    held = Held()
    with OpenAIServer(held) as server, held:
        spawn(user, server, "write one")
        assert held.asked.wait(60)
        host = host_of(user)
        assert os.getsid(host) == host  # no terminal's end is its end
        os.kill(host, signal.SIGKILL)
        watched = user.glovebox("watch", "1")
        assert watched.code == 1 and "its process ended in the middle" in watched.out
        held.go.set()
        done = user.glovebox("--resume", "1", "-m", "go on", "--model", MODEL, server=server)
    assert done.code == 0, done.err
    assert user.git("show", "glovebox/1:one.txt") == "one"


def test_a_terminated_host_brings_the_work_home(user: User) -> None:
    user.start()
    held = Held()
    with OpenAIServer(held) as server, held:
        spawn(user, server, "write one")
        assert held.asked.wait(60)
        with subprocess.Popen(user.argv("watch"), cwd=user.repo, env=user.environment,
                              stdout=subprocess.PIPE, text=True) as watching:  # fmt: skip
            assert watching.stdout is not None
            assert "running" in watching.stdout.readline()
            os.kill(host_of(user), signal.SIGTERM)
            assert "interrupted" in watching.stdout.read()
        held.go.set()
    assert user.git("show", "glovebox/1:one.txt") == "one"
