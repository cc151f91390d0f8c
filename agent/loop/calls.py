"""The calls of one reply: each gets exactly one result, whatever happens.

Neighbouring calls that only read run side by side, the rest one by one in the model's order.
Results are emitted as they come and belong to their call by id.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Awaitable, Callable, Iterable, Sequence
from itertools import groupby
from typing import Any, cast

import msgspec

from agent.core.errors import AnswerNeeded, SandboxError, ToolboxError
from agent.core.events import AnyEvent, CallFinished, CallOutput, CallStarted
from agent.core.limits import OUTPUT_TAIL_BYTES, PARALLEL_CALLS_MAX
from agent.core.messages import ToolCall, ToolResult
from agent.core.text import one_line
from agent.loop import wording
from agent.tools.base import Tool, ToolContext, Toolset, schema_of

Context = Callable[[ToolCall, Callable[[str], None]], Awaitable[ToolContext]]
Emit = Callable[[AnyEvent], None]


async def run_calls(
    tools: Toolset,
    context: Context,
    emit: Emit,
    calls: Sequence[ToolCall],
    *,
    cut: bool = False,
) -> None:
    """Run `calls`; each ends in one `CallFinished`, those never begun included.

    With `cut` the reply ended at the limit of its length, perhaps within the last of them.

    Raises `SandboxError` when there is no sandbox to run them in and `AnswerNeeded` when nobody
    answers who must; cancellation passes through.
    """
    batch = _Batch(tools, context, emit, calls[-1] if cut and calls else None)
    try:
        for alone, group in groupby(calls, key=lambda call: not _beside(tools, call)):
            if alone:
                for call in group:
                    await batch.run(call)
            else:
                await _together(batch.run(call) for call in group)
    finally:
        batch.complete(calls)


def _beside(tools: Toolset, call: ToolCall) -> bool:
    tool = tools.find(call.name)
    return tool is None or tool.reads_only or tool.together


async def _together(jobs: Iterable[Awaitable[None]]) -> None:
    room = asyncio.Semaphore(PARALLEL_CALLS_MAX)

    async def limited(job: Awaitable[None]) -> None:
        async with room:
            await job

    try:
        async with asyncio.TaskGroup() as group:
            for job in list(jobs):
                group.create_task(limited(job))
    except ExceptionGroup as failed:
        # One cause is enough for the caller, and it wants the plain exception. (Not `except*`:
        # before Python 3.11.4 what is raised in there is wrapped in a group again.)
        raise failed.exceptions[0] from None


class _Batch:
    """The calls of one reply under way: which have begun, which are answered."""

    def __init__(self, tools: Toolset, context: Context, emit: Emit, cut: ToolCall | None) -> None:
        self._tools = tools
        self._cut = cut
        self._context = context
        self._emit = emit
        self._begun: dict[str, float] = {}
        self._heard: dict[str, str] = {}
        self._answered: set[str] = set()

    async def run(self, call: ToolCall) -> None:
        tool = self._tools.find(call.name)
        arguments = refusal = None
        if tool is None:
            refusal = wording.unknown_tool(call.name, self._tools.names)
        elif call is self._cut and call.arguments is None:
            refusal = wording.call_cut(tool.name)
        else:
            arguments, refusal = _parsed(tool, call)
        self._begin(call, tool.title(arguments) if tool and refusal is None else call.name)
        if tool is None or refusal is not None:
            self._answer(ToolResult(call.id, ok=False, text=refusal or ""))
            return
        self._answer(await self._use(tool, arguments, call))

    async def _use(self, tool: Tool, arguments: Any, call: ToolCall) -> ToolResult:
        """Run the tool. This is one of the few borders that catch everything: see the test."""

        def on_output(text: str) -> None:
            self._heard[call.id] = (self._heard.get(call.id, "") + text)[-OUTPUT_TAIL_BYTES:]
            self._emit(CallOutput(call.id, text))

        try:
            context = await self._context(call, on_output)
            return await tool.run(arguments, context)
        except ToolboxError as error:
            return ToolResult(call.id, ok=False, text=wording.tool_failed(tool.name, error.message))
        except (SandboxError, AnswerNeeded):
            raise
        except Exception as error:  # noqa: BLE001 a tool's defect must not end the session
            text = wording.tool_failed(tool.name, f"{type(error).__name__}: {error}")
            return ToolResult(call.id, ok=False, text=text, details={"defect": True})

    def complete(self, calls: Sequence[ToolCall]) -> None:
        """Answer every call that has no result yet as interrupted."""
        for call in calls:
            if call.id in self._answered:
                continue
            begun = call.id in self._begun
            if not begun:
                self._begin(call, call.name)
            text = wording.interrupted(begun=begun, output=self._heard.get(call.id, ""))
            self._answer(ToolResult(call.id, ok=False, text=text, details={"interrupted": True}))

    def _begin(self, call: ToolCall, title: str) -> None:
        self._begun[call.id] = time.monotonic()
        self._emit(CallStarted(call, one_line(title)))

    def _answer(self, result: ToolResult) -> None:
        self._answered.add(result.call_id)
        seconds = time.monotonic() - self._begun[result.call_id]
        self._emit(CallFinished(result, round(seconds, 3)))


def _parsed(tool: Tool, call: ToolCall) -> tuple[Any, str | None]:
    """The arguments as the tool's type, or the reason for which they are none."""
    schema = schema_of(tool.arguments)
    if call.arguments is None:
        return None, wording.not_json(tool.name, call.raw, schema)
    try:
        # Not strict: models write "10" for 10 and "true" for true, and mean it.
        return msgspec.convert(call.arguments, tool.arguments, strict=False), None
    except msgspec.ValidationError as error:
        for lists in (False, True):
            with contextlib.suppress(msgspec.ValidationError):
                plain = _plain(call.arguments, lists)
                return msgspec.convert(plain, tool.arguments, strict=False), None
        return None, wording.bad_arguments(tool.name, str(error), schema)


def _plain(value: Any, lists: bool) -> Any:
    """Arguments without nulls, which mean the default; with `lists` no list is in a string."""
    if isinstance(value, dict):
        given = cast("dict[str, Any]", value).items()
        return {key: _plain(item, lists) for key, item in given if item is not None}
    if isinstance(value, list):
        return [_plain(item, lists) for item in cast("list[Any]", value)]
    if lists and isinstance(value, str) and value.lstrip().startswith("["):
        with contextlib.suppress(msgspec.DecodeError):
            return _plain(msgspec.json.decode(value), lists)
    return value
