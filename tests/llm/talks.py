"""Sessions with the real tools and a machine in memory, for a model over a real connection."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from agent.core.events import SessionStarted
from agent.core.messages import ToolCall
from agent.host.files import package_texts
from agent.llm.protocol import Llm, ToolSchema
from agent.sandbox.protocol import Sandbox
from agent.session.journal import Journal
from agent.session.session import Parts, Session
from agent.session.state import State
from agent.tools.base import ToolContext, Toolset, schema_of
from agent.tools.builtin import builtin
from tests.llm.asking import MODEL
from tests.session.rig import Bench


class _Inside(Bench):
    """The workplace of the tests with a machine in memory."""

    sandbox: Sandbox

    async def context(self, call: ToolCall, on_output: Callable[[str], None]) -> ToolContext:
        await self.ready()
        return ToolContext(self.sandbox, call.id, on_output, self._state.seen)


def real_tools() -> Toolset:
    """The tools of a session."""
    texts = package_texts("prompts").items()
    return builtin({k.removeprefix("tools/"): v for k, v in texts if k.startswith("tools/")})


def open_talk(
    path: Path, llm: Llm, tools: Toolset, sandbox: Sandbox, *, model: str = MODEL, steps: int = 12
) -> Session:
    """The session whose journal is at `path`, new or resumed."""
    journal, state = Journal(path), State()
    if not journal.records:
        state.apply(journal.append(0, SessionStarted(path.stem, 1, "p", model, "memory", "none")))
    else:
        for record in journal.records:
            state.apply(record)
    session = Session(journal, state)
    inside = _Inside(state, session.emit)
    inside.sandbox = sandbox
    schemas = tuple(ToolSchema(t.name, t.description, schema_of(t.arguments)) for t in tools)
    session.equip(Parts(llm, model, lambda: "You are a test.", schemas, tools, steps), inside)
    return session
