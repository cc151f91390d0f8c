"""Which definition is meant, who uses it, and how sure the answer says it is."""

from __future__ import annotations

import errno
import os
from pathlib import Path
from typing import Any

import pytest

from agent.toolbox.code import parsing
from tests.toolbox.code import ask, grammars, places, repository


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(parsing, "_grammars", grammars())


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return repository(
        tmp_path / "r",
        shop____init__="from shop.models import *\nfrom .bills import Bill as Invoice\n",
        shop__bills="class Bill:\n    def save(self):\n        self.save()\n        check(self)\n"
        "\n\ndef check(bill):\n    return bill\n",
        shop__models="__all__ = ['Model']\n\nclass Model:\n    def save(self):\n        pass\n",
        shop__other="class Other:\n    def save(self):\n        pass\n\ndef check(x): pass\n",
        use="import shop\nfrom shop import Invoice, Model\nfrom shop.bills import check\n"
        "import shop.other as other\n\n\n"
        "def run(thing):\n    Model().save()\n    check(thing)\n    other.check(thing)\n"
        "    thing.save()\n    return Invoice, shop.Model\n",
        tests__test_bills="from shop.bills import check\n\ndef test_check():\n    check(1)\n"
        "\ndef check_all(): pass\n",
    )


DEFINITIONS = [
    ("use.py:9:check", "shop/bills.py:7", "likely"),
    ("use.py:10:check", "shop/other.py:5", "likely"),
    ("use.py:8:Model", "shop/models.py:3", "exact"),
    ("use.py:12:Model", "shop/models.py:3", "exact"),
    ("shop/bills.py:3:save", "shop/bills.py:2", "likely"),
    ("shop/bills.py:4:check", "shop/bills.py:7", "likely"),
    ("tests/test_bills.py:4:check", "shop/bills.py:7", "likely"),
    ("use.py:11:save", "", "by_name"),
    ("Model.save", "shop/models.py:4", "exact"),
    ("other.check", "shop/other.py:5", "exact"),
    ("shop/bills.py:7", "shop/bills.py:7", "exact"),
    ("run()", "use.py:7", "exact"),
    ("def run", "use.py:7", "exact"),
    ("class Bill.save", "shop/bills.py:2", "exact"),
    ("shop/other.py:check", "shop/other.py:5", "exact"),
    ("use.py:check", "shop/bills.py:7", "likely"),
    ("check", "", "by_name"),
]


@pytest.mark.parametrize(("target", "first", "sure"), DEFINITIONS)
def test_a_definition(root: Path, target: str, first: str, sure: str) -> None:
    answer = ask(root, "definition", target)
    assert (answer["sure"], first or places(answer)[0]) == (sure, places(answer)[0])
    assert bool(answer["body"]) is (sure != "by_name")


def uses(answer: dict[str, Any]) -> list[str]:
    return sorted(places(answer))


def test_uses_are_those_of_the_definition_that_was_asked_about(root: Path) -> None:
    answer = ask(root, "references", "shop/bills.py:7")
    assert uses(answer) == [
        "shop/bills.py:4",
        "tests/test_bills.py:1",
        "tests/test_bills.py:4",
        "use.py:3",
        "use.py:9",
    ]
    assert (answer["sure"], answer["definitions"], answer["unsure"]) == ("likely", 2, 0)


def test_one_definition_of_many_is_never_taken_for_the_only_one(root: Path) -> None:
    answer = ask(root, "references", "Model.save")
    assert (answer["sure"], answer["definitions"]) == ("likely", 3)
    assert "use.py:11" not in uses(answer) and answer["unsure"] == 1
    assert ask(root, "references", "save")["sure"] == "by_name"
    renamed = ask(root, "rename", "Model.save", new_name="store", apply=True)
    assert renamed["reason"] == "ambiguous_rename"


def test_a_name_with_one_definition_is_sure(root: Path) -> None:
    answer = ask(root, "references", "Model")
    assert (answer["sure"], uses(answer)) == (
        "exact",
        ["shop/models.py:1", "use.py:12", "use.py:2", "use.py:8"],
    )


