from __future__ import annotations

from pathlib import Path

import pytest

from agent.core.errors import UserError
from benchmarks.collect import decides
from benchmarks.suites.polyglot import load
from benchmarks.tasks import Task, data_of
from benchmarks.tracks import TRACKS
from tests.benchmarks.exercises import EXERCISES, TOKEN, lay_out

LANGUAGES = sorted(EXERCISES)


def only(root: Path, language: str) -> Task:
    (task,) = load(lay_out(root, language))
    return task


def test_there_is_an_exercise_for_every_language_we_know() -> None:
    assert sorted(TRACKS) == LANGUAGES


def test_a_clone_a_language_and_an_exercise_are_read_alike(tmp_path: Path) -> None:
    folders = [lay_out(tmp_path, language) for language in ("python", "go")]

    assert [task.id for task in load(tmp_path)] == [
        "polyglot/go/leap-year",
        "polyglot/python/leap-year",
    ]
    assert load(tmp_path / "python") == load(folders[0]) == load(tmp_path)[1:]


@pytest.mark.parametrize("language", LANGUAGES)
def test_what_is_hidden_is_neither_among_the_files_nor_in_the_words(
    tmp_path: Path, language: str
) -> None:
    task = only(tmp_path, language)
    inside = {name: data_of(content) for name, content in task.start.files.items()}

    assert [name for name, data in inside.items() if TOKEN.encode() in data] == []
    assert TOKEN not in task.instruction
    assert not [name for name in {*inside, *task.shown} if name.split("/")[-1] == "config.json"]
    hidden = {data_of(content) for content in task.shown.values()}
    assert hidden
    assert not hidden & set(inside.values())


@pytest.mark.parametrize("language", LANGUAGES)
def test_tests_run_in_everything_but_what_starts_with_a_dot(tmp_path: Path, language: str) -> None:
    task = only(tmp_path, language)

    assert {*task.start.files, *task.shown} == set(task.pristine.files)
    prefix = "leap-year/" if language == "cpp" else ""
    assert set(task.pristine.files) == {prefix + name for name in EXERCISES[language].files}
    assert task.reference is not None
    assert all(task.takes(name) for name in task.reference.files)


@pytest.mark.parametrize("language", LANGUAGES)
def test_nothing_that_could_sway_the_verdict_is_taken(tmp_path: Path, language: str) -> None:
    task, made = only(tmp_path, language), EXERCISES[language]
    prefix = "leap-year/" if language == "cpp" else ""

    touched = [prefix + name for name in (*made.touched, *made.tests)]
    assert made.touched
    assert [name for name in touched if task.takes(name)] == []
    assert task.takes(prefix + made.solution[0])
    assert prefix + made.solution[0] in task.instruction
    assert not task.takes(f"deeper/{made.solution[0]}")


def test_new_modules_are_taken_beside_the_solution_and_nowhere_else(tmp_path: Path) -> None:
    rust, java = only(tmp_path, "rust"), only(tmp_path, "java")

    assert rust.takes("src/more.rs")
    assert java.takes("src/main/java/More.java")
    for name in ("src/bin/more.rs", "build.rs", "src/main/java/org/More.java", "More.java"):
        assert not rust.takes(name)
        assert not java.takes(name)


def test_what_decides_the_verdict_is_known(tmp_path: Path) -> None:
    task = only(tmp_path, "go")

    assert decides(task, ["notes.txt", "cases_test.go"])
    assert decides(task, ["deep/CMakeLists.txt"])
    assert not decides(task, ["notes.txt", "more.go"])


def test_no_skip_marker_stays(tmp_path: Path) -> None:
    tests = {
        language: b"".join(map(data_of, only(tmp_path, language).shown.values()))
        for language in ("java", "javascript")
    }

    assert b"@Disabled" not in tests["java"]
    assert TRACKS["java"].unskipped(b"@DisabledOnOs(WINDOWS)") == b"@DisabledOnOs(WINDOWS)"
    assert b"api.Disabled;" in tests["java"]
    assert b"xtest" not in tests["javascript"]
    assert b"xit" not in tests["javascript"]
    assert b".skip" not in tests["javascript"]
    assert tests["javascript"].count(b"test('") == 3
    assert tests["javascript"].count(b"it('leap too'") == 1


def test_the_version_is_another_when_a_test_is(tmp_path: Path) -> None:
    before = only(tmp_path, "python").version
    folder = tmp_path / "python/exercises/practice/leap-year"
    (folder / ".meta/tests.toml").write_text("nothing that counts")
    assert load(folder)[0].version == before

    (folder / "leap_year_test.py").write_text("# none\n")
    assert load(folder)[0].version != before


def test_an_exercise_that_is_not_whole_is_an_error(tmp_path: Path) -> None:
    lay_out(tmp_path, "python", "good")
    (lay_out(tmp_path, "python", "bad") / "leap_year_test.py").unlink()

    with pytest.raises(UserError, match=r"bad` has no `leap_year_test.py`"):
        load(tmp_path)


def test_a_language_nobody_knows_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "cobol/exercises/practice/leap").mkdir(parents=True)

    with pytest.raises(UserError, match="cobol"):
        load(tmp_path)
