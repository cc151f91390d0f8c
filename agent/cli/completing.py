"""What is completed while typing: slash commands, what stands after one, paths after an `@`."""

from __future__ import annotations

import re
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable, Iterator, Sequence
from heapq import nsmallest

from prompt_toolkit.completion import CompleteEvent, Completer, Completion
from prompt_toolkit.document import Document

from agent.core.text import one_line

SHOWN = 30
Offer = tuple[str, str]
_ARGUED = re.compile(r"/([A-Za-z-]+)\s(.*\s)?(\S*)", re.DOTALL)
_MENTION = re.compile(r'(?:^|(?<=[\s(,]))@("?)([^\s"]*|(?<=")[^"\n]*)\Z')


class Words(Completer):
    """Completes names of commands, and paths when `paths` has them.

    `offers` knows what may stand after a command, with a word about each; it is asked once for each
    time a command is typed.
    """

    def __init__(
        self,
        commands: Sequence[tuple[str, str]],
        paths: Callable[[], Awaitable[Sequence[str]]],
        offers: Callable[[str], Awaitable[Sequence[Offer]]],
    ) -> None:
        self._commands = commands
        self._paths = paths
        self._offers = offers
        self._offered: tuple[str, Sequence[Offer]] = ("", ())

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
        for completion in await self._argued(document.text_before_cursor):
            yield completion
        mention = _MENTION.search(document.text_before_cursor)
        if mention is not None:
            for completion in _mentioned(await self._paths(), mention[2], len(mention[0])):
                yield completion

    async def _argued(self, text: str) -> list[Completion]:
        """What a command that was typed may go on with."""
        match = _ARGUED.fullmatch(text)
        if match is None:
            return []
        name, before, word = match[1].lower(), match[2] or "", match[3]
        if not (before.strip() or word) or self._offered[0] != name:
            self._offered = name, ()
            self._offered = name, await self._offers(name)
        about = dict(self._offered[1])
        given = before.split()
        return [
            Completion(value, start_position=-len(word), display_meta=about[value])
            for value in found(list(about), word)
            if value not in given and value != word and one_line(value, len(value) + 1) == value
        ]

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
