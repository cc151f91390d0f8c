"""The tools over the real toolbox: real files, real programs."""

from __future__ import annotations

import contextlib
import re
from collections.abc import AsyncGenerator
from typing import Any

from agent.core.limits import BASH_MAX_LINES, LINE_MAX_CHARS, READ_MAX_LINES
from agent.core.messages import ToolResult
from tests.tools.conftest import Inside
from tests.tools.fake import context, use


class User:
    """Uses the tools as the loop does: what a result tells of a file is remembered."""

    def __init__(self, sandbox: Any) -> None:
        self.sandbox = sandbox
        self.heard: list[str] = []
        self.ctx = context(sandbox, heard=self.heard.append)

    async def __call__(self, name: str, /, **arguments: Any) -> ToolResult:
        result = await use(name, self.ctx, **arguments)
        self.ctx.seen.note(result.details)
        return result

    async def put(self, path: str, data: bytes) -> None:
        await self.sandbox.put(f"{self.sandbox.workdir}/{path}", data)

    async def bash(self, command: str, **arguments: Any) -> str:
        return (await self("bash", command=command, **arguments)).text


@contextlib.asynccontextmanager
async def user(inside: Inside) -> AsyncGenerator[User]:
    async with inside() as sandbox:
        yield User(sandbox)


async def test_write_read_edit_and_run_a_program(inside: Inside) -> None:
    async with user(inside) as u:
        made = await u("write", path="src/hello.sh", content="echo hello\n")
        assert made.text == "Created src/hello.sh (lines: 1, bytes: 11)."
        assert (await u("read", path="src/hello.sh")).text == "1\techo hello"
        edited = await u("edit", path="src/hello.sh", old="hello", new="$1 \\1 ${x} good")
        assert edited.text == "Edited src/hello.sh, 1 replaced:\n1\techo $1 \\1 ${x} good"
        assert await u.bash("cat src/hello.sh") == "echo $1 \\1 ${x} good\nExit code 0."


async def test_a_change_behind_the_models_back_is_noticed(inside: Inside) -> None:
    async with user(inside) as u:
        await u("write", path="a.txt", content="one\n")
        await u.bash("echo two > a.txt")
        for name, more in [("write", {"content": "x"}), ("edit", {"old": "two", "new": "x"})]:
            refused = await u(name, path="a.txt", **more)
            assert (refused.ok, refused.details["reason"]) == (False, "stale")
        await u("read", path="./a.txt")
        assert (await u("edit", path="a.txt", old="two", new="three")).ok
        assert await u.bash("cat a.txt") == "three\nExit code 0."


async def test_a_file_never_read_is_not_overwritten_but_may_be_edited(inside: Inside) -> None:
    async with user(inside) as u:
        await u.put("a.txt", b"one\n")
        refused = await u("write", path="a.txt", content="x")
        assert (refused.ok, refused.details["reason"]) == (False, "unread")
        assert (await u("edit", path="a.txt", old="one", new="two")).ok
        assert (await u("write", path="a.txt", content="three\n")).ok


async def test_a_file_under_home_is_known_by_both_names(inside: Inside) -> None:
    async with user(inside) as u:
        await u.bash("echo x > ~/a.txt")
        assert (await u("read", path="~/a.txt")).text == "1\tx"
        assert (await u("write", path="~/a.txt", content="y")).ok


async def test_an_edit_that_fits_nowhere_shows_where_it_nearly_does(inside: Inside) -> None:
    async with user(inside) as u:
        await u.put("a.py", b"def f():\n    if x:\n        return 1\n")
        result = await u("edit", path="a.py", old="if x:\n    return 2\n", new="pass\n")
        assert result.ok is False
        assert "2\t    if x:\n3\t        return 1" in result.text
        assert await u.bash("cat a.py") == "def f():\n    if x:\n        return 1\nExit code 0."


async def test_an_edit_that_fits_twice_names_the_lines(inside: Inside) -> None:
    async with user(inside) as u:
        await u.put("a.txt", b"x\ny\nx\n")
        result = await u("edit", path="a.txt", old="x", new="z")
        assert (result.ok, "at lines 1, 3." in result.text) == (False, True)
        assert (await u("edit", path="a.txt", old="x", new="z", all=True)).ok
        assert await u.bash("cat a.txt") == "z\ny\nz\nExit code 0."


async def test_a_file_edited_down_to_nothing(inside: Inside) -> None:
    async with user(inside) as u:
        await u.put("a.txt", b"x\n")
        result = await u("edit", path="a.txt", old="x\n", new="")
        assert result.text == "Edited a.txt, 1 replaced:\n[the file is empty]"
        assert (await u("read", path="a.txt")).text == "[the file is empty]"


