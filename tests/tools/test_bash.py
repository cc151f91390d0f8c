from __future__ import annotations

from typing import Any

import pytest

from agent.core.errors import SandboxError, SandboxLost
from agent.core.limits import (
    BASH_DEFAULT_SECONDS,
    BASH_MAX_LINES,
    BASH_MAX_SECONDS,
    CALL_GRACE_SECONDS,
)
from agent.sandbox.protocol import ExecResult
from agent.tools import wording
from tests.tools.fake import TOOLS, FakeSandbox, context, shown, use


def bash(**arguments: Any) -> Any:
    tool = TOOLS.find("bash")
    assert tool is not None
    return tool, tool.arguments(**arguments)


async def test_a_command_runs_in_bash_in_the_work_directory_with_a_log() -> None:
    sandbox = FakeSandbox()
    await use("bash", context(sandbox, call_id="../a b/é"), command="echo $HOME")
    assert sandbox.runs == [
        {
            "argv": ["bash", "-c", "echo $HOME"],
            "cwd": "/workspace",
            "seconds": BASH_DEFAULT_SECONDS,
            "log": "/tmp/glovebox/___a_b__.log",
        }
    ]


@pytest.mark.parametrize(
    ("wanted", "given"),
    [(None, BASH_DEFAULT_SECONDS), (7, 7), (10**6, BASH_MAX_SECONDS), (0, BASH_DEFAULT_SECONDS)],
)
async def test_the_deadline_is_the_wanted_one_within_bounds(
    wanted: float | None, given: float
) -> None:
    sandbox = FakeSandbox()
    await use("bash", context(sandbox), command="x", seconds=wanted)
    assert sandbox.runs[0]["seconds"] == given
    tool, arguments = bash(command="x", seconds=wanted)
    assert tool.seconds(arguments) == given + CALL_GRACE_SECONDS


async def test_details_tell_people_how_it_went() -> None:
    run = ExecResult(None, b"x", dropped=3, timed_out=True, seconds=1.5, log="/l")
    result = await shown(run)
    assert result.ok is False
    assert result.details == {
        "exit_code": None,
        "timed_out": True,
        "dropped": 3,
        "seconds": 1.5,
    }


async def test_time_does_not_show_in_the_text() -> None:
    fast, slow = ExecResult(0, b"x", seconds=0.1), ExecResult(0, b"x", seconds=9.0)
    assert (await shown(fast)).text == (await shown(slow)).text


async def test_live_output_is_text_even_when_a_character_comes_in_two_pieces() -> None:
    heard: list[str] = []
    sandbox = FakeSandbox(live=["é".encode()[:1], "é".encode()[1:] + b"!", b"\xff", b"\xc3"])
    await use("bash", context(sandbox, heard=heard.append), command="x")
    assert heard == ["é!", "\ufffd", "\ufffd"]


async def test_without_bash_the_command_runs_in_sh() -> None:
    sandbox = FakeSandbox(ExecResult(0, b"hi\n"), absent=("bash",))
    result = await use("bash", context(sandbox), command="echo hi")
    assert [run["argv"][0] for run in sandbox.runs] == ["bash", "bash", "sh"]
    assert (result.ok, result.text) == (True, "hi\nExit code 0.")


async def test_a_command_that_is_not_found_is_not_run_again() -> None:
    class HasBash(FakeSandbox):
        async def exec(self, argv: Any, **options: Any) -> ExecResult:
            await super().exec(argv, **options)
            return ExecResult(0, b"") if argv[2] == "exit 0" else ExecResult(127, b"not found\n")

    sandbox = HasBash()
    result = await use("bash", context(sandbox), command="nope")
    assert [run["argv"][2] for run in sandbox.runs] == ["nope", "exit 0"]
    assert result.text == "not found\nExit code 127."


async def test_lines_left_out_go_to_the_log_that_the_text_names() -> None:
    output = b"".join(b"%d\n" % n for n in range(3 * BASH_MAX_LINES))
    sandbox = FakeSandbox(ExecResult(0, output))
    result = await use("bash", context(sandbox), command="seq")
    log = "/tmp/glovebox/call_1.log"
    assert sandbox.files == {log: output}
    assert wording.LOG.format(size=len(output), log=log) in result.text
    assert result.text.count("\n") == BASH_MAX_LINES + 2


async def test_a_log_that_cannot_be_written_is_not_named() -> None:
    output = b"\n" * (3 * BASH_MAX_LINES)
    sandbox = FakeSandbox(ExecResult(0, b"x" + output + b"y"), put_error=SandboxError("full"))
    result = await use("bash", context(sandbox), command="seq")
    assert wording.NO_LOG.format(size=len(output) + 2) in result.text
    assert "Exit code 0." in result.text
    sandbox.put_error = SandboxLost("gone")
    with pytest.raises(SandboxLost):
        await use("bash", context(sandbox), command="seq")


async def test_a_character_cut_at_the_gap_leaves_no_trace() -> None:
    data = ("x" + "é" * 20_000).encode()
    output = data[:10_000] + data[20_002:]
    result = await shown(ExecResult(0, output, dropped=10_000, log="/l"))
    assert "\ufffd" not in result.text


@pytest.mark.parametrize(
    "text", ["naïve café\n", "\x1b[1mbold\x1b[0m\n" * 50, "a\0b.txt\0c d.txt\0", "\t\r\n\f"]
)
async def test_text_is_not_taken_for_binary(text: str) -> None:
    assert "binary" not in (await shown(ExecResult(0, text.encode()))).text


async def test_of_what_is_written_over_the_last_is_shown() -> None:
    output = b"one\r\n 10%\r 50%\r100%\ndone\r\nlast\r"
    assert (await shown(ExecResult(0, output))).text == "one\n100%\ndone\nlast\nExit code 0."


async def test_a_long_line_is_shown_in_time() -> None:
    lines = [b"x" * 1_000_000, b"y" * 1_000_000 + b"\rz"]
    result = await shown(ExecResult(0, b"\n".join(lines)))
    assert result.text.endswith("x\nz\nExit code 0.")


@pytest.mark.parametrize("data", [b"\x7fELF\x02\x01\x01" + b"\0" * 60, bytes(range(256))])
async def test_binary_is_told_by_its_size_alone(data: bytes) -> None:
    result = await shown(ExecResult(0, data))
    assert result.text == f"{wording.BINARY.format(size=len(data))}\nExit code 0."


async def test_the_title_is_one_line_for_people() -> None:
    tool, arguments = bash(command="cd a &&\n  \x1b[31mmake\n")
    assert tool.title(arguments) == "$ cd a && ␛[31mmake"
