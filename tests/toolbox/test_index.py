"""The index of a tree: complete, kept up to date, and bounded whatever lies in the tree."""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace

import pytest

from agent.toolbox.code import parsing
from agent.toolbox.programs import own
from agent.toolbox.symbols import build, rows, store
from agent.toolbox.symbols.index import AT_ONCE, Index
from agent.toolbox.symbols.lookup import Lookup
from tests.toolbox.code import ask, built, git, grammars, parsed, places, repository, write


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(parsing, "_grammars", grammars())


def many(count: int, lines: int = 30) -> dict[str, str]:
    body = "".join(f"    value_{n} = helper_{n}(argument)\n" for n in range(lines))
    return {f"f{n % 10}__m{n}": f"def make_{n}(argument):\n{body}" for n in range(count)}


def state_of(index: Index, path: str) -> int:
    query = "SELECT state FROM file JOIN blob ON blob.id = blob WHERE path=?"
    return int(index.store.rows(query, path)[0][0])


def test_a_build_knows_definitions_and_uses(tmp_path: Path) -> None:
    root = repository(
        tmp_path / "r",
        a="class Bill:\n    def share(self):\n        return 1\n",
        b="from a import Bill\n\nBill().share()\n__all__ = ['Bill']\n",
    )
    index = built(root)
    lookup = Lookup(index)
    assert index.coverage() == (2, 2, True)
    (bill,) = lookup.definitions("Bill")
    assert (bill.path, bill.line, bill.definition.kind) == ("a.py", 1, "class")
    assert lookup.definitions("share")[0].qualified == "Bill.share"
    assert lookup.references("Bill") == {"b.py": [1, 3, 4]}
    assert lookup.references("share") == {"b.py": [3]}


def test_only_what_changed_is_parsed_again(tmp_path: Path) -> None:
    root = repository(tmp_path / "r", **many(20))
    index = built(root)
    assert parsed(index) == 20
    before = (root / "f1/m1.py").read_bytes()
    (root / "f1/m1.py").write_text("def fresh(): pass\n")
    assert places(ask(root, "definition", "fresh")) == ["f1/m1.py:1"]
    assert ask(root, "definition", "make_1")["reason"] == "unknown_name"
    assert parsed(index) == 21
    (root / "f1/m1.py").write_bytes(before)
    assert places(ask(root, "definition", "make_1")) == ["f1/m1.py:1"]
    assert parsed(index) == 21


def test_another_branch_a_worktree_and_a_copy_parse_nothing_again(tmp_path: Path) -> None:
    root = repository(tmp_path / "r", **many(12))
    git(root, "checkout", "-q", "-b", "other")
    write(root, f0__m0="def elsewhere(): pass\n")
    git(root, "commit", "-qam", "other")
    index = built(root)
    assert parsed(index) == 12
    git(root, "checkout", "-q", "main")
    assert places(ask(root, "definition", "make_0")) == ["f0/m0.py:1"]
    assert parsed(index) == 13
    git(root, "worktree", "add", "-q", str(tmp_path / "tree"), "other")
    assert places(ask(tmp_path / "tree", "definition", "elsewhere")) == ["f0/m0.py:1"]
    (root / "copy.py").write_bytes((root / "f2/m2.py").read_bytes())
    assert places(ask(root, "definition", "make_2")) == ["copy.py:1", "f2/m2.py:1"]
    assert parsed(index) == 13


def test_without_git_files_are_known_by_size_and_time(tmp_path: Path) -> None:
    root = tmp_path / "r"
    write(root, a="def one(): pass\n", b__c="def two(): pass\n")
    index = built(root)
    assert index.coverage() == (2, 2, True)
    assert places(ask(root, "definition", "two")) == ["b/c.py:1"]
    (root / "b/c.py").write_text("def three(): pass\n")
    assert places(ask(root, "definition", "three")) == ["b/c.py:1"]
    os.utime(root / "a.py", ns=(1, 1))
    assert places(ask(root, "definition", "one")) == ["a.py:1"]
    assert parsed(index) == 3


