"""What a session is equipped with by the composition root."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace

from agent.llm.protocol import Llm, ToolSchema
from agent.loop.naming import Namer
from agent.session.checks import Commands
from agent.session.fitting import Fitting
from agent.session.purse import Allowed
from agent.session.questions import OnAsk
from agent.tools.base import RunTask, Toolset, run_nowhere


@dataclass(frozen=True, slots=True)
class Parts:
    """What the composition root puts into a session. `system` is asked once a turn.

    `on_ask` says what becomes of the model's questions: a person answers, or what was declared.
    `namer` words the commits; without one they say what was asked. `map_tokens` is how long a map
    of the repository may be that the model is given; 0 is none. `notes` are those that the
    repository keeps; `fitting` is how a conversation is kept within what the model takes.
    `allowed` is what may be spent, `checks` what is to succeed after a turn; `models` gives who
    answers when another model is chosen, `tuned` the parts for a model with settings that were
    chosen in the session; `run_task` has a child do a piece of the work.
    """

    llm: Llm
    model: str
    system: Callable[[], str]
    schemas: tuple[ToolSchema, ...]
    tools: Toolset
    steps_max: int
    on_ask: OnAsk = "deny"
    namer: Namer | None = None
    map_tokens: int = 0
    notes: bool = False
    fitting: Fitting = field(default_factory=Fitting)
    allowed: Allowed = field(default_factory=Allowed)
    checks: Commands = field(default_factory=Commands)
    models: Callable[[str], Llm] | None = None
    tuned: Callable[[str, Mapping[str, str]], Parts] | None = None
    run_task: RunTask = run_nowhere

    def answered_by(self, model: str) -> Parts:
        """The same with another model."""
        return replace(self, model=model, llm=self.models(model) if self.models else self.llm)

    def with_settings(self, chosen: Mapping[str, str]) -> Parts:
        """Those for the same model with what was chosen; what was learned of windows stays."""
        tuned = self.tuned(self.model, chosen) if self.tuned else self
        fitting = replace(tuned.fitting, learned=self.fitting.learned)
        return replace(tuned, allowed=self.allowed, fitting=fitting)
