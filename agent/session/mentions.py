"""What a message mentions by `@file`, read inside and added to it. `@a.py:10-20` is lines of it.

What is no file there stays the text that it is, and the person is told.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import msgspec

from agent.core.errors import ToolboxError
from agent.core.events import Attached, Notice
from agent.core.limits import ATTACHED_MAX, ATTACHED_MAX_BYTES
from agent.core.messages import ToolCall, ToolResult
from agent.core.text import one_line
from agent.loop import wording
from agent.session.place import Workplace
from agent.tools.base import Tool, Toolset

READ = "read"
_MENTION = re.compile(r'(?<![\w@/.`])@(?:"([^"\n]+)"|([^\s@"`]+))')
_PLACE = re.compile(r"(.+?):(\d+)(?:-(\d+))?")
_AFTER = ".,;:!?)]}'>"


@dataclass(frozen=True, slots=True)
class Mention:
    """A path, and the lines of it that are meant; 0 for its first and its last."""

    path: str
    first: int = 0
    last: int = 0


def mentions(text: str) -> Iterator[Mention]:
    """What a message mentions, in its order, each once."""
    seen: set[Mention] = set()
    for found in _MENTION.finditer(text):
        named = found[1] or found[2].rstrip(_AFTER)
        place = _PLACE.fullmatch(named)
        mention = Mention(named)
        if place is not None and int(place[2]) > 0:
            first = int(place[2])
            mention = Mention(place[1], first, max(first, int(place[3] or first)))
        if named and mention not in seen:
            seen.add(mention)
            yield mention


class Mentions:
    """Reads them with the tool that reads for the model, so that they look the same to it."""

    def __init__(self, place: Workplace, tools: Toolset) -> None:
        self._place = place
        self._tool = tools.find(READ)
        self._waiting: list[Mention] = []

    def begin(self, text: str) -> None:
        """A message was sent."""
        self._waiting = list(mentions(text)) if self._tool is not None else []

    def more(self, text: str) -> None:
        """What follows a message that was sent, before anything was added to that."""
        self._waiting += mentions(text) if self._tool is not None else ()

    async def take(self) -> tuple[Attached | Notice, ...]:
        """What is to be added to it; waits for the sandbox. Raises `SandboxError`."""
        waiting, self._waiting = self._waiting, []
        if self._tool is None or not waiting:
            return ()
        said: list[Attached | Notice] = []
        room = ATTACHED_MAX_BYTES
        for mention in waiting[:ATTACHED_MAX]:
            result = await self._read(self._tool, mention)
            text = wording.attached(mention.path, result.text)
            named = one_line(mention.path)
            if not result.ok:
                said.append(Notice("info", f"`@{named}` is no file in the sandbox: left as text"))
            elif len(text.encode("utf-8", "replace")) > room:
                said.append(Notice("warning", f"`@{named}` is not added: together it is too much"))
            else:
                room -= len(text.encode("utf-8", "replace"))
                said.append(Attached(text, (mention.path,), result.images, result.details))
        if len(waiting) > ATTACHED_MAX:
            said.append(Notice("warning", f"only the first {ATTACHED_MAX} mentions are added"))
        return tuple(said)

    async def _read(self, tool: Tool, mention: Mention) -> ToolResult:
        given: dict[str, Any] = {"path": mention.path}
        if mention.first:
            given |= {"offset": mention.first, "limit": mention.last - mention.first + 1}
        context = await self._place.context(ToolCall("mention", READ, given), lambda _: None)
        try:
            return await tool.run(msgspec.convert(given, tool.arguments), context)
        except ToolboxError as error:
            return ToolResult("mention", ok=False, text=error.message)