def test_a_variable_of_the_same_name_is_no_use(tmp_path: Path) -> None:
    root = repository(
        tmp_path / "v",
        a="class Hasher:\n    def params(self):\n        return 1\n\n\ndef chunk(x): pass\n",
        b="def run(params, chunk):\n    params = chunk\n    return params, thing.params()\n",
        c="from a import chunk\n\nchunk(1)\n",
    )
    answer = ask(root, "references", "params")
    assert (answer["sure"], uses(answer)) == ("likely", ["b.py:3"])
    answer = ask(root, "references", "chunk")
    assert (answer["sure"], uses(answer)) == ("exact", ["c.py:1", "c.py:3"])


def test_self_and_super_lead_up_to_the_classes_that_are_derived_from(tmp_path: Path) -> None:
    root = repository(
        tmp_path / "h",
        base="class Base:\n    def execute(self): pass\n\n    def other(self): pass\n",
        middle="import base\n\nclass Middle(base.Base):\n    def other(self): pass\n",
        aside="class Aside:\n    def execute(self): pass\n    def other(self): pass\n",
        leaf="from middle import Middle\n\n\nclass Leaf(Middle, metaclass=Meta):\n"
        "    def execute(self):\n        super().execute()\n        self.other()\n",
    )
    for target, first in (
        ("leaf.py:6:execute", "base.py:2"),
        ("leaf.py:7:other", "middle.py:4"),
    ):
        answer = ask(root, "definition", target)
        assert (places(answer)[0], answer["sure"]) == (first, "likely")


RECEIVERS = """\
from shapes import Disc, Shape, make
from shapes import Other as Elsewhere


class Page:
    def __init__(self, given: "Disc"):
        self.kept = Disc(1)
        given.turn()

    def show(self):
        self.kept.turn()
        other = Elsewhere()
        other.turn()
        with Disc(2) as held:
            held.turn()
        made = make("disc")
        made.area()
        Disc(len("x")).area()
        Disc.of().area()
        front.turn()


front = Disc(4)
"""


def test_a_member_is_of_the_class_that_its_receiver_was_made_from(tmp_path: Path) -> None:
    root = repository(
        tmp_path / "s",
        shapes="class Shape:\n    def area(self): pass\n\n"
        "class Disc(Shape):\n    def turn(self): pass\n\n    @classmethod\n"
        "    def of(cls) -> 'Disc': pass\n\n"
        "class Other:\n    def turn(self): pass\n\n"
        "def make(kind) -> Shape: pass\n",
        aaa="class First:\n    def turn(self): pass\n    def area(self): pass\n"
        "class Other:\n    def turn(self): pass\n",
        page=RECEIVERS,
    )
    disc, other, shape = "shapes.py:5", "shapes.py:11", "shapes.py:2"
    for line, name, first in (
        (8, "turn", disc),  # a parameter that says its class
        (11, "turn", disc),  # a part of the object
        (13, "turn", other),  # by another name
        (15, "turn", disc),  # opened
        (17, "area", shape),  # a function says what it returns
        (18, "area", shape),  # made on the spot, from a base
        (19, "area", shape),  # a method says what it returns
        (20, "turn", disc),  # the module's own
        (2, "Other", "shapes.py:10"),  # an import that gives another name
    ):
        answer = ask(root, "definition", f"page.py:{line}:{name}")
        assert (line, places(answer)[0], answer["sure"]) == (line, first, "likely")


def test_a_line_that_nobody_wrote_is_no_evidence(tmp_path: Path) -> None:
    """It is passed over: the patterns would take a day for this one."""
    long = "with a(one) one " * 60_000
    root = repository(
        tmp_path / "s",
        shapes="class Disc:\n    def turn(self): pass\n\nclass Other:\n    def turn(self): pass\n",
        page="import shapes\n\n\ndef run():\n    one = shapes.Other()\n"
        f"    x = '{long}'\n    one.turn()\n",
    )

    answer = ask(root, "definition", "page.py:7:turn")

    assert places(answer)[0] == "shapes.py:5"


