"""What is offered while typing, without a terminal."""

from __future__ import annotations

import pytest
from prompt_toolkit.completion import CompleteEvent
from prompt_toolkit.document import Document

from agent.cli.completing import SHOWN, Words, found

COMMANDS = [("diff", "changes"), ("doctor", "check")]
PATHS = ["README.md", "agent/app.py", "docs/a b.md", "docs/app.md", "x\x1by.py", 'q"q.py']


async def known() -> list[str]:
    return PATHS


OFFERS = {
    "resume": [("1", "mend"), ("12", "paint"), ("parser", "a name"), ("x\x1by", "hidden")],
    "model": [("openai/gpt-5", ""), ("azure/gpt-5", "")],
}
asked: list[str] = []


async def offers(name: str) -> list[tuple[str, str]]:
    asked.append(name)
    return OFFERS.get(name, [])


WORDS = Words(COMMANDS, known, offers)


async def offered(text: str) -> list[str]:
    completions = WORDS.get_completions_async(Document(text), CompleteEvent())
    return [text[: len(text) + c.start_position] + c.text async for c in completions]


@pytest.mark.parametrize(
    ("text", "completed"),
    [
        ("/d", ["/diff", "/doctor"]),
        ("/diff @r", ["/diff @README.md"]),
        ("see @app", ["see @agent/app.py", "see @docs/app.md"]),
        ("(@READ", ["(@README.md"]),
        ('see @"a b', ['see @"docs/a b.md"']),
        ("@a b", []),
        ("ada@example", []),
        ("a @nothing", []),
        ("@y.py", []),  # it cannot be seen as it is
        ("@q", []),
        ("/resume ", ["/resume 1", "/resume 12", "/resume parser"]),
        ("/Resume 1", ["/Resume 12"]),
        ("/resume pars", ["/resume parser"]),
        ("/resume 1 ", ["/resume 1 12", "/resume 1 parser"]),
        ("/model openai/g", ["/model openai/gpt-5"]),
        ("/diff ", []),
        ("/unknown x", []),
        ("resume ", []),
    ],
)
async def test_commands_and_mentions_are_completed(text: str, completed: list[str]) -> None:
    assert await offered(text) == completed
    assert WORDS.wanted(text) or not completed


def test_completions_do_not_come_up_in_plain_text() -> None:
    assert not WORDS.wanted("write to ada@example.org about @ a")
    assert not WORDS.wanted("plain")


def test_the_best_come_first_and_there_is_an_end_to_them() -> None:
    paths = ["z/test_app.py", "app/z.py", "b/app.py", "myapp.py", *(f"app{n}" for n in range(99))]
    assert found(["z/test_app.py", "app/z.py", "b/app.py", "myapp.py"], "APP") == [
        "app/z.py",
        "b/app.py",
        "myapp.py",
        "z/test_app.py",
    ]
    assert len(found(paths, "app")) == SHOWN


async def test_what_may_follow_a_command_is_asked_for_once_while_it_is_typed() -> None:
    await offered("/model ")
    asked.clear()
    for text in ("/resume ", "/resume p", "/resume pa", "/resume 1 pa"):
        await offered(text)
    assert asked == ["resume"]
    await offered("/resume ")
    await offered("/model o")
    assert asked == ["resume", "resume", "model"]
