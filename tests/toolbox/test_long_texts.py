"""Texts on which a careless pattern takes hours, chosen by whoever wrote the repository.

Nothing else in the toolbox runs while one is looked at.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from agent.toolbox.changes import hunks, placing
from agent.toolbox.files import paths
from agent.toolbox.symbols import imports, map, ranking, uses
from agent.toolbox.symbols.imports import Imports, Origin
from agent.toolbox.symbols.index import Index
from agent.toolbox.symbols.lookup import Lookup
from tests.toolbox.code import built, repository

LANGUAGES = ("python", "javascript", "go", "java", "c", "ruby", "rust")
LONG = 300_000


@pytest.fixture
def index(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Index:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    lines = [
        f"x = '{'A' * LONG}'; foo()",
        f"foo{' ' * LONG}x",
        f"@{'foo.' * 1_000}foo{' ' * LONG}<",
        *("x = 1" for _ in range(3_000)),
    ]
    return built(repository(tmp_path / "work", a="\n".join(lines)))


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize(
    "text",
    [
        "\n" * LONG,
        "import" + " " * LONG,
        "import x\n" * 1_000 + "\n" * LONG,
        "export const x = 1\n" * 10_000,
        "from a import (\n" * 5_000,
        "use a" + " " * LONG + "b",
        "# include" + "\t" * LONG,
    ],
    ids=["newlines", "blanks", "imports", "exports", "brackets", "end", "include"],
)
def test_imports_are_read_in_time(language: str, text: str) -> None:
    imports.read(language, text)


def test_imports_are_found_wherever_a_line_may_begin() -> None:
    script = ";import {a as b,\n  type C} from './x'\r\n\texport * from \"y\"\nimport d from'z'"
    names = {"b": Origin("./x", "a"), "C": Origin("./x", "C"), "d": Origin("z", "default")}
    assert imports.read("javascript", script) == Imports(names, ("y",))
    go = 'import "fmt"\nimport (\n\tx "a/b"  \r\n\n\t"c/d"\n)\n'
    assert set(imports.read("go", go).names) == {"fmt", "x", "d"}
    dotted = "import a.B ;\n\n  import static a.b.*;\r\nuse c::d as e;\nusing System.IO"
    found = imports.read("java", dotted)
    assert (set(found.names), found.stars) == ({"B", "e", "IO"}, ("a/b",))
    assert imports.read("c", ' # include <a/b.h>\n#include "c.h"').stars == ("a/b.h", "c.h")
    assert imports.read("ruby", "require 'a'\n  require_relative(\"b\")").stars == ("a", "b")


def test_what_stands_before_a_name_is_read_in_time(index: Index) -> None:
    lookup = Lookup(index)
    assert ranking.use_of(lookup, "a.py", 1, "foo").before == ""
    assert [uses.is_call(lookup, "a.py", line, "foo") for line in (1, 2, 3)] == [True, False, True]
    index.close()


def test_words_of_a_request_are_read_in_time() -> None:
    assert map.Asked("a" * 5_000_000, []).paths == []
    assert map.Asked("see src/a.py and docs/x", []).paths == ["src/a.py", "docs/x"]


def test_a_heading_is_looked_for_in_time() -> None:
    page = hunks.Page(["a " * 250 + ":", "    x", "def f(a, b):", "    y"])
    found = placing.Placing(page.lines).place(_under(" ".join("a" * 60) + " b", "    x"))
    assert (found.step, found.start) == ("heading", 1)
    assert placing.Placing(page.lines).place(_under("f(a, b)", "    y")).start == 3


def _under(heading: str, line: str) -> hunks.Hunk:
    hunk = hunks.Hunk([("-", line)])
    hunk.headings.append(heading)
    return hunk


def test_a_path_with_a_nul_is_a_path() -> None:
    assert paths.absolute("~\0/x", "/w") == "/w/~\0/x"
