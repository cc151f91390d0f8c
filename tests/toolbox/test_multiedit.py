"""`multiedit`: in order, each on what the one before left, and all or nothing."""

from __future__ import annotations

import os
import stat
from collections.abc import Generator
from typing import Any

import pytest

from tests.toolbox.box import Box, box, digest, encoded


@pytest.fixture(scope="module", name="ask")
def _ask(tmp_path_factory: pytest.TempPathFactory) -> Generator[Box]:
    with box(tmp_path_factory.mktemp("multi")) as opened:
        yield opened


def edits(*each: tuple[Any, ...]) -> list[dict[str, Any]]:
    names = ("path", "old", "new", "all")
    return [dict(zip(names, one, strict=False)) for one in each]


A, B = "one\ntwo\nthree\n", "uno\ndos\ntres\n"
DONE: list[tuple[str, list[dict[str, Any]], dict[str, str | bytes]]] = [
    ("one", edits(("a", "two", "2")), {"a": "one\n2\nthree\n", "b": B}),
    ("one file twice", edits(("a", "one", "1"), ("a", "three", "3")), {"a": "1\ntwo\n3\n", "b": B}),
    ("two files", edits(("a", "one", "1"), ("b", "uno", "1")),
     {"a": "1\ntwo\nthree\n", "b": "1\ndos\ntres\n"}),
    ("on what the one before made", edits(("a", "two", "2"), ("a", "2", "ii"), ("a", "ii\n", "")),
     {"a": "one\nthree\n", "b": B}),
    ("made unique by the one before", edits(("a", "one\n", "x\n"), ("a", "o", "0")),
     {"a": "x\ntw0\nthree\n", "b": B}),
    ("back and forth", edits(("a", "two", "2"), ("a", "2", "two")), {"a": A, "b": B}),
    ("everywhere and once", edits(("a", "e", "E", True), ("a", "onE", "1")),
     {"a": "1\ntwo\nthrEE\n", "b": B}),
    ("files by several names", edits(("a", "one", "1"), ("./a", "1", "i"), ("d/../a", "i", "I")),
     {"a": "I\ntwo\nthree\n", "b": B}),
    ("down to nothing and up again", edits(("a", A, ""), ("b", "uno\n", "")),
     {"a": "", "b": "dos\ntres\n"}),
    ("each by its step", edits(("a", "two \nthree", "2\n3"), ("b", "  dos\n", "  2\n")),
     {"a": "one\n2\n3\n", "b": "uno\n2\ntres\n"}),
]  # fmt: skip


@pytest.mark.parametrize(("name", "asked", "after"), DONE, ids=[case[0] for case in DONE])
def test_edits_are_done(
    ask: Box, name: str, asked: list[dict[str, Any]], after: dict[str, str | bytes]
) -> None:
    ask.fill({"a": A, "b": B})
    done = ask("multiedit", edits=asked)
    assert ask.files() == {key: encoded(value) for key, value in after.items()}
    for told in done["files"]:
        assert told["hash"] == digest((ask.folder / os.path.basename(told["path"])).read_bytes())
    assert sum(told["replaced"] for told in done["files"]) >= len(asked)


GOOD = ("a", "one", "1")
REFUSED: list[tuple[str, list[dict[str, Any]], list[tuple[int, str]]]] = [
    ("the last", edits(GOOD, ("b", "nope", "x")), [(2, "not_found")]),
    ("the first", edits(("b", "nope", "x"), GOOD), [(1, "not_found")]),
    ("two", edits(("a", "nope", "x"), GOOD, ("b", "s", "x")), [(1, "not_found"), (3, "ambiguous")]),
    ("what the one before took away", edits(GOOD, ("a", "one", "x")), [(2, "not_found")]),
    ("what the one before doubled", edits(("a", "one", "two"), ("a", "two", "x")),
     [(2, "ambiguous")]),
    ("no such file", edits(GOOD, ("c", "x", "y")), [(2, "absent")]),
    ("a directory", edits(GOOD, ("d", "x", "y")), [(2, "directory")]),
    ("binary", edits(GOOD, ("d/bin", "x", "y")), [(2, "binary")]),
    ("the same", edits(GOOD, ("b", "uno", "uno")), [(2, "same")]),
    ("empty", edits(GOOD, ("b", "", "uno")), [(2, "empty_old")]),
    ("a fifo", edits(GOOD, ("d/fifo", "x", "y")), [(2, "special")]),
]  # fmt: skip


