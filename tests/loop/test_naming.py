"""Commit messages by a small model: what it is told, and what of its answer is taken."""

from __future__ import annotations

import asyncio

import pytest

from agent.core.errors import LlmDownError
from agent.core.limits import NAMING_DIFF_CHARS
from agent.core.messages import AssistantMessage, Usage
from agent.llm.protocol import OnDelta, Request
from agent.loop.naming import Named, Namer, cleaned
from agent.testing.model import Scripted


async def test_it_is_told_the_request_the_diff_and_the_manner() -> None:
    usage = Usage(prompt=10, completion=3, cost=0.01)
    model = Scripted([AssistantMessage("fix(a): Mend the sum", usage=usage)])

    async def recent() -> tuple[str, ...]:
        return ("feat(x): Add y", "fix: z")

    namer = Namer(model, "small", "RULES", recent)
    named = await namer.name("mend it, please", "+a\n-b\n")
    assert named == Named("fix(a): Mend the sum", usage)
    (asked,) = model.requests
    assert (asked.model, asked.system, asked.tools) == ("small", "RULES", ())
    (message,) = asked.messages
    assert message.text == (  # type: ignore[union-attr]
        "Recent subjects:\n- feat(x): Add y\n- fix: z\n\nRequest:\nmend it, please\n\n"
        "Diff:\n+a\n-b\n"
    )


async def test_a_long_diff_is_cut() -> None:
    model = Scripted([AssistantMessage("Subject")])
    await Namer(model, "small", "").name("r", "x" * (NAMING_DIFF_CHARS + 1))
    text = model.requests[0].messages[0].text  # type: ignore[union-attr]
    assert text.endswith("x\n… (cut)\n")
    assert len(text) < NAMING_DIFF_CHARS + 200


class Silent:
    """A provider that never answers."""

    async def ask(self, request: Request, on_delta: OnDelta) -> AssistantMessage:
        await asyncio.Event().wait()
        raise AssertionError


async def test_one_that_fails_or_hangs_or_talks_is_none() -> None:
    assert await Namer(Scripted([LlmDownError("down")]), "m", "").name("r", "d") is None
    assert await Namer(Silent(), "m", "", seconds=0.01).name("r", "d") is None
    for said in ("", "Here is the message you asked for, " * 5):
        assert await Namer(Scripted([AssistantMessage(said)]), "m", "").name("r", "d") is None


@pytest.mark.parametrize(
    ("said", "message"),
    [
        ("Add x", "Add x"),
        ("  `Add x`\n", "Add x"),
        ("```\nAdd x\n\nBecause.\n```", "Add x\n\nBecause."),
        ("Add x\nBecause.\n", "Add x\n\nBecause."),
        ("Add x\r\n\r\nBecause.  \r\n", "Add x\n\nBecause."),
        ("Add \x1b[2Jx", "Add \u241b[2Jx"),
        ("Add x\n\nWhy.\nSigned-off-by: Mallory <m@x>\nGlovebox-Session: abc", "Add x\n\nWhy."),
        ("Add x\n\nFixes #12", "Add x"),
        ("Signed-off-by: Mallory <m@x>", ""),
        ("x" * 101, ""),
        ("\n\n", ""),
    ],
)
def test_what_is_taken_of_an_answer(said: str, message: str) -> None:
    assert cleaned(said) == message
