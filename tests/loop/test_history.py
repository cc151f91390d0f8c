"""What the model is sent, and that nothing said is ever lost by leaving it out."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from agent.core.events import (
    AnyEvent,
    Attached,
    CallFinished,
    Compacted,
    Mapped,
    MessageFinished,
    Noted,
    Pruned,
    Ran,
    Redone,
    Told,
    TurnStarted,
    Undone,
)
from agent.core.limits import RUNS_MAX_CHARS
from agent.core.messages import (
    AssistantMessage,
    Message,
    ToolCall,
    ToolMessage,
    ToolResult,
    Usage,
    UserMessage,
)
from agent.llm.protocol import Request
from agent.llm.wire import encode_messages
from agent.loop.history import History


def folded(*events: AnyEvent) -> History:
    history = History()
    for event in events:
        history.apply(event)
    return history


def said(text: str) -> TurnStarted:
    return TurnStarted(UserMessage(text))


def step(identity: str, text: str = "long", images: tuple[str, ...] = ()) -> tuple[AnyEvent, ...]:
    call = ToolCall(identity, "look", {})
    result = ToolResult(identity, True, text, images=images)
    return MessageFinished(AssistantMessage("", calls=(call,))), CallFinished(result, 0.0)


def shown(messages: tuple[Message, ...]) -> list[str]:
    """Each message as one word."""
    return [
        "+".join(r.text for r in m.results) if isinstance(m, ToolMessage) else m.text or "call"
        for m in messages
    ]


ONE = (said("go"), *step("a"), *step("b"), *step("c"), MessageFinished(AssistantMessage("done")))


def test_what_is_pruned_is_replaced_in_its_place_and_kept_in_the_transcript() -> None:
    history = folded(said("go"), *step("a", images=("data:x",)), *step("b"))
    before = history.messages
    history.apply(Pruned({"a": "(gone)"}))
    assert shown(history.messages) == ["go", "call", "(gone)", "call", "long"]
    assert isinstance(results := history.messages[2], ToolMessage)
    assert results.results[0].images == ()
    assert history.everything == before
    for event in step("a"):  # after a compaction a provider may use an id again
        history.apply(event)
    assert shown(history.messages)[-1] == "long"


def test_images_of_old_messages_leave_for_a_line() -> None:
    history = folded(
        said("see"),
        Attached("[a picture]", ("a.png",), ("data:x", "data:y")),
        MessageFinished(AssistantMessage("seen")),
        said("more"),
    )
    history.apply(Pruned({}, images=(0, 7)))
    assert history.messages[0] == UserMessage(
        "see\n\n[a picture]\n\n[2 images were here; left out to save room.]"
    )
    history.apply(Undone("", ""))
    assert isinstance(first := history.messages[0], UserMessage) and len(first.images) == 2


def test_what_is_compacted_has_a_summary_in_its_place() -> None:
    history = folded(*ONE, said("more"), Compacted("(sum)", kept=3))
    # Three from the end is a result: what it answers is kept with it.
    assert shown(history.messages) == ["(sum)", "call", "long", "done", "more"]
    assert (history.first, history.summary) == (5, "(sum)")
    history.apply(Compacted("(more)", kept=0))
    assert shown(history.messages) == ["(more)", "more"]
    assert shown(history.everything)[:3] == ["go", "call", "long"]


def test_undo_takes_back_what_the_turns_left_out_and_redo_leaves_it_out_again() -> None:
    history = folded(*ONE, Pruned({"a": "(gone)"}), said("more"), Compacted("(sum)", 1))
    compacted = history.messages
    history.apply(Undone("", ""))
    assert shown(history.messages)[:3] == ["go", "call", "(gone)"]
    history.apply(Redone("", ""))
    assert history.messages == compacted
    history.apply(Undone("", "", turns=2))
    assert history.messages == ()
    history.apply(Redone("", ""))
    assert history.messages == compacted


def test_a_summary_made_between_turns_outlives_the_undo_of_the_next() -> None:
    history = folded(*ONE, Compacted("(sum)", 1), said("more"), Undone("", ""))
    assert shown(history.messages) == ["(sum)", "done"]


def test_additions_go_to_the_newest_message_and_survive_pruning() -> None:
    history = folded(
        said("go"),
        Attached("[file]", ("a.py",), ("data:x",)),
        *step("a"),
        Noted("[notes]", ("AGENTS.md",)),
        Mapped("[map]", ("b.py",)),
        *step("b"),
        Pruned({"a": "(gone)"}),
    )
    assert shown(history.messages) == [
        "go\n\n[file]",
        "call",
        "(gone)\n\n[notes]\n\n[map]",
        "call",
        "long",
    ]
    assert isinstance(first := history.messages[0], UserMessage) and first.images == ("data:x",)
    assert history.said() == ("go",)
    assert (history.noted, history.mapped) == (("AGENTS.md",), ("b.py",))
    history.apply(Compacted("(sum)", 2))
    # A map may be given again then; the notes are in the summary.
    assert (history.noted, history.mapped) == (("AGENTS.md",), ())


def test_what_glovebox_says_itself_is_not_the_users_word() -> None:
    check = TurnStarted(UserMessage("the tests fail"), "check")
    history = folded(said("go"), MessageFinished(AssistantMessage("hm")), Told("on"), check)
    assert shown(history.messages) == ["go", "hm", "on", "the tests fail"]
    assert history.said() == ("go",)


def test_the_newest_counted_reply_comes_with_what_it_answered() -> None:
    history = folded(said("go"), *step("a"), Pruned({"a": "(gone)"}))
    asked = history.messages
    reply = AssistantMessage("done", usage=Usage(prompt=9))
    history.apply(MessageFinished(reply))
    history.apply(Compacted("(sum)", 1))
    assert history.answered == (reply, asked)
    history.apply(Undone("", ""))
    assert history.answered is None


def test_what_was_counted_before_something_was_left_out_counts_no_more() -> None:
    counted = AssistantMessage("hm", usage=Usage(prompt=9_000))
    history = folded(said("go"), MessageFinished(counted), said("more"), Compacted("(sum)", 2))
    assert [m.usage.prompt for m in history.messages if isinstance(m, AssistantMessage)] == [0]
    history.apply(MessageFinished(counted))
    assert [m.usage.prompt for m in history.messages if isinstance(m, AssistantMessage)][1:] == [
        9_000
    ]


EVENTS = st.one_of(
    st.builds(said, st.sampled_from(["a", "b"])).map(lambda event: (event,)),
    st.builds(step, st.sampled_from(["a", "b", "c"])),
    st.just((MessageFinished(AssistantMessage("x", usage=Usage(prompt=3))),)),
    st.builds(Pruned, st.dictionaries(st.sampled_from(["a", "b", "c"]), st.just("-"))).map(
        lambda event: (event,)
    ),
    st.builds(Compacted, st.just("sum"), st.integers(0, 9)).map(lambda event: (event,)),
    st.builds(Undone, st.just(""), st.just(""), turns=st.integers(1, 3)).map(lambda e: (e,)),
    st.just((Redone("", ""),)),
    st.just((Mapped("map", ("f",)),)),
    st.just((Noted("notes", ("n",)),)),
)


def well_formed(history: History) -> None:
    """Raises when a provider could not be sent this."""
    encode_messages(Request("m", "s", history.messages))
    for message in history.messages:
        if isinstance(message, ToolMessage):
            assert all(result.text for result in message.results)


@given(st.lists(EVENTS, max_size=30))
def test_a_history_is_well_formed_whatever_is_pruned_compacted_undone(
    groups: list[tuple[AnyEvent, ...]],
) -> None:
    events = [event for group in groups for event in group]
    history = History()
    for event in events:
        history.apply(event)
        if not history.waiting:
            well_formed(history)
    # Another process that reads the same record sends the same bytes.
    assert folded(*events).messages == history.messages
    assert folded(*events).answered == history.answered


def test_what_was_undone_has_no_place_any_more_once_something_else_was_said() -> None:
    history = folded(said("one"), said("two"), Undone("", "", turns=2), *step("a"))
    before = history.messages
    history.apply(Redone("", ""))
    assert history.messages == before


@given(st.lists(EVENTS, max_size=20), st.integers(1, 3), st.data())
def test_a_redo_gives_back_exactly_what_the_undo_took(
    groups: list[tuple[AnyEvent, ...]], turns: int, data: st.DataObject
) -> None:
    history = folded(*(event for group in groups for event in group))
    before, first = history.messages, history.first
    history.apply(Undone("", "", turns=turns))
    well_formed(history)
    history.apply(Redone("", ""))
    assert (history.messages, history.first) == (before, first)


def ran(command: str, text: str = "ok") -> Ran:
    return Ran(command, text, 0)


def commands(history: History) -> list[str]:
    """The commands that the model was told of, message by message."""
    return [
        " ".join(line.removeprefix("$ ") for line in m.text.split("\n") if line.startswith("$ "))
        for m in history.messages
        if isinstance(m, UserMessage)
    ]


def test_what_a_person_ran_is_told_with_the_next_message_and_stays_there() -> None:
    history = folded(ran("one"), ran("two"))
    assert history.messages == ()
    for event in (said("go"), *step("a"), ran("three")):
        history.apply(event)
    before = history.messages
    assert commands(history) == ["one two"] and before[0] != UserMessage("go")
    history.apply(said("more"))
    assert commands(history) == ["one two", "three"]
    assert history.messages[: len(before)] == before, "a prefix has changed"
    assert history.said() == ("go", "more")


def test_an_undo_takes_what_was_run_after_the_turn_and_leaves_what_was_run_before() -> None:
    history = folded(ran("before"), *ONE, ran("after"), Undone("", ""), ran("since"))
    undone = folded(*[ran("before"), *ONE, ran("after"), Undone("", ""), ran("since")])
    undone.apply(said("else"))
    assert commands(undone) == ["before since"]
    history.apply(Redone("", ""))
    history.apply(said("more"))
    assert commands(history) == ["before", "after"], "what was run since is of other files"


def test_what_commands_say_is_bounded_and_the_newest_is_kept() -> None:
    history = folded(*(ran(f"c{n}", "x" * (RUNS_MAX_CHARS // 3)) for n in range(9)), said("go"))
    (message,) = history.messages
    assert isinstance(message, UserMessage)
    assert len(message.text) < RUNS_MAX_CHARS + 9 * 200
    assert commands(history) == ["c7 c8"]
    assert all(f"`c{n}`" in message.text for n in range(7))
