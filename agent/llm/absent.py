"""No model: for a session that only people use. It can be given one when it is resumed."""

from __future__ import annotations

from agent.core.errors import LlmAuthError
from agent.core.messages import AssistantMessage
from agent.llm.protocol import OnDelta, Request


class Absent:
    """Answers nobody."""

    async def ask(self, request: Request, on_delta: OnDelta) -> AssistantMessage:
        raise LlmAuthError("this session has no model", "go on with `--continue --model NAME`")
