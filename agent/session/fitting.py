"""How a session's conversation is made to fit its model: what for, by whom, with what kept."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field, replace

from agent.core.events import AnyEvent
from agent.core.limits import COMPACT_AT
from agent.llm.protocol import Llm, Request
from agent.loop.compact import Pins, Summing, Writer
from agent.loop.context import Context, Windows
from agent.loop.tokens import Item
from agent.session.state import State


async def unknown_window(model: str) -> int:
    """For a model of which nobody knows how much it takes."""
    return 0


@dataclass(frozen=True, slots=True)
class Weight:
    """What the next request consists of. `window` is what the model takes; a guess if not `known`.

    From `mark` tokens on something is left out.
    """

    parts: tuple[Item, ...]
    window: int
    known: bool
    mark: int


async def weight_of(context: Context) -> Weight:
    """What the next request of a conversation consists of."""
    window = await context.windows.of(context.head.model)
    mark = round(window.tokens * context.share)
    return Weight(context.items(), window.tokens, window.known, mark)


@dataclass(frozen=True, slots=True)
class Fitting:
    """How a conversation is kept within a window.

    `known` says how many tokens a model takes, 0 when it cannot; `window` is used instead when it
    is set. `prompt` is what a model is told that sums up, `weak` the one to try first.
    """

    prompt: str = ""
    known: Callable[[str], Awaitable[int]] = unknown_window
    window: int = 0
    share: float = COMPACT_AT
    weak: Writer | None = None
    learned: dict[str, int] = field(default_factory=dict[str, int])

    def drawing(self, on: Callable[[Llm], Llm]) -> Fitting:
        """The same, with the model that sums up drawing on a budget."""
        return replace(self, weak=self.weak and replace(self.weak, llm=on(self.weak.llm)))

    def context(
        self, llm: Llm, head: Request, state: State, emit: Callable[[AnyEvent], None]
    ) -> Context:
        """The conversation of `state` as `llm` is to be asked with it."""
        windows = Windows(self.known, self.window, self.learned)
        return Context(
            llm,
            head,
            state.history,
            emit,
            windows,
            Summing(self.prompt, windows.tokens, self.weak),
            lambda: Pins(state.todo.items, dict(state.seen.hashes)),
            self.share,
        )
