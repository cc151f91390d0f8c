"""What replies look like in a real terminal."""

from __future__ import annotations

import re

import pytest

from tests.cli.talking import begin, quit_, say_to
from tests.e2e.rig import User
from tests.servers.openai import OpenAIServer, say
from tests.terminal import Terminal

pytestmark = [pytest.mark.slow, pytest.mark.sandbox]

CODE = ["def greet(name):", '    """Say hello', '    to name."""', "    return 'x' * 1", ""]
REPLY = "\n".join(
    [
        "# A title",
        "",
        "Some **bold words** and `code`, in a line that is too long for the width of this terminal"
        " and that is broken between two words.",
        "",
        "- one",
        "  1. two",
        "",
        "```python",
        *CODE,
        "```",
        "| a | b |",
        "|---|---|",
        "| 1 | two |",
        "",
        "That is __all__.",
    ]
)
_COLOUR = re.compile(r"\x1b\[[0-9;]*\b(?:3[0-7]|9[0-7]|4[0-7]|38;5)\b[0-9;]*m")


def test_a_reply_is_shown_as_markdown(tty: Terminal, user: User) -> None:
    user.start()

    with OpenAIServer([say(REPLY, piece=3)]) as server:
        begin(tty, user, server, size=(70, 40))
        say_to(tty, "go")
        tty.wait_for("That is __all__.")
        transcript, colours = tty.transcript(), tty.colours().replace("\x1b[49m", "")
        quit_(tty)

    code = transcript[transcript.index("─── python") :].split("\n")
    assert code[1 : 1 + len(CODE)] == CODE
    assert code[1 + len(CODE)] == "───"
    assert "the width of\nthis terminal" in transcript
    assert "a │ b\n──┼────\n1 │ two\n" in transcript
    assert "**" not in transcript and "`" not in transcript[transcript.index("› go") :]
    assert "\x1b[1mbold words\x1b[0m" in colours
    assert "\x1b[36mcode\x1b[39m" in colours
    assert "\x1b[35mdef" in colours
    assert re.search(r"\x1b\[32m[^\x1b]*to name", colours)


def test_without_colours_it_can_still_be_read(tty: Terminal, user: User) -> None:
    user.start()

    with OpenAIServer([say(REPLY)]) as server:
        begin(tty, user, server, environment={"NO_COLOR": "1"})
        say_to(tty, "go")
        tty.wait_for("That is __all__.")
        colours = tty.colours()
        quit_(tty)

    assert "\x1b[1mbold words\x1b[0m" in colours
    assert "`code`" in colours
    assert not _COLOUR.search(colours)
