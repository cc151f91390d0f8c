"""Several files change or none: whatever fails, whoever meddles, whenever we are killed."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from agent.toolbox.changes import records
from tests.sandbox_fixtures import TOOLBOX_PYTHON, bare_toolbox
from tests.toolbox import breaking

SOURCE = Path(__file__).parents[2]
BEFORE = {"a": "one\n" * 500, "b": "two\n", "c": "three\n", "d/gone": "four\n", "d/moved": "five\n"}
AFTER = {"a": "1\n" + "one\n" * 499, "b": "2\n", "c": "3\n", "new/e/f": "6\n", "g": "5\n"}
PATCH = """\
*** Begin Patch
*** Update File: a
@@ -1,2 +1,2 @@
-one
+1
*** Update File: b
-two
+2
*** Add File: new/e/f
+6
*** Delete File: d/gone
*** Update File: d/moved
*** Move to: g
-five
+5
*** Update File: c
-three
+3
*** End Patch
"""


def fill(folder: Path) -> None:
    for name, content in BEFORE.items():
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text(content)


def files(folder: Path) -> dict[str, str]:
    """The files, without what is only there on the way."""
    found = {str(path.relative_to(folder)): path for path in folder.rglob("*") if path.is_file()}
    return {name: path.read_text() for name, path in found.items() if ".glovebox-" not in name}


def left(folder: Path) -> list[str]:
    """What should not be there, neither before nor after."""
    known = {*BEFORE, *AFTER, "d", "new", "new/e"}
    names = sorted(str(path.relative_to(folder)) for path in folder.rglob("*"))
    record = records.folder_of(str(folder))
    return [name for name in names if name not in known] + (
        os.listdir(record) if os.path.isdir(record) else []
    )


def run(top: Path, how: str, *numbers: int) -> dict[int, dict[str, Any] | None]:
    """For each number of the range, a directory and what came of it; None when it was killed."""
    for number in range(*numbers):
        folder = top / str(number)
        folder.mkdir()
        fill(folder)
    return broken(top, how, *numbers)


def broken(top: Path, how: str, *numbers: int) -> dict[int, dict[str, Any] | None]:
    """The same where the directories are there."""
    arguments = [str(SOURCE), str(top), how, *map(str, numbers)]
    subprocess.run(
        [TOOLBOX_PYTHON, breaking.__file__, *arguments], input=PATCH.encode(), check=True
    )
    answers = {number: top / f"{number}.json" for number in range(*numbers)}
    return {
        number: json.loads(path.read_bytes()) if path.exists() else None
        for number, path in answers.items()
    }


@pytest.fixture(scope="module", name="moments")
def _moments(tmp_path_factory: pytest.TempPathFactory) -> int:
    top = tmp_path_factory.mktemp("count")
    told = run(top, "run", 0, 1)[0]
    assert told is not None and told["answer"]["ok"]
    assert (files(top / "0"), left(top / "0")) == (AFTER, [])
    count: int = told["moments"]
    return count


def test_killed_at_any_moment_each_file_is_old_or_new_and_then_all_are_old_or_all_new(
    tmp_path: Path, moments: int
) -> None:
    assert moments > 50
    outcomes: set[str] = set()
    for number, told in run(tmp_path, "kill", 1, moments + 1).items():
        folder = tmp_path / str(number)
        # One moment less where the directory of all records is there already.
        assert told is None or (number == moments and files(folder) == AFTER)
        for name, content in files(folder).items():
            assert content in (BEFORE.get(name), AFTER.get(name)), (number, name)
        old, new = files(folder) == BEFORE, files(folder) == AFTER
        outcomes.add("old" if old else "new" if new else "both")
        records.recover(str(folder))
        assert left(folder) == [], number
        assert files(folder) in (BEFORE, AFTER), number
        assert (folder / "new").exists() == (files(folder) == AFTER)
    assert outcomes == {"old", "both", "new"}


@pytest.mark.parametrize("how", ["fail", "fail-on"])
def test_whatever_fails_nothing_is_half_done(tmp_path: Path, moments: int, how: str) -> None:
    for number, told in run(tmp_path, how, 1, moments + 1).items():
        folder = tmp_path / str(number)
        assert told is not None
        answer = told["answer"]
        if answer["ok"]:
            assert files(folder) == AFTER, number
        elif answer["reason"] != "torn":
            assert files(folder) == BEFORE, number
        # What could not be cleared away, or undone, then is now.
        records.recover(str(folder))
        assert left(folder) == [], number
        assert files(folder) == (AFTER if answer["ok"] else BEFORE), number


def test_what_another_program_writes_meanwhile_is_noticed_or_comes_after(
    tmp_path: Path, moments: int
) -> None:
    noticed = 0
    for number, told in run(tmp_path, "meddle", 1, moments + 1, 3).items():
        assert told is not None
        if told["answer"]["ok"]:
            continue
        noticed += 1
        assert files(tmp_path / str(number)) == {**BEFORE, "c": "of somebody else\n"}, number
        assert left(tmp_path / str(number)) == [], number
    assert noticed > 10


@pytest.fixture(name="half")
def _half(tmp_path: Path, moments: int) -> Path:
    """A directory in which a change was killed when it was half done."""
    run(tmp_path, "kill", 1, moments + 1)
    folders = [tmp_path / str(number) for number in range(1, moments + 1)]
    return next(folder for folder in folders if files(folder) not in (BEFORE, AFTER))


def test_a_start_puts_right_what_was_left(half: Path) -> None:
    async def start() -> None:
        async with bare_toolbox(half):
            assert files(half) == BEFORE

    asyncio.run(start())
    assert left(half) == []


def test_the_next_change_puts_right_what_was_left(half: Path) -> None:
    number = int(half.name)
    told = broken(half.parent, "run", number, number + 1)[number]
    assert told is not None and told["answer"]["ok"]
    assert (files(half), left(half)) == (AFTER, [])


def test_what_was_changed_since_a_kill_stays(half: Path) -> None:
    changed = [name for name, content in files(half).items() if BEFORE.get(name) != content]
    (half / changed[0]).write_text("of the user\n")
    records.recover(str(half))
    assert (half / changed[0]).read_text() == "of the user\n"
    assert left(half) == []


def test_a_record_that_is_none_does_no_harm(tmp_path: Path) -> None:
    fill(tmp_path)
    folder = Path(records.folder_of(str(tmp_path)))
    for name, content in [
        ("empty", b""),
        ("half", b'[{"path": "/etc'),
        ("binary", b"\xff\0\n"),
        ("other", b'{"a": 1}\n'),
        ("list", b"[1]\n"),
        ("lacking", b'[{"path": "a"}]\n'),
    ]:
        folder.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)
    os.mkfifo(folder / "fifo")
    (folder / "loop").symlink_to("loop")
    records.recover(str(tmp_path))
    assert files(tmp_path) == BEFORE
    assert sorted(os.listdir(folder)) == ["fifo", "loop"]
    for name in ("fifo", "loop"):
        (folder / name).unlink()
    folder.rmdir()


def test_changes_that_come_together_all_count(tmp_path: Path) -> None:
    (tmp_path / "f").write_text("".join(f"<{n}>\n" for n in range(40)))
    (tmp_path / "g").write_text("")

    async def change() -> None:
        async with bare_toolbox(tmp_path) as toolbox:
            calls = [
                toolbox.call(
                    "multiedit", edits=[{"path": "f", "old": f"<{n}>", "new": f"[{n}]"}], seen={}
                )
                for n in range(40)
            ]
            assert all(done["ok"] for done in await asyncio.gather(*calls))

    asyncio.run(change())
    assert (tmp_path / "f").read_text() == "".join(f"[{n}]\n" for n in range(40))


def test_a_change_on_which_nobody_could_wait_is_not_in_the_way(tmp_path: Path) -> None:
    """A record whose writer lives is left alone."""
    fill(tmp_path)
    script = (
        "import sys, time; sys.path.insert(0, sys.argv[1]);"
        "from agent.toolbox.changes.records import Record; record = Record(sys.argv[2]);"
        "record.write([{'path': sys.argv[2] + '/a', 'new': sys.argv[2] + '/b', 'old': '',"
        "'created': True, 'folders': [], 'made': []}]);"
        "print('ready', flush=True); sys.stdin.read(); record.remove()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", script, str(SOURCE), str(tmp_path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as writer:
        assert writer.stdin is not None and writer.stdout is not None
        assert writer.stdout.readline() == b"ready\n"
        records.recover(str(tmp_path))
        assert files(tmp_path) == BEFORE
        writer.stdin.close()
    assert left(tmp_path) == []
