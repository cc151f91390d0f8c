"""read and write, asked of a real toolbox."""

from __future__ import annotations

import hashlib
import os
import stat
from pathlib import Path

import pytest

from agent.core.limits import FILE_MAX_BYTES, LINE_MAX_CHARS, READ_MAX_BYTES, READ_MAX_LINES
from agent.toolbox.changes.nearest import WALKED_MAX
from tests.toolbox.conftest import Use


def sha(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def answer(path: Path, data: bytes, text: str, **more: object) -> dict[str, object]:
    lines = text.split("\n") if text else []
    plain: dict[str, object] = {
        "ok": True,
        "path": str(path),
        "hash": sha(data),
        "size": len(data),
        "text": text,
        "first": 1 if lines else 0,
        "last": len(lines),
        "total": len(lines),
        "encoding": "utf-8",
        "newline": "\n",
        "bom": False,
        "cut": "",
        "long_lines": [],
        "document": "",
    }
    return plain | more


@pytest.mark.parametrize(
    ("data", "text", "more"),
    [
        (b"", "", {}),
        (b"one\ntwo\n", "one\ntwo", {}),
        (b"no end", "no end", {}),
        (b"\n", "", {"first": 1, "last": 1, "total": 1}),
        (b"a\r\nb\r\n", "a\nb", {"newline": "\r\n"}),
        (b"a\r\nb\nc", "a\nb\nc", {"newline": "mixed"}),
        (b"a\rb\x0cc\n", "a\rb\x0cc", {}),
        ("é日\n".encode(), "é日", {}),
        (b"\xef\xbb\xbfbom\n", "bom", {"bom": True}),
        (b"\xff\xfea\x00\n\x00", "a", {"encoding": "utf-16-le", "bom": True}),
        (b"\xfe\xff\x00a\x00\n", "a", {"encoding": "utf-16-be", "bom": True}),
        (b"caf\xe9\n", "café", {"encoding": "latin-1"}),
    ],
)
def test_read_shows_lines_and_how_they_are_stored(
    use: Use, tmp_path: Path, data: bytes, text: str, more: dict[str, object]
) -> None:
    path = tmp_path / "file"
    path.write_bytes(data)
    assert use("read", path="file") == answer(path, data, text, **more)


def test_read_takes_a_range_and_says_what_follows(use: Use, tmp_path: Path) -> None:
    data = b"".join(b"%d\n" % n for n in range(1, 11))
    path = tmp_path / "file"
    path.write_bytes(data)
    some = use("read", path="file", offset=4, limit=3)
    assert some == answer(path, data, "4\n5\n6", first=4, last=6, total=10, cut="lines")
    rest = use("read", path="file", offset=9, limit=3)
    assert rest == answer(path, data, "9\n10", first=9, last=10, total=10)
    past = use("read", path="file", offset=11)
    assert past == {"ok": False, "reason": "past_end", "path": str(path), "total": 10}


def test_read_is_bounded_in_lines_bytes_and_line_length(use: Use, tmp_path: Path) -> None:
    (tmp_path / "lines").write_text("x\n" * (READ_MAX_LINES + 1))
    lines = use("read", path="lines", limit=10**9)
    assert (lines["last"], lines["cut"]) == (READ_MAX_LINES, "lines")
    (tmp_path / "bytes").write_text(("é" * 500 + "\n") * 100)
    data = use("read", path="bytes")
    assert data["cut"] == "bytes"
    assert READ_MAX_BYTES - 1001 <= len(data["text"].encode()) <= READ_MAX_BYTES
    (tmp_path / "long").write_text("short\n" + "x" * (LINE_MAX_CHARS + 1) + "\n")
    long = use("read", path="long")
    assert (long["text"], long["long_lines"]) == ("short\n" + "x" * LINE_MAX_CHARS, [2])


@pytest.mark.parametrize(
    ("data", "kind"),
    [
        (b"\x89PNG\r\n\x1a\n\0\0", "png image"),
        (b"\x7fELF\x02\x01\0", "ELF program"),
        (b"a\0b", "binary data"),
        (bytes(range(1, 255)), "binary data"),
        (b"\xff\xfe\x00\xd8", "binary data"),
    ],
)
def test_read_refuses_binary_and_names_its_kind(
    use: Use, tmp_path: Path, data: bytes, kind: str
) -> None:
    path = tmp_path / "file"
    path.write_bytes(data)
    assert use("read", path="file") == {
        "ok": False,
        "reason": "binary",
        "path": str(path),
        "kind": kind,
        "size": len(data),
    }


def test_read_never_hangs_on_what_is_no_plain_file(use: Use, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo")
    (tmp_path / "zero").symlink_to("/dev/zero")
    with open(tmp_path / "sparse", "wb") as file:
        file.truncate(10**12)
    assert use("read", path="fifo")["kind"] == "fifo"
    assert use("read", path="zero")["reason"] == "special"
    assert use("read", path="sparse") == {
        "ok": False,
        "reason": "too_large",
        "path": str(tmp_path / "sparse"),
        "size": 10**12,
    }


def test_read_lists_a_directory_and_names_what_is_like_an_absent_path(
    use: Use, tmp_path: Path
) -> None:
    (tmp_path / "src").mkdir()
    (tmp_path / "src" / "parser.py").touch()
    (tmp_path / ".git").mkdir()
    (tmp_path / ".git" / "parsers.py").touch()
    (tmp_path / "loop").symlink_to("loop")
    assert use("read", path=".")["reason"] == "directory"
    for wrong in ("src/parsers.py", "parser.py", "lib/parser.py", str(tmp_path / "src/Parser.py")):
        found = use("read", path=wrong)
        assert (found["reason"], found["nearest"]) == ("absent", [str(tmp_path / "src/parser.py")])
    assert use("read", path="entirely/else")["nearest"] == []
    many = [tmp_path / "aaa" / f"{n}" for n in range(WALKED_MAX)]
    many[0].parent.mkdir()
    for path in many:
        path.touch()
    for wrong in ("src/parsers.py", "src/deep/parsers.py"):  # also where a walk does not come
        assert use("read", path=wrong)["nearest"] == [str(tmp_path / "src/parser.py")]


def test_paths_may_be_relative_dotted_or_of_the_home(use: Use, tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "file").write_text("x")
    for path in ("file", "./a/../file", str(tmp_path / "a" / ".." / "file")):
        assert use("read", path=path)["path"] == str(tmp_path / "file")
    home = Path(os.environ["HOME"])
    (home / "mine").write_text("x")
    assert use("read", path="~/mine")["path"] == str(home / "mine")


def test_names_that_are_no_text_survive_the_trip(use: Use, tmp_path: Path) -> None:
    name = os.fsdecode(b"bad-\xff\n name")
    (tmp_path / name).write_text("x")
    assert use("read", path=name)["path"] == str(tmp_path / name)
    assert [entry["name"] for entry in use("ls", path=".")["entries"]] == [name]


def test_a_path_that_cannot_be_is_refused(use: Use, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    assert use("read", path="a\0b")["reason"] == "absent"
    assert use("read", path="file/below")["reason"] == "absent"
    assert use("read", path="x" * 300)["reason"] == "denied"
    assert use("write", path="file/below", text="x")["reason"] == "denied"
    assert use("write", path="a\0b", text="x")["reason"] == "denied"


# write


def test_write_creates_with_parents(use: Use, tmp_path: Path) -> None:
    made = use("write", path="a/b/new.txt", text="one\ntwo\n")
    path = tmp_path / "a/b/new.txt"
    assert made == {
        "ok": True,
        "path": str(path),
        "hash": sha(b"one\ntwo\n"),
        "created": True,
        "lines": 2,
        "bytes": 8,
        "errors": [],
        "diff": "@@ -0,0 +1,2 @@\n+one\n+two",
    }
    assert path.read_bytes() == b"one\ntwo\n"
    assert list(path.parent.iterdir()) == [path]


def test_write_replaces_only_what_was_seen_and_has_not_changed(use: Use, tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_text("mine")
    unread = use("write", path="file", text="new")
    assert (unread["reason"], path.read_text()) == ("unread", "mine")
    stale = use("write", path="file", text="new", hash=sha(b"other"))
    assert (stale["reason"], path.read_text()) == ("stale", "mine")
    written = use("write", path="file", text="new", hash=sha(b"mine"))
    assert (written["ok"], written["created"], path.read_text()) == (True, False, "new")


def test_write_keeps_mode_and_link_and_leaves_no_other_file(use: Use, tmp_path: Path) -> None:
    real = tmp_path / "real"
    real.write_text("old")
    real.chmod(0o754)
    (tmp_path / "link").symlink_to("real")
    use("write", path="link", text="new", hash=sha(b"old"))
    assert (tmp_path / "link").is_symlink()
    assert (real.read_text(), stat.S_IMODE(real.stat().st_mode)) == ("new", 0o754)
    assert {p.name for p in tmp_path.iterdir()} == {"real", "link"}


@pytest.mark.parametrize(
    ("before", "text", "after"),
    [
        (b"a\r\nb\r\n", "c\nd\n", b"c\r\nd\r\n"),
        (b"a\r\nb\n", "c\nd\n", b"c\nd\n"),
        (b"\xef\xbb\xbfa\n", "é\n", b"\xef\xbb\xbf\xc3\xa9\n"),
        (b"\xff\xfea\x00", "b", b"\xff\xfeb\x00"),
        (b"caf\xe9\n", "th\xe9\n", b"th\xe9\n"),
        (b"caf\xe9\n", "日\n", "日\n".encode()),
        (b"\0\1\2", "text\n", b"text\n"),
    ],
)
def test_write_keeps_the_style_of_the_file_where_the_text_permits(
    use: Use, tmp_path: Path, before: bytes, text: str, after: bytes
) -> None:
    path = tmp_path / "file"
    path.write_bytes(before)
    written = use("write", path="file", text=text, hash=sha(before))
    assert (written["ok"], path.read_bytes(), written["hash"]) == (True, after, sha(after))


def test_write_refuses_what_it_cannot_do(use: Use, tmp_path: Path) -> None:
    (tmp_path / "dir").mkdir()
    os.mkfifo(tmp_path / "fifo")
    assert use("write", path="dir", text="x")["reason"] == "directory"
    assert use("write", path="fifo", text="x")["reason"] == "special"
    assert use("write", path="/proc/new", text="x")["reason"] in ("denied", "absent")
    lone = use("write", path="lone", text="a\ud800b")
    assert (lone["reason"], lone["why"]) == ("encoding", "U+D800 cannot be written as utf-8")
    assert not (tmp_path / "lone").exists()


def test_a_file_of_the_largest_size_is_written_and_read(use: Use, tmp_path: Path) -> None:
    text = "é" * (FILE_MAX_BYTES // 2)
    written = use("write", path="large", text=text)
    assert written["bytes"] == FILE_MAX_BYTES
    assert use("read", path="large")["size"] == FILE_MAX_BYTES
    (tmp_path / "large").write_bytes(b"x" * (FILE_MAX_BYTES + 1))
    assert use("read", path="large")["reason"] == "too_large"


def test_the_diff_of_two_large_unlike_texts_is_short_and_quick(use: Use, tmp_path: Path) -> None:
    before = "".join(f"{n}\n" for n in range(200_000))
    (tmp_path / "file").write_text(before)
    written = use("write", path="file", text=before.replace("1", "x"), hash=sha(before.encode()))
    assert len(written["diff"]) < 21_000
    assert "more lines of diff" in written["diff"].splitlines()[-1]
