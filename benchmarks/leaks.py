"""What a trial brought to light that it should not have: keys, this machine, what was hidden.

Searched are what the agent said and what came to it, its work, and what the tests printed. What is
hidden of a task is looked for only until it is graded the first time, and only where it comes from
elsewhere than the agent: what it writes itself may well be what stands in a solution.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

import msgspec

from agent.core.events import (
    AnyEvent,
    Attached,
    CallFinished,
    CallStarted,
    Mapped,
    MessageFinished,
    Noted,
    Ran,
    Steered,
    Told,
    TurnStarted,
)
from agent.host import env, files, system
from agent.llm.redact import secrets_in
from benchmarks.tasks import Content, Task, Work, data_of

Word = tuple[bool, str]
"""A text, and whether the agent said it; else it came to it."""

_LINE_MIN_CHARS = 20
_LINES = 3
"""So many lines of a hidden file tell that it was seen; of a shorter one all that it has."""
_LINES_MAX = 300
_FILE_MAX_BYTES = 1_000_000
_PLACE_MIN_CHARS = 6
_PLACES = {"/workspace", "/home/agent"}
"""What sandboxes have by themselves."""


@dataclass(slots=True)
class Heard:
    """The words of a trial as they came, and what it `made`: its work, and what tests printed.

    `first` are those until it was graded the first time, its work among them.
    """

    words: list[Word] = field(default_factory=list[Word])
    made: list[str] = field(default_factory=list[str])
    first: list[Word] | None = None

    def apply(self, event: AnyEvent) -> None:
        match event:
            case MessageFinished() | CallStarted():
                self.words += [(True, text) for text in _texts(msgspec.to_builtins(event))]
            case CallFinished(result=result):
                self.words.append((False, result.text))
            case TurnStarted() | Steered() | Told() | Attached() | Mapped() | Noted() | Ran():
                self.words += [(False, text) for text in _texts(msgspec.to_builtins(event))]
            case _:
                pass

    def graded(self, work: Work) -> None:
        """From now on it may know of its tests: what they print is told before another try."""
        if self.first is None:
            self.first = [*self.words, *((False, text) for text in texts_of(work))]


def texts_of(work: Work) -> list[str]:
    return [_text(content) for content in (*work.files.values(), work.patch)]


def _texts(value: Any) -> list[str]:
    if isinstance(value, str):
        return [value]
    if isinstance(value, dict):
        value = list(cast("dict[str, Any]", value).values())
    if isinstance(value, list):
        return [text for each in cast("list[Any]", value) for text in _texts(each)]
    return []


def search(
    task: Task, heard: Heard, places: Iterable[Path], repository: Path, names: Sequence[str]
) -> tuple[str, ...]:
    """What leaked, in words that do not repeat it. Reads files: call it in a thread.

    `places` are paths that the run itself knows. What the files `names` of `repository` held when
    the agent began is not hidden.
    """
    before = heard.words if heard.first is None else heard.first
    found = _of_this_machine(heard, places) | _of_the_task(task, before, repository, names)
    return tuple(sorted(found))


def _of_this_machine(heard: Heard, places: Iterable[Path]) -> set[str]:
    """Keys of the environment, by their names, and names and paths of this machine."""
    keys = {name: value for name, value in env.variables().items() if secrets_in({name: value})}
    paths = {str(path) for path in (env.home(), env.state_dir(), *places)} - _PLACES
    names = {path for path in paths if len(path) >= _PLACE_MIN_CHARS}
    node = system.node_name()
    names |= {node} if not node.isalpha() else set()  # a plain word says nothing
    wanted = {f"the key {name}": key for name, key in keys.items()}
    wanted |= {f"this machine's `{name}`": name for name in names}
    parts = {
        "what it was told": [text for said, text in heard.words if not said],
        "what it said": [text for said, text in heard.words if said],
        "its work or what its tests printed": heard.made,
    }
    return {
        f"{what} in {where}"
        for what, value in wanted.items()
        for where, texts in parts.items()
        if any(value in text for text in texts)
    }


def _of_the_task(
    task: Task, words: Sequence[Word], repository: Path, names: Sequence[str]
) -> set[str]:
    """Hidden files of which lines came to the agent, or are in its work, that it never wrote."""
    hidden = {name: _lines(_text(content)) for name, content in _hidden(task).items()}
    telling = {line for lines in hidden.values() for line in lines if line not in task.instruction}
    for name in names:
        data = files.read_head(repository / name, _FILE_MAX_BYTES)
        telling.difference_update(_lines(_text(data)))
    found: set[str] = set()
    for name, lines in hidden.items():
        mine = [line for line in lines if line in telling][:_LINES_MAX]
        came = sum(_came(line, words) for line in mine)
        if came and came >= min(_LINES, len(mine)):
            found.add(f"{came} lines of the hidden `{name}`")
    return found


def _hidden(task: Task) -> Mapping[str, Content]:
    solution: dict[str, Content] = {**(task.solver.files if task.solver else {})}
    if task.reference is not None:
        added = [line[1:] for line in task.reference.patch.splitlines() if line[:1] == b"+"]
        solution |= {**task.reference.files, "reference.patch": b"\n".join(added)}
    return {
        **{name: it for name, it in task.pristine.files.items() if name not in task.start.files},
        **task.hidden,
        **{f"{name} (solution)": content for name, content in solution.items()},
    }


def _lines(text: str) -> list[str]:
    """Lines that are hardly met elsewhere by chance, each once."""
    lines = dict.fromkeys(line.strip() for line in text.splitlines())
    return [line for line in lines if len(line) >= _LINE_MIN_CHARS]


def _came(line: str, words: Sequence[Word]) -> bool:
    """Whether a line came to the agent before it said it."""
    return not next((said for said, text in words if line in text), True)


def _text(content: Content) -> str:
    data = content if isinstance(content, bytes) else data_of(content)
    return "" if b"\0" in data[:8000] else data[:_FILE_MAX_BYTES].decode("utf-8", "replace")
