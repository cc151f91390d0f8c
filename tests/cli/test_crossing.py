"""The question whether a host may be reached cannot be answered by accident."""

from __future__ import annotations

from agent.cli.crossing import READ_SECONDS, Crossings
from agent.cli.lines import line_of
from agent.core.events import EgressAnswered, EgressAsked


class Person:
    """Somebody with a clock that stands still."""

    def __init__(self) -> None:
        self.now = 100.0
        self.answers: list[tuple[str, bool, bool]] = []
        self.crossings = Crossings(lambda *answer: self.answers.append(answer), lambda: self.now)

    def asked(self, *names: str) -> None:
        for name in names:
            self.crossings.apply(EgressAsked(name, f"{name}.example", 443))

    def read(self) -> None:
        self.now += READ_SECONDS


def test_each_key_says_one_thing() -> None:
    for key, answer in (("1", (True, False)), ("2", (True, True)), ("3", (False, False))):
        person = Person()
        person.asked("a")
        person.read()
        assert person.crossings.press(key)
        assert person.answers == [("a", *answer)]
        assert not person.crossings.asking


def test_what_was_typed_before_it_could_be_read_is_no_answer() -> None:
    person = Person()
    assert not person.crossings.press("1")
    person.asked("a")
    assert not person.crossings.press("2")
    person.now += READ_SECONDS / 2
    assert not person.crossings.press("2")
    assert person.answers == []


def test_no_other_key_answers() -> None:
    person = Person()
    person.asked("a")
    person.read()
    for key in ("y", "Y", "a", "0", "4", "", "11", " ", "\r"):
        assert not person.crossings.press(key)
    assert person.answers == []


def test_the_next_question_has_to_be_read_as_well() -> None:
    person = Person()
    person.asked("a", "b")
    person.read()
    assert person.crossings.press("2")
    assert not person.crossings.press("2")
    person.read()
    assert person.crossings.press("3")
    assert person.answers == [("a", True, True), ("b", False, False)]


def test_a_question_that_is_over_leaves_and_the_one_behind_it_starts_anew() -> None:
    person = Person()
    person.asked("a", "b")
    person.read()
    person.crossings.apply(EgressAnswered("a", "a.example", 443, allowed=False))
    assert not person.crossings.press("1")
    person.read()
    assert person.crossings.press("1")
    assert person.answers == [("b", True, False)]


def test_what_is_shown_is_the_exact_name_and_cannot_draw() -> None:
    person = Person()
    person.crossings.apply(EgressAsked("a", "xn--nxasmq6b.example", 8443))
    text = "".join(part for line in person.crossings.area() for _, part in line)
    assert "xn--nxasmq6b.example:8443" in text
    person.crossings.apply(EgressAnswered("a", "x", 1, allowed=False))
    person.crossings.apply(EgressAsked("b", "a\x1b[2J\u202e.example", 80))
    shown = "".join(part for line in person.crossings.area() for _, part in line)
    assert "\x1b" not in shown and "\u202e" not in shown
    assert "\x1b" not in (line_of(EgressAsked("b", "\x1b[2J", 80)) or "")


def test_how_it_was_answered_is_a_line() -> None:
    said = [
        line_of(EgressAnswered("a", "a.example", 443, allowed=allowed, remember=remember))
        for allowed, remember in ((False, False), (True, False), (True, True))
    ]
    assert said == [
        "✗ a.example:443 stays out of reach",
        "✓ a.example:443 may be reached, this once",
        "✓ a.example:443 may be reached in this session",
    ]
