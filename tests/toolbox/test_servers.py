"""Language servers, real and bad ones: an answer in time, or the index's, and nothing left."""

from __future__ import annotations

import os
import select
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from agent.toolbox.code import parsing
from agent.toolbox.symbols import consult, rpc, servers
from tests.toolbox.code import ask, git, grammars, places, repository

HEAD = f"""#!{sys.executable}
import json, sys, time
def read():
    size = 0
    while True:
        line = sys.stdin.buffer.readline()
        if not line: sys.exit(0)
        if line == b"\\r\\n": break
        name, _, value = line.partition(b":")
        if name == b"Content-Length": size = int(value)
    return json.loads(sys.stdin.buffer.read(size))
def write(value):
    data = json.dumps(value).encode()
    sys.stdout.buffer.write(b"Content-Length: %d\\r\\n\\r\\n" % len(data) + data)
    sys.stdout.buffer.flush()
def place(path, line, start, end):
    uri = "file://" + sys.path_root + "/" + path
    return {{"uri": uri, "range": {{"start": {{"line": line, "character": start}},
             "end": {{"line": line, "character": end}}}}}}
log = open(__file__ + ".log", "a")
def serve(answers, capabilities={{}}):
    while True:
        message = read()
        log.write(json.dumps(message) + "\\n"); log.flush()
        method = message.get("method")
        if method == "initialize":
            import urllib.parse
            sys.path_root = urllib.parse.unquote(message["params"]["rootUri"][7:])
            write({{"jsonrpc": "2.0", "id": 0, "method": "workspace/configuration",
                   "params": {{"items": [{{}}, {{}}]}}}})
            write({{"jsonrpc": "2.0", "id": message["id"],
                   "result": {{"capabilities": capabilities}}}})
        elif method in answers:
            write({{"jsonrpc": "2.0", "id": message["id"], "result": answers[method](message)}})
"""
GOOD = """
serve({
    "textDocument/definition": lambda m: [place("b.py", 0, 4, 8)],
    "textDocument/references": lambda m: [place("use.py", 3, 4, 8), place("b.py", 0, 4, 8)],
    "textDocument/hover": lambda m: {"contents": {"kind": "plaintext", "value": "from b"}},
    "textDocument/diagnostic": lambda m: {"items": [dict(place("b.py", 1, 0, 1), severity=2,
                                                      code="odd", message="is  odd")]},
    "textDocument/rename": lambda m: {"changes": {
        place("use.py", 3, 4, 8)["uri"]: [dict(place("use.py", 3, 4, 8), newText="fresh")],
        place("b.py", 0, 4, 8)["uri"]: [dict(place("b.py", 0, 4, 8), newText="fresh")]}},
}, {"renameProvider": True, "diagnosticProvider": {}})
"""
OUTSIDE = """
serve({
    "textDocument/definition": lambda m: [{"uri": "file:///etc/passwd",
        "range": {"start": {"line": 0, "character": 0}, "end": {"line": 0, "character": 1}}}],
    "textDocument/rename": lambda m: {"changes": {"file:///etc/passwd": [
        {"range": {"start": {"line": 0, "character": 0}, "end": {"line": 0, "character": 1}},
         "newText": "x"}]}},
}, {"renameProvider": True})
"""
BAD = {
    "dies at once": "sys.exit(3)",
    "never answers the greeting": "time.sleep(600)",
    "never answers a question": "serve({})",
    "is no server": "print('hello\\n' * 1000); time.sleep(600)",
    "promises much": "sys.stdout.buffer.write(b'Content-Length: 99999999999\\r\\n\\r\\n');"
    "sys.stdout.buffer.flush(); time.sleep(600)",
    "talks and never listens": "sys.stdin = None\nwhile True: write({'method': 'window/log',"
    " 'params': {'text': 'x' * 10000}})",
    "asks and never listens": "while True: write({'id': 1, 'method': 'x', 'params': {}})",
    "answers with nonsense": "serve({'textDocument/definition': lambda m: [[1], 'x', {}, None],"
    " 'textDocument/references': lambda m: 7})",
    "answers with an error": "serve({'textDocument/definition': lambda m: 1 / 0})",
    "grows": "serve({'textDocument/definition': lambda m: (globals().update(x=b'x' * 300_000_000),"
    " time.sleep(600))})",
}


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(parsing, "_grammars", grammars())
    yield
    servers.end_all()
    servers.forget()


