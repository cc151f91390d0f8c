"""Mentions, notes and the table of tokens at a real terminal."""

from __future__ import annotations

import threading

import pytest

from tests.cli.talking import begin, quit_, say_to, user_messages
from tests.e2e.rig import User
from tests.servers.openai import OpenAIServer, say
from tests.terminal import Terminal

pytestmark = [pytest.mark.slow, pytest.mark.sandbox]


def test_a_mention_is_completed_and_added(tty: Terminal, user: User) -> None:
    user.start({"src/unusual_name.py": "print(42)\n", "AGENTS.md": "use tabs\n"})
    with OpenAIServer([say("Seen.")]) as server:
        begin(tty, user, server)
        tty.type("look at @unus")
        tty.wait_for("src/unusual_name.py")
        tty.key("Tab")
        tty.wait_for("look at @src/unusual_name.py")
        tty.key("Enter")
        tty.wait_for("Seen.")
        said = user_messages(server)[0]
        say_to(tty, "/context")
        tty.wait_for("system prompt")
        say_to(tty, "/search look")
        tty.wait_for("1  you")
        transcript = quit_(tty)
    assert said.startswith("look at @src/unusual_name.py\n\n[`src/unusual_name.py`, which the")
    assert "print(42)" in said and "From `AGENTS.md`:\nuse tabs" in said
    assert "· the model has the notes in AGENTS.md" in transcript


def test_a_summary_is_interrupted_like_a_turn(tty: Terminal, user: User) -> None:
    user.start()
    begun = threading.Event()

    def script(request: dict[str, object]) -> object:
        if not request.get("tools"):
            begun.set()
            return say("never", stall_after=0)
        return say("A long story. " * 100)

    with OpenAIServer(script) as server:  # type: ignore[arg-type]
        begin(tty, user, server)
        say_to(tty, "tell me")
        tty.wait_for("tokens,")
        say_to(tty, "/compact")
        assert begun.wait(60)
        tty.key("C-c")
        tty.wait_for("interrupting")
        say_to(tty, "/search long story")
        tty.wait_for("1  model")
        quit_(tty)