def test_line_ends_that_git_converts_do_not_make_a_file_missing(tmp_path: Path) -> None:
    root = repository(tmp_path / "r", a="def one():\n    pass\n")
    (root / ".gitattributes").write_text("*.py text eol=crlf\n")
    (root / "a.py").unlink()
    git(root, "checkout", "--", "a.py")
    assert b"\r\n" in (root / "a.py").read_bytes()
    index = built(root)
    assert index.coverage().whole
    assert places(ask(root, "definition", "one")) == ["a.py:1"]


def test_an_unfinished_index_answers_from_files_that_have_the_name(tmp_path: Path) -> None:
    root = repository(tmp_path / "r", **many(AT_ONCE + 30), last="from f3.m3 import make_3\n")
    index = Index(str(root))
    index.refresh()
    lookup = Lookup(index)
    assert lookup.settle("make_3") == 0
    assert [one.path for one in lookup.definitions("make_3")] == ["f3/m3.py"]
    assert list(lookup.references("make_3")) == ["last.py"]
    coverage = index.coverage()
    assert (coverage.parsed, coverage.files, coverage.whole) == (2, AT_ONCE + 31, False)


def test_more_files_than_can_be_parsed_at_once_are_counted(tmp_path: Path) -> None:
    root = repository(tmp_path / "r", **many(AT_ONCE + 30))
    index = Index(str(root))
    index.refresh()
    lookup = Lookup(index)
    assert lookup.settle("helper_1") == 30
    assert index.coverage().parsed == AT_ONCE


def test_a_question_begins_the_build_in_the_background(tmp_path: Path) -> None:
    root = repository(tmp_path / "r", **many(AT_ONCE + 30))
    answer = ask(root, "definition", "make_7")
    assert (places(answer), answer["complete"]) == (["f7/m7.py:1"], False)
    for process in build.started():
        process.wait(timeout=120)
    answer = ask(root, "definition", "make_7")
    assert (answer["parsed"], answer["complete"]) == (AT_ONCE + 30, True)


def test_a_build_that_is_killed_has_lost_little_and_is_gone_on_with(tmp_path: Path) -> None:
    root = repository(tmp_path / "r", **many(1_500, lines=60))
    command = [*own.command("index"), str(root), store.database(), grammars()]
    index = Index(str(root))
    process = subprocess.Popen(command, stderr=subprocess.PIPE, start_new_session=True)
    while parsed(index) == 0:
        assert process.poll() is None, process.stderr and process.stderr.read()
    os.kill(process.pid, signal.SIGKILL)
    process.communicate()
    some = parsed(index)
    assert some > 0
    assert built(root).coverage() == (1_500, 1_500, True)
    assert index.store.rows("PRAGMA integrity_check") == [("ok",)]


def test_a_worker_and_its_parent_never_wait_for_each_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Neither what is asked next nor an answer fits into its pipe.
    monkeypatch.setattr(build, "PIPE_BYTES", 4096)
    folder = "/".join(["d" * 250] * 13)
    body = "".join(f"value_{n} = helper_{n}()\n" for n in range(150))
    root = tmp_path / "r"
    (root / folder).mkdir(parents=True)
    for n in range(80):
        (root / folder / f"m{n}.py").write_text(body + f"last = {n}\n")
    assert parsed(built(root)) == 80


def test_files_that_vanish_or_change_while_they_are_indexed(tmp_path: Path) -> None:
    root = repository(tmp_path / "r", **many(8))
    index = Index(str(root))
    index.refresh()
    missing = index.missing()
    (root / "f1/m1.py").unlink()
    (root / "f2/m2.py").write_text("def changed(): pass\n")
    (root / "f3/m3.py").unlink()
    (root / "f3/m3.py").mkdir()
    os.mkfifo(root / "f4/pipe.py")
    index.settle(missing)
    index.refresh()
    index.settle(index.missing())
    assert index.coverage() == (6, 6, True)
    lookup = Lookup(index)
    assert [one.path for one in lookup.definitions("changed")] == ["f2/m2.py"]
    assert lookup.definitions("make_2") == lookup.definitions("make_1") == []


