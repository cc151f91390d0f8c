"""What tokens cost where a person says so, over what the library's table says or does not know."""

from __future__ import annotations

from dataclasses import dataclass

from agent.core.messages import Usage

PER = 1_000_000


@dataclass(frozen=True, slots=True)
class Rate:
    """US dollars per million tokens; what a cache had costs `cached`, None: as `prompt`."""

    prompt: float
    completion: float
    cached: float | None = None

    def cost(self, usage: Usage) -> float:
        """What `usage` costs."""
        cached = self.prompt if self.cached is None else self.cached
        fresh = max(usage.prompt - usage.cached, 0)
        parts = fresh * self.prompt + usage.cached * cached + usage.completion * self.completion
        return parts / PER
