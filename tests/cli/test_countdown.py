from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import pytest

from agent.cli.countdown import Countdown
from agent.cli.live import Live
from agent.core.events import AnyEvent, Notice, SandboxState, StepFinished, TextDelta, TurnStarted
from agent.core.messages import Usage, UserMessage
from tests.cli.talking import begin, quit_, say_to
from tests.e2e.rig import MODEL, User
from tests.servers.openai import Fault, OpenAIServer, say
from tests.terminal import Terminal


@dataclass
class Clock:
    """A time that passes when it is told to, and who waits for it."""

    time: float = 100.0
    waiting: dict[int, tuple[float, Callable[[], None]]] = field(
        default_factory=dict[int, tuple[float, Callable[[], None]]]
    )

    def now(self) -> float:
        return self.time

    def later(self, seconds: float, do: Callable[[], None]) -> Timer:
        timer = Timer(self)
        self.waiting[id(timer)] = (self.time + seconds, do)
        return timer

    def go_on(self) -> None:
        """To where something is to be done, and do it."""
        key = min(self.waiting, key=lambda each: self.waiting[each][0])
        self.time, do = self.waiting.pop(key)
        do()


@dataclass(eq=False)
class Timer:
    clock: Clock

    def cancel(self) -> None:
        self.clock.waiting.pop(id(self), None)


def started(clock: Clock, *events: AnyEvent) -> tuple[Countdown, list[int]]:
    told: list[int] = []
    countdown = Countdown(told.append, now=clock.now, later=clock.later)
    for event in events:
        countdown.apply(event)
    return countdown, told


def pause(until: float) -> Notice:
    return Notice("warning", "busy; trying again", until=until)


def test_each_second_is_told_and_then_that_it_is_over() -> None:
    clock = Clock()
    _, told = started(clock, pause(102.5))

    while clock.waiting:
        clock.go_on()

    assert told == [3, 2, 1, 0]
    assert clock.time == 102.5


@pytest.mark.parametrize("sign", [TextDelta("so"), StepFinished(1, Usage())])
def test_it_ends_when_something_has_gone_on(sign: AnyEvent) -> None:
    clock = Clock()
    _, told = started(clock, pause(160.0), SandboxState("ready", "local"), sign, sign)

    assert told == [60, 0]
    assert not clock.waiting


def test_a_pause_that_is_over_is_not_counted_nor_is_another_notice() -> None:
    clock = Clock()
    _, told = started(clock, pause(99.0), Notice("info", "hello"))

    assert told == []
    assert not clock.waiting


def test_the_next_pause_takes_the_place_of_the_one_before() -> None:
    clock = Clock()
    _, told = started(clock, pause(130.0), pause(110.0))

    assert told == [30, 0, 10]
    assert len(clock.waiting) == 1


def test_the_line_that_changes_says_how_long_it_still_takes() -> None:
    live = Live()
    live.apply(TurnStarted(UserMessage("go")))
    live.waits = 7
    waits = live.area()
    live.waits = 0

    assert waits == [(("warning", "· trying again in 7 s; Ctrl-C interrupts"),)]
    assert live.area() == [(("dim", "· working; Ctrl-C interrupts"),)]


GO = ("-m", "go", "--model", MODEL)
BUSY = Fault(429, "slow down", headers={"retry-after": "2"})


@pytest.mark.slow
@pytest.mark.sandbox
def test_a_conversation_counts_the_seconds_below_the_transcript(tty: Terminal, user: User) -> None:
    user.start()

    with OpenAIServer([BUSY, say("Here I am.")]) as server:
        begin(tty, user, server)
        say_to(tty, "hello")
        tty.wait_for("· trying again in 2 s; Ctrl-C")
        tty.wait_for("· trying again in 1 s; Ctrl-C")
        tty.wait_for("Here I am.")
        transcript = quit_(tty)

    assert transcript.count("trying again in 2 s (2 of 5)") == 1
    assert "s; Ctrl-C" not in transcript


@pytest.mark.slow
@pytest.mark.sandbox
def test_a_run_at_a_terminal_counts_in_one_line_and_takes_it_away(
    tty: Terminal, user: User
) -> None:
    user.start()

    with OpenAIServer([BUSY, say("Here I am.")]) as server:
        tty.start(user.argv(*GO), env=user.with_server(server), cwd=user.repo, size=(100, 40))
        tty.wait_for("· trying again in 1 s\n")
        screen = tty.wait_for("exit code 0")

    assert "(2 of 5)" in screen
    assert "Here I am." in screen
    assert "· trying again in" not in screen


@pytest.mark.slow
@pytest.mark.sandbox
def test_a_run_whose_progress_goes_into_a_file_has_one_line(user: User) -> None:
    user.start()

    with OpenAIServer([BUSY, say("Here I am.")]) as server:
        ran = user.glovebox(*GO, server=server)

    assert [line for line in ran.err.splitlines() if "trying again" in line] == [
        "! provider is busy; trying again in 2 s (2 of 5)"
    ]
    assert "\r" not in ran.err
    assert "\x1b" not in ran.err
