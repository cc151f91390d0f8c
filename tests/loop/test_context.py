"""A conversation within its model's window: pruned first, then summed up, never lost."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from itertools import pairwise
from typing import Any, cast

import pytest

from agent.core.errors import LlmContextError, LlmDownError, LlmError
from agent.core.events import (
    AnyEvent,
    Attached,
    CallFinished,
    Compacted,
    MessageFinished,
    Noted,
    Notice,
    Pruned,
    Ran,
    TurnStarted,
)
from agent.core.messages import (
    AssistantMessage,
    Message,
    ToolCall,
    ToolMessage,
    ToolResult,
    Usage,
    UserMessage,
)
from agent.llm.fallback import Fallback
from agent.llm.protocol import Llm, Request, ToolSchema
from agent.loop.compact import Pins, Summing, Writer, composed
from agent.loop.context import Context, Windows
from agent.loop.history import History
from agent.loop.tokens import items, of_request, scale_of
from agent.loop.turn import Turn, run_turn
from agent.testing.model import Line, Scripted
from agent.tools.base import Item, Seen, Tool, ToolContext, Toolset
from tests.loop.rig import Words, reply

PROMPT = "You sum up."
SUMMARY = AssistantMessage("## Done\nall of it", usage=Usage(70, 0, 7, 0.5))
TOO_LONG = LlmContextError("too long", "shorten it")
HEAD = Request("m", "You are a test.", (), (ToolSchema("look", "Looks.", {"type": "object"}),))


class Desk:
    """A conversation with its context, and all that was emitted."""

    def __init__(
        self,
        lines: Sequence[Line],
        *,
        window: int = 10_000,
        weak: Llm | None = None,
        pins: Pins | None = None,
    ) -> None:
        self.model = Scripted(lines)
        self.history = History()
        self.events: list[AnyEvent] = []
        self.windows = Windows(self._window)
        self.tokens = window
        writer = Writer(weak, "weak") if weak else None
        summing = Summing(PROMPT, self.windows.tokens, writer)
        self.context = Context(
            self.model, HEAD, self.history, self.emit, self.windows, summing, lambda: pins or Pins()
        )

    async def _window(self, model: str) -> int:
        return self.tokens

    def emit(self, event: AnyEvent) -> None:
        self.events.append(event)
        self.history.apply(event)

    def say(self, text: str) -> None:
        self.emit(TurnStarted(UserMessage(text)))

    def look(self, identity: str, size: int, **details: Any) -> None:
        """A step whose result has about so many tokens."""
        message = AssistantMessage("", calls=(ToolCall(identity, "look", {"at": identity}),))
        self.emit(MessageFinished(message))
        text = f"{identity} " + "x" * (4 * size)
        self.emit(CallFinished(ToolResult(identity, True, text, details), 0.0))

    def of(self, kind: type[Any]) -> list[Any]:
        return [event for event in self.events if isinstance(event, kind)]

    async def ask(self) -> AssistantMessage:
        """What the loop does for a step without calls."""
        request = Request("m", HEAD.system, await self.context.messages(), HEAD.tools)
        answer = await self.context.ask(request, lambda _: None)
        self.emit(MessageFinished(answer))
        return answer


def refolded(events: Sequence[AnyEvent]) -> tuple[Message, ...]:
    """The messages that a process which only reads the record would send."""
    history = History()
    for event in events:
        history.apply(event)
    return history.messages


def results(messages: Sequence[Message]) -> dict[str, str]:
    found = [m for m in messages if isinstance(m, ToolMessage)]
    return {result.call_id: result.text for message in found for result in message.results}


async def test_what_fits_is_left_alone() -> None:
    desk = Desk([])
    desk.say("go")
    desk.look("a", 7_000)
    before = desk.history.messages
    assert await desk.context.messages() is before
    assert len(desk.events) == 3


async def test_old_results_go_first_all_at_once_and_say_how_to_see_them_again() -> None:
    desk = Desk([])
    desk.say("go")
    desk.look("a", 2_000, path="/w/a.py", hash="h")
    for name in "bcd":
        desk.look(name, 2_000)
    assert len(desk.history.messages) == 9
    kept = results(await desk.context.messages())
    assert kept["a"] == (
        "[Left out to save room: 8,002 characters about `/w/a.py`. Read again what you need of it.]"
    )
    assert kept["b"].startswith("[Left out to save room: 8,002 characters. It ended with:]\nxxx")
    assert kept["c"].startswith("c x") and kept["d"].startswith("d x")
    assert [type(event) for event in desk.events[-2:]] == [CallFinished, Pruned]
    size = of_request(Request("m", HEAD.system, desk.history.messages, HEAD.tools))
    assert desk.events[-1].after == size  # type: ignore[union-attr]
    # Now there is room for a while: nothing changes until it is used up.
    before = await desk.context.messages()
    desk.look("e", 1_000)
    assert (await desk.context.messages())[: len(before)] == before
    assert refolded(desk.events) == desk.history.messages


async def test_pruning_that_would_not_be_enough_for_long_is_not_done() -> None:
    desk = Desk([SUMMARY])
    desk.say("go")
    desk.look("a", 1_000)
    desk.emit(MessageFinished(AssistantMessage("y" * 26_000)))
    for name in "bc":
        desk.look(name, 1_000)
    await desk.context.messages()
    assert (len(desk.of(Pruned)), len(desk.of(Compacted))) == (0, 1)


async def test_between_two_answers_there_are_at_most_two_summaries() -> None:
    desk = Desk([SUMMARY, TOO_LONG, SUMMARY, TOO_LONG, SUMMARY, TOO_LONG])
    desk.say("go")
    desk.emit(MessageFinished(AssistantMessage("y" * 40_000)))
    desk.say("more")
    for name in "abcdefghijklmnopqr":
        call = ToolCall(name, "look", {"at": "z" * 200})
        desk.emit(MessageFinished(AssistantMessage("", calls=(call,))))
        desk.emit(CallFinished(ToolResult(name, True, "seen"), 0.0))
    with pytest.raises(LlmContextError, match="also after"):
        await desk.ask()
    assert len(desk.of(Compacted)) == 2
    assert len(desk.model.requests) == 4


async def test_images_leave_with_their_results() -> None:
    desk = Desk([])
    desk.say("go")
    call = ToolCall("p", "look", {})
    desk.emit(MessageFinished(AssistantMessage("", calls=(call,))))
    picture = ToolResult("p", True, "a picture", {"path": "p.png"}, ("data:a", "data:b"))
    desk.emit(CallFinished(picture, 0.0))
    for name in "cd":
        desk.look(name, 2_500)
    sent = await desk.context.messages()
    assert "and 2 images about `p.png`" in results(sent)["p"]
    assert isinstance(sent[2], ToolMessage) and sent[2].results[0].images == ()


async def test_old_images_of_the_user_leave_before_any_result() -> None:
    desk = Desk([SUMMARY], window=10_000)
    desk.say("zero")
    desk.emit(MessageFinished(AssistantMessage("done")))
    desk.say("one")
    await desk.context.compact()
    desk.emit(Attached("[a]", ("a.png",), ("data:a", "data:b")))
    desk.look("a", 50)
    desk.say("two")
    desk.emit(Attached("[b]", ("b.png",), ("data:c",)))
    desk.look("b", 3_500)
    sent = await desk.context.messages()
    (pruned,) = desk.of(Pruned)
    assert (pruned.texts, pruned.images) == ({}, (2,))
    assert [len(m.images) for m in sent if isinstance(m, UserMessage)] == [0, 0, 1]
    size = of_request(Request("m", HEAD.system, sent, HEAD.tools))
    assert pruned.after == pytest.approx(size, abs=20)


async def test_a_summary_keeps_word_for_word_what_must_not_be_lost() -> None:
    pins = Pins((Item("write the test", "doing"),), {"/w/old.py": "h1", "/w/new.py": "h2"})
    desk = Desk([SUMMARY, reply("fine")], pins=pins)
    desk.say("never touch `vendor`\nreally")
    desk.emit(Noted("[Notes] use tabs", ("AGENTS.md",)))
    desk.emit(MessageFinished(AssistantMessage("I said: " + "y" * 40_000)))
    desk.say("go on")
    for name in "abc":
        desk.look(name, 400)
    answer = await desk.ask()
    assert answer.text == "fine"
    (compacted,) = desk.of(Compacted)
    asked = desk.model.requests[0]
    assert (asked.model, asked.system, asked.tools) == ("m", PROMPT, ())
    question = cast("UserMessage", asked.messages[0]).text
    assert question.startswith("<transcript>\n## User\nnever touch `vendor`")
    assert "use tabs" not in question
    head = cast("UserMessage", desk.model.requests[1].messages[0]).text
    assert head == compacted.text
    for part in (
        "# Summary of what happened\n## Done\nall of it",
        "--- message 1 ---\nnever touch `vendor`\nreally\n",
        "# Notes of the repository\n[Notes] use tabs",
        "# Your todo list\n[>] write the test",
        "- /w/new.py\n- /w/old.py\n",
    ):
        assert part in head
    # The newest steps are there as they were, and the message that they answer.
    assert list(results(desk.model.requests[1].messages)) == ["a", "b", "c"]
    assert desk.model.requests[1].messages[1] == UserMessage("go on")
    assert compacted.files == {"/w/new.py": "h2", "/w/old.py": "h1"}
    assert (compacted.model, compacted.usage) == ("m", SUMMARY.usage)
    assert compacted.after < compacted.before / 2
    assert refolded(desk.events) == desk.history.messages
    assert "y" * 40_000 in str(desk.history.everything)


async def test_who_sums_up_reads_what_a_person_ran_at_its_place_and_cut_as_results_are() -> None:
    desk = Desk([SUMMARY])
    desk.say("first")
    desk.emit(MessageFinished(AssistantMessage("one")))
    desk.emit(Ran("make test", "3 failed " + "x" * 50_000, 1))
    desk.say("mend it")
    desk.emit(MessageFinished(AssistantMessage("two")))
    desk.say("and then?")
    desk.look("a", 4_000)
    desk.look("b", 4_000)
    await desk.context.compact("")
    told = cast("UserMessage", desk.model.requests[-1].messages[-1]).text
    places = [told.index(text) for text in ("one", "The user ran", "3 failed", "mend it", "two")]
    assert places == sorted(places)
    assert "`make test`" in told and len(told) < 5_000


async def test_the_newest_words_stay_whole_and_older_ones_as_far_as_there_is_room() -> None:
    desk = Desk([])
    desk.say("an old one: " + "o" * 9_000)
    desk.say("short")
    desk.emit(Noted("root " + "n" * 900, ("AGENTS.md",)))
    desk.emit(Noted("nested " + "n" * 900, ("a/AGENTS.md",)))
    desk.say("the newest: " + "w" * 500)
    text = composed(desk.history, 3, "sum", Pins(), 200)
    assert "the newest: " + "w" * 500 in text and "\nshort\n" in text
    assert "an old one: " in text and "characters left out]" in text and len(text) < 3_000
    assert "root " in text and "nested " not in text


async def test_a_second_summary_goes_on_from_the_first() -> None:
    desk = Desk([SUMMARY, SUMMARY])
    desk.say("one")
    desk.emit(MessageFinished(AssistantMessage("done")))
    desk.say("two")
    assert await desk.context.compact("the tests")
    assert await desk.context.compact() is False, "there is nothing new to sum up"
    question = cast("UserMessage", desk.model.requests[0].messages[0]).text
    assert question.endswith("Pay most attention to this: the tests")
    desk.emit(MessageFinished(AssistantMessage("done too " * 100)))
    assert await desk.context.compact()
    question = cast("UserMessage", desk.model.requests[1].messages[0]).text
    assert "## Earlier\n[The conversation up to here" in question
    assert "--- message 2 ---\ntwo" in cast("UserMessage", desk.history.messages[0]).text


async def test_one_that_is_refused_is_pruned_and_made_shorter_twice_and_then_given_up() -> None:
    lines: list[Line] = [TOO_LONG, TOO_LONG, SUMMARY, TOO_LONG, TOO_LONG]
    desk = Desk(lines, window=1_000_000)
    desk.say("go")
    for name in "abcdefgh":
        desk.look(name, 1_000)
    with pytest.raises(LlmContextError, match="also after") as caught:
        await desk.ask()
    assert "/fork" in caught.value.hint
    assert [type(e) for e in desk.events if isinstance(e, Pruned | Compacted)] == [
        Pruned,
        Compacted,
        Pruned,
    ]
    assert len(desk.model.requests) == len(lines)
    assert len(results(desk.history.everything)) == 8
    assert refolded(desk.events) == desk.history.messages


async def test_what_a_model_refused_once_it_is_not_sent_again() -> None:
    desk = Desk([TOO_LONG, reply("fine"), reply("good")], window=0)
    desk.say("go")
    for name in "abcdefgh":
        desk.look(name, 1_000)
    await desk.ask()
    assert (await desk.windows.of("m")).tokens < 9_000
    desk.say("more")
    for name in "ijklm":
        desk.look(name, 1_000)
    await desk.ask()
    assert len(desk.of(Pruned)) == 2


async def test_it_fits_the_one_that_is_asked_instead_and_only_when_nobody_else_answers() -> None:
    desk = Desk([LlmDownError("m is away"), SUMMARY, reply("fine")])
    desk.windows.known = windows(m=100_000, b=12_000)
    desk.context.llm = Fallback(desk.model, ["b"], window=desk.windows.known, now=lambda: 0.0)
    desk.say("go")
    for name in "abcdefgh":
        desk.look(name, 2_000)
    desk.emit(MessageFinished(AssistantMessage("z" * 40_000)))
    desk.say("more")

    assert (await desk.ask()).text == "fine"

    (compacted,) = desk.of(Compacted)
    assert compacted.after < 12_000 < compacted.before
    assert [request.model for request in desk.model.requests] == ["m", "b", "b"]
    notices = [event.text for event in desk.of(Notice)]
    assert notices[0].endswith(": the conversation is made to fit `b`, as no other one answers")
    assert (await desk.windows.of("m")).tokens == 100_000, "that is not its window"


def windows(**tokens: int) -> Callable[[str], Awaitable[int]]:
    async def window(model: str) -> int:
        return tokens[model]

    return window


async def test_a_provider_that_is_down_loses_nothing() -> None:
    desk = Desk([LlmDownError("down")])
    desk.say("go")
    desk.emit(MessageFinished(AssistantMessage("y" * 40_000)))
    desk.say("more")
    before = desk.history.messages
    with pytest.raises(LlmDownError, match="down"):
        await desk.ask()
    assert desk.history.messages == before


EMPTY = AssistantMessage(" ", usage=Usage(1, 0, 1, 0.25))


@pytest.mark.parametrize(
    ("weak", "main", "model", "cost"),
    [
        ([SUMMARY], [], "weak", 0.5),
        ([LlmDownError("down")], [SUMMARY], "m", 0.5),
        ([EMPTY], [SUMMARY], "m", 0.75),
        (None, [EMPTY, SUMMARY], "m", 0.75),
        (None, [TOO_LONG, SUMMARY], "m", 0.5),
    ],
)
async def test_a_summary_has_two_tries(
    weak: list[Line] | None, main: list[Line], model: str, cost: float
) -> None:
    desk = Desk(main, weak=Scripted(weak) if weak else None)
    desk.say("go")
    desk.emit(MessageFinished(AssistantMessage("y" * 40_000)))
    desk.say("more")
    await desk.context.messages()
    (compacted,) = desk.of(Compacted)
    assert (compacted.model, compacted.usage.cost) == (model, cost)


async def test_two_summaries_without_words_are_a_failure() -> None:
    desk = Desk([EMPTY, EMPTY])
    desk.say("go")
    desk.emit(MessageFinished(AssistantMessage("y" * 40_000)))
    desk.say("more")
    with pytest.raises(LlmError, match="no summary"):
        await desk.context.messages()
    assert desk.of(Compacted) == []


async def test_the_newest_results_go_when_nothing_else_is_left() -> None:
    desk = Desk([reply("fine")])
    desk.say("go")
    desk.look("a", 20_000)
    await desk.ask()
    assert results(desk.model.requests[0].messages)["a"] == (
        "[Left out: 80,002 characters, more than fits. Ask for a smaller part of it.]"
    )


async def test_a_small_window_does_not_bring_a_summary_at_every_step() -> None:
    desk = Desk([SUMMARY] * 12, window=1_000)
    desk.say("go")
    for number in range(12):
        desk.look(f"c{number}", 100)
        await desk.context.messages()
        desk.context._shortened = False  # type: ignore[reportPrivateUsage]  # as after an answer
    assert len(desk.of(Compacted)) <= 3


def test_estimates_follow_what_the_provider_counted() -> None:
    desk = Desk([])
    desk.say("go " * 500)
    asked = Request("m", HEAD.system, desk.history.messages, HEAD.tools)
    counted = of_request(asked) * 2
    desk.emit(MessageFinished(AssistantMessage("ok", usage=Usage(counted), model="m")))
    assert scale_of(HEAD, desk.history) == pytest.approx(2.0)
    assert scale_of(Request("other", "", ()), desk.history) == 1.0
    parts = items(HEAD, desk.history)
    whole = of_request(Request("m", HEAD.system, desk.history.messages, HEAD.tools)) * 2
    assert sum(item.tokens for item in parts) == pytest.approx(whole, abs=len(parts))
    assert [item.kind for item in parts] == ["system prompt", "tools", "your messages", "replies"]


def _looking(sizes: Sequence[int]) -> list[Callable[[Request], AssistantMessage]]:
    """A model that looks at things of these sizes, one a step, and sums up when it is asked to."""

    def step(number: int) -> Callable[[Request], AssistantMessage]:
        def answer(request: Request) -> AssistantMessage:
            if request.system == PROMPT:
                return SUMMARY
            at = sum(isinstance(m, AssistantMessage) for m in request.messages)
            call = ToolCall(
                f"n{number}-{at}", "look", {"text": f"{number:040}", "times": sizes[number]}
            )
            usage = Usage(of_request(request) * 5 // 4)
            return AssistantMessage("", calls=(call,), usage=usage, model="m")

        return answer

    return [*map(step, range(len(sizes))), lambda _: reply("done")]


async def _look(arguments: Words, context: ToolContext) -> ToolResult:
    return ToolResult(context.call_id, True, arguments.text * arguments.times)


@pytest.mark.parametrize("sizes", [[60] * 30, [5, 300] * 15, [150] * 30])
async def test_over_thirty_steps_the_prefix_changes_only_where_an_event_says_so(
    sizes: list[int],
) -> None:
    """Sizes are in units of ten tokens; the window is 10,000."""
    steps = _looking(sizes)
    desk = Desk([*steps[:-1], *[steps[-1]] * 20])
    tool = Tool("look", "Looks.", Words, _look, True, lambda _: "look")

    async def touch(call: ToolCall, on_output: Callable[[str], None]) -> ToolContext:
        return ToolContext(cast("Any", None), call.id, on_output, Seen())

    turn = Turn(
        llm=desk.context,
        model="m",
        system=HEAD.system,
        schemas=HEAD.tools,
        tools=Toolset([tool]),
        context=touch,
        history=desk.context.messages,
        emit=desk.emit,
        steps_max=60,
    )
    desk.say("look at it all")
    await run_turn(turn)
    asked = [request for request in desk.model.requests if request.system == HEAD.system]
    changed = [
        number
        for number, (one, two) in enumerate(pairwise(asked))
        if two.messages[: len(one.messages)] != one.messages
    ]
    said = [event for event in desk.events if isinstance(event, Pruned | Compacted)]
    assert said and len(changed) <= len(said)
    # Each time two fifths of what was there go, so that so much has to be new until the next time.
    new = sum(sizes) * 10 * 5 / 4
    assert len(changed) <= new / (10_000 * 0.8 * 0.4) + 2, "the prefix is to change seldom"
    limit = 10_000 * 0.8
    assert all(of_request(request) * 5 / 4 <= limit + 10 for request in asked)
    assert refolded(desk.events) == desk.history.messages