@pytest.mark.parametrize(("name", "asked", "failures"), REFUSED, ids=[case[0] for case in REFUSED])
def test_one_that_fails_keeps_all_from_being_done(
    ask: Box, name: str, asked: list[dict[str, Any]], failures: list[tuple[int, str]]
) -> None:
    ask.fill({"a": A, "b": B, "d/bin": b"\0"})
    os.mkfifo(ask.folder / "d/fifo")
    refused = ask("multiedit", edits=asked)
    assert refused["reason"] == "failed"
    assert [(one["number"], one["reason"]) for one in refused["failures"]] == failures
    assert (refused["count"], refused["total"]) == (len(failures), len(asked))
    assert ask.files() == {"a": A.encode(), "b": B.encode(), "d/bin": b"\0"}


def test_a_text_that_does_not_fit_its_file_keeps_the_others_back(ask: Box) -> None:
    ask.fill({"a": A, "b": b"caf\xe9\n"})
    refused = ask("multiedit", edits=edits(GOOD, ("b", "caf", "日")))
    assert (refused["reason"], refused["path"]) == ("encoding", str(ask.folder / "b"))
    assert ask.files() == {"a": A.encode(), "b": b"caf\xe9\n"}


def test_the_guard_looks_at_every_file(ask: Box) -> None:
    ask.fill({"a": A, "b": B})
    seen = ask.seen("a", "b")
    (ask.folder / "b").write_text(B + "mas\n")
    refused = ask("multiedit", edits=edits(GOOD, ("b", "uno", "1")), seen=seen)
    assert [(one["number"], one["reason"]) for one in refused["failures"]] == [(2, "stale")]
    assert ask.files() == {"a": A.encode(), "b": (B + "mas\n").encode()}
    done = ask("multiedit", edits=edits(GOOD, ("b", "uno", "1")), seen=ask.seen("a", "b"))
    assert done["ok"]


def test_many_failures_are_counted_and_few_shown(ask: Box) -> None:
    ask.fill({"a": A, "b": B})
    refused = ask("multiedit", edits=edits(*[("a", f"nope {n}", "x") for n in range(40)]))
    assert (len(refused["failures"]), refused["count"], refused["total"]) == (5, 40, 40)


def test_modes_and_links_stay(ask: Box) -> None:
    ask.fill({"a": A, "b": B})
    (ask.folder / "a").chmod(0o751)
    (ask.folder / "b").chmod(0o400)
    (ask.folder / "link").symlink_to("a")
    done = ask("multiedit", edits=edits(("link", "one", "1"), ("b", "uno", "1"), ("a", "two", "2")))
    assert [told["replaced"] for told in done["files"]] == [2, 1]
    assert (ask.folder / "link").is_symlink()
    assert (ask.folder / "a").read_text() == "1\n2\nthree\n"
    assert stat.S_IMODE((ask.folder / "a").stat().st_mode) == 0o751
    assert stat.S_IMODE((ask.folder / "b").stat().st_mode) == 0o400


def test_a_second_name_of_a_file_keeps_what_it_had(ask: Box) -> None:
    ask.fill({"a": A, "b": B})
    os.link(ask.folder / "a", ask.folder / "same")
    assert ask("edit", path="a", old="one", new="1")["ok"]
    assert (ask.folder / "same").read_text() == A


def test_a_file_in_use_is_replaced_and_not_written_into(ask: Box) -> None:
    ask.fill({"a": A, "b": B})
    with open(ask.folder / "a") as held:
        ask("multiedit", edits=edits(GOOD, ("b", "uno", "1")))
        assert held.read() == A
