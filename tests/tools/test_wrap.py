from __future__ import annotations

import dataclasses
import json
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.core.errors import SandboxError, SandboxLost, SandboxUnavailable, ToolboxError
from agent.core.limits import RESULT_MAX_BYTES, RESULT_MAX_LINES
from agent.core.messages import ToolResult
from agent.tools import wording
from agent.tools.base import Tool, ToolContext
from agent.tools.edit import Edit
from agent.tools.wrap import shorten, wrap
from tests.tools.fake import FakeSandbox, FakeToolbox, context, use


class Nothing(msgspec.Struct):
    pass


def saying(text: str, **details: Any) -> Tool:
    async def run(_: Nothing, ctx: ToolContext) -> ToolResult:
        return ToolResult(ctx.call_id, True, text, details)

    return Tool("say", "", Nothing, run, reads_only=True, title=lambda _: "say")


async def wrapped(tool: Tool, sandbox: FakeSandbox | None = None) -> ToolResult:
    return await wrap(tool).run(Nothing(), context(sandbox or FakeSandbox()))


async def test_a_hung_command_becomes_a_result() -> None:
    tool = saying("never")

    async def hang(_: Nothing, ctx: ToolContext) -> ToolResult:
        await ctx.sandbox.exec(["sleep"])
        raise AssertionError

    hung = dataclasses.replace(tool, run=hang, seconds=lambda _: 0.01)
    result = await wrapped(hung, FakeSandbox(hangs=True))
    text = wording.HUNG.format(seconds=0.01)
    assert result == ToolResult("call_1", False, text, {"timed_out": True})


async def test_a_time_out_of_the_tools_own_is_not_taken_for_a_hang() -> None:
    async def fail(_: Nothing, ctx: ToolContext) -> ToolResult:
        raise TimeoutError("mine")

    with pytest.raises(TimeoutError, match="mine"):
        await wrapped(dataclasses.replace(saying(""), run=fail))


@pytest.mark.parametrize("error", [ToolboxError, SandboxError])
async def test_a_failing_sandbox_is_a_result_without_the_hosts_words(error: type) -> None:
    broken = FakeSandbox(toolbox=FakeToolbox(error=error("bwrap: /home/canary/x", "hint")))
    result = await use("read", context(broken), path="a")
    details = {"problem": error.__name__, "message": "bwrap: /home/canary/x"}
    assert result == ToolResult("call_1", False, wording.BROKEN, details)


@pytest.mark.parametrize("error", [SandboxLost, SandboxUnavailable])
async def test_a_sandbox_that_is_gone_is_no_result(error: type) -> None:
    gone = FakeSandbox(toolbox=FakeToolbox(error=error("gone")))
    with pytest.raises(error):
        await use("read", context(gone), path="a")


@pytest.mark.parametrize(
    "answer",
    [
        {},
        {"ok": True},
        {"ok": "yes", "path": "/a", "hash": "h"},
        {"ok": True, "path": 1, "hash": "h", "text": "", "first": 1, "last": 1, "total": 1},
        {"ok": False},
        {"ok": False, "reason": ["absent"]},
        {"ok": False, "reason": "absent", "nearest": "4"},
    ],
)
@pytest.mark.parametrize("name", ["read", "write", "edit", "multiedit", "patch"])
async def test_nonsense_from_inside_is_a_result(name: str, answer: dict[str, Any]) -> None:
    one = {"path": "a", "old": "a", "new": "b"}
    arguments: dict[str, Any] = {
        "read": {"path": "a"},
        "write": {"path": "a", "content": ""},
        "edit": one,
        "multiedit": {"edits": [Edit(**one)]},
        "patch": {"patch": "x"},
    }[name]
    ctx = context(FakeSandbox(toolbox=FakeToolbox(answer)))
    result = await use(name, ctx, **arguments)
    assert (result.ok, result.text) == (False, wording.BROKEN)


async def test_a_result_that_fits_is_left_alone() -> None:
    assert (await wrapped(saying("a\nb"))).text == "a\nb"


async def test_what_a_person_could_not_see_is_made_visible() -> None:
    result = await wrapped(saying("a\u202eb\U000e0041c\x1b[2J\u200bd\t\r\n"))
    assert result.text == "a\ufffdb\ufffdc\u241b[2J\ufffdd\t\r\n"


async def test_details_can_be_written_as_json() -> None:
    name = b"caf\xe9".decode("utf-8", "surrogateescape")
    result = await wrapped(saying(name, path=name, entries=[name], deep={"a": [name, 1, None]}))
    details = json.loads(msgspec.json.encode(result))["details"]
    assert details == {"path": "caf?", "entries": ["caf?"], "deep": {"a": ["caf?", 1, None]}}


async def test_an_endless_result_is_cut_with_a_note_how_to_see_more() -> None:
    text = "\n".join(str(n) for n in range(20_000))
    result = await wrapped(saying(text))
    lines = result.text.split("\n")
    assert lines[0] == "0" and lines[-1] == "19999"
    assert len(lines) == RESULT_MAX_LINES + 1
    notes = [line for line in lines if line.startswith("[… ")]
    dropped = len(text) - len(result.text) + len(notes[0]) + 2
    assert notes == [wording.CUT.format(dropped=dropped)]


@given(
    st.text(alphabet="ab\né😀", max_size=300),
    st.integers(min_value=30, max_value=120),
    st.integers(min_value=4, max_value=30),
)
def test_a_cut_keeps_both_ends_and_the_bounds(text: str, size: int, lines: int) -> None:
    short = shorten(text, size=size, lines=lines)
    if len(text.encode()) <= size and text.count("\n") < lines:
        assert short == text
        return
    head, _, rest = short.partition("\n[… ")
    tail = rest.partition(" …]\n")[2]
    assert text.startswith(head) and text.endswith(tail)
    assert len((head + tail).encode()) <= size
    assert head.count("\n") + tail.count("\n") + 2 <= lines + 1
    dropped = len(text.encode()) - len((head + tail).encode())
    assert f"[… {dropped} bytes" in short


def test_the_longest_page_of_a_file_passes_the_cut() -> None:
    from agent.core.limits import LINE_MAX_CHARS, READ_MAX_BYTES, READ_MAX_LINES

    widest = READ_MAX_BYTES + READ_MAX_LINES * len("1000\t")
    assert widest + LINE_MAX_CHARS < RESULT_MAX_BYTES
    assert READ_MAX_LINES + 10 < RESULT_MAX_LINES
