"""docs/conversation.md lists the commands and keys that there are, in the words of `/help`."""

from __future__ import annotations

import re
from pathlib import Path

from agent.cli.commands import SUBJECTS
from agent.cli.commands.command import INSTEAD, Command
from agent.cli.commands.talk import KEYS
from tests.snapshots import assert_snapshot

PLACE = Path(__file__).parents[2] / "docs" / "conversation.md"
BEGIN, END = "<!-- made by tests/cli/test_manual.py from here -->\n", "<!-- to here -->\n"


def row(command: Command) -> str:
    also = "".join(f", `/{name}`" for name in command.aliases)
    more = " ".join(command.more.split())
    about = command.about[0].upper() + command.about[1:]
    usage = command.usage.replace("|", r"\|")
    return f"| `{usage}`{also} | {about}.{' ' + more if more else ''} |\n"


def tables() -> str:
    parts = [
        f"## {subject}\n\n| | |\n|---|---|\n{''.join(map(row, commands))}"
        for subject, commands in SUBJECTS
    ]
    keys = "".join(f"| {key} | {about} |\n" for key, about in KEYS)
    return "\n".join([*parts, f"## Keys\n\n| | |\n|---|---|\n{keys}"])


def test_the_manual_has_what_there_is() -> None:
    text = PLACE.read_text("utf-8")
    before, rest = text.split(BEGIN)
    _, after = rest.split(END)
    assert_snapshot(PLACE, f"{before}{BEGIN}\n{tables()}\n{END}{after}")


def test_what_the_manual_says_besides_names_commands_that_exist() -> None:
    known = {name for _, commands in SUBJECTS for c in commands for name in c.names}
    assert not known & set(INSTEAD)
    text = PLACE.read_text("utf-8").split(BEGIN)[0]
    assert set(re.findall(r"`/([a-z-]+)", text)) <= known | set(INSTEAD)
