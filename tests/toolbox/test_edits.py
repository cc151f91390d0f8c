"""edit, asked of a real toolbox."""

from __future__ import annotations

import hashlib
import stat
from pathlib import Path
from typing import Any

import pytest

from tests.toolbox.conftest import Use


def test_edit_replaces_the_one_place_and_shows_it(use: Use, tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_text("".join(f"line {n}\n" for n in range(1, 21)))
    done = use("edit", path="file", old="line 10\n", new="ten\nand a half\n")
    after = path.read_bytes()
    assert done == {
        "ok": True,
        "path": str(path),
        "hash": hashlib.sha256(after).hexdigest(),
        "replaced": 1,
        "first": 7,
        "last": 14,
        "text": "line 7\nline 8\nline 9\nten\nand a half\nline 11\nline 12\nline 13",
        "windows": [],
        "more": 0,
        "steps": [],
        "errors": [],
        "diff": "@@ -7,7 +7,8 @@\n line 7\n line 8\n line 9\n-line 10\n+ten\n+and a half\n"
        " line 11\n line 12\n line 13",
    }
    assert after.decode().splitlines()[8:12] == ["line 9", "ten", "and a half", "line 11"]


@pytest.mark.parametrize("new", [r"\1 \g<0> \n", "$1 $& ${x}", "%s {} {0}", "\\", ""])
def test_the_replacement_is_literal(use: Use, tmp_path: Path, new: str) -> None:
    path = tmp_path / "file"
    path.write_text("a (b.*) c\n")
    use("edit", path="file", old="(b.*)", new=new)
    assert path.read_text() == f"a {new} c\n"


def test_an_ambiguous_edit_names_the_lines_and_changes_nothing(use: Use, tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_text("x = 1\ny\nx = 1; x = 1\n")
    refused = use("edit", path="file", old="x = 1", new="z")
    assert refused == {
        "ok": False,
        "reason": "ambiguous",
        "path": str(path),
        "count": 3,
        "lines": [1, 3, 3],
        "step": "exact",
    }
    assert path.read_text() == "x = 1\ny\nx = 1; x = 1\n"
    done = use("edit", path="file", old="x = 1", new="z", all=True)
    assert (done["replaced"], path.read_text()) == (3, "z\ny\nz; z\n")
    assert done["diff"] == "@@ -1,3 +1,3 @@\n-x = 1\n+z\n y\n-x = 1; x = 1\n+z; z"


@pytest.mark.parametrize(
    ("before", "old", "new", "after"),
    [
        (b"a\r\nb\r\nc\r\n", "a\nb", "x\ny\nz", b"x\r\ny\r\nz\r\nc\r\n"),
        (b"a\r\nb\r\n", "a\r\nb", "x\r\ny", b"x\r\ny\r\n"),
        (b"a\r\nb\r\n", "b", "b\nc", b"a\r\nb\r\nc\r\n"),
        (b"a\nb\n", "a\r\nb", "x\r\ny", b"x\ny\n"),
        (b"a\r\nb\nc\r\nd\n", "b\nc", "b\nx\nc", b"a\r\nb\nx\nc\r\nd\n"),
        (b"a\r\nb\nc\r\nd\n", "a\nb", "a\nx\nb", b"a\r\nx\r\nb\nc\r\nd\n"),
        (b"a\rb\n", "a\rb", "c", b"c\n"),
        (b"\xef\xbb\xbfa\n", "a", "\u00e9", b"\xef\xbb\xbf\xc3\xa9\n"),
        (b"\xff\xfea\x00\n\x00", "a", "b", b"\xff\xfeb\x00\n\x00"),
        (b"caf\xe9\n", "caf\u00e9", "th\u00e9", b"th\xe9\n"),
        (b"end", "end", "end\n", b"end\n"),
        (b"all", "all", "", b""),
    ],
)
def test_the_rest_of_the_file_keeps_every_byte(
    use: Use, tmp_path: Path, before: bytes, old: str, new: str, after: bytes
) -> None:
    path = tmp_path / "file"
    path.write_bytes(before)
    done = use("edit", path="file", old=old, new=new)
    assert (done["ok"], path.read_bytes()) == (True, after)


@pytest.mark.parametrize(
    ("text", "old", "first", "why"),
    [
        ("def f():\n\treturn 1\n", "def f():\n    return 1\n", 1, "indentation differs"),
        ("    a\n        b\n", "a\nb", 1, "indentation differs"),
        ("x  =   1\n", "x = 1", 1, "white space differs"),
        ("if (x):\n", "if ( x ):", 1, "white space differs"),
        ("one\ntwo\n", "1\tone\n2\ttwo", 1, "the line numbers before the lines"),
        (
            "x\ndef total(items):\n    return sum(items)\n",
            "def totals(items):\n    return sum(items)",
            2,
            "similar, but not the same",
        ),
        ("x\ny\nself.connection = connect(host)\n", "self.conection = connect(host)", 3, "similar"),
    ],
)
def test_a_text_not_found_gets_the_nearest_lines_and_the_reason(
    use: Use, tmp_path: Path, text: str, old: str, first: int, why: str
) -> None:
    path = tmp_path / "file"
    path.write_text(text)
    refused = use("edit", path="file", old=old, new="new")
    nearest: list[dict[str, Any]] = refused["nearest"]
    assert (refused["reason"], path.read_text()) == ("not_found", text)
    assert nearest[0]["first"] == first
    assert nearest[0]["why"].startswith(why)
    shown = text.split("\n")[first - 1 : nearest[0]["last"]]
    assert nearest[0]["text"] == "\n".join(shown)


def test_nothing_near_is_nothing_shown(use: Use, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("alpha\nbeta\n")
    assert use("edit", path="file", old="0xDEADBEEF 0xCAFE", new="x")["nearest"] == []


def test_a_large_file_costs_no_more_than_a_look(use: Use, tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_text("".join(f"value_{n % 7} = compute({n})\n" for n in range(300_000)))
    old = "\n".join(f"value_{n % 7} = compute({n}) " + "x" * 20 for n in range(150_000, 150_040))
    refused = use("edit", path="file", old=old, new="y")
    assert refused["reason"] == "not_found"
    done = use("edit", path="file", old="value_3", new="v3", all=True)
    assert (done["ok"], done["replaced"]) == (True, 42_857)
    assert len(done["diff"]) < 21_000


def test_refusals(use: Use, tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"caf\xe9\n")
    (tmp_path / "binary").write_bytes(b"\0\1")
    digest = hashlib.sha256(b"other").hexdigest()
    asked: list[tuple[dict[str, Any], str]] = [
        ({"path": "none", "old": "a", "new": "b"}, "absent"),
        ({"path": ".", "old": "a", "new": "b"}, "directory"),
        ({"path": "/dev/null", "old": "a", "new": "b"}, "special"),
        ({"path": "binary", "old": "a", "new": "b"}, "binary"),
        ({"path": "file", "old": "", "new": "b"}, "empty_old"),
        ({"path": "file", "old": "caf", "new": "caf"}, "same"),
        ({"path": "file", "old": "caf", "new": "b", "hash": digest}, "stale"),
        ({"path": "file", "old": "caf", "new": "日"}, "encoding"),
    ]
    assert [use("edit", **arguments)["reason"] for arguments, _ in asked] == [r for _, r in asked]
    assert path.read_bytes() == b"caf\xe9\n"


def test_edit_keeps_mode_and_goes_through_links(use: Use, tmp_path: Path) -> None:
    real = tmp_path / "real"
    real.write_text("old\n")
    real.chmod(0o755)
    (tmp_path / "link").symlink_to(real)
    use("edit", path="link", old="old", new="new")
    assert (tmp_path / "link").is_symlink()
    assert (real.read_text(), stat.S_IMODE(real.stat().st_mode)) == ("new\n", 0o755)