async def test_a_long_file_is_read_in_parts_that_join(inside: Inside) -> None:
    async with user(inside) as u:
        await u.bash("seq 1 4500 > n.txt")
        offset = 1
        lines: list[str] = []
        while offset <= 4500:
            result = await u("read", path="n.txt", offset=offset)
            part = [line for line in result.text.split("\n") if "\t" in line]
            assert len(part) <= READ_MAX_LINES
            lines += part
            offset = result.details["last"] + 1
        assert lines == [f"{n}\t{n}" for n in range(1, 4501)]
        past = await u("read", path="n.txt", offset=4501)
        assert past.text == "n.txt ends at line 4500; there is nothing at that offset."


async def test_long_lines_other_encodings_and_binary_files_are_told(inside: Inside) -> None:
    async with user(inside) as u:
        await u.put("long.txt", b"x" * 5_000 + b"\nshort\n")
        long = (await u("read", path="long.txt")).text.split("\n")
        assert long[0] == "1\t" + "x" * LINE_MAX_CHARS and "line 1]" in long[2]
        await u.put("wide.txt", "\ufeffa\r\nb\r\n".encode("utf-16-le"))
        wide = (await u("read", path="wide.txt")).text
        assert wide.startswith("1\ta\n2\tb\n") and "utf-16-le" in wide and "CRLF" in wide
        await u.put("data.bin", b"\x7fELF\0\0\0")
        assert "is not text" in (await u("read", path="data.bin")).text


async def test_a_directory_is_listed_and_an_absent_file_has_neighbours(inside: Inside) -> None:
    async with user(inside) as u:
        await u.bash("mkdir -p d/sub; touch d/readme.md")
        assert (await u("read", path="d")).text == "sub/ (empty)\nreadme.md 0"
        absent = await u("read", path="d/readm.md")
        assert (absent.ok, absent.text) == (
            False, "d/readm.md does not exist. Near it: d/readme.md."
        )  # fmt: skip
        assert "Near it: d/readme.md." in (await u("grep", pattern="x", path="d/readm.md")).text


async def test_a_name_that_is_no_text_does_not_break_anything(inside: Inside) -> None:
    async with user(inside) as u:
        await u.bash("mkdir d && touch $'d/caf\\xe9'")
        result = await u("read", path="d")
        assert result.text == "caf\ufffd 0"


async def test_hidden_characters_are_shown_and_counted(inside: Inside) -> None:
    async with user(inside) as u:
        await u.put("a.txt", "say \u202ehi\U000e0041\n".encode())
        text = (await u("read", path="a.txt")).text
        assert text.startswith("1\tsay \ufffdhi\ufffd\n[2 invisible")


async def test_output_is_seen_as_it_comes_and_is_the_start_of_the_whole(inside: Inside) -> None:
    async with user(inside) as u:
        text = await u.bash("printf 'é%.0s' $(seq 300); echo; echo done >&2; exit 3")
        assert "".join(u.heard) == "é" * 300 + "\ndone\n"
        assert text == "é" * 300 + "\ndone\nExit code 3."


async def test_a_command_past_its_deadline_is_stopped_and_says_how_to_go_on(inside: Inside) -> None:
    async with user(inside) as u:
        result = await u("bash", command="echo before; sleep 1000; echo after", seconds=0.5)
        assert result.text.startswith("before\nStopped at its deadline of 0.5 seconds")
        assert (result.ok, result.details["timed_out"]) == (False, True)


async def test_a_flood_of_output_keeps_both_ends(inside: Inside) -> None:
    async with user(inside) as u:
        result = await u("bash", command="seq 1 2000000")
        lines = result.text.split("\n")
        assert lines[0] == "1" and "2000000" in lines
        assert len(lines) <= BASH_MAX_LINES + 3
        assert result.details["dropped"] > 14_000_000


async def test_a_log_of_what_was_left_out_can_be_searched(inside: Inside) -> None:
    async with user(inside) as u:
        for count in (2_000, 2_000_000):
            text = await u.bash(f"seq 1 {count}")
            log = re.findall(r"is in (/\S+\.log):", text)[0]
            place = log.replace("/tmp/glovebox/", getattr(u.sandbox, "logs", "/tmp/glovebox/"))
            found = await u.bash(f"grep -n '^{count // 2}$' {place}")
            assert found == f"{count // 2}:{count // 2}\nExit code 0."


async def test_what_is_left_running_does_not_hold_the_call(inside: Inside) -> None:
    async with user(inside) as u:
        assert await u.bash("sleep 300 >/dev/null 2>&1 & echo $! > pid") == (
            "(no output)\nExit code 0."
        )
        assert await u.bash("kill -0 $(cat pid) && kill $(cat pid)") == "(no output)\nExit code 0."


async def test_calls_share_files_and_nothing_else(inside: Inside) -> None:
    async with user(inside) as u:
        await u.bash("mkdir d; cd d; export X=1; echo > f")
        assert await u.bash('echo "$X"; ls; basename "$PWD" | grep -c d$') == (
            "\nd\n0\nExit code 1."
        )
