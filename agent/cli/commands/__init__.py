"""What can be typed with a slash in front, by subject.

To add a command: a function, and a line in `COMMANDS` of its subject's file. A new subject is a
file like the others, and a line here.
"""

from __future__ import annotations

from agent.cli.commands import context, inside, model, parallel, sessions, talk, work
from agent.cli.commands.command import Command, Subjects

SUBJECTS: Subjects = (
    ("The work", work.COMMANDS),
    ("In the sandbox", inside.COMMANDS),
    ("The model", model.COMMANDS),
    ("What the model knows", context.COMMANDS),
    ("Sessions", sessions.COMMANDS),
    ("Several at once", parallel.COMMANDS),
    ("This conversation", (talk.help_of(lambda: SUBJECTS), *talk.COMMANDS)),
)
COMMANDS: tuple[Command, ...] = tuple(command for _, some in SUBJECTS for command in some)
