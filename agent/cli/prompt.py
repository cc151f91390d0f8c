"""The prompt of a real terminal, and the transcript above it.

The transcript only grows: it is printed above the prompt and belongs to the terminal's own
scrollback. Below it the prompt, a few lines that change, and the badge are drawn in place. Nothing
ticks here: what is on the screen changes when somebody says so, or a key comes.
"""

from __future__ import annotations

import asyncio
import contextlib
import sys
from collections.abc import Iterable, Sequence
from functools import partial
from pathlib import Path

from prompt_toolkit import PromptSession
from prompt_toolkit.application.run_in_terminal import in_terminal
from prompt_toolkit.buffer import Buffer
from prompt_toolkit.cursor_shapes import ModalCursorShapeConfig
from prompt_toolkit.filters import Condition
from prompt_toolkit.formatted_text import FormattedText
from prompt_toolkit.layout import AnyDimension, Dimension
from prompt_toolkit.output import ColorDepth
from prompt_toolkit.patch_stdout import patch_stdout
from prompt_toolkit.renderer import print_formatted_text
from prompt_toolkit.styles import Style

from agent.cli.completing import Words
from agent.cli.folding import chopped
from agent.cli.history import PromptHistory
from agent.cli.keyboard import Keyboard, bindings
from agent.cli.screen import PROMPT, Keys
from agent.cli.styled import Line

_REDRAW_SECONDS = 0.03
_STYLE = Style.from_dict(
    {
        # Fainter than the terminal's own text: a grey of its own is not seen on every background.
        "dim": "dim",
        "good": "ansigreen",
        "bad": "ansired",
        "warning": "ansiyellow",
        "call": "ansicyan",
        "typed": "bold",
        "bold": "bold",
        "italic": "italic",
        "gone": "strike",
        "heading.1": "bold underline",
        "heading.2": "bold",
        "heading.3": "bold italic",
        "list": "ansicyan",
        "quote": "italic",
        "link": "underline",
        "link.to": "nounderline dim",
        "code": "ansicyan",
        "token.comment": "dim",
        "token.keyword": "ansimagenta",
        "token.string": "ansigreen",
        "token.value": "ansicyan",
        "token.name": "bold",
        "diff.head": "bold",
        "diff.place": "ansicyan",
        "diff.added": "ansigreen",
        "diff.removed": "ansired",
        "badge.good": "ansigreen",
        "badge.warning": "ansiyellow",
        "badge.bad": "ansired",
    }
)


class Prompt:
    """A terminal with cursor control."""

    def __init__(
        self, keys: Keys, history: Path, *, colours: bool = True, vi: bool = False
    ) -> None:
        self._keys = keys
        self._keyboard = Keyboard(sys.stdin)
        self._words = Words(keys.commands, keys.paths, keys.offers)
        self._lines: list[Line] = []
        self._area: Sequence[Line] = ()
        self._next: Sequence[Line] = ()
        self._printing: asyncio.Task[None] | None = None
        self._session: PromptSession[str] = PromptSession(
            message=self._message,
            prompt_continuation="  ",
            bottom_toolbar=lambda: _formatted([self._keys.badge()]),
            multiline=True,
            history=PromptHistory(history),
            input=self._keyboard,
            completer=self._words,
            complete_while_typing=Condition(lambda: self._words.wanted(self._before)),
            key_bindings=bindings(keys, self._keyboard),
            style=_STYLE,
            color_depth=None if colours else ColorDepth.MONOCHROME,
            vi_mode=vi,
            cursor=ModalCursorShapeConfig() if vi else None,
            erase_when_done=True,
        )
        self._app = self._session.app
        self._app.min_redraw_interval = _REDRAW_SECONDS
        window = self._app.layout.current_window
        window.height = partial(self._height, window.height)
        self._session.default_buffer.on_text_changed += self._changed

    @property
    def lent(self) -> bool:
        return self._keyboard.lent

    @property
    def _before(self) -> str:
        return self._session.default_buffer.document.text_before_cursor

    def _changed(self, _: Buffer) -> None:
        self._keys.changed()

    def update(self, lines: Sequence[Line], area: Sequence[Line]) -> None:
        self._lines.extend(lines)
        self._next = area
        if not self._lines:
            self._area = area
            self._app.invalidate()
        elif not self._app.is_running:
            self._print()
        elif self._printing is None:
            self._printing = asyncio.create_task(self._print_above())

    async def run(self) -> None:
        # Whatever else writes to the terminal (a library's warning) goes above the prompt.
        with patch_stdout(), contextlib.suppress(EOFError):
            # Its own handler asks for ENTER at the terminal. Where that is gone each question fails
            # anew, for ever, and takes memory each time.
            await self._session.prompt_async(handle_sigint=False, set_exception_handler=False)
        if self._printing is not None:
            await self._printing

    def edit(self) -> bool:
        self._app.create_background_task(self._keyboard.edit())
        return True

    def stop(self) -> None:
        if self._app.is_running and not self._app.is_done:
            self._next = self._area = ()
            self._session.default_buffer.reset()
            self._app.exit(result="")

    async def _print_above(self) -> None:
        """Print what has come until now in one go, then draw the prompt again below it."""
        try:
            while self._lines:
                async with in_terminal():
                    self._print()
        finally:
            self._printing = None

    def _print(self) -> None:
        lines, self._lines, self._area = self._lines, [], self._next
        text = [(_named(style), text) for line in lines for style, text in (*line, ("", "\n"))]
        depth = self._app.color_depth
        print_formatted_text(self._app.output, FormattedText(text), _STYLE, color_depth=depth)

    def _height(self, usual: AnyDimension) -> AnyDimension:
        """The rows for what is typed: never all of the screen, with what else is there."""
        size, document = self._app.output.get_size(), self._session.default_buffer.document
        most = max(3, size.rows // 2 - 2)
        rows = document.line_count + len(document.text) // size.columns
        return Dimension(max=most) if rows > most else usual

    def _message(self) -> FormattedText:
        size = self._app.output.get_size()
        rows = [row for line in self._area for row in chopped(line, size.columns - 1)]
        shown = rows[-max(1, size.rows // 2) :]
        return FormattedText([*_formatted(shown, "\n"), ("bold", PROMPT)])


def _named(style: str) -> str:
    return " ".join(f"class:{name}" for name in style.split())


def _formatted(lines: Iterable[Line], end: str = "") -> FormattedText:
    return FormattedText((_named(s), t) for line in lines for s, t in (*line, ("", end)) if t)
