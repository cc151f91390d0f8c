"""Keys at the prompt of a real terminal."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from tests.e2e.rig import User
from tests.terminal import Terminal

pytestmark = pytest.mark.slow

SIZE = (60, 20)
TALK = """
import asyncio, sys
from pathlib import Path
import agent.cli.prompt as p
from agent.cli.screen import Keys, typed

def submit(text):
    if text == "end":
        prompt.stop()
    else:
        heard.append(text)
        prompt.update([*typed(text), (("", f"heard {text!r}"[:200]),)], [])

def interrupt(typing):
    heard.append("interrupted")
    return typing

async def no_paths():
    return []

heard = []
keys = Keys(submit, interrupt, lambda: heard.append("left"), lambda: None, lambda: (("", "badge"),),
            lambda key: False, [], no_paths)
prompt = p.Prompt(keys, Path("history"), vi="vi" in sys.argv)
prompt.update([(("", "begun"),)], [])
asyncio.run(prompt.run())
print("all:", heard)
"""


def talk(tty: Terminal, user: User, *words: str, environment: dict[str, str] | None = None) -> None:
    settings = user.environment | (environment or {})
    tty.start([sys.executable, "-c", TALK, *words], env=settings, cwd=user.home, size=SIZE)
    tty.wait_for("begun\n›")


def send(tty: Terminal, text: str) -> None:
    tty.type(text)
    tty.key("Enter")
    tty.wait_for(f"heard {text!r}")


def heard(tty: Terminal) -> str:
    tty.type("end")
    tty.key("Enter")
    return tty.wait_for("exit code 0").partition("all: ")[2].partition("\n")[0]


def test_enter_with_a_modifier_is_a_new_line(tty: Terminal, user: User) -> None:
    talk(tty, user)
    tty.type("one\x1b[13;2utwo\x1b[27;2;13~three")
    tty.wait_for("  three")
    tty.key("Enter")
    tty.wait_for("heard")

    assert heard(tty) == r"['one\ntwo\nthree']"


def test_what_was_typed_is_found_again(tty: Terminal, user: User) -> None:
    talk(tty, user)
    for text in ("make tests", "write docs", "sing"):
        send(tty, text)
    tty.key("Up", "Up", "Enter")
    tty.wait_for(lambda text: text.count("heard 'write docs'") == 2)
    tty.key("C-r")
    tty.wait_for("I-search backward:")
    tty.type("ke t")
    tty.wait_for(lambda text: text.count("› make tests") == 2)
    tty.key("Enter")
    tty.wait_for(lambda text: "search" not in text)
    tty.key("Enter")
    tty.wait_for(lambda text: text.count("heard 'make tests'") == 2)

    assert heard(tty).endswith("'sing', 'write docs', 'make tests']")


def test_two_escapes_clear_the_line(tty: Terminal, user: User) -> None:
    talk(tty, user)
    tty.type("wrong")
    tty.wait_for("› wrong")
    tty.key("Escape", "Escape")
    tty.wait_for(lambda text: "wrong" not in text)
    send(tty, "right")

    assert heard(tty) == "['right']"


def test_an_empty_screen_loses_nothing(tty: Terminal, user: User) -> None:
    talk(tty, user)
    send(tty, "first")
    tty.type("draft")
    tty.wait_for("› draft")
    tty.key("C-l")
    tty.wait_for(lambda _: tty.screen().startswith("\n› draft"))

    assert "heard 'first'" in tty.transcript()


def test_a_line_can_be_written_in_an_editor(tty: Terminal, user: User) -> None:
    editor = user.home / "my editor"
    editor.write_text(
        "#!/bin/sh\nstty -a | grep -o ' icanon'\n"
        'cat "$1"; read answer; echo " and $answer" >> "$1"\n'
    )
    editor.chmod(0o755)
    talk(tty, user, environment={"EDITOR": f"'{editor}'", "VISUAL": ""})
    for keys in (["C-g"], ["C-x", "C-e"]):
        tty.type("draft")
        tty.key(*keys)
        tty.wait_for(" icanon\ndraft")
        tty.type("more")
        tty.key("Enter")
        tty.wait_for("› draft and more")
        tty.key("Enter")
        tty.wait_for("heard 'draft and more'")

    assert heard(tty) == "['draft and more', 'draft and more']"


def test_an_editor_that_cannot_be_read_is_named(tty: Terminal, user: User) -> None:
    talk(tty, user, environment={"EDITOR": "'unclosed", "VISUAL": ""})
    tty.type("draft")
    tty.key("C-g")
    tty.wait_for("! $EDITOR cannot be read: No closing quotation")
    tty.type(" goes on")
    tty.key("Enter")
    tty.wait_for("heard 'draft goes on'")

    assert "Traceback" not in heard(tty)


def test_vi_has_its_keys(tty: Terminal, user: User) -> None:
    talk(tty, user, "vi")
    tty.type("one two")
    tty.key("Escape")
    tty.type("bcwsix")
    tty.wait_for("› one six")
    tty.key("Escape")
    tty.type("0x")
    tty.wait_for("› ne six")
    tty.key("Enter")
    tty.wait_for("heard 'ne six'")
    send(tty, "i")  # a new line is begun in insert mode, as a shell does

    assert heard(tty) == "['ne six', 'i']"


def test_a_long_paste_is_shown_in_part_and_sent_whole(tty: Terminal, user: User) -> None:
    talk(tty, user)
    text = "\n".join(f"row {number}" for number in range(200))
    tty.paste(text)
    tty.wait_for("row 199")
    assert "badge" in tty.screen()
    tty.key("Enter")
    shown = tty.wait_for("… 180 more lines")

    assert "row 199" not in shown[: shown.index("heard")]
    assert heard(tty) == repr([text])


def test_what_is_typed_before_there_is_a_prompt_is_sent(tty: Terminal, user: User) -> None:
    wait = (
        "import time; from pathlib import Path\nwhile not Path('go').exists(): time.sleep(0.01)\n"
    )
    program = [sys.executable, "-c", f"print('early')\n{wait}{TALK}"]
    tty.start(program, env=user.environment, cwd=user.home, size=SIZE)
    tty.wait_for("early")
    for text in ("one", "zwö"):
        tty.type(text)
        tty.key("Enter")
    tty.key("C-d")
    tty.type("thr")
    tty.wait_for("thr")
    Path(user.home, "go").touch()
    tty.wait_for("heard 'zwö'")
    tty.wait_for("› thr")
    tty.type("ee")
    tty.key("C-j")
    tty.type("lines")
    tty.paste("\nmore\n")
    tty.key("Enter")
    tty.wait_for("heard 'three")
    assert heard(tty) == "['one', 'zwö', 'left', 'three\\nlines\\nmore\\n']"
