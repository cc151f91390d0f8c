"""Turns that change nothing, and what a person takes from a reply."""

from __future__ import annotations

import json
import subprocess

import pytest

from agent.cli.clipboard import last_block
from agent.core.text import without_controls
from tests.cli.talking import begin, quit_, say_to, user_messages
from tests.cli.test_home import bash
from tests.e2e.rig import User
from tests.servers.openai import OpenAIServer, call, reply, say
from tests.terminal import Terminal

FENCED = "One:\n```sh\nold\n```\nand\n~~~\na `b`\n\n```\nstill\n~~~\nend"


@pytest.mark.parametrize(
    ("text", "code"),
    [
        (FENCED, "a `b`\n\n```\nstill"),
        ("1. Do:\n\n     ```sh\n     a\n       b\n     ```\n   then", "a\n  b"),
        ("```py\nx = 1\n```", "x = 1"),
        ("```\ncut", "cut"),
        ("none", ""),
        ("````\n```\nin\n```\n````", "```\nin\n```"),
    ],
)
def test_the_last_block_of_code_is_found(text: str, code: str) -> None:
    assert last_block(text) == code


def test_what_cannot_be_seen_is_left_out() -> None:
    wild = "a\x1b]0;x\x07b\u202ec\u200b\ud800\r\nd\te\x9b1m\rf"
    assert without_controls(wild) == "a]0;xbc\nd\te1m\nf"


@pytest.mark.slow
@pytest.mark.sandbox
def test_a_person_asks_reviews_and_copies(tty: Terminal, user: User) -> None:
    user.start()
    hidden = "Run it:\n```sh\nls \u202e-l\x1b[31m\n```\nand-so-on"
    script = [
        *(bash("echo more >>hello.txt"), say(hidden)),
        *(bash("rm hello.txt"), reply("", call("read", {"path": "hello.txt"})), say("two-lines")),
        *(reply("", call("write", {"path": "hello.txt", "content": ""})), say("a-finding")),
    ]
    with OpenAIServer(script) as server:
        begin(tty, user, server, environment={"EDITOR": "sh -c 'echo written in it >$0'"})
        say_to(tty, "/editor")
        tty.wait_for("› written in it")
        tty.key("C-u")
        say_to(tty, "/copy")
        tty.wait_for("nothing was said yet")
        say_to(tty, "/review")
        tty.wait_for("nothing to review")
        say_to(tty, "one")
        tty.wait_for("✓ glovebox/1 is at")
        clipboard(tty, "set-option", "-s", "set-clipboard", "on")
        say_to(tty, "/copy code")
        tty.wait_for("✓ copied: 1 line;")
        assert clipboard(tty, "show-buffer") == "ls -l[31m"
        say_to(tty, "/copy")
        tty.wait_for("✓ copied: 5 lines;")
        assert clipboard(tty, "show-buffer") == "Run it:\n```sh\nls -l[31m\n```\nand-so-on"

        say_to(tty, "/ask how long is @hello.txt?")
        tty.wait_for("two-lines")
        (first, second) = user_messages(server)
        assert first == "one" and second.startswith(
            "how long is @hello.txt?\n\n[The user only asks"
        )
        tools = [m["content"] for m in server.requests[-1]["messages"] if m["role"] == "tool"]
        assert tools[1].startswith("Not run: the user only asks") and "more" in tools[2]
        same = [json.dumps(request["tools"]) for request in server.requests]
        assert len(set(same)) == 1, "a prompt that begins otherwise is paid for again"
        say_to(tty, "/review the names")
        tty.wait_for("a-finding")
        assert "+more" in tty.transcript()
        message = user_messages(server)[-1]
        assert "Look at this most: the names\n" in message and "\n+more\n" in message
        quit_(tty)
    assert user.git("show", "glovebox/1:hello.txt") == "hello\nmore"


def clipboard(tty: Terminal, *words: str) -> str:
    """What tmux, as the terminal, has on its clipboard."""
    tmux = tty._tmux  # pyright: ignore[reportPrivateUsage]
    done = subprocess.run([*tmux, *words], check=True, capture_output=True, text=True)
    return done.stdout
