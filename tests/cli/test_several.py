"""Other sessions, from within one: new, compared, merged, removed, in the background, in a race."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest

from tests.cli.talking import begin, bubblewraps, quit_, say_to, user_messages
from tests.cli.test_home import bash
from tests.cli.test_network import press
from tests.e2e.rig import User
from tests.servers.answers import Answer
from tests.servers.openai import OpenAIServer, say
from tests.terminal import Terminal

pytestmark = [pytest.mark.slow, pytest.mark.sandbox]


def model(request: dict[str, Any]) -> Answer:
    """Writes a file of its session's number, or holds on for long when it is asked to."""
    found = re.search(r"glovebox/(\d+)", json.dumps(request["messages"][0]))
    assert found is not None
    number, last = found[1], request["messages"][-1]
    if last["role"] == "tool":
        return say(f"done-{number}")
    if "hold" in json.dumps(last):
        return bash(f"echo {number} >held; echo holding-{number}; sleep 500")
    return bash(f"seq {number} >{number}.txt")


def test_a_person_makes_compares_merges_and_removes_sessions(tty: Terminal, user: User) -> None:
    user.start()
    with OpenAIServer(model) as server:
        begin(tty, user, server)
        say_to(tty, "one")
        tty.wait_for("✓ glovebox/1 is at")
        say_to(tty, "/clear")
        tty.wait_for("session 2: work arrives on glovebox/2")
        say_to(tty, "two")
        tty.wait_for("✓ glovebox/2 is at")
        assert user_messages(server) == ["two"]
        say_to(tty, "/compare 1 2")
        tty.wait_for(lambda text: re.search(r"2\.txt +- +\+2 -0", text) is not None)
        tty.type("/delete ")
        tty.wait_for(lambda _: re.search(r"^ +1 +one", tty.screen(), re.MULTILINE) is not None)
        say_to(tty, "2")
        tty.wait_for("you are in session 2")
        say_to(tty, "/merge 1 --onto main")
        tty.wait_for("`/help merge`")

        say_to(tty, "/merge 1")
        tty.wait_for("? merge this into main?")
        say_to(tty, "/status")  # waits until it is answered
        press(tty, "2", "nothing was merged")
        tty.wait_for("sandbox local, ready")
        assert user.git("log", "--format=%s", "main") == "start"
        say_to(tty, "/merge --squash -m 'Take two'")
        tty.wait_for("? squash this into main?")
        press(tty, "1", "✓ main is at")
        assert user.git("log", "--format=%s", "main") == "Take two\nstart"
        assert "2.txt" in user.git("ls-tree", "--name-only", "main")
        say_to(tty, "/delete 1")
        tty.wait_for("? remove session 1: one, and its sandbox?")
        tty.key("C-c")
        tty.wait_for("nothing was removed")
        say_to(tty, "/delete 1")
        tty.wait_for(lambda text: text.count("? remove session 1") > 0 and "  1 yes" in text)
        press(tty, "1", "session 1 and its sandbox are removed")
        quit_(tty)
    assert user.git("branch", "--list", "glovebox/1").strip() == "glovebox/1"
    assert bubblewraps(user) == []


def test_a_person_starts_joins_stops_and_races_sessions(tty: Terminal, user: User) -> None:
    user.start()
    with OpenAIServer(model) as server:
        begin(tty, user, server)
        say_to(tty, "/race 2 hold on")
        tty.wait_for("say `--check COMMAND`")
        say_to(tty, "/race 2 mend it --check 'ls *.txt'")
        tty.wait_for("✓ session 2 is the best")
        tty.wait_for("? merge this into main?")
        press(tty, "1", "the other 1 are removed")
        say_to(tty, "/race 2 hold --check true")
        tty.wait_for("· sessions 4, 5")
        tty.key("C-c")
        tty.wait_for("! stopped; nothing was checked or merged")

        say_to(tty, "/spawn please hold")
        tty.wait_for("they run in the background")
        say_to(tty, "/spawn hold, too")
        tty.wait_for(lambda text: text.count("they run in the background") == 2)
        say_to(tty, "/watch")
        tty.wait_for("· 6 running")
        tty.wait_for(lambda _: "$ echo 7 >held" in tty.transcript())
        tty.key("C-c")
        tty.wait_for(lambda _: "interrupting" not in tty.screen())
        say_to(tty, "/attach 1")
        tty.wait_for("this is session 1")
        say_to(tty, "/attach 6")
        tty.wait_for("→ $ echo 6 >held")
        tty.key("C-c")
        tty.wait_for("session 6: work arrives on glovebox/6")
        say_to(tty, "/stop 7")
        tty.wait_for("✓ session 7 is stopped; its work is on glovebox/7")
        say_to(tty, "/ps")
        tty.wait_for(lambda text: re.search(r"^7 +interrupted ", text, re.MULTILINE) is not None)
        say_to(tty, "go on")
        tty.wait_for("✓ glovebox/6 is at")
        quit_(tty)
    assert user.git("show", "main:2.txt") == "1\n2"
    assert user.git("show", "glovebox/6:held") == "6"
    assert user.git("show", "glovebox/7:held") == "7"
    assert bubblewraps(user) == []
