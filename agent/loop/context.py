"""Keeps a conversation within what its model can be asked.

What does not fit loses old results first, and those all at once down to a low mark, so that what
was sent before changes seldom: a provider's cache knows a prompt by its beginning. When that is
not enough, or the provider says so, a summary takes the place of all but the newest steps. What is
left out is an event, so a session that is resumed sends the same bytes.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field

from msgspec.structs import replace

from agent.core.errors import LlmContextError
from agent.core.events import Compacted, Notice, Pruned
from agent.core.limits import COMPACT_AT, WINDOW_TOKENS
from agent.core.messages import AssistantMessage, Message, ToolMessage
from agent.llm.protocol import Delta, Llm, OnDelta, Request
from agent.loop.compact import Pins, Summing, Writer, composed, kept_from, open_files
from agent.loop.history import History
from agent.loop.pruning import gain_of, large_results, old_images, old_results
from agent.loop.tokens import Item, items, of_message, of_request, of_text, scale_of

_LOW, _ENOUGH = 0.6, 0.8  # of the mark at which pruning begins: where it ends, what it must reach
_NEW = 0.2  # of the window: results that pruning leaves alone
_KEPT = 0.15  # of the window: what stays whole beside a summary, and each list in it
_WORTH = 0.1  # of the window: what a summary has to save, or there would be one at every step
_REFUSED = 0.9  # of a request that was refused: what is taken to fit
_LARGE = 0.1  # of the window: a result that has to go when nothing else is left


@dataclass(frozen=True, slots=True)
class Window:
    """What a model can be asked. `known` is False for a guess."""

    tokens: int
    known: bool


@dataclass(slots=True)
class Windows:
    """How much each model takes: as set, as known, or as was learned when one refused."""

    known: Callable[[str], Awaitable[int]]
    chosen: int = 0
    learned: dict[str, int] = field(default_factory=dict[str, int])

    async def of(self, model: str) -> Window:
        tokens = self.chosen or await self.known(model)
        learned = self.learned.get(model)
        if learned is not None and (not tokens or learned < tokens):
            return Window(learned, known=True)
        return Window(tokens or WINDOW_TOKENS, known=bool(tokens))

    async def tokens(self, model: str) -> int:
        return (await self.of(model)).tokens


@dataclass(slots=True)
class Context:
    """An `Llm` whose questions fit. `head` is a request without its messages.

    `history` and `emit` are the session's: what is emitted here is folded there.
    """

    llm: Llm
    head: Request
    history: History
    emit: Callable[[Pruned | Compacted | Notice], None]
    windows: Windows
    summing: Summing
    pins: Callable[[], Pins]
    share: float = COMPACT_AT
    _shortened: bool = False  # since the model answered last

    async def messages(self) -> tuple[Message, ...]:
        """The conversation for the next request, made to fit. Raises `LlmError`."""
        window = await self.windows.of(self.head.model)
        for _ in range(2):
            size = self._size()
            if size <= window.tokens * self.share:
                break
            if self._prune(size, window):
                continue
            least = round(window.tokens * _WORTH)
            if not await self._compact(window, least=least):
                break  # there is little left to leave out: the provider may take it all the same
        return self.history.messages

    async def ask(self, request: Request, on_delta: OnDelta) -> AssistantMessage:
        """Answer `request`; one that is refused as too long is made shorter, twice at most.

        It may be refused by a model that is asked instead, in whose window it has to fit then.
        """
        pruned = told = False
        while True:
            try:
                request = replace(request, messages=self.history.messages, size=self._size())
                reply = await self.llm.ask(request, on_delta)
            except LlmContextError as error:
                if error.partial:
                    raise
                model = error.model or request.model
                window = await self._learn(model, request.size, error.window)
                if model != request.model and not told:
                    self.emit(_fits(model, error))
                    told = True
                pruned = not pruned and self._prune(request.size, window)
                if not pruned and not await self._compact(window, model=model):
                    raise _too_long(model, error) from error
            else:
                self._shortened = False
                return reply

    async def compact(self, focus: str = "") -> bool:
        """Have a summary take the place of what it can; whether there was anything."""
        self._shortened = False
        window = await self.windows.of(self.head.model)
        return await self._compact(window, focus=focus)

    def items(self) -> tuple[Item, ...]:
        """The parts of the next request."""
        return items(self.head, self.history)

    def _size(self) -> int:
        request = replace(self.head, messages=self.history.messages)
        return round(of_request(request) * scale_of(self.head, self.history))

    def _prune(self, size: int, window: Window) -> bool:
        """Leave old results out, if that is enough for a while."""
        mark, scale = window.tokens * self.share, scale_of(self.head, self.history)
        sent = self.history.messages
        places, seen = old_images(sent)
        texts, saved = old_results(
            sent,
            save=round((size - mark * _LOW) / scale) - seen,
            keep=round(window.tokens * _NEW / scale),
        )
        after = size - round((saved + seen) * scale)
        if not (texts or places) or after > mark * _ENOUGH:
            return False
        begin = self.history.first - bool(self.history.summary)
        self.emit(Pruned(texts, size, after, tuple(begin + at for at in places)))
        return True

    async def _learn(self, model: str, size: int, most: int) -> Window:
        """What `model` takes, now that it has refused so much: `most`, where that is known."""
        self.windows.learned[model] = most or round(size * _REFUSED)
        return await self.windows.of(model)

    async def _compact(
        self, window: Window, *, focus: str = "", least: int = 0, model: str = ""
    ) -> bool:
        """Sum up what is not of the newest steps; the second time keep of those what is not large.

        Whether anything was left out; what saves fewer than `least` tokens is not. As nothing is
        left after that, there are no more than two summaries between two answers.
        """
        tight, self._shortened = self._shortened, True
        before, scale = self._size(), scale_of(self.head, self.history)
        whole = sum(map(of_message, self.history.messages))
        tokens = round(min(window.tokens / scale, whole) * _KEPT)
        start = kept_from(self.history, 0 if tight else tokens)
        summed = start > self.history.first and self._weight(start) * scale >= least
        if summed:
            await self._sum_up(start, tokens, before, focus, model or self.head.model)
        texts: dict[str, str] = {}
        if tight or not summed:
            largest = round(window.tokens * _LARGE / scale)
            texts = large_results(self.history.messages, largest=largest)
        if texts:
            before = self._size()
            self.emit(Pruned(texts, before, before - self._saved(texts)))
        return summed or bool(texts)

    def _saved(self, texts: Mapping[str, str]) -> int:
        results = [
            r for m in self.history.messages if isinstance(m, ToolMessage) for r in m.results
        ]
        gains = (gain_of(r, texts[r.call_id]) for r in results if r.call_id in texts)
        return round(sum(gains) * scale_of(self.head, self.history))

    def _weight(self, start: int) -> int:
        """What the messages before `start` weigh that are still sent."""
        sent = self.history.messages
        count = start - self.history.first + bool(self.history.summary)
        return sum(map(of_message, sent[:count]))

    async def _sum_up(self, start: int, tokens: int, before: int, focus: str, model: str) -> None:
        history = self.history
        self.emit(Notice("info", "the conversation has become long: it is being summed up"))
        summary = await self.summing.write(
            Writer(self.llm, model),
            tuple(history.told(history.first, start)),
            earlier=history.summary,
            focus=focus,
            on_delta=self._pass_on,
        )
        pins = self.pins()
        text = composed(history, start, summary.text, pins, tokens)
        saved = (self._weight(start) - of_text(text)) * scale_of(self.head, history)
        kept = len(history.everything) - start
        files = {path: pins.files[path] for path in open_files(pins)}
        self.emit(
            Compacted(
                text, kept, files, summary.model, summary.usage, before, round(before - saved)
            )
        )

    def _pass_on(self, delta: Delta) -> None:
        if isinstance(delta, Notice):
            self.emit(delta)


def _fits(model: str, error: LlmContextError) -> Notice:
    text = f"{error.message}: the conversation is made to fit `{model}`, as no other one answers"
    return Notice("info", text)


def _too_long(model: str, error: LlmContextError) -> LlmContextError:
    return LlmContextError(
        f"the conversation is too long for `{model}`, also after what could be left out of it:"
        f" {error.message}",
        "`/undo` takes the last turn back, `/fork` goes on from here in a session of its own, and"
        " `/model` takes a model with a larger window",
        partial=error.partial,
    )
