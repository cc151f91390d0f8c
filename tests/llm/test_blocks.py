from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.llm.blocks import (
    EMPTY,
    NO_MIDDLE,
    NO_PATH,
    NOT_CLOSED,
    Block,
    blocks_of,
    own_words,
)

CHANGE = "<<<<<<< SEARCH\none\n  two\n=======\nthree\n>>>>>>> REPLACE"
EDIT = ("edit", {"path": "src/a.py", "old": "one\n  two\n", "new": "three\n"})


def _read(text: str, *, cut: bool = False) -> list[tuple[str, object]]:
    return [(block.tool, block.arguments or block.problem) for block in blocks_of(text, cut=cut)]


@pytest.mark.parametrize("name", ["bash", "sh", "shell", "zsh", "Bash"])
def test_a_fenced_shell_block_is_a_command(name: str) -> None:
    text = f"Look:\n\n```{name}\ncd src\nls -la\n```\nThen we see."

    assert _read(text) == [("bash", {"command": "cd src\nls -la"})]


def test_a_longer_fence_holds_shorter_ones() -> None:
    text = "````bash\ncat > README.md <<'E'\n```\ncode\n```\nE\n````"

    assert _read(text) == [("bash", {"command": "cat > README.md <<'E'\n```\ncode\n```\nE"})]


@pytest.mark.parametrize(
    "text",
    [
        f"src/a.py\n```python\n{CHANGE}\n```",
        f"```python\nsrc/a.py\n{CHANGE}\n```",
        f"```python src/a.py\n{CHANGE}\n```",
        f"src/a.py\n{CHANGE}",
        f"**src/a.py**:\n\n```\n{CHANGE}\n```",
        f"### `src/a.py`\n```\n{CHANGE}\n```",
        f"# File: src/a.py\n```\n{CHANGE}\n```",
        f"I change it.\n\nsrc/a.py\n~~~\n{CHANGE}\n~~~\n",
        f"src/a.py\n```\n{CHANGE}\n```".replace("\n", "\r\n"),
    ],
)
def test_a_search_replace_block_is_an_edit_of_the_file_before_it(text: str) -> None:
    assert _read(text) == [EDIT]


def test_several_blocks_come_in_their_order() -> None:
    text = (
        "src/a.py\n```\n" + CHANGE + "\n\n" + CHANGE + "\n```\n"
        "```bash\nmake\n```\n"
        "b.txt\n```\n<<<<<<< SEARCH\n=======\nnew\n>>>>>>> REPLACE\n```\n"
        "c.txt\n```\n<<<<<<< SEARCH\ngone\n=======\n>>>>>>> REPLACE\n```"
    )

    assert _read(text) == [
        EDIT,
        EDIT,
        ("bash", {"command": "make"}),
        ("write", {"path": "b.txt", "content": "new\n"}),
        ("edit", {"path": "c.txt", "old": "gone\n", "new": ""}),
    ]


@pytest.mark.parametrize(
    ("text", "tool", "problem"),
    [
        (f"Here it is.\n```\n{CHANGE}\n```", "edit", NO_PATH),
        (f"```\n{CHANGE}\n```", "edit", NO_PATH),
        ("a.py\n```\n<<<<<<< SEARCH\none\n=======\ntwo\n```", "edit", NOT_CLOSED),
        ("a.py\n<<<<<<< SEARCH\none\n=======\ntwo", "edit", NOT_CLOSED),
        ("a.py\n```\n<<<<<<< SEARCH\none\n>>>>>>> REPLACE\n```", "edit", NO_MIDDLE),
        ("a.py\n```\n<<<<<<< SEARCH\none\n```", "edit", NO_MIDDLE),
        ("```bash\n\n```", "bash", EMPTY),
    ],
)
def test_a_block_that_cannot_be_read_is_a_problem_and_no_call(
    text: str, tool: str, problem: str
) -> None:
    assert _read(text) == [(tool, problem)]


def test_a_problem_does_not_hide_what_comes_after_it() -> None:
    text = "a.py\n```\n<<<<<<< SEARCH\none\n```\n```bash\nls\n```"

    assert [tool for tool, _ in _read(text)] == ["edit", "bash"]


def test_a_command_without_an_end_is_run_unless_the_reply_was_cut() -> None:
    assert _read("```bash\nls") == [("bash", {"command": "ls"})]
    assert _read("```bash\nls", cut=True) == [("bash", NOT_CLOSED)]


@pytest.mark.parametrize(
    "text",
    [
        "All is done.",
        "```python\nprint(1)\n```",
        "```text\nls\n```",
        "```\n```bash\nls\n```",
        "Run `ls` yourself.",
        "=======\n>>>>>>> REPLACE",
    ],
)
def test_what_is_only_to_be_read_is_no_block(text: str) -> None:
    assert blocks_of(text) == []


def test_what_follows_made_up_results_is_not_done() -> None:
    text = "```bash\nls\n```\n\n[result of block 1, bash]\na.py\n\n```bash\nrm a.py\n```"

    assert _read(text) == [("bash", {"command": "ls"})]
    assert own_words(text) == "```bash\nls\n```\n"
    assert own_words("[result of block 1]") == ""


_LINES = st.sampled_from(
    ["```", "```bash", "````", "~~~", "<<<<<<< SEARCH", "=======", ">>>>>>> REPLACE", "a.py", "",
     "ls", "  x", "[result of block 1"]
)  # fmt: skip


@given(st.lists(_LINES, max_size=25), st.booleans())
def test_any_text_is_read_to_its_end(lines: list[str], cut: bool) -> None:
    text = "\n".join(lines)

    blocks = blocks_of(text, cut=cut)

    assert all((block.arguments is None) == bool(block.problem) for block in blocks)
    assert all(block.text in text for block in blocks)
    assert blocks == [] or isinstance(blocks[0], Block)