def tree(folder: Path, server: str) -> Path:
    root = repository(
        folder / "r",
        a="def name(): pass\n",
        b="def name():\n    pass\n",
        use="from elsewhere import thing\n\n\nx = 'é😀'; thing.name()\n#    ^ where\n",
    )
    place = root / ".venv/bin/ty"
    place.parent.mkdir(parents=True)
    place.write_text(HEAD + server)
    place.chmod(0o755)
    (root / ".gitignore").write_text(".venv\n")
    return root


def heard(root: Path) -> str:
    return (root / ".venv/bin/ty.log").read_text()


def test_a_server_says_which_definition_is_meant(tmp_path: Path) -> None:
    root = tree(tmp_path, GOOD)
    answer = ask(root, "definition", "use.py:4:name")
    assert (answer["by"], answer["sure"], places(answer)[0]) == ("ty", "exact", "b.py:1")
    # Characters are counted as the protocol does, in halves of UTF-16 pairs.
    assert '"character": 17' in heard(root)
    answer = ask(root, "references", "b.py:1")
    assert (answer["by"], places(answer)) == ("ty", ["b.py:1", "use.py:4"])
    assert ask(root, "hover", "use.py:4:name")["text"] == "from b"
    assert ask(root, "diagnostics", "b.py")["problems"] == [[2, "warning", "is odd [odd]"]]
    assert heard(root).count('"initialize"') == 1


def test_the_server_that_a_person_chose_is_the_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = tree(tmp_path, BAD["never answers a question"])
    mine = root / "tools/mine"
    mine.parent.mkdir()
    mine.write_text(HEAD + "assert sys.argv[1:] == ['--stdio']\n" + GOOD)
    mine.chmod(0o755)
    monkeypatch.setenv("GLOVEBOX_SERVERS", '{"python": ["tools/mine", "--stdio"]}')
    answer = ask(root, "definition", "use.py:4:name")
    assert (answer["by"], answer["sure"], places(answer)[0]) == ("mine", "exact", "b.py:1")
    assert not (root / ".venv/bin/ty.log").exists()


