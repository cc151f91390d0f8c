"""A model behind a budget: no question is sent that could cost more than what is left.

What a question can take at most is known before it is sent: its prompt has no more tokens than
bytes, less what the provider has counted itself in an earlier reply; its reply is as long as the
question allows. When little is left the question allows a shorter reply; when even that does not
fit it is not sent.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import msgspec
from msgspec.structs import replace

from agent.core.errors import LlmError, UserError
from agent.core.events import Notice
from agent.core.limits import (
    IMAGE_TOKENS,
    REPLY_TOKENS_LEAST,
    REPLY_TOKENS_MOST,
    REPLY_TOKENS_USUAL,
)
from agent.core.messages import AssistantMessage, Message, ToolCall, ToolMessage, Usage, UserMessage
from agent.llm.protocol import Delta, Llm, OnDelta, Price, Request
from agent.loop.brakes import Budget, Hold, Reached, Spent

PriceOf = Callable[[str], Awaitable[Price | None]]
More = Callable[[Reached], Awaitable[bool]]
"""Asks for more money when a limit is reached; whether some was granted, so that it may go on."""

_MESSAGE_TOKENS = 16  # what a provider puts around a message or a call
_OWN_BYTES = 3  # a token, at least, of our own text and schemas: plain English and JSON
_FREE = Price(0.0, 0.0)


class Metered:
    """An `Llm` whose questions draw on `budget`. Raises `Reached` besides what the model raises.

    With a limit on money a model without a known price is refused with `UserError`: a limit that
    cannot be kept is none.
    """

    def __init__(
        self, llm: Llm, budget: Budget, price_of: PriceOf, more: More | None = None
    ) -> None:
        self._llm = llm
        self._budget = budget
        self._price_of = price_of
        self._more = more

    async def ask(self, request: Request, on_delta: OnDelta) -> AssistantMessage:
        """Answer `request` if it fits; see `Llm.ask`."""
        price = await self._price(request.model)
        prompt = prompt_most(request)
        reply_max, hold = await self._hold(prompt, price)
        heard = 0

        def hear(delta: Delta) -> None:
            nonlocal heard
            heard += 0 if isinstance(delta, Notice) else _size(delta.text)
            on_delta(delta)

        matters = self._budget.limits("money", "tokens")
        try:
            reply = await self._llm.ask(replace(request, reply_max=reply_max), hear)
            hold.settle(reply.usage, _guess(reply, prompt, price) if matters else None)
            return reply
        except LlmError as error:
            heard = max(heard, _size(error.partial))
            if heard and matters:
                hold.settle(Usage(), _taken(prompt, heard, price))
            raise
        except asyncio.CancelledError:
            if matters:
                hold.settle(Usage(), _taken(prompt, heard, price))
            raise
        finally:
            hold.let_go()

    async def _price(self, model: str) -> Price | None:
        """What a token costs, where that matters. Raises `UserError` when nobody knows."""
        if not self._budget.limits("money"):
            return None
        price = await self._price_of(model)
        if price is None:
            raise UserError(
                f"the price of `{model}` is not known, so a limit on money cannot be kept",
                "say what it costs under `prices` in your configuration, or limit `--max-tokens`",
            )
        return price

    async def _hold(self, prompt: int, price: Price | None) -> tuple[int, Hold]:
        """How long the reply may be (0: as it likes), and what is held back for all of it."""
        while True:
            reply_max, most = self._most(prompt, price)
            try:
                return reply_max, self._budget.hold(most)
            except Reached as reached:
                if reached.kind != "money" or self._more is None:
                    raise
                if not await self._more(reached):
                    raise

    def _most(self, prompt: int, price: Price | None) -> tuple[int, Spent]:
        """The longest reply that fits, at least one that is of use, and what all of it can take."""
        each = price or _FREE
        longest = each.reply_max or REPLY_TOKENS_MOST
        rooms: list[float] = []
        money, tokens = self._budget.left("money"), self._budget.left("tokens")
        if money is not None and each.completion:
            rooms.append((money - prompt * each.prompt) / each.completion)
        if tokens is not None:
            rooms.append(tokens - prompt)
        if not rooms:
            return 0, Spent(steps=1)
        # Half of what is left is for others who ask meanwhile, where a usual reply leaves so much.
        fits = int(min(rooms))
        reply = max(min(fits, REPLY_TOKENS_USUAL), fits // 2)
        reply = max(min(reply, longest), min(REPLY_TOKENS_LEAST, longest))
        money_most = prompt * each.prompt + reply * each.completion
        bounded = 0 if reply == each.reply_max else reply
        return bounded, Spent(money=money_most, tokens=prompt + reply, steps=1)


def _guess(reply: AssistantMessage, prompt: int, price: Price | None) -> Usage | None:
    """What is to be counted besides what the provider says, where it says too little."""
    usage = reply.usage
    if not (usage.prompt or usage.completion):
        return _taken(prompt, _bytes(reply), price)
    if usage.cost is not None or price is None:
        return None
    return Usage(cost=usage.prompt * price.prompt + usage.completion * price.completion)


def _taken(prompt: int, heard: int, price: Price | None) -> Usage:
    cost = None if price is None else prompt * price.prompt + heard * price.completion
    return Usage(prompt=prompt, completion=heard, cost=cost)


def prompt_most(request: Request) -> int:
    """The most tokens that the provider can count for the question."""
    counted, new = 0, request.messages
    for at in range(len(request.messages) - 1, -1, -1):
        message = request.messages[at]
        if isinstance(message, AssistantMessage) and _counted_by(request.model, message):
            counted, new = _total(message.usage), request.messages[at + 1 :]
            break
    if not counted:
        own = len(request.system.encode()) + len(msgspec.json.encode(request.tools))
        counted = own // _OWN_BYTES + _MESSAGE_TOKENS
    return counted + sum(_MESSAGE_TOKENS + _bytes(message) for message in new)


def _counted_by(model: str, message: AssistantMessage) -> bool:
    return message.model == model and message.usage.prompt > 0


def _total(usage: Usage) -> int:
    return usage.prompt + usage.completion


def _bytes(message: Message) -> int:
    """No tokenizer makes more tokens of a text than it has bytes; an image counts by itself."""
    match message:
        case UserMessage(text=text, images=images):
            return _size(text) + len(images) * IMAGE_TOKENS
        case AssistantMessage(text=text, reasoning=reasoning, calls=calls):
            sizes = (_size(c.name) + _written(c) + _MESSAGE_TOKENS for c in calls)
            return _size(text) + _size(reasoning) + sum(sizes)
        case ToolMessage(results=results):
            return sum(
                _size(r.text) + len(r.images) * IMAGE_TOKENS + _MESSAGE_TOKENS for r in results
            )


def _written(call: ToolCall) -> int:
    return _size(call.raw) if call.raw else len(msgspec.json.encode(call.arguments))


def _size(text: str) -> int:
    return len(text.encode("utf-8", "replace"))
