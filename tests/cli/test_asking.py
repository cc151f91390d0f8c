"""The model's question at the prompt: keys, numbers, words, and nothing by accident."""

from __future__ import annotations

import pytest

from agent.cli.asking import Asking
from agent.cli.crossing import READ_SECONDS
from agent.cli.lines import line_of
from agent.core.events import UserAnswered, UserAsked


class Person:
    """Somebody with a clock that stands still."""

    def __init__(self, *options: str, multiple: bool = False) -> None:
        self.now = 100.0
        self.answers: list[tuple[str, tuple[str, ...], str]] = []
        self.asking = Asking(
            lambda who, chosen, words: self.answers.append((who, tuple(chosen), words)),
            lambda: self.now,
        )
        self.asking.apply(UserAsked("a", "Which?", options, multiple))

    def read(self) -> Person:
        self.now += READ_SECONDS
        return self


def test_a_key_chooses() -> None:
    for key, chosen in (("1", ("red",)), ("2", ("blue",)), ("0", ())):
        person = Person("red", "blue").read()
        assert person.asking.press(key)
        assert person.answers == [("a", chosen, "")]
        assert person.asking.area() == []


@pytest.mark.parametrize("key", ["3", "9", "y", "", "11", " ", "²"])
def test_another_key_is_typing(key: str) -> None:
    person = Person("red", "blue").read()
    assert not person.asking.press(key)
    assert person.answers == []


def test_what_came_before_it_could_be_read_is_no_answer() -> None:
    person = Person("red", "blue")
    assert not person.asking.press("1")
    assert not person.asking.say("what I was typing")
    assert person.answers == []


@pytest.mark.parametrize(
    ("multiple", "line", "chosen", "words"),
    [
        (True, "1 3", ("red", "green"), ""),
        (True, "13", ("red", "green"), ""),
        (True, "2, 3", ("blue", "green"), ""),
        (True, "0", (), ""),
        (True, "1 4", (), "1 4"),
        (True, "none of 1", (), "none of 1"),
        (False, "2", ("blue",), ""),
        (False, "1 2", (), "1 2"),
        (False, "  purple ", (), "purple"),
    ],
)
def test_a_line(multiple: bool, line: str, chosen: tuple[str, ...], words: str) -> None:
    person = Person("red", "blue", "green", multiple=multiple).read()
    if multiple:
        assert not person.asking.press("1")
    assert person.asking.say(line)
    assert person.answers == [("a", chosen, words)]


def test_without_a_question_a_line_is_a_message() -> None:
    person = Person("red").read()
    person.asking.apply(UserAnswered("a", "late"))
    assert not person.asking.say("hello")
    assert not person.asking.press("1")
    assert person.answers == []


def test_an_empty_line_answers_nothing() -> None:
    assert not Person("red").read().asking.say("  ")


def test_the_question_and_its_options_cannot_draw_on_the_screen() -> None:
    shown = line_of(UserAsked("a", "W\x1b[2Jhich\u202e?\ntwo", ("r\x1bed\nx",))) or ""
    assert shown == "? W␛[2Jhich\ufffd?\ntwo\n  1 r␛ed x"
    assert "\x1b" not in (line_of(UserAnswered("a", "answered", ("\x1b",), "\x1b")) or "")


def test_how_it_ended_is_a_line() -> None:
    ends = [
        UserAnswered("a", "answered", ("red", "blue"), "both"),
        UserAnswered("a", "declined"),
        UserAnswered("a", "policy"),
        UserAnswered("a", "policy", ("red",)),
        UserAnswered("a", "late"),
        UserAnswered("a", "interrupted"),
    ]
    assert [line_of(end) for end in ends] == [
        "  = red; blue; both",
        "! not answered",
        "! nobody to answer; the model goes on without",
        "! nobody to answer; the first option was taken: red",
        "! not answered in time; the model goes on without",
        "! not answered: interrupted",
    ]
