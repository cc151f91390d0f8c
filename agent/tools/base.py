"""A tool is data and one function; a toolset is closed."""

from __future__ import annotations

import contextlib
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal, Protocol, cast

import msgspec

from agent.core.events import UserAnswered
from agent.core.limits import CALL_SECONDS
from agent.core.messages import ToolResult
from agent.sandbox.protocol import Sandbox

Arguments = msgspec.Struct

NO_PLACE = ("not_found", "ambiguous", "no_heading")
"""Why an edit was not made that has no one place."""


@dataclass(slots=True)
class Seen:
    """Which content of each file the model has seen: path inside to content hash, newest last.

    The guard against editing a file that changed since it was read. A session keeps one; `resume`
    rebuilds it from the details of earlier results. `failures` counts the edits that found no
    place since the file was last read or changed. `previews` are changes that were only shown.
    """

    hashes: dict[str, str] = field(default_factory=dict[str, str])
    failures: dict[str, int] = field(default_factory=dict[str, int])
    previews: set[str] = field(default_factory=set[str])

    def note(self, details: Mapping[str, Any]) -> None:
        """Remember each path and hash that a result's details name, if they do."""
        for of_one in (details, *_several(details, "files"), *_several(details, "failures")):
            self._note(of_one)
        if isinstance(preview := details.get("preview"), str):
            self.previews.add(preview)

    def _note(self, details: Mapping[str, Any]) -> None:
        path, digest = details.get("path"), details.get("hash")
        if not isinstance(path, str):
            return
        if details.get("reason") in NO_PLACE:
            self.failures[path] = self.failures.get(path, 0) + 1
        if isinstance(digest, str):
            self.failures.pop(path, None)
            self.hashes.pop(path, None)
            if digest:
                self.hashes[path] = digest


def _several(details: Mapping[str, Any], key: str) -> list[Mapping[str, Any]]:
    """What the details say of several files."""
    items = details.get(key)
    if not isinstance(items, list):
        return []
    return [item for item in cast(list[Any], items) if isinstance(item, Mapping)]


class Item(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One thing to do."""

    text: str
    state: Literal["open", "doing", "done"] = "open"


MARKS = {"open": "[ ]", "doing": "[>]", "done": "[x]"}
"""What stands before an item in a list of text."""


@dataclass(slots=True)
class Todo:
    """The model's list of what is to do. Like `Seen` it is rebuilt from the results' details."""

    items: tuple[Item, ...] = ()

    def note(self, details: Mapping[str, Any]) -> None:
        """Take the list that a result's details carry, if they do."""
        if "todo" in details:
            with contextlib.suppress(msgspec.ValidationError):  # of a tool that is not ours
                self.items = msgspec.convert(details["todo"], tuple[Item, ...])


class AskUser(Protocol):
    """Puts a question to the user and waits. Raises `AnswerNeeded` where nobody may be missing."""

    def __call__(
        self, question: str, options: Sequence[str], *, multiple: bool
    ) -> Awaitable[UserAnswered]: ...


@dataclass(frozen=True, slots=True)
class Task:
    """A piece of work for a child, with `fork` in a copy of the sandbox."""

    call_id: str
    text: str
    fork: bool
    on_output: Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Done:
    """What came of it: what the child said last, and `why` it ended when it was not done.

    `branch` has the work of a fork.
    """

    outcome: str
    text: str
    steps: int = 0
    branch: str = ""
    why: str = ""


RunTask = Callable[[Task], Awaitable[Done]]


async def run_nowhere(task: Task) -> Done:
    """The answer where no session is around the call."""
    return Done("failed", "", why="there is nobody to do it")


async def ask_nobody(question: str, options: Sequence[str], *, multiple: bool) -> UserAnswered:
    """The answer where no session is around the call."""
    return UserAnswered("", "policy")


@dataclass(frozen=True, slots=True)
class ToolContext:
    """What a running call has: one sandbox, its own id, a place for live output, what was seen.

    `todo` is the list as it is now, `ask_user` the way to the person.
    """

    sandbox: Sandbox
    call_id: str
    on_output: Callable[[str], None]
    seen: Seen
    todo: Todo = field(default_factory=Todo)
    ask_user: AskUser = ask_nobody
    run_task: RunTask = run_nowhere


def usual_seconds(_: Any) -> float:
    """The bound of a tool that does not choose one."""
    return CALL_SECONDS


def _never(_: Any) -> bool:
    return False


def always(_: Any) -> bool:
    """For tools that change nothing but what the person sees."""
    return True


@dataclass(frozen=True, slots=True)
class Tool:
    """One tool. `arguments` is a msgspec Struct; its JSON Schema is what the model sees.

    `run` answers every outcome the model can act on with a `ToolResult`; it raises only
    `SandboxLost` and cancellation. `reads_only` tools of one reply may run side by side, and those
    that may do so `together` with others although they change things.
    `looks` says which calls change nothing, of a tool of which others do.
    `title` is one line for people. A call that is not back after `seconds(arguments)` is taken for
    hung and ended.
    """

    name: str
    description: str
    arguments: type[Arguments]
    run: Callable[[Any, ToolContext], Awaitable[ToolResult]]
    reads_only: bool
    title: Callable[[Any], str]
    seconds: Callable[[Any], float] = usual_seconds
    together: bool = False
    looks: Callable[[Any], bool] = _never

    def looking(self, refusal: str) -> Tool:
        """The same, that answers `refusal` to a call which may change something."""

        async def run(arguments: Any, ctx: ToolContext) -> ToolResult:
            if self.looks(arguments):
                return await self.run(arguments, ctx)
            return ToolResult(ctx.call_id, ok=False, text=refusal)

        return self if self.reads_only else replace(self, run=run)


class Toolset:
    """The tools of a session. A name that is not in it does not exist."""

    def __init__(self, tools: Sequence[Tool]) -> None:
        self._tools = {tool.name: tool for tool in tools}

    def __iter__(self) -> Any:
        return iter(self._tools.values())

    def without(self, *names: str) -> Toolset:
        """The other tools."""
        return Toolset([tool for name, tool in self._tools.items() if name not in names])

    def looking(self, refusal: Callable[[str], str]) -> Toolset:
        """The same tools, that answer `refusal` of their name to what may change something."""
        return Toolset([tool.looking(refusal(name)) for name, tool in self._tools.items()])

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(self._tools)

    def find(self, name: str) -> Tool | None:
        """The tool of exactly that name."""
        return self._tools.get(name)


def schema_of(arguments: type[Arguments]) -> dict[str, Any]:
    """The JSON Schema of an argument type as one self-contained object, and as a brief one.

    Left out is what tells a model nothing: titles, defaults that are empty, that null stands for
    a default. It is sent with every request.
    """
    (schema,), components = msgspec.json.schema_components([arguments], ref_template="{name}")
    return cast(dict[str, Any], _inline(schema, components))


def _says_nothing(key: str, value: Any) -> bool:
    if key == "title":
        return isinstance(value, str)
    return key == "default" and not value


def _inline(node: Any, components: Mapping[str, Any]) -> Any:
    if isinstance(node, dict):
        node = cast(dict[str, Any], node)
        if "$ref" in node:
            return _inline(components[node["$ref"]], components)
        rest = {k: v for k, v in node.items() if not _says_nothing(k, v)}
        match rest.pop("anyOf", None):
            case [one, {"type": "null"}]:
                rest |= one
            case None:
                pass
            case several:
                rest["anyOf"] = several
        return {k: _inline(v, components) for k, v in rest.items()}
    if isinstance(node, list):
        return [_inline(item, components) for item in cast(list[Any], node)]
    return node
