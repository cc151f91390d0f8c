"""Tools for models that cannot call any: they write blocks, which become calls, and read results.

The conversation keeps its types: what such a model said is kept as it said it, with the calls that
were read from it. What another model called is shown to it as blocks. All of it is a function of
the request alone, so that a prefix stays one.
"""

from __future__ import annotations

import json
import re
from collections.abc import Awaitable, Callable, Iterator

from msgspec.structs import replace

from agent.core.errors import LlmError, UserError
from agent.core.events import Notice
from agent.core.messages import AssistantMessage, Message, ToolCall, ToolMessage, UserMessage
from agent.llm import wording
from agent.llm.assemble import arguments_of, call_ids, free_id
from agent.llm.blocks import Block, blocks_of, own_words
from agent.llm.protocol import Llm, OnDelta, Request
from agent.llm.written import take_calls

CallsTools = Callable[[str], Awaitable[bool]]
_NO_TOOLS = re.compile(
    r"(?:not|n't) support(?:ed)?\b[^.]{0,40}\b(?:tool|function)|support tool use"
    r"|(?:tool|function)[^.]{0,40}\bnot supported|--enable-auto-tool-choice",
    re.IGNORECASE,
)


class Spoken:
    """An `Llm` that speaks with models in text where that is needed.

    `prompt` explains the blocks. `calls_tools` says which models call tools by themselves; one that
    is said to and whose server refuses them is spoken with from then on.
    """

    def __init__(self, llm: Llm, prompt: str, calls_tools: CallsTools) -> None:
        self._llm = llm
        self._prompt = prompt
        self._calls_tools = calls_tools
        self._refused: set[str] = set()

    async def ask(self, request: Request, on_delta: OnDelta) -> AssistantMessage:
        """Answer `request`; see `Llm.ask`."""
        model = request.model
        if model not in self._refused and await self._calls_tools(model):
            try:
                return await self._llm.ask(request, on_delta)
            except (LlmError, UserError) as error:
                if not request.tools or not _NO_TOOLS.search(error.message):
                    raise
            self._refused.add(model)
            text = f"`{model}` cannot call tools: it writes what it wants done as text"
            on_delta(Notice("info", text, "`tools: text` in the configuration asks so at once"))
        reply = await self._llm.ask(as_text(request, self._prompt), on_delta)
        return with_calls(reply, request)


def as_text(request: Request, prompt: str) -> Request:
    """`request` without tools, calls and results, and with the blocks that stand for them."""
    system = f"{request.system}\n\n{prompt}" if request.tools else request.system
    return replace(request, system=system, messages=tuple(_texts(request.messages)), tools=())


def _texts(messages: tuple[Message, ...]) -> Iterator[Message]:
    asked = AssistantMessage("")
    for message in messages:
        match message:
            case UserMessage():
                yield message
            case AssistantMessage():
                asked = message
                yield replace(message, text=_said(message), calls=())
            case ToolMessage():
                yield _results(asked, message)


def with_calls(reply: AssistantMessage, request: Request) -> AssistantMessage:
    """`reply` with the calls that its blocks are."""
    cut = reply.stop == "length"
    text = own_words(reply.text)
    # Some call what they were not given, with ids that know nothing of the conversation.
    found = list(reply.calls)
    if not found and request.tools:
        found = [_unnamed(block) for block in blocks_of(text, cut=cut)]
    if not found and not cut:
        text, written = take_calls(text, request.tools)
        found = [ToolCall("", each.name, arguments_of(each.raw), each.raw) for each in written]
    if not found:
        return replace(reply, text=text)
    taken = call_ids(request.messages)
    calls: list[ToolCall] = []
    for call in found:
        fresh = call.id if call.id and call.id not in taken else free_id(taken)
        calls.append(replace(call, id=fresh))
        taken.add(fresh)
    return replace(reply, text=text, calls=tuple(calls), stop="length" if cut else "calls")


def _unnamed(block: Block) -> ToolCall:
    if block.arguments is None:
        return ToolCall("", block.tool, None, block.text)
    return ToolCall("", block.tool, dict(block.arguments), json.dumps(block.arguments))


def _said(message: AssistantMessage) -> str:
    """What the model said, or would have said to have these calls."""
    if not message.calls or _blocks_behind(message):
        return message.text
    shown = "\n\n".join(_block(call) for call in message.calls)
    return f"{message.text}\n\n{shown}" if message.text.strip() else shown


def _blocks_behind(message: AssistantMessage) -> list[Block]:
    """The blocks that all its calls were read from; none when they came another way."""
    blocks = blocks_of(message.text, cut=message.stop == "length")
    same = [(b.tool, b.arguments) for b in blocks] == [(c.name, c.arguments) for c in message.calls]
    return blocks if same else []


def _block(call: ToolCall) -> str:
    match call.name, call.arguments:
        case "bash", {"command": str(command)}:
            return wording.command(command)
        case "edit", {"path": str(path), "old": str(old), "new": str(new)}:
            return wording.change(path, old, new)
        case "write", {"path": str(path), "content": str(content)}:
            return wording.change(path, "", content)
        case name, arguments:
            return wording.other(name, call.raw if arguments is None else arguments)


def _results(asked: AssistantMessage, message: ToolMessage) -> UserMessage:
    """The results as the next words of the user, in the order of the blocks."""
    problems = {
        call.id: wording.block_unread(block.tool, block.problem)
        for call, block in zip(asked.calls, _blocks_behind(asked), strict=False)
        if block.problem
    }
    by_id = {result.call_id: result for result in message.results}
    results = [(call, by_id[call.id]) for call in asked.calls if call.id in by_id]
    parts = [
        wording.result(n, call.name, problems.get(call.id, result.text), ok=result.ok)
        for n, (call, result) in enumerate(results, 1)
    ]
    images = tuple(image for _, result in results for image in result.images)
    return UserMessage(wording.results(parts), images=images)
