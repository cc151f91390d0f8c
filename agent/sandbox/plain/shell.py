"""How a plain sandbox is spoken to: one POSIX shell script at a time, its words as arguments."""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable
from typing import Protocol

from agent.core.errors import SandboxError

NOTE = (
    "the sandbox has {what}, so it is used through its shell alone: bash, read, write, edit, ls,"
    " glob and grep work; multiedit, patch, lsp, jobs, preview and fetch do not"
)
HINT = "an image with Python 3.8 or newer has all tools"
NETWORK_NOTE = (
    "the network policy becomes none: the way out of the sandbox needs Python inside as well"
)

OnBytes = Callable[[bytes], None]
OnGap = Callable[[int], None]


class Shell(Protocol):
    """A way to run a script in a sandbox."""

    async def run(
        self,
        script: str,
        *words: str,
        stdin: bytes = b"",
        on_output: OnBytes | None = None,
        on_gap: OnGap | None = None,
    ) -> int:
        """Run `script` with `words` as `$1`… to its end; its exit code.

        What it prints on stdout goes to `on_output` as it comes. With `on_gap` the middle of a
        flood may be left out; how many bytes is told where they would have stood. Cancelled, it
        stops to listen; what runs inside may go on. Raises `SandboxLost` when there is no sandbox
        any more.
        """
        ...


async def told(shell: Shell, script: str, *words: str, limit: int) -> tuple[int, bytes]:
    """The exit code of a script and what it printed, at most `limit` bytes of it."""
    kept = bytearray()

    def take(piece: bytes) -> None:
        kept.extend(piece[: limit + 1 - len(kept)])

    code = await shell.run(script, *words, on_output=take)
    if len(kept) > limit:
        raise SandboxError(f"the sandbox said more than {limit} bytes")
    return code, bytes(kept)


def carried(script: str, words: tuple[str, ...]) -> tuple[str, tuple[str, ...]]:
    """The same script and words in valid UTF-8, where that is all that can be carried."""
    if all(_is_utf8(word) for word in words):
        return script, words
    return f"set -- {' '.join(map(_literal, words))}\n{script}", ()


def _is_utf8(word: str) -> bool:
    return not any("\ud800" <= char <= "\udfff" for char in word)


def _literal(word: str) -> str:
    """A word of a script; a byte that is no text is made inside."""
    parts = _BYTES.split(word)
    return "".join(
        f"\"$(printf '\\{ord(part) - 0xDC00:03o}')\""
        if _BYTES.fullmatch(part)
        else shlex.quote(part)
        for part in parts
    )


_BYTES = re.compile("([\udc80-\udcff])")
