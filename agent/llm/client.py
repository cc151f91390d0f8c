"""Model providers through litellm. The only file that imports it, and only when it is needed.

litellm takes seconds to import, so that happens in `warm()` or at the first question, in a thread.
What it prints and logs is silenced here; what it raises is translated here.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import gc
import logging
import threading
import warnings
from collections.abc import Generator, Mapping
from typing import Any

from agent.core.errors import LlmDownError, LlmError
from agent.core.messages import AssistantMessage
from agent.host import env
from agent.llm.assemble import Assembler, call_ids, tokens
from agent.llm.failure import Failure, endless, failure_of, slow, unknown_model
from agent.llm.known import (
    calls_tools_of,
    cost_of,
    effort_of,
    names_of,
    price_of,
    provider_of,
    question_facts,
    sees,
    window_of,
)
from agent.llm.overheard import Overheard
from agent.llm.pace import Share
from agent.llm.price import Rate
from agent.llm.protocol import Delta, OnDelta, Price, Request
from agent.llm.retry import Retry, TransientError
from agent.llm.thoughts import are_missing
from agent.llm.wire import encode_messages, encode_tools

# A model that reasons in silence may take minutes to its first byte; between two bytes it may not.
FIRST_BYTE_SECONDS = 300.0
IDLE_SECONDS = 120.0
WHOLE_SECONDS = 900.0
# A stream that always goes on has to end as well.
LONGEST_SECONDS = 3_600.0
LONGEST_CHARS = 20_000_000
CANCEL_SECONDS = 0.5
_DROPPING = ("openrouter",)
"""Providers that send chunks with nothing but what litellm does not know, and drops."""
_SIGNING = ("gemini", "vertex_ai", "vertex_ai_beta")
"""Providers whose signatures litellm would put into the ids of calls, which others refuse then."""

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
    with _nothing_collected():
        import litellm

    litellm.suppress_debug_info = True
    for name in ("LiteLLM", "LiteLLM Router", "LiteLLM Proxy"):
        logging.getLogger(name).disabled = True
    return litellm


@contextlib.contextmanager
def _nothing_collected() -> Generator[None]:
    """What an import makes stays: looking for garbage in it takes a third more."""
    collects = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if collects:
            gc.enable()


def _silence() -> None:
    """Keep the library's own warnings to itself, also where warnings are errors.

    litellm installs such filters when it is imported; whoever resets the filters later, as pytest
    does for each test, would let a warning raise in the middle of a stream.
    """
    warnings.filterwarnings("ignore", module=r"(litellm|pydantic)\b")


def warm() -> None:
    """Import litellm. Blocks for seconds: call it in a thread."""
    _library()


async def window(model: str) -> int:
    """How many tokens a question to `model` may have; 0 when that is not known."""
    return window_of(await asyncio.to_thread(_library), model)


async def names() -> list[str]:
    """The names that models can be chosen by, as far as they are known."""
    return await asyncio.to_thread(lambda: names_of(_library()))


async def calls_tools(model: str) -> bool:
    """Whether `model` calls tools by itself, as far as is known; see `calls_tools_of`."""
    return calls_tools_of(await asyncio.to_thread(_library), model)


async def check(model: str) -> None:
    """Raise `UserError`, with what was perhaps meant, when no provider is known for `model`."""
    facts = await asyncio.to_thread(lambda: question_facts(_library(), model))
    if not facts.provider:
        raise unknown_model(facts)


async def price(model: str, prices: Mapping[str, Rate] | None = None) -> Price | None:
    """What a token costs at most at `model`; None when neither `prices` nor the table knows."""
    return price_of(await asyncio.to_thread(_library), model, (prices or {}).get(model))


async def close() -> None:
    """Close kept connections and end litellm's background tasks, those of all clients.

    For the end of an event loop, when no question is running any more.
    """
    if not _library.cache_info().currsize:
        return
    library = _library()
    from litellm.litellm_core_utils.logging_worker import GLOBAL_LOGGING_WORKER

    await GLOBAL_LOGGING_WORKER.stop(discard_pending=True)
    await library.close_litellm_async_clients()
    # Otherwise a closed connection pool would be handed out again.
    library.in_memory_llm_clients_cache.flush_cache()


class _EndlessError(Exception):
    """A stream goes on for longer than any reply."""


class LitellmClient:
    """An `Llm` that asks the provider named in the model's prefix, such as `openai/gpt-5`.

    Keys and addresses come from the environment as litellm reads them. `options` are further
    arguments of every request, such as `temperature`; `effort` is how much a model that reasons is
    to do so; `prices` are a person's, by model, over those of the table. `stream=False` asks for
    whole replies; a server that does not stream although asked to is found out by itself.
    """

    def __init__(
        self,
        *,
        retry: Retry | Share | None = None,
        first_byte_seconds: float = FIRST_BYTE_SECONDS,
        idle_seconds: float = IDLE_SECONDS,
        whole_seconds: float = WHOLE_SECONDS,
        longest_seconds: float = LONGEST_SECONDS,
        longest_chars: int = LONGEST_CHARS,
        stream: bool = True,
        effort: str = "",
        prices: Mapping[str, Rate] | None = None,
        options: Mapping[str, Any] | None = None,
    ) -> None:
        self._retry = retry or Retry()
        self._first_byte_seconds = first_byte_seconds
        self._idle_seconds = idle_seconds
        self._whole_seconds = whole_seconds
        self._longest_seconds = longest_seconds
        self._longest_chars = longest_chars
        self._stream = stream
        self._effort = effort
        self._prices = dict(prices or {})
        self._options = dict(options or {})
        self._unstreamed: set[str] = set()

    async def ask(self, request: Request, on_delta: OnDelta) -> AssistantMessage:
        """Answer `request`; see `Llm.ask`."""
        library = await asyncio.to_thread(_library)
        _silence()
        return await self._retry.run(lambda: self._attempt(library, request, on_delta), on_delta)

    async def _attempt(self, library: Any, request: Request, on_delta: OnDelta) -> AssistantMessage:
        streamed = self._stream and request.model not in self._unstreamed
        reply = await self._receive(library, request, on_delta, stream=streamed)
        if reply.empty and streamed:
            # litellm turns a body that is no event stream into an empty reply.
            reply = await self._receive(library, request, on_delta, stream=False)
            if not reply.empty:
                self._unstreamed.add(request.model)
        if reply.empty:
            self._unstreamed.discard(request.model)
            error = LlmDownError(f"`{request.model}` gave an empty answer", "try again")
            raise TransientError(error, "provider gave an empty answer")
        cost = cost_of(library, request.model, reply.usage, self._prices.get(request.model))
        usage = tokens(reply.usage, cost)
        return reply.message(request.model, usage, request.tools)

    async def _receive(
        self, library: Any, request: Request, on_delta: OnDelta, *, stream: bool
    ) -> Assembler:
        """One request and all of its answer. Raises `TransientError` when another may succeed."""
        reply = Assembler(call_ids(request.messages))
        shown = False

        def show(delta: Delta) -> None:
            nonlocal shown
            shown = True
            on_delta(delta)

        arguments = self._arguments(request, stream=stream, sees=sees(library, request.model))
        # Claude may not think in the middle of what it, or another, has begun without thoughts.
        rests = "claude" in request.model and are_missing(request)
        arguments |= effort_of(library, request.model, "" if rests else self._effort)
        if provider_of(library, request.model) in _SIGNING:
            arguments["thought_signature_in_tool_call_id"] = False
        try:
            await self._read(library, arguments, reply, show)
        except TimeoutError as error:
            failure = slow(provider_of(library, request.model), "kept silent for too long")
            raise _raisable(failure, reply.text, shown=shown) from error
        except _EndlessError as error:
            failure = endless(provider_of(library, request.model))
            raise _raisable(failure, reply.text, shown=shown) from error
        except tuple(library.LITELLM_EXCEPTION_TYPES) as error:
            failure = failure_of(error, question_facts(library, request.model))
            raise _raisable(failure, reply.text, shown=shown) from error
        return reply

    async def _read(
        self, library: Any, arguments: dict[str, Any], reply: Assembler, show: OnDelta
    ) -> None:
        seconds = self._first_byte_seconds if arguments["stream"] else self._whole_seconds
        loop = asyncio.get_running_loop()
        end = loop.time() + self._longest_seconds
        async with asyncio.timeout(seconds) as deadline:
            answer = await _open(library, arguments)
            if not arguments["stream"]:
                reply.overhear(answer)
                for delta in reply.add(answer):
                    show(delta)
                return
            if provider_of(library, arguments["model"]) in _DROPPING:
                answer.completion_stream = Overheard(answer.completion_stream, reply.overhear)
            try:
                async for chunk in answer:
                    deadline.reschedule(loop.time() + self._idle_seconds)
                    for delta in reply.add(chunk):
                        show(delta)
                    if loop.time() > end or reply.size > self._longest_chars:
                        raise _EndlessError
            finally:
                await answer.aclose()

    def _arguments(self, request: Request, *, stream: bool, sees: bool) -> dict[str, Any]:
        tools = {"tools": encode_tools(request.tools)} if request.tools else {}
        counted = {"stream_options": {"include_usage": True}} if stream else {}
        return {
            "model": request.model,
            "messages": encode_messages(request, sees=sees),
            **tools,
            "drop_params": True,
            # Marks the stable prefix for providers that cache only what is marked.
            "enable_prompt_caching": True,
            # Repeating is `Retry`'s business, which says so; time-outs are ours as well.
            "num_retries": 0,
            "max_retries": 0,
            "timeout": self._whole_seconds,
            **self._options,
            **self._bound(request.reply_max),
            "stream": stream,
            **counted,
        }

    def _bound(self, reply_max: int) -> dict[str, Any]:
        """How long the reply may be, where somebody says so: the user, or what may be spent."""
        wanted = self._options.get("max_tokens", reply_max)
        return {"max_tokens": min(int(wanted), reply_max)} if reply_max else {}


async def _open(library: Any, arguments: dict[str, Any]) -> Any:
    """litellm's answer, when its headers are there. A cancel leaves nothing behind.

    litellm prepares a request in a thread; cancelled at that moment it drops a coroutine that was
    never awaited. So a cancel waits, for at most half a second, until the request is being sent.
    """
    sending = asyncio.Event()
    thread = threading.get_ident()

    def note(_: Any) -> None:
        if threading.get_ident() == thread:
            sending.set()

    task = asyncio.create_task(library.acompletion(**arguments, logger_fn=note))
    try:
        return await asyncio.shield(task)
    except asyncio.CancelledError:
        # Also when it has answered in the same moment: nobody else would close that.
        await _abandon(task, sending)
        raise


async def _abandon(task: asyncio.Task[Any], sending: asyncio.Event) -> None:
    waiter = asyncio.create_task(sending.wait())
    try:
        await asyncio.wait((task, waiter), timeout=CANCEL_SECONDS, return_when="FIRST_COMPLETED")
    finally:
        waiter.cancel()
        task.cancel()
    answer: Any = (await asyncio.gather(task, waiter, return_exceptions=True))[0]
    if hasattr(answer, "aclose"):
        await answer.aclose()


def _raisable(failure: Failure, partial: str, *, shown: bool) -> Exception:
    """What to raise: what was shown once must not be shown again, so then it is final."""
    error = failure.error
    if not isinstance(error, LlmError):
        return error
    if shown:
        return type(error)(f"the reply was cut: {error.message}", error.hint, partial=partial)
    if failure.reason:
        return TransientError(
            error, failure.reason, asked=failure.asked, quick=failure.quick, busy=failure.busy
        )
    return error