def test_a_name_of_the_file_is_meant_where_another_was_imported_under_a_different_one(
    tmp_path: Path,
) -> None:
    root = repository(
        tmp_path / "n",
        far="def shapes(): pass\n",
        near="from far import shapes as _shapes\n\n\ndef shapes():\n    return _shapes()\n"
        "\n\nshapes.doc = _shapes.doc\n",
    )
    assert places(ask(root, "definition", "near.py:8:shapes"))[0] == "near.py:4"


def test_callers_name_the_function_around(root: Path) -> None:
    answer = ask(root, "callers", "shop/bills.py:8")
    rows = [(group["path"], *row[:2]) for group in answer["groups"] for row in group["rows"]]
    assert rows == [
        ("shop/bills.py", 4, "Bill.save"),
        ("use.py", 9, "run"),
        ("tests/test_bills.py", 4, "test_check"),
    ]


def test_callees_are_looked_up_where_they_are_called(root: Path) -> None:
    answer = ask(root, "callees", "run")
    assert {(one["name"], f"{one['path']}:{one['at']}") for one in answer["callees"]} >= {
        ("check", "shop/bills.py:7"),
        ("Model", "shop/models.py:3"),
    }


def test_symbols_are_found_by_a_part_of_their_name(root: Path) -> None:
    assert places(ask(root, "symbols", "chec"))[:2] == ["shop/bills.py:7", "shop/other.py:5"]
    assert places(ask(root, "symbols", "check all")) == ["tests/test_bills.py:6"]
    assert ask(root, "symbols", "100%_")["groups"] == []


REFUSED = [
    ("definition", "nowhere", "unknown_name"),
    ("definition", "../outside.py:1", "no_name"),
    ("definition", "use.py:8", "several_names"),
    ("definition", "use.py:5", "no_names"),
    ("definition", "use.py:8:nope", "not_there"),
    ("definition", "use.py:99999", "no_names"),
    ("definition", "", "no_name"),
    ("definition", "a b c", "no_name"),
    ("definition", "shop/bills.py", "is_file"),
    ("definition", "use.py:nowhere", "not_in_file"),
    ("outline", "shop", "directory"),
    ("diagnostics", "check", "absent"),
    ("outline", "nope.py", "absent"),
    ("diagnostics", "/etc/passwd", "outside"),
    ("sing", "use.py", "unknown_operation"),
]


@pytest.mark.parametrize(("operation", "target", "reason"), REFUSED)
def test_a_refusal_says_why(root: Path, operation: str, target: str, reason: str) -> None:
    assert ask(root, operation, target)["reason"] == reason


def test_of_several_in_a_file_the_lines_are_told(root: Path) -> None:
    (root / "twice.py").write_text("class A:\n    def go(self): pass\n\ndef go(): pass\n")
    refused = ask(root, "definition", "twice.py:go")
    assert (refused["reason"], refused["names"]) == ("which_line", ["twice.py:2", "twice.py:4"])


def test_a_rename_reaches_every_use_and_says_what_is_there_already(root: Path) -> None:
    answer = ask(root, "rename", "Model", new_name="check", apply=True)
    assert (answer["applied"], answer["total"], len(answer["taken"])) == (True, 5, 2)
    assert "__all__ = ['check']\n\nclass check:" in (root / "shop/models.py").read_text()
    assert "shop.check\n" in (root / "use.py").read_text()


