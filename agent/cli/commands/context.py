"""Commands about what the model is sent, and what was said."""

from __future__ import annotations

from agent.cli.commands.command import Command, Talk
from agent.cli.context import context_lines
from agent.cli.styled import marked, plain
from agent.core.text import one_line, terminal_safe
from agent.host.files import package_texts
from agent.outcome import masking

_HITS_SHOWN = 20
_TODO_MARKS = {"open": "[ ]", "doing": "[>]", "done": "[x]"}


async def ask(question: str, talk: Talk) -> None:
    """Only calls that look are carried out in it. `@FILE` is added as in any message."""
    text = package_texts("prompts")["ask.md"].replace("{question}", question)
    await talk.follow(talk.session.send(text.strip(), looks=True))


async def context(talk: Talk) -> None:
    talk.show(context_lines(await talk.session.weigh()))


async def compact(focus: str, talk: Talk) -> None:
    """The newest steps stay whole, what you said stays word for word; docs/context.md."""
    await talk.follow(talk.session.compact(focus))


async def map_(words: str, talk: Talk) -> None:
    chart = await talk.session.map(words)
    if not chart.text:
        talk.show(marked("· there is no code to map"))
        return
    part = f", {chart.parsed} of {chart.code_files} looked at"
    known = part if chart.parsed < chart.code_files else ""
    talk.show([*plain(terminal_safe(chart.text)), *marked(f"· files: {len(chart.files)}{known}")])


async def todo(talk: Talk) -> None:
    items = talk.session.state.todo.items
    rows = [one_line(f"{_TODO_MARKS[item.state]} {item.text}", 200) for item in items]
    talk.show(plain("\n".join(rows)) if rows else marked("· nothing on the list"))


async def search(words: str, talk: Talk) -> None:
    """All of WORDS have to be there. What was undone or summed up is found, too."""
    hits = talk.session.search(words, masking())
    rows = [f"{hit.turn:>4}  {hit.who:<10}  {hit.text}" for hit in hits[-_HITS_SHOWN:]]
    if not rows:
        talk.show(marked("· not found in this session"))
        return
    more = len(hits) - len(rows)
    before = marked(f"· {more:,} more before these") if more else []
    talk.show([*before, *plain("\n".join(rows))])


async def history(talk: Talk) -> None:
    """As it was shown, without what was undone. Of calls there is how they ended, not all that they
    printed. `/search WORDS` finds words in it, `/export FILE` writes it.
    """
    await talk.recall(whole=True)


COMMANDS = (
    Command(
        "history", "show this session's conversation from its beginning", history, at_once=True
    ),
    Command("ask", "a question, in a turn that changes nothing", ask, "QUESTION"),
    Command("context", "what the model is sent, part by part, in tokens", context, at_once=True),
    Command("compact", "put a summary in the place of what was said", compact, "[FOCUS]"),
    Command("map", "files that matter for some words, or for what was touched", map_, "[WORDS]"),
    Command("todo", "what the model has to do", todo, at_once=True),
    Command(
        "search", "find words in all of this session's transcript", search, "WORDS", at_once=True
    ),
)
