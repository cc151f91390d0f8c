"""What is completed while typing: slash commands at the start, paths after an `@`."""

from __future__ import annotations

import re
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable, Iterator, Sequence
from heapq import nsmallest

from prompt_toolkit.completion import CompleteEvent, Completer, Completion
from prompt_toolkit.document import Document

from agent.core.text import one_line

SHOWN = 30
_MENTION = re.compile(r'(?:^|(?<=[\s(,]))@("?)([^\s"]*|(?<=")[^"\n]*)\Z')


class Words(Completer):
    """Completes names of commands, and paths when `paths` has them."""

    def __init__(
        self, commands: Sequence[tuple[str, str]], paths: Callable[[], Awaitable[Sequence[str]]]
    ) -> None:
        self._commands = commands
        self._paths = paths

    def wanted(self, text: str) -> bool:
        """Whether completions are to come up by themselves, with `text` before the cursor."""
        return text.startswith("/") or _MENTION.search(text) is not None

    def get_completions(
        self, document: Document, complete_event: CompleteEvent
    ) -> Iterable[Completion]:
        text = document.text_before_cursor
        named = text.startswith("/") and not any(c.isspace() for c in text)
        return self._named(text) if named else ()

    async def get_completions_async(
        self, document: Document, complete_event: CompleteEvent
    ) -> AsyncGenerator[Completion]:
        for completion in self.get_completions(document, complete_event):
            yield completion
        mention = _MENTION.search(document.text_before_cursor)
        if mention is not None:
            for completion in _mentioned(await self._paths(), mention[2], len(mention[0])):
                yield completion

    def _named(self, text: str) -> Iterator[Completion]:
        for name, about in self._commands:
            if name.startswith(text[1:].lower()):
                yield Completion(f"/{name}", start_position=-len(text), display_meta=about)


def _mentioned(paths: Sequence[str], word: str, length: int) -> Iterator[Completion]:
    for path in found(paths, word):
        # A name that cannot be typed or seen as it is cannot be completed either.
        if one_line(path, len(path) + 1) != path or '"' in path:
            continue
        text = f'@"{path}"' if " " in path else f"@{path}"
        yield Completion(text, start_position=-length, display=path)


def found(paths: Sequence[str], word: str) -> list[str]:
    """The paths that fit best: that begin with `word`, whose name does, that have it anywhere."""
    wanted = word.casefold()

    def rank(path: str) -> tuple[int, int, str]:
        folded = path.casefold()
        name = folded.rpartition("/")[2]
        order = 0 if folded.startswith(wanted) else 1 if name.startswith(wanted) else 2
        return order, path.count("/"), path

    return nsmallest(SHOWN, (path for path in paths if wanted in path.casefold()), key=rank)
