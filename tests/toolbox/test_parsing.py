"""Parsing that comes back whatever it is given, from workers that may die at any moment."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from agent.sandbox.toolbox import bundle
from agent.toolbox.code import parsing
from agent.toolbox.code.languages import LANGUAGES
from agent.toolbox.code.worker import Died, Worker
from tests.grammars import folder

LONG = 600.0  # a deadline that is not meant to be met
HANGS = "void *PyInit__binding(void) { for (;;); }\n"
DIES = "void *PyInit__binding(void) { *(volatile char *)8 = 1; return 0; }\n"
COMPILER = shutil.which("cc") or shutil.which("gcc") or shutil.which("clang")
compiled = pytest.mark.skipif(COMPILER is None, reason="makes a bad grammar: needs a C compiler")


@pytest.fixture(autouse=True)
def _grammars() -> Iterator[None]:
    parsing.use_grammars(folder())
    yield
    parsing.use_grammars("")
    parsing.forget()


def bad_grammars(place: Path, text: str) -> str:
    """A folder with the real grammars, but that of Python is a module of C as `text` says."""
    for name in ("tree_sitter", "tree_sitter_javascript"):
        (place / name).symlink_to(Path(folder()) / name)
    source = place / "bad.c"
    source.write_text(text)
    (place / "tree_sitter_python").mkdir()
    module = place / "tree_sitter_python" / "_binding.abi3.so"
    assert COMPILER
    subprocess.run([COMPILER, "-shared", "-fPIC", "-o", module, source], check=True)
    return str(place)


def names(path: str, data: bytes) -> list[str]:
    return [one.name for one in parsing.outlines({path: data}, LONG)[path].definitions]


def test_files_of_many_languages_at_once():
    files = {
        "a.py": b"def f(): pass\n",
        "b.go": b"package b\nfunc G() {}\n",
        "c.txt": b"text\n",
        "d.bin": b"\0\1",
        "e.py": b"\0\1",
        "f.js": b"function h() {}\n",
    }
    found = parsing.outlines(files, LONG)
    assert {path: [d.name for d in one.definitions] for path, one in found.items()} == {
        "a.py": ["f"],
        "b.go": ["G"],
        "f.js": ["h"],
    }
    assert all(one.sure for one in found.values())


def test_without_grammars_regular_expressions_do():
    parsing.use_grammars("/nonexistent")
    assert not parsing.able("python")
    one = parsing.outlines({"a.py": b"class A:\n    def f(self): g()\n"}, LONG)["a.py"]
    assert not one.sure
    assert [one.qualified(d) for d in one.definitions] == ["A", "A.f"]
    assert one.references["g"] == [2]


@pytest.mark.parametrize("language", sorted(LANGUAGES))
def test_every_grammar_loads(language: str):
    assert parsing.able(language, LONG)


@pytest.mark.parametrize("suffix", ["py", "tsx", "c", "rb", "sh", "yaml"])
@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\n",
        b"\xff\xfe\xfa \x80\x81\n" * 50,
        b"x\r\ny\rz\r\n",
        b"(" * 1_000_000,
        b"[{(" * 100_000,
        b"a" * 1_500_000,
        b"f(a,b);" * 20_000,
        b"if x:\n" + b" \t" * 100_000,
        b'"' * 99_999,
    ],
    ids=["empty", "newline", "invalid", "returns", "brackets", "mixed", "word", "minified",
         "blank", "quotes"],
)  # fmt: skip
@pytest.mark.slow
def test_strange_text_is_survived(suffix: str, data: bytes, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(parsing, "FILE_CPU_SECONDS", 0.5)
    found = parsing.outlines({f"x.{suffix}": data, "ok.py": b"def f(): pass\n"}, LONG)
    assert [one.name for one in found["ok.py"].definitions] == ["f"]
    parsing.new_errors(f"x.{suffix}", b"", data, LONG)
    for one in found.values():
        assert len(one.definitions) <= 5_000
        assert all(len(d.signature) <= 200 and len(d.name) <= 120 for d in one.definitions)


def test_names_in_invalid_utf8_can_be_stored():
    found = parsing.outlines({"x.py": b"def caf\xe9(): pass\n\xe9 = caf\xe9()\n"}, LONG)["x.py"]
    for name in [*found.references, *(one.name for one in found.definitions)]:
        assert name.encode("utf-8")


def test_a_file_of_50_megabytes_is_left_alone():
    assert parsing.outlines({"x.py": b"x = 1\n" * 9_000_000}, LONG) == {}
    assert parsing.new_errors("x.py", None, b"x = (\n" * 9_000_000, LONG) == []


def test_other_encodings_are_read():
    text = "def größe(): pass\n"
    assert names("a.py", text.encode("utf-16")) == ["größe"]
    assert names("a.py", b"\xef\xbb\xbf" + text.encode()) == ["größe"]


@compiled
def test_a_grammar_that_never_returns(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(parsing, "FILE_CPU_SECONDS", 0.2)
    parsing.use_grammars(bad_grammars(tmp_path, HANGS))
    files = {"a.js": b"function f() {}\n", "b.py": b"x = 1\n", "c.js": b"function g() {}\n"}
    assert set(parsing.outlines(files, LONG)) == {"a.js", "c.js"}
    # It is known now, and asked no more.
    workers = parsing.started()
    assert parsing.outlines({"b.py": b"x = 1\n"}, LONG) == {}
    assert parsing.started() == workers


@compiled
def test_a_deadline_ends_a_worker_that_hangs(tmp_path: Path):
    parsing.use_grammars(bad_grammars(tmp_path, HANGS))
    assert parsing.outlines({"b.py": b"x = 1\n"}, 0.5) == {}
    assert parsing.new_errors("b.py", None, b"x = (\n", 0.5) == []
    parsing.use_grammars(folder())
    # It was not the text's fault.
    assert names("b.py", b"def f(): pass\n") == ["f"]


@compiled
def test_a_grammar_that_crashes(tmp_path: Path):
    parsing.use_grammars(bad_grammars(tmp_path, DIES))
    files = {"a.js": b"function f() {}\n", "b.py": b"x = 1\n", "c.js": b"function g() {}\n"}
    assert set(parsing.outlines(files, LONG)) == {"a.js", "c.js"}


def test_a_text_that_takes_too_much_time(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(parsing, "FILE_CPU_SECONDS", 0.05)
    big = b"def f(a, b): return [a, {b: (a, b)}]\n" * 40_000
    found = parsing.outlines({"big.py": big, "small.py": b"def f(): pass\n"}, LONG)
    assert set(found) == {"small.py"}


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_a_worker_killed_with_a_text_in_its_hands(number: signal.Signals):
    assert names("a.py", b"def f(): pass\n") == ["f"]
    (worker,) = parsing.idle()
    os.kill(worker, signal.SIGSTOP)
    answers: list[list[str]] = []
    asking = threading.Thread(target=lambda: answers.append(names("b.py", b"def g(): pass\n")))
    asking.start()
    while parsing.idle():
        pass
    os.kill(worker, number)
    os.kill(worker, signal.SIGCONT)
    asking.join()
    assert answers == [["g"]]


def test_a_worker_that_died_of_boredom():
    assert names("a.py", b"def f(): pass\n") == ["f"]
    (worker,) = parsing.idle()
    os.kill(worker, signal.SIGKILL)
    os.waitid(os.P_PID, worker, os.WEXITED | os.WNOWAIT)
    assert names("a.py", b"def g(): pass\n") == ["g"]


def test_workers_end_with_the_one_who_started_them():
    program = (
        "import sys, os; sys.path.insert(0, sys.argv[1]); from agent.toolbox.code import parsing;"
        "parsing.outlines({'a.py': b'x = 1'}, 60); print(*parsing.idle()); sys.stdout.flush();"
        "os.kill(os.getpid(), 9)"
    )
    root = Path(__file__).parents[2]
    done = subprocess.run(
        [sys.executable, "-I", "-S", "-c", program, root], capture_output=True, text=True
    )
    for worker in done.stdout.split():
        until = time.monotonic() + LONG
        while Path(f"/proc/{worker}/cmdline").exists() and time.monotonic() < until:
            if Path(f"/proc/{worker}/stat").read_text().rpartition(")")[2].split()[0] == "Z":
                break
        else:
            assert not Path(f"/proc/{worker}").exists()
    assert done.stdout.strip()


def test_a_worker_that_nobody_asks_ends_by_itself():
    program = (
        "import sys; sys.path.insert(0, sys.argv[1]); from agent.toolbox.code import parse;"
        "parse.IDLE_SECONDS = 0.1; parse.serve()"
    )
    root = Path(__file__).parents[2]
    argv = [sys.executable, "-I", "-S", "-c", program, root]
    with subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as worker:
        assert worker.wait() == 0


def test_a_worker_that_has_grown_old_is_replaced():
    program = (
        "import sys; sys.path.insert(0, sys.argv[1]); from agent.toolbox.code import parse;"
        "parse.RESIDENT_MAX_KB = 1; parse.serve()"
    )
    root = Path(__file__).parents[2]
    argv = [sys.executable, "-I", "-S", "-c", program, root]
    with subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as worker:
        assert worker.wait() == 0


def test_many_threads_at_once():
    def work(number: int) -> None:
        for turn in range(10):
            name = f"f{number}_{turn}"
            results.append(names("a.py", f"def {name}(): pass\n".encode()) == [name])

    results: list[bool] = []
    threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert results == [True] * 80
    assert len(parsing.idle()) <= parsing.WORKERS_MAX


def test_workers_start_from_the_zip(tmp_path: Path):
    packed = tmp_path / "toolbox.zip"
    packed.write_bytes(bundle())
    program = (
        "import sys; sys.path.insert(0, sys.argv[1]); from agent.toolbox.code import parsing;"
        "parsing.use_grammars(sys.argv[2]);"
        "one = parsing.outlines({'a.py': b'def f(): pass'}, 60)['a.py'];"
        "print(one.sure, one.definitions[0].name)"
    )
    done = subprocess.run(
        [sys.executable, "-I", "-S", "-c", program, packed, folder()],
        capture_output=True,
        text=True,
    )
    assert (done.stdout, done.stderr) == ("True f\n", "")


@pytest.mark.parametrize(
    ("path", "before", "after", "new"),
    [
        ("a.py", None, "def f(:\n", [(1, "invalid syntax")]),
        ("a.py", "x = 1\n", "x = 1\ny = (\n", [(2, "'(' was never closed")]),
        ("a.py", "x = (\n", "x = (\n", []),
        ("a.py", "x = (\n", "a = 1\nx = (\n", []),
        ("a.py", "x = 1\n", "x = 2\n", []),
        ("a.js", "f(1;\n", "f(1;\ng(2;\n", [(2, "missing `)`")]),
        ("a.js", "f(1;\n", "f(1);\n", []),
        ("a.txt", "", "(", []),
        ("a.json", "{}", "{", [(1, "unexpected `{`")]),
    ],
)
def test_errors_that_were_not_there_before(
    path: str, before: str | None, after: str, new: list[tuple[int, str]]
):
    old = None if before is None else before.encode()
    assert parsing.new_errors(path, old, after.encode(), LONG) == new


def test_python_knows_its_own_errors_without_grammars():
    parsing.use_grammars("")
    assert parsing.new_errors("a.py", b"x = 1\n", b"x = (\n", LONG) == [(1, "'(' was never closed")]
    assert parsing.new_errors("a.js", b"", b"f(", LONG) == []


def test_outlines_are_kept_under_what_made_them(tmp_path: Path):
    own = parsing.edition()
    assert own == parsing.edition()
    parsing.use_grammars("")
    without = parsing.edition()
    assert without != own
    parsing.use_grammars(str(tmp_path))
    assert parsing.edition() == without
    (tmp_path / "tree_sitter_go").mkdir()
    (tmp_path / "tree_sitter_go" / "_binding.abi3.so").write_bytes(b"newer")
    assert parsing.edition() not in (own, without)


LINES = (
    *("a " * 200, " " * 400, "\t" * 400, "(" * 400, "a(" * 200, "<" * 400, "a<b>" * 100, "*" * 400),
    *("pub " * 100, "public " * 60, "static a " * 45, "template<" * 45, "const a = " * 40),
    *("export default " * 27, "a::" * 130, "a, " * 130, "[" * 400, ". " * 200, "@a " * 130),
    *(
        "func (" * 60,
        "def " * 100,
        "function " * 44,
        "impl<a " * 57,
        "a:" * 200,
        "=" * 400,
        "{" * 400,
    ),
    *('"' * 400, "'a" * 200, "`" * 399, "\\" * 400, '"""' * 133, "/*" * 200, "#" * 400, "x" * 400),
)