def test_what_may_be_of_a_library_is_not_renamed_unseen(tmp_path: Path) -> None:
    root = repository(
        tmp_path / "l",
        wire="class Wire:\n    def strip(self):\n        return self.strip()\n"
        "\n\ndef glue(): pass\n",
        use="from wire import Wire, glue\n\n\ndef run(text):\n    Wire().strip()\n"
        "    return text.strip(), glue()\n",
        other="from library import glue\n\nglue()\n",
    )
    shown = ask(root, "rename", "strip", new_name="peel")
    rows = {f"{g['path']}:{row[0]}": row[2] for g in shown["groups"] for row in g["rows"]}
    assert rows == {"use.py:5": False, "use.py:6": True, "wire.py:2": False, "wire.py:3": False}
    assert (shown["sure"], shown["unsure"]) == ("likely", 1)
    for name, count in (("strip", 1), ("glue", 2)):
        refused = ask(root, "rename", name, new_name="peel", apply=True)
        assert (refused["reason"], refused["count"]) == ("unsure_rename", count)
    assert "text.strip()" in (root / "use.py").read_text()
    assert ask(root, "rename", "strip", new_name="peel", apply=True, shown=True)["applied"]
    assert "text.peel()" in (root / "use.py").read_text()


def test_a_rename_that_cannot_be_made_says_why(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (root / "west.py").write_bytes("from use import total  # na\xefve\n".encode("latin-1"))
    (root / "use.py").write_text("def total(): pass\n")
    before = (root / "west.py").read_bytes()
    refused = ask(root, "rename", "total", new_name="\u0438\u0442\u043e\u0433", apply=True)
    why = "west.py: U+0438 cannot be written as latin-1"
    assert (refused["reason"], refused["why"]) == ("not_renamed", why)
    assert (root / "west.py").read_bytes() == before

    replace, made = os.replace, [1]

    def fail_after_one(source: str, target: str) -> None:
        if not made:
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        replace(source, target)
        made.pop()

    monkeypatch.setattr(os, "replace", fail_after_one)
    torn = ask(root, "rename", "total", new_name="sum_up", apply=True)
    assert (torn["reason"], torn["names"]) == ("torn", ["use.py"])


def test_a_member_of_something_unknown_is_told_of(root: Path) -> None:
    (root / "more.py").write_text("def go(one, name):\n    one.run(name)\n    run = name\n")
    answer = ask(root, "references", "run")
    assert (answer["definitions"], answer["sure"], answer["unsure"]) == (1, "likely", 1)


@pytest.mark.parametrize("new", ["", "a b", "9a", "Model;", "Model"])
def test_a_new_name_must_be_one(root: Path, new: str) -> None:
    answer = ask(root, "rename", "Model", new_name=new, apply=True)
    assert answer["reason"] in ("bad_new_name", "same")


def test_other_languages(tmp_path: Path) -> None:
    root = tmp_path / "r"
    files = {
        "src/a.ts": "export function draw(x: number) { return x }\nexport * from './b'\n",
        "src/b.ts": "export class Pen { draw() {} }\n",
        "src/use.ts": "import { draw, Pen } from './a'\ndraw(1)\nnew Pen().draw()\n",
        "go/pen/pen.go": "package pen\n\nfunc Draw(x int) int { return x }\n",
        "go/main.go": 'package main\n\nimport "ex.org/go/pen"\n\nfunc main() { pen.Draw(1) }\n',
        "c/pen.h": "int draw_it(int x);\n",
        "c/pen.c": '#include "pen.h"\nint draw_it(int x) { return x; }\n',
        "run": "#!/bin/sh\nclean() { rm x; }\nclean\n",
    }
    for name, text in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    (root / "run").chmod(0o755)
    assert places(ask(root, "definition", "src/use.ts:2:draw"))[0] == "src/a.ts:1"
    assert places(ask(root, "definition", "src/use.ts:3:draw"))[0] == "src/b.ts:1"
    assert places(ask(root, "definition", "src/use.ts:3:Pen"))[0] == "src/b.ts:1"
    assert places(ask(root, "definition", "go/main.go:5:Draw"))[0] == "go/pen/pen.go:3"
    assert places(ask(root, "definition", "draw_it"))[0] == "c/pen.c:2"
    assert places(ask(root, "definition", "clean"))[0] == "run:2"


def test_a_symbol_of_ruby_is_no_call(tmp_path: Path) -> None:
    (tmp_path / "a.rb").write_text(
        "def halt\n  throw :halt\nend\n\ndef go\n  halt\n  App::halt\nend\n"
    )
    (told,) = ask(tmp_path, "callers", "halt")["groups"]
    assert [(row[1], row[0], row[3]) for row in told["rows"]] == [("go", 6, 2)]


def test_what_is_said_of_many_is_said_of_their_name(root: Path) -> None:
    answer = ask(root, "hover", "save")
    assert (answer["sure"], answer["name"]) == ("by_name", "save")


BY_ANOTHER_NAME = {
    "web/package.json": '{"name": "@shop/web"}',
    "web/tsconfig.json": '{"compilerOptions": {"paths": {"#kit/*": ["./kit/*"]}}}',
    "web/kit/ink.ts": "export function blot() {}\n",
    "web/src/ui/pen.tsx": "export default function Pen() {}\nexport function dip() {}\n",
    "web/src/page.tsx": "import Pen from '@/ui/pen'\nimport { dip } from '~/ui/pen'\n"
    "import { blot } from '#kit/ink'\nblot()\ndip()\nconst page = <Pen />\n",
    "core/package.json": '{\n  "name": "@shop/core"\n}',
    "core/src/index.ts": "export * as sums from './sums'\nexport * from './names'\n",
    "core/src/sums.ts": "export function total() {}\n",
    "core/src/names.ts": "export function trim() {}\n",
    "web/src/use.ts": "import { sums, trim as cut } from '@shop/core'\nsums.total()\n"
    "import {\n  trim as shorten,\n} from '@shop/core'\n",
    "web/src/far.ts": "import { total, trim } from 'elsewhere'\ntotal()\ntrim()\n",
    "web/src/deep.ts": "function outer() {\n  function again() {\n    again()\n  }\n}\n",
    "tools/go.mod": "module ex.org/shop/tools\n",
    "tools/say/say.go": "package say\n\nfunc Aloud() {}\n",
    "tools/main.go": 'package main\n\nimport "ex.org/shop/tools/say"\n\n'
    "func main() { say.Aloud() }\n",
    "java/a/Box.java": "package a;\n\npublic class Box {\n  public enum Lid { SHUT }\n}\n",
    "java/b/Use.java": "package b;\n\nimport a.Box.Lid;\nimport c.Lids;\n\n"
    "class Use {\n  Lid lid = Lid.SHUT;\n}\n",
    "rust/src/lib.rs": "pub fn weigh() {}\n\nmod tests {\n    use super::weigh;\n\n"
    "    fn heavy() {}\n\n    fn check() {\n        weigh();\n        heavy();\n    }\n}\n",
}
"""Files that import each other by what is not simply a path."""


def test_a_module_is_found_by_whatever_it_is_called(tmp_path: Path) -> None:
    for path, text in BY_ANOTHER_NAME.items():
        (tmp_path / "m" / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "m" / path).write_text(text)
    expected = {
        "Pen": ["web/src/page.tsx:1", "web/src/page.tsx:6"],  # the folder of sources
        "dip": ["web/src/page.tsx:2", "web/src/page.tsx:5"],
        "blot": ["web/src/page.tsx:3", "web/src/page.tsx:4"],  # what a tsconfig.json says
        "total": ["web/src/use.ts:2"],  # a package of the tree, through its index
        "trim": ["web/src/use.ts:1", "web/src/use.ts:4"],
        "again": ["web/src/deep.ts:3"],  # a function in a function is no member
        "Aloud": ["tools/main.go:5"],  # a module of Go that is not at the top
        "Lid": ["java/b/Use.java:3", "java/b/Use.java:7"],  # a class in a class
        "weigh": ["rust/src/lib.rs:4", "rust/src/lib.rs:9"],
        "heavy": ["rust/src/lib.rs:10"],  # of a module in a file
    }
    found = {name: uses(ask(tmp_path / "m", "references", name)) for name in expected}
    assert found == expected
