"""A sandbox that answers what a test tells it to, for the words of the tools.

What the tools do to real files and processes is in `test_inside.py`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from agent.core.messages import ToolResult
from agent.host.files import package_texts
from agent.sandbox.protocol import ExecResult, OnOutput
from agent.tools.base import Seen, ToolContext
from agent.tools.builtin import builtin

TOOLS = builtin(package_texts("prompts/tools"))


@dataclass
class FakeToolbox:
    answer: Mapping[str, Any] = field(default_factory=dict[str, Any])
    calls: list[dict[str, Any]] = field(default_factory=list[dict[str, Any]])
    error: Exception | None = None

    async def call(self, op: str, **arguments: Any) -> dict[str, Any]:
        self.calls.append({"op": op, **arguments})
        if self.error is not None:
            raise self.error
        return dict(self.answer)


@dataclass
class FakeSandbox:
    result: ExecResult = field(default_factory=lambda: ExecResult(0, b""))
    live: Sequence[bytes] = ()
    absent: tuple[str, ...] = ()  # programs that cannot be started
    hangs: bool = False
    put_error: Exception | None = None
    toolbox: FakeToolbox = field(default_factory=FakeToolbox)
    ref: str = "fake:1"
    workdir: str = "/workspace"
    runs: list[dict[str, Any]] = field(default_factory=list[dict[str, Any]])
    files: dict[str, bytes] = field(default_factory=dict[str, bytes])

    async def exec(
        self, argv: Sequence[str], *, on_output: OnOutput | None = None, **options: Any
    ) -> ExecResult:
        self.runs.append({"argv": list(argv), **options})
        if self.hangs:
            await asyncio.Event().wait()
        if argv[0] in self.absent:
            return ExecResult(127, b"no such program\n")
        for piece in self.live:
            if on_output is not None:
                on_output(piece)
        return self.result

    async def put(self, path: str, data: bytes, *, mode: int = 0o644) -> None:
        if self.put_error is not None:
            raise self.put_error
        self.files[path] = data


def context(
    sandbox: Any, *, heard: Callable[[str], None] = lambda _: None, call_id: str = "call_1"
) -> ToolContext:
    return ToolContext(sandbox, call_id, heard, Seen())


async def use(name: str, ctx: ToolContext, /, **arguments: Any) -> ToolResult:
    """One call as the loop makes it: the wrapped tool, its arguments parsed."""
    tool = TOOLS.find(name)
    assert tool is not None
    return await tool.run(tool.arguments(**arguments), ctx)


async def said(name: str, answer: Mapping[str, Any], /, **arguments: Any) -> ToolResult:
    """What a tool makes of one answer of the toolbox."""
    return await use(name, context(FakeSandbox(toolbox=FakeToolbox(answer))), **arguments)


async def shown(result: ExecResult, command: str = "x", **arguments: Any) -> ToolResult:
    """What `bash` makes of one run."""
    return await use("bash", context(FakeSandbox(result)), command=command, **arguments)
