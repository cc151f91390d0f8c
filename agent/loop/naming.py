"""Commit messages by a small model, from the request and the diff, in the repository's manner.

It may be slow, wrong or absent: then there is None, and whoever asked has a template.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

from agent.core.errors import GloveboxError
from agent.core.limits import NAMING_DIFF_CHARS, NAMING_SECONDS
from agent.core.messages import Usage, UserMessage
from agent.core.text import terminal_safe
from agent.llm.protocol import Llm, Request

SUBJECT_CHARS, BODY_CHARS = 100, 2_000
_FENCE = re.compile(r"\A```[a-z]*\n(.*?)\n?```\s*\Z", re.DOTALL)
# What git or a forge would obey, and only we or the user may say.
_TRAILER = re.compile(
    r"^(signed-off-by|co-authored-by|reviewed-by|acked-by|glovebox-[a-z]+|(closes|fixes) #\d+)\b",
    re.IGNORECASE,
)


@dataclass(frozen=True, slots=True)
class Named:
    """A message for a commit, and what it cost."""

    message: str
    usage: Usage


@dataclass(frozen=True, slots=True)
class Namer:
    """A small model and what it is told.

    `recent` is asked for subjects of the repository, newest first, when they are needed.
    """

    llm: Llm
    model: str
    prompt: str
    recent: Callable[[], Awaitable[Sequence[str]]] | None = None
    seconds: float = NAMING_SECONDS

    async def name(self, request: str, diff: str) -> Named | None:
        """A message for `diff`; None when the model fails, is slow or dear, or says nothing."""
        recent = await self.recent() if self.recent else ()
        asked = UserMessage(_question(request, diff, recent))
        question = Request(self.model, self.prompt, (asked,))
        try:
            async with asyncio.timeout(self.seconds):
                reply = await self.llm.ask(question, lambda _: None)
        except (GloveboxError, TimeoutError):
            return None
        message = cleaned(reply.text)
        return Named(message, reply.usage) if message else None


def _question(request: str, diff: str, recent: Sequence[str]) -> str:
    subjects = "".join(f"- {subject}\n" for subject in recent) or "(none)\n"
    cut = diff[:NAMING_DIFF_CHARS]
    more = "\n… (cut)\n" if len(diff) > len(cut) else ""
    asked = request[:BODY_CHARS]
    return f"Recent subjects:\n{subjects}\nRequest:\n{asked}\n\nDiff:\n{cut}{more}"


def cleaned(text: str) -> str:
    """A model's answer as a commit message; "" for one that is none."""
    text = terminal_safe(text.replace("\r", "")).strip()
    if fenced := _FENCE.match(text):
        text = fenced[1].strip()
    subject, _, body = text.partition("\n")
    subject = subject.strip().strip("`\"'").strip()
    if not subject or len(subject) > SUBJECT_CHARS or _TRAILER.match(subject):
        return ""
    lines = [line.rstrip() for line in body.strip()[:BODY_CHARS].split("\n")]
    kept = "\n".join(line for line in lines if not _TRAILER.match(line.strip())).strip()
    return f"{subject}\n\n{kept}" if kept else subject
