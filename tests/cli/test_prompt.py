"""The prompt of a real terminal, alone."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from tests.e2e.rig import User
from tests.terminal import Terminal

pytestmark = pytest.mark.slow

TYPED_WHILE_PRINTING = """
import asyncio, sys, time
from pathlib import Path
import agent.cli.prompt as p
from agent.cli.screen import Keys

go, was, heard = Path("go"), p.print_formatted_text, []

def held(*arguments, **named):
    was(*arguments, **named)
    while not go.exists():
        time.sleep(0.01)

def drawn():
    if p.print_formatted_text is was:
        p.print_formatted_text = held
        asyncio.get_running_loop().call_soon(prompt.update, [(("", "a line"),)], [])
    return (("", "badge"),)

def submit(text):
    heard.append(text)
    if len(heard) == 2:
        prompt.stop()

async def no_paths():
    return []

keys = Keys(submit, lambda typing: typing, lambda: None, lambda: None, drawn, lambda key: False,
            [], no_paths)
prompt = p.Prompt(keys, Path("history"))
asyncio.run(prompt.run())
print(heard)
"""


def test_what_is_typed_while_something_is_printed_is_sent(tty: Terminal, user: User) -> None:
    """Enter stays Enter, and nothing is shown twice."""
    tty.start(
        [sys.executable, "-c", TYPED_WHILE_PRINTING],
        env=user.environment,
        cwd=user.home,
        size=(60, 12),
    )
    tty.wait_for("a line")
    tty.type("hello")
    tty.key("Enter")
    tty.type("you")
    tty.key("Enter")
    Path(user.home, "go").touch()
    shown = tty.wait_for("exit code 0")
    assert "['hello', 'you']" in shown
    assert shown.count("hello") == 1
