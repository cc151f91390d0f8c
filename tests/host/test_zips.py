"""The zip that is shipped: it runs anywhere, is the same each time, and comes from the cache."""

from __future__ import annotations

import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from agent.host import files, zips
from agent.sandbox.toolbox import bundle


@pytest.fixture(autouse=True)
def _cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


def run(zip_: bytes, tmp_path: Path, *words: str) -> str:
    path = tmp_path / "some.zip"
    path.write_bytes(zip_)
    argv = [sys.executable, "-I", "-S", *words, str(path)]
    return subprocess.run(argv, check=True, capture_output=True, text=True).stdout


def test_it_runs_from_its_bytecode(tmp_path: Path):
    source = b"import helper; print(helper.__cached__, helper.f.__code__.co_filename)"
    made = zips.packed({"__main__.py": source, "helper.py": b"def f(): pass"})
    cached, file = run(made, tmp_path).split()
    assert cached.endswith("some.zip/helper.pyc")
    assert file == "helper.py"


def test_another_python_finds_the_source(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("importlib.util.MAGIC_NUMBER", b"\0\0\r\n")
    made = zips.packed({"__main__.py": b"import helper", "helper.py": b"print('source')"})
    assert run(made, tmp_path) == "source\n"


def test_the_same_source_makes_the_same_zip_once(tmp_path: Path):
    sources = {"__main__.py": b"print(1)"}
    made = zips.packed(sources)
    (kept,) = files.children(tmp_path / "cache" / "glovebox" / "toolbox")
    assert kept.read_bytes() == made
    kept.write_bytes(b"from the cache")
    assert zips.packed(sources) == b"from the cache"
    kept.unlink()
    assert zips.packed(sources) == made
    assert zips.packed({"__main__.py": b"print(2)"}) != made


def test_few_are_kept(tmp_path: Path):
    for number in range(20):
        zips.packed({"__main__.py": b"print(%d)" % number})
    assert len(files.children(tmp_path / "cache" / "glovebox" / "toolbox")) == 8


def test_a_cache_that_cannot_be_written_costs_nothing_but_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    (tmp_path / "file").touch()
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    assert run(zips.packed({"__main__.py": b"print(1)"}), tmp_path) == "1\n"


def test_the_toolbox_says_nothing_of_this_machine(tmp_path: Path):
    path = tmp_path / "toolbox.zip"
    path.write_bytes(bundle())
    with zipfile.ZipFile(path) as opened:
        for name in opened.namelist():
            assert str(Path(__file__).parents[2]).encode() not in opened.read(name), name
