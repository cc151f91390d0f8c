"""What an agent saw that it should not have, found after its trial and said by the exit code."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import pytest

from agent.core.events import CallFinished, CallStarted
from agent.core.messages import ToolCall, ToolResult
from benchmarks.leaks import Heard, search
from benchmarks.suites.local import load
from benchmarks.tasks import Task, Work
from tests.benchmarks.test_harness import bash, benchmarks, results, the_run, user
from tests.benchmarks.test_tasks import make
from tests.e2e.rig import User

__all__ = ["user"]

LINES = [f"assert answer({number}) == 'the hidden answer {number}'" for number in range(5)]
SOLUTION = "def answer(number): return f'the hidden answer {number}'"


def a_task(folder: Path) -> Task:
    (task,) = load(
        make(
            folder / "task",
            **{
                "check/test.py": "\n".join(LINES),
                "check/key.txt": "only one line, and a long one",
                "check/common.py": f"from __future__ import annotations\n{LINES[0]}\n",
                "files/known.py": "from __future__ import annotations\n",
                "solution/answer.py": SOLUTION,
            },
        )
    )
    return task


def leaks(task: Task, *parts: str, work: str = "") -> tuple[str, ...]:
    """Of parts that begin with `<` to the agent, and with `>` from it, and of its work."""
    heard = Heard()
    for part in parts:
        text = part[1:]
        heard.apply(
            CallFinished(ToolResult("1", True, text), 0.0)
            if part.startswith("<")
            else CallStarted(ToolCall("1", "write", {"content": text}), "title")
        )
    heard.graded(Work({"answer.py": work.encode()}))
    heard.made.append(work)
    heard.apply(CallFinished(ToolResult("2", False, "\n".join(LINES)), 0.0))
    return search(task, heard, (Path("/some/where"),), task.folder / "files", ["known.py", "gone"])


def test_what_is_hidden_is_found_where_it_did_not_come_from_the_agent(tmp_path: Path) -> None:
    task = a_task(tmp_path)

    assert leaks(task, "<nothing", work="x = 1") == ()
    assert leaks(task, "<" + "\n".join(f"{n}\t    {line}" for n, line in enumerate(LINES))) == (
        "1 lines of the hidden `common.py`",
        "5 lines of the hidden `test.py`",
    )
    assert leaks(task, f"<{LINES[1]}\n{LINES[2]}") == ()
    assert leaks(task, "<see: only one line, and a long one!") == (
        "1 lines of the hidden `key.txt`",
    )
    assert leaks(task, "<from __future__ import annotations") == ()
    assert leaks(task, f">{SOLUTION}", f"<{SOLUTION}", work=SOLUTION) == ()
    assert leaks(task, "<fine", work=SOLUTION) == ("1 lines of the hidden `answer.py (solution)`",)
    shown = dataclasses.replace(task, instruction="only one line, and a long one")
    assert leaks(shown, "<only one line, and a long one") == ()


def test_keys_and_places_are_found_and_not_repeated(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SOME_API_KEY", "zq-secret-key")
    monkeypatch.setenv("HOME", "/home/somebody")
    task = a_task(tmp_path)

    found = leaks(task, "<it is zq-secret-key", ">/some/where/else", work="/home/somebody/x")

    assert found == (
        "the key SOME_API_KEY in what it was told",
        "this machine's `/home/somebody` in its work or what its tests printed",
        "this machine's `/some/where` in what it said",
    )


@pytest.mark.slow
@pytest.mark.sandbox
def test_a_run_in_which_something_leaked_says_so(user: User) -> None:
    """A key in the repository itself, and a check that prints where it was kept."""
    hidden = user.home / "tasks/leaky/check/answer.txt"
    replies = {"task.toml": 'model = "script:replies.toml"\n'}
    for name, command in {"tight": "echo fine", "leaky": "cat a.txt; printf %s the-42nd-hidden-; "
                          "printf 'answer-of-all\\n'"}.items():  # fmt: skip
        make(user.home / "tasks" / name, **replies, **{"replies.toml": bash(command)})
    hidden.parent.mkdir()
    hidden.write_text("the-42nd-hidden-answer-of-all\n")
    (user.home / "tasks/leaky/files/a.txt").write_text(user.environment["OPENAI_API_KEY"])
    (user.home / "tasks/leaky/check.sh").write_text(f"echo {user.home}/.netrc\n")
    out = ("--out", str(user.home / "runs"))

    done = benchmarks(user, "run", "local", str(user.home / "tasks"), *out)

    assert done.returncode == 3, done.stdout + done.stderr
    found = {name: row["leaks"] for name, row in results(user).items()}
    assert found == {
        "tight": [],
        "leaky": [
            "1 lines of the hidden `answer.txt`",
            "the key OPENAI_API_KEY in what it was told",
            f"this machine's `{user.home}` in its work or what its tests printed",
        ],
    }
    again = benchmarks(user, "report", str(the_run(user)))
    assert again.returncode == 3
    assert (
        "## Leaks\n\n- local/leaky#1: 1 lines of the hidden `answer.txt`; the key" in again.stdout
    )
    assert "leaked: local/leaky#1:" in again.stderr
    kept = json.dumps(found) + again.stdout
    assert user.environment["OPENAI_API_KEY"] not in kept
