"""What a person runs in the sandbox from the conversation, in a real terminal."""

from __future__ import annotations

import pytest

from tests.cli.talking import begin, bubblewraps, quit_, say_to, user_messages
from tests.cli.test_home import bash
from tests.e2e.rig import MODEL, User
from tests.servers.openai import OpenAIServer, call, reply, say
from tests.terminal import Terminal

pytestmark = pytest.mark.sandbox


def test_a_person_runs_commands_inside_and_the_model_knows(tty: Terminal, user: User) -> None:
    user.start()
    before = user.fingerprint()
    script = [bash("true"), say("first-done"), say("second-done"), say("third-done")]
    with OpenAIServer(script) as server:
        begin(tty, user, server, "--lint-cmd", "grep -n more")
        say_to(tty, "!echo more >>hello.txt; printf 'a\\033[31mred\\033[0m\\n'; pwd; exit 3")
        tty.wait_for("ared")
        tty.wait_for("✗ ended with 3")
        tty.wait_for("✓ glovebox/1 is at")  # home without a turn
        say_to(tty, "/test")
        tty.wait_for("begin with `--test-cmd COMMAND`")
        say_to(tty, "/lint")
        tty.wait_for("2:more")
        tty.wait_for("✓ done (")
        say_to(tty, "!!id")
        tty.wait_for("nothing is run outside of the sandbox")
        say_to(tty, "look at it")
        tty.wait_for("first-done")
        (message,) = user_messages(server)
        assert message.startswith("look at it\n\n[Before this message the user ran")
        assert "$ echo more >>hello.txt" in message and "\nared\n/workspace\nExit code 3" in message
        assert "$ grep -n more\n2:more\nExit code 0" in message

        say_to(tty, "/run echo begun; touch left; sleep 500")
        tty.wait_for("\nbegun")
        tty.key("C-c")
        tty.wait_for("! ended before it was done")
        say_to(tty, "go on")
        tty.wait_for("second-done")
        assert "Interrupted while it ran" in user_messages(server)[-1]
        quit_(tty)

        begin(tty, user, server, "--continue")
        say_to(tty, "!echo kept")
        tty.wait_for("\nkept\n")
        quit_(tty)
        ran = user.glovebox("--continue", "-m", "more", "--model", MODEL, server=server)
        assert ran.code == 0, ran.err
        assert "$ echo kept\nkept\nExit code 0" in user_messages(server)[-1]
        assert [m for m in server.requests[-1]["messages"] if m["role"] == "tool"] != []
    assert user.git("show", "glovebox/1:hello.txt") == "hello\nmore"
    assert "left" in user.git("ls-tree", "--name-only", "glovebox/1")
    assert "Run echo begun" in user.git("log", "--format=%s", "glovebox/1")
    assert user.fingerprint() == before
    assert bubblewraps(user) == []


def test_jobs_are_ended_by_name(tty: Terminal, user: User) -> None:
    user.start()
    start = reply("", call("bash", {"command": "sleep 500", "background": "web"}))
    with OpenAIServer([start, say("it runs")]) as server:
        begin(tty, user, server)
        say_to(tty, "start it")
        tty.wait_for("it runs")
        say_to(tty, "/kill nobody")
        tty.wait_for("there is no job `nobody`")
        say_to(tty, "/jobs kill web")
        tty.wait_for("✓ web ")
        say_to(tty, "/jobs")
        tty.wait_for("web ended (-15) sleep 500")
        quit_(tty)
