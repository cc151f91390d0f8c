"""Joining a session that runs in the background, at a real terminal."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.cli.talking import SIZE, quit_, say_to, user_messages
from tests.cli.test_background import Held, ps, spawn
from tests.cli.test_network import press
from tests.e2e.rig import MODEL, User
from tests.servers.answers import Answer
from tests.servers.openai import OpenAIServer, call, reply, say
from tests.terminal import Terminal

pytestmark = [pytest.mark.slow, pytest.mark.sandbox]


def attach(tty: Terminal, user: User, server: OpenAIServer, number: str) -> None:
    argv = user.argv("attach", number, "--model", MODEL)
    tty.start(argv, env=user.with_server(server), cwd=user.repo, size=SIZE)


def running(user: User, verb: str) -> list[int]:
    """The processes of this user's glovebox that do `verb`."""
    found: list[int] = []
    for place in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            words = (place / "cmdline").read_bytes().split(b"\0")
            ours = f"HOME={user.home}".encode() in (place / "environ").read_bytes().split(b"\0")
            if ours and b"agent" in words and verb.encode() in words:
                found.append(int(place.name))
    return found


def joined(tty: Terminal, user: User, server: OpenAIServer, held: Held, shown: str) -> None:
    """Session 1 is at work, held by its model, and gone along with from here."""
    spawn(user, server, "write one")
    assert held.asked.wait(60)
    attach(tty, user, server, "1")
    tty.wait_for(shown)


class Talk(Held):
    """After its task it answers what else is said."""

    def __call__(self, request: dict[str, Any]) -> Answer:
        users = [m for m in request["messages"] if m["role"] == "user"]
        return super().__call__(request) if len(users) == 1 else say("you are welcome")


def test_it_is_followed_and_then_gone_on_with(tty: Terminal, user: User) -> None:
    user.start()
    talk = Talk()
    with OpenAIServer(talk) as server, talk:
        joined(tty, user, server, talk, "→ $ echo one")
        say_to(tty, "thank you")
        tty.wait_for("the model reads it next")
        talk.go.set()  # there is no next request in this turn any more
        tty.wait_for("session 1: work")
        assert user_messages(server) == ["write one", "thank you"]
        transcript = quit_(tty)
    assert transcript.count("› write one") == 1
    assert transcript.count("one is written") == 1
    order = (
        "› write one",
        "→ $ echo one",
        "one is written",
        "› thank you",
        "you are welcome",
        "session 1:",
    )
    assert re.search(".*".join(map(re.escape, order)), transcript, re.DOTALL)
    assert user.git("show", "glovebox/1:one.txt") == "one"
    assert ps(user)[1]["turn"] == 2


class Steps(Held):
    """It is held after its first call, makes a second one, and says what it heard last."""

    def __call__(self, request: dict[str, Any]) -> Answer:
        results = sum(m["role"] == "tool" for m in request["messages"])
        if results == 1:
            self.asked.set()
            self.go.wait()
        if results == 2 or request["messages"][-1]["content"] == "and two":
            return say("done as said")
        return reply("", call("bash", {"command": f"echo {results}"}))


def test_what_is_typed_steers_it(tty: Terminal, user: User) -> None:
    user.start()
    steps = Steps()
    with OpenAIServer(steps) as server, steps:
        joined(tty, user, server, steps, "→ $ echo 0")
        say_to(tty, "and two")
        tty.wait_for("the model reads it next")
        steps.go.set()
        tty.wait_for("session 1: work")
        assert user_messages(server) == ["write one", "and two"]
        assert quit_(tty).count("› and two") == 1
    assert ps(user)[1]["turn"] == 1


@pytest.mark.parametrize("who", ["attached", "owner"])
def test_what_was_taken_is_not_lost_with_either_side(tty: Terminal, user: User, who: str) -> None:
    user.start()
    talk = Talk()
    with OpenAIServer(talk) as server, talk:
        joined(tty, user, server, talk, "→ $ echo one")
        say_to(tty, "thank you")
        tty.wait_for("the model reads it next")
        for process in running(user, "attach" if who == "attached" else "host"):
            os.kill(process, signal.SIGKILL)
        talk.go.set()
        if who == "attached":
            tty.wait_for("exit code 137")
            done = user.glovebox("watch", "1")
            assert done.code == 0, done.out + done.err
        else:
            tty.wait_for("you are welcome")
            quit_(tty)
        assert user_messages(server)[-1] == "thank you"
        assert ps(user)[1]["turn"] == 2


def test_it_is_left_running_or_ended_and_taken(tty: Terminal, user: User) -> None:
    user.start()
    talk = Talk()
    with OpenAIServer(talk) as server, talk:
        joined(tty, user, server, talk, "→ $ echo one")
        tty.key("C-d")
        tty.wait_for("session 1 runs on")
        tty.wait_for("exit code 0")
        assert ps(user)[1]["state"] == "running"
        attach(tty, user, server, "1")
        tty.wait_for("→ $ echo one")
        tty.key("C-c")
        tty.wait_for("! interrupted")
        tty.wait_for("session 1: work arrives on glovebox/1")
        talk.go.set()  # the server answers one after the other
        say_to(tty, "go on")
        tty.wait_for("you are welcome")
        quit_(tty)
    assert user.git("show", "glovebox/1:one.txt") == "one"


def test_what_the_model_asks_is_answered(tty: Terminal, user: User) -> None:
    user.start()
    ask = call("ask", {"question": "Which colour?", "options": ["red", "blue"]})
    with OpenAIServer([reply("", ask), say("blue it is")]) as server:
        spawn(user, server, "paint it")
        attach(tty, user, server, "1")
        tty.wait_for("1-2 chooses")
        assert ps(user)[1]["now"] == "asks: Which colour?"
        press(tty, "2", "= blue")
        tty.wait_for("blue it is")
        tty.wait_for("session 1: work arrives on glovebox/1")
        other = user.glovebox("attach", "1", server=server, stdin="")
        assert other.code == 2
        quit_(tty)


def test_one_that_nobody_ever_ran_is_taken_at_once(tty: Terminal, user: User) -> None:
    user.start()
    assert user.glovebox("shell", "--new", "--", "true").code == 0
    with OpenAIServer([say("you are welcome")]) as server:
        attach(tty, user, server, "1")
        say_to(tty, "thank you")  # there is no prompt yet
        tty.wait_for("you are welcome")
        tty.wait_for(lambda _: ps(user)[1]["state"] == "idle")
        quit_(tty)


def test_a_person_inside_is_seen_and_not_stopped(user: User) -> None:
    user.start()
    argv = user.argv("shell", "--new", "--", "sh", "-c", "echo there; read go; echo go > go.txt")
    with subprocess.Popen(
        argv,
        cwd=user.repo,
        env=user.environment,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as inside:
        assert inside.stdin is not None and inside.stdout is not None
        assert inside.stdout.readline() == "there\n"
        seen = ps(user)[1]
        assert seen["state"] == "running" and seen["now"].startswith("$ sh -c 'echo there;")
        done = user.glovebox("stop", "1")
        assert done.code == 2 and "a person runs `sh -c" in done.err
        inside.stdin.write("go\n")
        inside.stdin.flush()
    assert inside.returncode == 0
    assert user.git("show", "glovebox/1:go.txt") == "go"
