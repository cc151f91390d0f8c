"""Which concrete model answers for a name, as the settings say. Part of the composition root.

The provider library takes seconds to import: it is, when a provider is asked, and not before.
"""

from __future__ import annotations

import functools
import threading
from pathlib import Path

from agent.config import Settings
from agent.host import files
from agent.llm.absent import Absent
from agent.llm.fallback import Fallback
from agent.llm.pace import Share
from agent.llm.price import Rate
from agent.llm.protocol import Llm, Price
from agent.llm.replay import Replay
from agent.llm.spoken import CallsTools, Spoken

REPLAY_PREFIX = "replay:"
TEXT_PROMPT = "text_protocol.md"


def open_model(
    model: str, settings: Settings, *, fallback: bool = True, pace: Share | None = None
) -> Llm:
    """Who answers for `model`; with `fallback` those that the settings name come after it.

    With `pace` it is asked at one that it shares with others.
    """
    if not model:
        return Absent()
    if model.startswith(REPLAY_PREFIX):
        return Replay(Path(model.removeprefix(REPLAY_PREFIX)))
    from agent.llm import client

    # It loads while the sandbox comes up and the user types.
    _begin_to_load()
    provider = client.LitellmClient(
        retry=pace, options=settings.options, effort=settings.effort, prices=_rates(settings)
    )
    llm = (
        provider if settings.tools == "native" else _spoken(provider, client.calls_tools, settings)
    )
    if not (fallback and settings.fallback):
        return llm
    return Fallback(llm, settings.fallback, window=client.window)


def _spoken(llm: Llm, calls_tools: CallsTools, settings: Settings) -> Spoken:
    """`llm`, spoken with in text: all models, or those that are not known to call tools."""

    async def never(_: str) -> bool:
        return False

    prompt = files.package_texts("prompts")[TEXT_PROMPT]
    return Spoken(llm, prompt, never if settings.tools == "text" else calls_tools)


def is_listed(model: str) -> bool:
    """Whether a provider is behind the name: a recording and no model at all have no facts."""
    return bool(model) and not model.startswith(REPLAY_PREFIX)


async def window_of(model: str) -> int:
    """How many tokens the model takes, 0 when that is not known."""
    if not is_listed(model):
        return 0
    from agent.llm import client

    return await client.window(model)


async def price_of(model: str, settings: Settings) -> Price | None:
    """What a token costs at most at `model` and those that answer in its place; None: unknown."""
    if not is_listed(model):
        return Price(0.0, 0.0)
    from agent.llm import client

    rates = _rates(settings)
    prices = [await client.price(each, rates) for each in (model, *settings.fallback)]
    known = [price for price in prices if price is not None]
    if len(known) < len(prices):
        return None
    return Price(
        max(price.prompt for price in known),
        max(price.completion for price in known),
        max(price.reply_max for price in known),
    )


async def check_model(model: str) -> None:
    """Raise `UserError`, with what was perhaps meant, for a name that no provider goes by."""
    if is_listed(model):
        from agent.llm import client

        await client.check(model)


async def known_models() -> list[str]:
    """Names that models can be chosen by, as far as they are known."""
    from agent.llm import client

    return await client.names()


def _rates(settings: Settings) -> dict[str, Rate]:
    return {
        model: Rate(rates.prompt, rates.completion, rates.cached)
        for model, rates in settings.prices.items()
    }


@functools.cache
def _begin_to_load() -> None:
    """Once a process: a hundred sessions would wait for it in as many threads."""
    from agent.llm import client

    threading.Thread(target=client.warm, daemon=True, name="warm").start()