def test_what_nobody_wrote_by_hand_is_known_by_its_path_alone(tmp_path: Path) -> None:
    root = repository(
        tmp_path / "r",
        huge=b"x = 1\n" * 9_000_000,
        mini=b"def f():pass;" * 1_000,
        made=b"# Code generated by a tool. DO NOT EDIT.\n" + b"def made(): pass\n" * 8_000,
        short=b"# @generated\ndef short(): pass\n",
        binary=b"def f(): pass\n\0\0",
        invalid=b"def caf\xe9(): pass\ndef fine(): pass\n",
        wide="\ufeffdef wide(): pass\n".encode("utf-16-le"),
        endless=b"x = " + b"(" * 20_000 + b"\n",
        plenty="".join(f"def p{n}(): pass\n" for n in range(rows.DEFINITIONS_MAX + 1)),
    )
    index = built(root)
    assert index.coverage().whole
    listed = ["huge", "mini", "made", "binary", "plenty"]
    assert {name: state_of(index, f"{name}.py") for name in listed} == dict.fromkeys(
        listed, store.LISTED
    )
    assert state_of(index, "short.py") == store.GENERATED
    lookup = Lookup(index)
    assert [one.path for one in lookup.definitions("fine")] == ["invalid.py"]
    assert lookup.definitions("made") == []
    assert os.path.getsize(store.database()) < 2_000_000


def test_a_file_that_takes_too_long_is_given_up_and_the_others_are_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    slow = "".join(f"def s{n}(a, b): return [a, b, (a, {{b: a}})]\n" for n in range(1_900)) * 8
    root = repository(tmp_path / "r", slow=slow.replace("def s", "call_s"), **many(12, lines=3))
    monkeypatch.setattr(build, "FILE_CPU_SECONDS", 0.04)
    index = built(root)
    assert state_of(index, "slow.py") == store.BROKEN
    assert index.coverage() == (13, 13, True)
    assert len(Lookup(index).definitions("make_7")) == 1


def test_loops_of_links_and_links_out_are_not_followed(tmp_path: Path) -> None:
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside/secret.py").write_text("def secret(): pass\n")
    root = repository(tmp_path / "r", a__b="def inside(): pass\n")
    (root / "a/loop").symlink_to("..")
    (root / "a/self.py").symlink_to("self.py")
    (root / "out").symlink_to(tmp_path / "outside")
    (root / "leak.py").symlink_to(tmp_path / "outside/secret.py")
    for tracked in (False, True):
        if tracked:
            git(root, "add", "-A")
        index = built(root)
        assert [path for (path,) in index.store.rows("SELECT path FROM file")] == ["a/b.py"]
    assert ask(root, "definition", "secret")["reason"] == "unknown_name"
    assert ask(root, "outline", "leak.py")["reason"] == "outside"


def test_several_processes_use_one_database(tmp_path: Path) -> None:
    root = repository(tmp_path / "r", **many(400, lines=10))
    code = (
        "import sys; sys.path.insert(0, sys.argv[1])\n"
        "from pathlib import Path\n"
        "from tests.toolbox.code import ask, places\n"
        "for n in range(0, 400, 40):\n"
        "    answer = ask(Path(sys.argv[2]), 'definition', f'make_{n}')\n"
        "    assert places(answer) == [f'f{n % 10}/m{n}.py:1'], answer\n"
    )
    project = str(Path(__file__).parents[2])
    running = [
        subprocess.Popen(
            [sys.executable, "-c", code, project, str(root)], stderr=subprocess.PIPE, text=True
        )
        for _ in range(4)
    ]
    for process in running:
        _, problem = process.communicate(timeout=120)
        assert process.returncode == 0, problem
    assert built(root).coverage() == (400, 400, True)


def test_a_damaged_database_is_made_again(tmp_path: Path) -> None:
    root = repository(tmp_path / "r", **many(3))
    built(root).close()
    for junk in (b"this is no database" * 500, b"SQLite format 3\0" + b"\xff" * 9_000):
        Path(store.database()).write_bytes(junk)
        assert places(ask(root, "definition", "make_1")) == ["f1/m1.py:1"]


