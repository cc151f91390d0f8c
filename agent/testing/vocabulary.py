"""Programs that a promise can ask any machine to run, each in two forms that do the same.

The script is for machines with a kernel and a shell, the coroutine for the one in memory, whose
`sh` interprets nothing: it knows these scripts by heart. A promise says what it needs by name, as
in `sandbox.exec(programs.exit_with(3))`, and cannot tell where it runs. A promise that needs
something new adds one program, in both forms.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from agent.testing.memory.process import Body


@dataclass(frozen=True, slots=True)
class Named:
    """One program; called with its arguments it is what `exec` takes."""

    name: str
    script: str
    body: Body

    def __call__(self, *arguments: object) -> list[str]:
        return ["sh", "-c", self.script, self.name, *map(str, arguments)]


VOCABULARY: dict[str, Named] = {}


def program(script: str) -> Callable[[Body], Named]:
    """Make a coroutine the in-memory form of `script`; its name is the program's."""

    def named(body: Body) -> Named:
        new = Named(body.__name__, script.strip(), body)
        VOCABULARY[new.name] = new
        return new

    return named
