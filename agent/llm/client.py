"""Model providers through litellm. The only file that imports it, and only when it is needed.

litellm takes seconds to import, so that happens in `warm()` or at the first question, in a thread.
"""

from __future__ import annotations

import asyncio
import functools
import logging
from collections.abc import Mapping
from typing import Any

from agent.core.messages import AssistantMessage, Message
from agent.host import env
from agent.llm.assemble import Assembler, tokens
from agent.llm.protocol import OnDelta, Request
from agent.llm.retry import Retry
from agent.llm.wire import encode_messages, encode_tools

FIRST_BYTE_SECONDS = 300.0
IDLE_SECONDS = 180.0

_SETTINGS = {
    # Otherwise importing litellm fetches its price table from the network.
    "LITELLM_LOCAL_MODEL_COST_MAP": "True",
    "LITELLM_LOCAL_ANTHROPIC_BETA_HEADERS": "True",
    # Otherwise importing litellm loads the nearest `.env` above its own folder: with a virtual
    # environment inside a repository that file could point the user's key at another server.
    "LITELLM_MODE": "PRODUCTION",
}


@functools.cache
def _library() -> Any:
    for name, value in _SETTINGS.items():
        env.set_variable(name, value)
    import litellm

    litellm.suppress_debug_info = True
    for name in ("LiteLLM", "LiteLLM Router", "LiteLLM Proxy"):
        logging.getLogger(name).disabled = True
    return litellm


def warm() -> None:
    """Import litellm. Blocks for seconds: call it in a thread."""
    _library()


class LitellmClient:
    """An `Llm` that asks the provider named in the model's prefix, such as `openai/gpt-5`.

    Keys and addresses come from the environment as litellm reads them. `options` are further
    arguments of every request, such as `temperature`.
    """

    def __init__(
        self,
        *,
        retry: Retry | None = None,
        first_byte_seconds: float = FIRST_BYTE_SECONDS,
        idle_seconds: float = IDLE_SECONDS,
        options: Mapping[str, Any] | None = None,
    ) -> None:
        self._retry = retry or Retry()
        self._first_byte_seconds = first_byte_seconds
        self._idle_seconds = idle_seconds
        self._options = dict(options or {})

    async def ask(self, request: Request, on_delta: OnDelta) -> AssistantMessage:
        """Answer `request`; see `Llm.ask`."""
        library = await asyncio.to_thread(_library)
        return await self._retry.run(lambda: self._attempt(library, request, on_delta), on_delta)

    async def _attempt(self, library: Any, request: Request, on_delta: OnDelta) -> AssistantMessage:
        reply = Assembler(_call_ids(request.messages))
        stream = await library.acompletion(**self._arguments(request))
        try:
            async for chunk in stream:
                for delta in reply.add(chunk):
                    on_delta(delta)
        finally:
            await stream.aclose()
        return reply.message(request.model, tokens(reply.usage, None))

    def _arguments(self, request: Request) -> dict[str, Any]:
        tools = {"tools": encode_tools(request.tools)} if request.tools else {}
        return {
            "model": request.model,
            "messages": encode_messages(request),
            **tools,
            "stream": True,
            "stream_options": {"include_usage": True},
            "drop_params": True,
            "num_retries": 0,
            "max_retries": 0,
            **self._options,
        }


def _call_ids(messages: tuple[Message, ...]) -> set[str]:
    return {
        call.id
        for message in messages
        if isinstance(message, AssistantMessage)
        for call in message.calls
    }