def test_what_no_tree_holds_any_more_is_forgotten(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = repository(tmp_path / "r", **many(30))
    gone = repository(tmp_path / "gone", **{f"g{n}": f"def gone_{n}(): pass\n" for n in range(40)})
    built(gone).close()
    git(tmp_path, "init", "-q", "empty")
    subprocess.run(["rm", "-rf", str(gone)], check=True)
    monkeypatch.setattr(build, "DEAD_MIN", 10)
    built(root).close()
    index = built(root)
    assert parsed(index) in (30, 70)
    write(root, f0__m0="def again(): pass\n")
    index = built(root)
    left = {name for (name,) in index.store.rows("SELECT name FROM definition")}
    assert rows.name_id("make_1") in left and rows.name_id("gone_1") not in left
    assert len(Lookup(index).references("helper_1")) == 29


def test_what_other_versions_kept_goes_when_it_is_old(tmp_path: Path) -> None:
    root = repository(tmp_path / "r", **many(2))
    folder = Path(store.cache_folder())
    for name, age in (("symbols-0-3.9-x.db", 40), ("symbols-0-3.9-y.db", 3), ("other.db", 400)):
        (folder / name).write_bytes(b"x")
        os.utime(folder / name, (time.time() - age * 86_400,) * 2)
    built(root).close()
    left = sorted(path.name for path in folder.iterdir() if path.name != "other.db")
    assert (folder / "other.db").exists() and left[0] == "symbols-0-3.9-y.db"
    assert Path(store.database()).name in left


def test_a_database_that_is_full_takes_no_more(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = repository(tmp_path / "r", **many(AT_ONCE + 10))
    monkeypatch.setattr(store, "MAX_BYTES", 1)
    index = built(root)
    assert index.coverage().parsed == 0
    answer = ask(root, "definition", "make_3")
    assert (places(answer), answer["complete"]) == (["f3/m3.py:1"], False)


def test_a_place_that_cannot_be_written_is_no_index_and_no_crash(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = repository(tmp_path / "r", a="def one(): pass\n")
    monkeypatch.setattr(store, "database", lambda: "/proc/none/symbols.db")
    assert ask(root, "definition", "one")["reason"] == "no_index"


@pytest.mark.slow
def test_a_hundred_thousand_files_are_bounded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = tmp_path / "r"
    for folder in range(100):
        place = root / f"d{folder}"
        place.mkdir(parents=True)
        for number in range(1_000):
            (place / f"m{number}.py").write_bytes(b"def f%d_%d(): pass\n" % (folder, number))
    git(root, "init", "-q")
    code = (
        "import sys, resource; sys.path.insert(0, sys.argv[1])\n"
        "from pathlib import Path\n"
        "from tests.toolbox.code import ask, places\n"
        "from agent.toolbox.symbols import build, lookup\n"
        "from agent.toolbox.symbols.index import Index\n"
        "build.start = lambda index: False\n"
        # How much is looked at is the matter here, not how long a busy machine takes for it.
        "lookup.SCAN_SECONDS, settle = 600.0, Index.settle\n"
        "Index.settle = lambda index, wanted, seconds: settle(index, wanted, 600.0)\n"
        "answer = ask(Path(sys.argv[2]), 'definition', 'f42_7')\n"
        "assert places(answer) == ['d42/m7.py:1'], answer\n"
        "assert (answer['code_files'], answer['complete']) == (100_000, False), answer\n"
        # Not ru_maxrss, which begins with what the process that started this one had.
        "print(open('/proc/self/status').read().partition('VmHWM:')[2].split()[0])\n"
    )
    project = str(Path(__file__).parents[2])
    done = subprocess.run(
        [sys.executable, "-c", code, project, str(root)], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) < 300_000  # KB
    # The build's time is over once it has kept something, however long that takes.
    late, record = [0.0], Index.record

    def kept(index: Index, done: Sequence[build.Done]) -> None:
        record(index, done)
        late[0] = 1_000.0

    clock = SimpleNamespace(monotonic=lambda: time.monotonic() + late[0], time=time.time)
    monkeypatch.setattr(build, "time", clock)
    monkeypatch.setattr(Index, "record", kept)
    build.build(str(root), store.database(), grammars(), seconds=900.0)
    with sqlite3.connect(store.database()) as db:
        assert 0 < db.execute("SELECT count(*) FROM blob WHERE state > 0").fetchone()[0] < 100_000
