from __future__ import annotations

from pathlib import Path

import pytest

from agent.core.errors import LlmDownError, UserError
from agent.llm.protocol import Request
from benchmarks.script import script
from benchmarks.suites import load_suite, names
from benchmarks.suites.local import load
from benchmarks.tasks import Grader, Limits, Tree, Work, data_of


def make(folder: Path, **others: str) -> Path:
    (folder / "files").mkdir(parents=True)
    (folder / "files/a.txt").write_text("a\n")
    for name, text in {"instruction.md": "Do it.\n", "check.sh": "true\n", **others}.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    return folder


def test_a_folder_of_tasks_is_read_by_name(tmp_path: Path) -> None:
    make(tmp_path / "b")
    make(
        tmp_path / "a",
        **{"task.toml": 'seconds = 5\nmodel = "x/y"\n', "check/deep/hidden.py": "1", "check/b": ""},
    )

    (tmp_path / "a/solution").mkdir()
    (tmp_path / "a/solution/a.txt").write_text("b\n")
    first, second = load(tmp_path)

    assert (first.id, first.instruction, first.model) == ("local/a", "Do it.", "x/y")
    assert first.start == first.pristine == Tree(folder=tmp_path / "a/files")
    assert {name: data_of(it) for name, it in first.hidden.items()} == {
        "b": b"",
        "deep/hidden.py": b"1",
    }
    assert first.grader == Grader("true\n", "exit")
    assert first.reference == Work({"a.txt": b"b\n"})
    assert first.limits == Limits(5, 120)
    assert (second.id, second.limits, second.reference) == ("local/b", Limits(600, 120), None)


def test_a_task_has_another_version_when_anything_of_it_that_counts_is_another(
    tmp_path: Path,
) -> None:
    versions = [load(make(tmp_path / "a"))[0].version]
    for name in ("files/a.txt", "instruction.md", "check.sh", "check/new.py"):
        (tmp_path / "a" / name).parent.mkdir(exist_ok=True)
        (tmp_path / "a" / name).write_text("another\n")
        versions.append(load(tmp_path / "a")[0].version)

    assert len(set(versions)) == len(versions)


def test_suites_are_found_by_the_names_of_their_files(tmp_path: Path) -> None:
    assert {"local", "polyglot"} <= set(names())
    assert [task.id for task in load_suite("local", make(tmp_path / "one"))] == ["local/one"]
    with pytest.raises(UserError, match="no suite `other`") as caught:
        load_suite("other", tmp_path)
    assert "local" in caught.value.hint


def test_one_task_may_be_named_alone(tmp_path: Path) -> None:
    assert [task.id for task in load(make(tmp_path / "one"))] == ["local/one"]


@pytest.mark.parametrize("missing", ["instruction.md", "check.sh"])
def test_a_task_that_is_not_whole_is_an_error_and_not_left_out(
    tmp_path: Path, missing: str
) -> None:
    make(tmp_path / "good")
    (make(tmp_path / "bad") / missing).unlink()

    with pytest.raises(UserError, match=rf"bad` has no `{missing}`"):
        load(tmp_path)


def test_a_setting_that_is_not_known_is_an_error(tmp_path: Path) -> None:
    make(tmp_path / "a", **{"task.toml": "second = 5\n"})

    with pytest.raises(UserError, match="second") as caught:
        load(tmp_path)
    assert caught.value.hint == "known keys: seconds, check_seconds, model"


def test_a_folder_without_tasks_says_what_one_is(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no tasks") as caught:
        load(tmp_path)
    assert "instruction.md" in caught.value.hint


async def test_a_script_that_is_over_is_a_fault_and_no_answer(tmp_path: Path) -> None:
    path = tmp_path / "replies.toml"
    path.write_text('[[reply]]\ntext = "hi"\n[[reply.calls]]\nname = "x"\narguments = {a = 1}\n')
    model, request = script(path), Request("m", "s", ())

    reply = await model.ask(request, lambda _: None)

    assert (reply.text, reply.calls[0].name, reply.calls[0].arguments) == ("hi", "x", {"a": 1})
    with pytest.raises(LlmDownError, match="only 1 replies"):
        await model.ask(request, lambda _: None)


def test_a_script_with_a_wrong_word_names_the_place(tmp_path: Path) -> None:
    path = tmp_path / "replies.toml"
    path.write_text('[[reply]]\ntxt = "hi"\n')

    with pytest.raises(UserError, match="txt"):
        script(path)
