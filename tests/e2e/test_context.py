"""A long conversation over the provider's real wire: it fits, it is cached, it goes on the same."""

from __future__ import annotations

import json
from itertools import pairwise
from typing import Any

import pytest

from tests.e2e.rig import MODEL, User
from tests.servers.answers import Answer, Fault
from tests.servers.openai import OpenAIServer, call, reply, say

pytestmark = [pytest.mark.slow, pytest.mark.sandbox]

WINDOW = 14_000
STEPS = 30
SUMMARY = "## Done\nlooked at the lines"
SETTINGS = {"GLOVEBOX_WINDOW": str(WINDOW)}
FILES = {
    "AGENTS.md": "Canary notes: use tabs.\n",
    "docs/CLAUDE.md": "Nested canary: write in verse.\n",
    "docs/guide.txt": "the guide\n",
    "lines.txt": "".join(f"line {n} of the long file\n" for n in range(3_000)),
}


def tokens(request: dict[str, Any]) -> int:
    return len(json.dumps([request["messages"], request.get("tools")])) // 4


class Provider:
    """Reads on and on; counts tokens as four bytes each and refuses more than `most`."""

    def __init__(self, most: int = 1_000_000, *, steps: int = STEPS, aloud: str = "") -> None:
        self.most = most
        self.steps = steps
        self.aloud = aloud
        self.asked: list[dict[str, Any]] = []
        self.refused = 0

    def __call__(self, request: dict[str, Any]) -> Answer:
        size = tokens(request)
        usage = {"prompt_tokens": size, "completion_tokens": 9, "total_tokens": size + 9}
        if not request.get("tools"):
            return say(SUMMARY, usage=usage)
        if size > self.most:
            self.refused += 1
            text = f"This model's maximum context length is {self.most} tokens."
            return Fault(400, text, code="context_length_exceeded")
        self.asked.append(request)
        step = len(self.asked)
        if step == 2:
            return reply("", call("read", {"path": "docs/guide.txt"}), usage=usage)
        if step < self.steps:
            place = {"path": "lines.txt", "offset": 1 + 90 * step, "limit": 90}
            return reply(f"Step {step}. {self.aloud}", call("read", place), usage=usage)
        return say("I have seen it.", usage=usage)


def changes(asked: list[dict[str, Any]]) -> int:
    """How often a request did not begin with the whole of the one before."""
    return sum(
        two["messages"][: len(one["messages"])] != one["messages"]
        or (two["tools"], two["messages"][0]) != (one["tools"], one["messages"][0])
        for one, two in pairwise(asked)
    )


def test_thirty_steps_fit_and_begin_alike_but_where_an_event_says_so(user: User) -> None:
    user.start(FILES)
    provider = Provider()
    with OpenAIServer(provider) as server:
        ran = user.glovebox(
            "-m",
            "Read @docs/guide.txt and @none.txt, and never touch `vendor`.",
            "--model",
            MODEL,
            "--json",
            server=server,
            environment=SETTINGS,
        )
        assert ran.code == 0, ran.err
        assert server.problems == []
        said = len(ran.of("Pruned")) + len(ran.of("Compacted"))
        assert said and changes(provider.asked) <= said
        for request in provider.asked:
            assert len(json.dumps(request["messages"])) // 4 < WINDOW
        first = json.dumps(provider.asked[0]["messages"])
        assert "which the user mentions:]" in first and "the guide" in first
        # The notes are in every request from where they came on, whatever was left out.
        noted = [event["files"] for event in ran.of("Noted")]
        assert noted in ([["AGENTS.md"], ["docs/CLAUDE.md"]], [["AGENTS.md", "docs/CLAUDE.md"]])
        last = json.dumps(provider.asked[-1]["messages"])
        for kept in ("Canary notes: use tabs.", "Nested canary", "never touch `vendor`"):
            assert kept in last
        assert str(user.home) not in last

        # Another process goes on with the same bytes.
        before = provider.asked[-1]["messages"]
        more = user.glovebox(
            "--continue", "-m", "And now?", "--json", server=server, environment=SETTINGS
        )
        assert more.code == 0, more.err
        after = provider.asked[-1]["messages"]
        assert after[: len(before)] == before or more.of("Pruned") + more.of("Compacted")


def test_a_model_that_takes_less_than_is_known_is_asked_again_with_less(user: User) -> None:
    user.start(FILES)
    provider = Provider(9_000, steps=14, aloud="I think aloud. " * 120)
    with OpenAIServer(provider) as server:
        ran = user.glovebox("-m", "Read it all.", "--model", MODEL, "--json", server=server)
    assert ran.code == 0, ran.err
    assert server.problems == []
    assert 0 < provider.refused < 5
    assert len(provider.asked) == 14
    said = ran.of("Pruned") + ran.of("Compacted")
    assert ran.of("Compacted") and changes(provider.asked) <= len(said)
    assert SUMMARY in provider.asked[-1]["messages"][1]["content"]
    assert "--- message 1 ---\nRead it all." in provider.asked[-1]["messages"][1]["content"]


def test_one_that_takes_nothing_ends_the_turn_and_keeps_the_session(user: User) -> None:
    user.start(FILES)
    with OpenAIServer(Provider(most=10)) as server:
        ran = user.glovebox("-m", "Read it all.", "--model", MODEL, "--json", server=server)
        assert ran.code != 0
        problem = ran.of("TurnFinished")[0]["problem"]
        assert problem["kind"] == "LlmContextError" and "/fork" in problem["hint"]
        assert len(server.requests) <= 4
    with OpenAIServer(Provider()) as server:
        more = user.glovebox("--continue", "-m", "again", "--json", server=server)
    assert more.code == 0, more.err


def test_a_model_that_is_asked_instead_is_sent_what_it_takes(user: User):
    user.start(FILES)
    (user.home / ".config/glovebox").mkdir(parents=True)
    fallback = "fallback: [openai/gpt-3.5-turbo]\n"  # 16,385 tokens, as litellm's table knows
    (user.home / ".config/glovebox/config.yml").write_text(fallback)
    provider = Provider()

    def answer(request: dict[str, Any]) -> Answer:
        if request["model"] == "test-model" and len(provider.asked) >= 25:
            return Fault(401, "no such key any more")
        return provider(request)

    with OpenAIServer(answer) as server:
        ran = user.glovebox("-m", "look at it", "--model", MODEL, "--json", server=server)

    assert ran.code == 0, ran.err
    sizes = {
        model: max(tokens(r) for r in provider.asked if r["model"] == model)
        for model in ("test-model", "gpt-3.5-turbo")
    }
    assert sizes["gpt-3.5-turbo"] < 16_385 < sizes["test-model"]
    said = [event["text"] for event in ran.of("Notice")]
    assert any("made to fit `openai/gpt-3.5-turbo`, as no other one" in text for text in said)
    assert len(ran.of("Pruned")) == 1
    (result,) = ran.of("Result")
    assert result["text"] == "I have seen it."
