"""What is told of a file, language by language, with a parser and without one."""

from __future__ import annotations

from pathlib import Path

import pytest

from agent.toolbox.code import regexes
from agent.toolbox.code.languages import LANGUAGES, language_of
from agent.toolbox.code.outline import Outline, packed, unpacked
from agent.toolbox.code.trees import Trees
from tests.grammars import folder
from tests.snapshots import assert_snapshot

HERE = Path(__file__).parent
SAMPLES = sorted((HERE / "samples").iterdir())
TREES = Trees(folder())


def told(outline: Outline) -> str:
    lines = [
        f"{one.line}-{one.end} {one.column} {one.kind} {outline.qualified(one)} | {one.signature}"
        for one in outline.definitions
    ]
    lines += [f"{name}: {where}" for name, where in sorted(outline.references.items())]
    return "\n".join([*lines, *map(str, outline.errors), ""])


@pytest.mark.parametrize("path", SAMPLES, ids=lambda path: path.name)
def test_a_sample_of_each_language(path: Path):
    data = path.read_bytes()
    language = language_of(path.name)
    grammar = TREES.grammar(language)
    assert grammar is not None
    outline = grammar.outline(data)
    assert outline.sure
    assert not outline.errors
    assert_snapshot(HERE / "snapshots" / f"tree-{language}.txt", told(outline))
    looks = regexes.outline(language, data.decode())
    assert not looks.sure
    assert_snapshot(HERE / "snapshots" / f"looks-{language}.txt", told(looks))
    assert unpacked(packed(outline)) == outline


def test_every_language_has_a_sample_and_a_grammar():
    assert {language_of(path.name) for path in SAMPLES} == set(LANGUAGES)


@pytest.mark.parametrize(
    ("path", "head", "language"),
    [
        ("a/b.py", b"", "python"),
        ("stub.pyi", b"", "python"),
        ("App.TSX", b"", "tsx"),
        ("mod.mts", b"", "typescript"),
        ("x.h", b"", "c"),
        ("x.h", b"#pragma once\nnamespace a {\nclass B;\n}", "cpp"),
        ("x.h", b"/* class A */\nstruct using_it { int a; };\n", "c"),
        ("x.h", b"struct A {\npublic:\n  int a;\n};\n", "cpp"),
        ("x.C", b"", "cpp"),
        ("x.c", b"", "c"),
        ("Rakefile", b"", "ruby"),
        ("run", b"#!/usr/bin/env -S python3.11 -I\n", "python"),
        ("run", b"#!/bin/sh -e\n", "bash"),
        ("configure.in", b"#!/bin/bash", "bash"),
        ("run.txt", b"#!/bin/sh\n", ""),
        ("README", b"", ""),
        ("a.py/README", b"", ""),
        (".py", b"", "python"),
        ("", b"", ""),
    ],
)
def test_the_language_of_a_path(path: str, head: bytes, language: str):
    assert language_of(path, head) == language


@pytest.mark.parametrize(
    ("name", "text", "errors"),
    [
        ("x.js", "f(1;\n", [(1, "missing `)`")]),
        ("x.js", "a = 1;\nfunction f() {\n  g(;\n}\n", [(3, "missing `)`")]),
        ("x.go", "package a\nfunc f() {\n\tg(\n}\nvar x = 1\n", [(3, "unexpected `(`")]),
        ("x.c", "int f(void) {\n  return 1\n}\n", [(2, "missing `;`")]),
        ("x.rs", "fn f() {\n  let x = ;\n}\n", [(2, "unexpected `=`")]),
        ("x.java", "class A {\n  void f() { g() }\n}\n", [(2, "unexpected `g()`")]),
        ("x.json", '{"a": 1,\n "b" 2}\n', [(1, "unexpected `,`")]),
        ("x.ts", "const a: = 1;\n", [(1, "unexpected `:`")]),
        ("x.rb", "def f\n  g(\nend\n", [(2, "`(` is never closed")]),
        ("x.sh", "if true; then\n  echo\n", [(3, "missing `fi`")]),
        ("x.css", "a { color: red\n", [(1, "unexpected `a { color: red`")]),
        ("x.kt", "class A {\n  fun f() = 1 }\n", []),
    ],
)
def test_broken_syntax_has_a_line(name: str, text: str, errors: list[tuple[int, str]]):
    grammar = TREES.grammar(language_of(name))
    assert grammar is not None
    found = grammar.errors(text.encode())
    assert found == errors


def test_the_innermost_definition_around_a_line():
    grammar = TREES.grammar("python")
    assert grammar is not None
    outline = grammar.outline((HERE / "samples" / "sample.py").read_bytes())

    def at(line: int) -> str:
        one = outline.at(line)
        return "" if one is None else outline.qualified(one)

    assert [at(n) for n in (1, 6, 14, 16, 20, 22, 28, 29, 33, 999)] == [
        *("", "__all__", "Shape", "Shape", "Shape.area.inner", "Shape.area", "Shape.draw"),
        *("", "area", ""),
    ]


def test_a_method_belongs_to_a_type_that_stands_after_it_or_elsewhere():
    grammar = TREES.grammar("go")
    assert grammar is not None
    outline = grammar.outline((HERE / "samples" / "sample.go").read_bytes())
    names = [outline.qualified(one) for one in outline.definitions if one.kind == "method"]
    assert names == ["Shape.Area", "Drawer.Draw", "Other.Far"]


def test_what_follows_a_broken_macro_is_no_function_called_if():
    grammar = TREES.grammar("c")
    assert grammar is not None
    code = "int f(int a) {\n  BEGIN\n  switch (a)\n    {\n    case 1: break;\n    }\n}\n}\n"
    broken = "#ifdef A\nvoid g(void) {\n#else\nelse if (a) {\n  g();\n}\n#endif\n}\nif (b) {\n}\n"
    for text in (code, broken, code + broken):
        names = [one.name for one in grammar.outline(text.encode()).definitions]
        assert not set(names) & {"if", "switch", "else"}, names
