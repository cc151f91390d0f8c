"""What a question can cost at most, and that it can be told how long its reply may be."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from msgspec.structs import replace

from agent.llm.client import LitellmClient, price
from agent.llm.known import price_of
from agent.llm.protocol import Price
from tests.llm.asking import question
from tests.llm.conftest import Provider
from tests.servers.openai import say


@pytest.mark.parametrize(
    ("model", "known"),
    [
        ("openai/gpt-4o", Price(2.5e-6, 1e-5, 16_384)),
        ("ollama/llama3", Price(0.0, 0.0, 8_192)),
        ("openai/test-model", None),
        ("nobody/gpt-4o", None),
    ],
)
async def test_the_price_of_a_model_is_what_the_table_says(model: str, known: Price | None):
    assert await price(model) == known


def test_the_dearest_of_several_prices_counts():
    facts = {
        "key": "m",
        "input_cost_per_token": 3e-6,
        "cache_creation_input_token_cost": 3.75e-6,
        "input_cost_per_token_above_200k_tokens": 6e-6,
        "input_cost_per_token_priority": 9e-6,
        "output_cost_per_token": 15e-6,
        "output_cost_per_reasoning_token": 16e-6,
        "output_cost_per_token_above_200k_tokens": None,
        "max_output_tokens": 64_000,
    }
    library: Any = SimpleNamespace(
        model_cost={"m": facts},
        get_model_info=lambda _: facts,
        get_llm_provider=lambda _: ("m", "somebody"),
        LITELLM_EXCEPTION_TYPES=(),
        exceptions=SimpleNamespace(ModelNotMappedError=KeyError),
        BadRequestError=KeyError,
    )
    assert price_of(library, "m") == Price(6e-6, 16e-6, 64_000)


@pytest.mark.parametrize(
    ("options", "most", "sent"),
    [({}, 0, None), ({}, 1500, 1500), ({"max_tokens": 900}, 1500, 900), ({"max_tokens": 9}, 0, 9)],
)
async def test_a_question_says_how_long_its_reply_may_be(
    provider: Provider, options: dict[str, Any], most: int, sent: int | None
):
    server = provider([say("Yes.")])
    client = LitellmClient(options=options)
    await client.ask(replace(question(), reply_max=most), lambda _: None)
    assert server.requests[0].get("max_tokens") == sent
