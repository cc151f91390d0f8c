"""The settings' words about models, as far as they reach the wire."""

from __future__ import annotations

import pytest

from agent.app.models import check_model, open_model, price_of, window_of
from agent.config import Rates, Settings
from agent.core.errors import UserError
from agent.core.messages import Usage
from agent.llm.client import close
from agent.llm.protocol import Price
from tests.llm.asking import ask, question
from tests.llm.conftest import Provider
from tests.servers.openai import Fault, say

RATES = {"openai/mine": Rates(prompt=1.0, completion=4.0, cached=0.5)}


async def test_a_persons_price_is_what_a_model_costs(provider: Provider) -> None:
    provider([say("hello")])
    llm = open_model("openai/mine", Settings(prices=RATES))

    reply, _ = await ask(llm, question(model="openai/mine"))
    await close()

    assert reply.usage == Usage(100, 40, 20, pytest.approx((60 + 40 * 0.5 + 20 * 4) / 1e6))


async def test_the_models_of_the_settings_answer_in_turn(provider: Provider) -> None:
    provider([Fault(403, "no"), say("hello")])
    llm = open_model("openai/mine", Settings(fallback=("openai/other",)))

    reply, heard = await ask(llm, question(model="openai/mine"))
    await close()

    assert reply.model == "openai/other"
    assert "asking `openai/other` instead" in heard.notices[0]


@pytest.mark.parametrize(
    ("model", "effort", "sent"),
    [
        ("openai/gpt-5", "low", "low"),
        ("openai/gpt-5", "", None),
        ("openai/gpt-4o", "low", None),
        ("openai/mine", "high", "high"),
        ("lm_studio/mine", "high", "high"),
    ],
)
async def test_effort_goes_to_models_that_are_not_known_to_lack_it(
    provider: Provider, monkeypatch: pytest.MonkeyPatch, model: str, effort: str, sent: str | None
) -> None:
    server = provider([say("hello")])
    monkeypatch.setenv("LM_STUDIO_API_BASE", server.url)

    await ask(open_model(model, Settings(effort=effort)), question(model=model))  # pyright: ignore[reportArgumentType]
    await close()

    assert server.requests[0].get("reasoning_effort") == sent


async def test_the_dearest_of_all_that_may_answer_is_the_price() -> None:
    chain = Settings(prices=RATES, fallback=("openai/gpt-4o",))

    assert await price_of("openai/mine", Settings(prices=RATES)) == Price(1e-6, 4e-6, 0)
    assert await price_of("openai/mine", chain) == Price(2.5e-6, 1e-5, 16_384)
    assert await price_of("openai/gpt-4o", Settings(fallback=("openai/unlisted",))) is None
    assert await price_of("replay:x", Settings()) == Price(0.0, 0.0)


async def test_a_name_without_a_provider_is_refused_with_what_was_meant() -> None:
    with pytest.raises(UserError, match="no provider is known") as caught:
        await check_model("antropic/claude-sonnet-4-5")

    assert "did you mean `anthropic/claude-sonnet-4-5`" in caught.value.hint
    await check_model("openai/never-heard-of")
    await check_model("replay:file")
    assert await window_of("replay:file") == 0