@pytest.mark.parametrize("value", ['{"python": []}', '{"python": ["gone-for-good"]}'])
def test_one_that_is_off_or_absent_leaves_it_to_the_index(
    value: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = tree(tmp_path, GOOD)
    monkeypatch.setenv("GLOVEBOX_SERVERS", value)
    assert ask(root, "definition", "use.py:4:name")["by"] == "index"
    assert not (root / ".venv/bin/ty.log").exists()


@pytest.mark.parametrize("value", ["", "nonsense", "[1]", '{"python": 3}', '{"c": ["x"]}'])
def test_a_choice_of_others_or_a_broken_one_changes_nothing(
    value: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = tree(tmp_path, GOOD)
    monkeypatch.setenv("GLOVEBOX_SERVERS", value)
    assert ask(root, "definition", "use.py:4:name")["by"] == "ty"


def test_what_a_known_server_needs_is_left_to_who_chose_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GLOVEBOX_SERVERS", '{"c": ["clangd", "--background-index"]}')
    (chosen,) = servers._kinds("c")
    assert (chosen.name, chosen.argv[1:]) == ("clangd", ("--background-index",))
    assert (chosen.needs, chosen.wide) == ((), False)
    (known,) = servers._kinds("cpp")
    assert known.needs and known.key != chosen.key


def test_a_server_is_not_started_for_what_is_sure(tmp_path: Path) -> None:
    root = tree(tmp_path, GOOD)
    (root / "a.py").unlink()
    assert ask(root, "definition", "name")["by"] == "index"
    assert ask(root, "references", "name")["by"] == "index"
    assert not (root / ".venv/bin/ty.log").exists()


def test_a_rename_by_a_server_is_made_in_all_files(tmp_path: Path) -> None:
    root = tree(tmp_path, GOOD)
    shown = ask(root, "rename", "b.py:1", new_name="fresh")
    assert (shown["by"], shown["applied"], shown["total"]) == ("ty", False, 2)
    done = ask(root, "rename", "b.py:1", new_name="fresh", apply=True)
    assert done["applied"] is True
    assert (root / "b.py").read_text().startswith("def fresh():")
    assert "def name" in (root / "a.py").read_text()


def test_what_is_changed_on_the_disk_is_told_to_the_server(tmp_path: Path) -> None:
    root = tree(tmp_path, GOOD)
    ask(root, "definition", "use.py:4:name")
    (root / "a.py").write_text("def name(): return 1\n")
    (root / "use.py").write_text("from elsewhere import thing\n\n\nthing.name()\n")
    ask(root, "definition", "use.py:4:name")
    assert "workspace/didChangeWatchedFiles" in heard(root) and "/a.py" in heard(root)
    assert "textDocument/didChange" in heard(root)


def test_a_server_that_leads_outside_is_not_followed(tmp_path: Path) -> None:
    root = tree(tmp_path, OUTSIDE)
    assert ask(root, "definition", "use.py:4:name")["by"] == "index"
    refused = ask(root, "rename", "b.py:1", new_name="fresh", apply=True)
    assert refused["reason"] == "ambiguous_rename"


@pytest.mark.parametrize("what", BAD)
def test_with_a_bad_server_the_index_answers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, what: str
) -> None:
    monkeypatch.setattr(servers, "START_SECONDS", 3.0)
    monkeypatch.setattr(consult, "SECONDS", 1.0)
    monkeypatch.setattr(rpc, "MEMORY_MAX_BYTES", 150_000_000)
    root = tree(tmp_path, BAD[what])
    answer = ask(root, "definition", "use.py:4:name")
    assert (answer["by"], answer["definitions"]) == ("index", 2)
    assert ask(root, "references", "b.py:1")["by"] == "index"


def test_what_nobody_asks_any_more_ends(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(servers, "IDLE_SECONDS", 0.0)
    root = tree(tmp_path, GOOD)
    ask(root, "definition", "use.py:4:name")
    for thread in threading.enumerate():
        if thread.name == servers.WATCHER:
            thread.join(60)
            assert not thread.is_alive()
    assert servers.running() == []


def test_all_that_a_server_started_ends_with_it(tmp_path: Path) -> None:
    inner = "import subprocess; p = subprocess.Popen(['sleep', '600']);"
    inner += "open(__file__ + '.pid', 'w').write(str(p.pid))\n"
    root = tree(tmp_path, inner + GOOD)
    ask(root, "definition", "use.py:4:name")
    # A signal takes a moment to arrive, and who takes a dead child's leave is not ours to say.
    started = os.pidfd_open(int((root / ".venv/bin/ty.pid").read_text()))
    servers.end_all()
    ended, _, _ = select.select([started], [], [], 60.0)
    os.close(started)
    assert ended


def test_clangd_needs_to_be_told_how_files_are_compiled(tmp_path: Path) -> None:
    root = tmp_path / "r"
    (root / "bin").mkdir(parents=True)
    git(root, "init", "-q")
    (root / "bin/clangd").write_text("#!/bin/sh\n")
    os.chmod(root / "bin/clangd", 0o755)
    assert servers.find(str(root), "cpp") is None
    servers.forget()
    (root / "compile_commands.json").write_text("[]")
    found = servers.find(str(root), "cpp")
    assert found is not None and found[0].wide is False


def test_an_old_compiler_is_no_server(tmp_path: Path) -> None:
    root = tmp_path / "r"
    place = root / "node_modules/.bin/tsc"
    place.parent.mkdir(parents=True)
    for version, is_one in (("5.9.2", False), ("7.0.2", True)):
        place.write_text(f"#!/bin/sh\necho Version {version}\n")
        place.chmod(0o755)
        servers.forget()
        assert (servers.find(str(root), "typescript") is not None) is is_one