@pytest.mark.parametrize("suffix", ["py", "ts", "go", "rs", "java", "cpp", "rb", "php", "cs", "sh"])
@pytest.mark.slow
def test_no_line_takes_regular_expressions_long(suffix: str):
    parsing.use_grammars("")
    files = {
        f"{number}.{suffix}": ((line + "\n") * 100).encode() for number, line in enumerate(LINES)
    }
    missing = set(files) - set(parsing.outlines(files, LONG))
    assert not missing, [LINES[int(name.partition(".")[0])] for name in missing]


@pytest.mark.parametrize("said", [b"no JSON", b"[" * 100_000, b"\xff"])
def test_a_worker_that_answers_nonsense_is_not_believed(said: bytes):
    program = "import sys, struct; s = sys.stdin.buffer; n = sum(struct.unpack('!II', s.read(8)))"
    program += "; s.read(n); a = eval(sys.argv[1]); o = sys.stdout.buffer"
    program += "; o.write(struct.pack('!I', len(a)) + a); o.flush(); s.read()"
    worker = Worker([sys.executable, "-c", program, repr(said)], "")
    try:
        with pytest.raises(Died) as died:
            worker.ask({"op": "outline"}, b"x = 1", time.monotonic() + LONG)
        assert died.value.sure
    finally:
        worker.end()
