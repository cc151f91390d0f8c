"""The toolbox's answers as types: parsed here once, so that no loose mapping travels further.

They come from inside and are not trusted: what does not fit is a `ToolboxError`.
"""

from __future__ import annotations

from posixpath import join, normpath
from typing import Any, TypeVar

import msgspec

from agent.core.errors import ToolboxError
from agent.tools.base import ToolContext


class Refusal(msgspec.Struct, frozen=True):
    """Why an operation was not done. Which fields are set depends on `reason`."""

    reason: str
    path: str = ""
    name: str = ""
    names: list[str] = msgspec.field(default_factory=list[str])
    near: list[str] = msgspec.field(default_factory=list[str])
    nearest: list[str] = msgspec.field(default_factory=list[str])
    kind: str = ""
    size: int = 0
    total: int = 0
    line: int = 0
    count: int = 0
    status: int = 0
    state: str = ""
    exit_code: int | None = None
    why: str = ""


class ReadAnswer(msgspec.Struct, frozen=True):
    """Lines `first` to `last` of `total`, and what is to know of the file; or an `image` in base64.

    `document` is what the text was taken from where it is not what the file holds.
    """

    path: str
    hash: str
    text: str = ""
    first: int = 0
    last: int = 0
    total: int = 0
    size: int = 0
    kind: str = ""
    why: str = ""
    image: str = ""
    document: str = ""
    encoding: str = "utf-8"
    newline: str = "\n"
    cut: str = ""
    long_lines: list[int] = msgspec.field(default_factory=list[int])


Answer = TypeVar("Answer", bound=msgspec.Struct)


async def ask(
    ctx: ToolContext, answer: type[Answer], op: str, **arguments: Any
) -> Answer | Refusal:
    """Call the toolbox and parse what it says; what does not fit is a `ToolboxError`."""
    raw = await ctx.sandbox.toolbox.call(op, **arguments)
    try:
        return msgspec.convert(raw, answer if raw.get("ok") is True else Refusal)
    except msgspec.ValidationError as error:
        raise ToolboxError(f"the toolbox answered `{op}` with something else: {error}") from error


def seen_hash(ctx: ToolContext, path: str) -> str | None:
    """What the model last saw of the file at `path`, if it ever did."""
    return ctx.seen.hashes.get(normpath(join(ctx.sandbox.workdir, path)))
