"""Keys of a terminal: how they arrive, and what those do that are ours."""

from __future__ import annotations

import contextlib
import shlex
from collections.abc import Generator
from contextlib import AbstractContextManager
from typing import TextIO

from prompt_toolkit.application import get_app, run_in_terminal
from prompt_toolkit.enums import DEFAULT_BUFFER
from prompt_toolkit.filters import (
    Condition,
    emacs_mode,
    has_focus,
    vi_insert_mode,
    vi_navigation_mode,
)
from prompt_toolkit.input.ansi_escape_sequences import ANSI_SEQUENCES
from prompt_toolkit.input.posix_utils import PosixStdinReader
from prompt_toolkit.input.vt100 import Vt100Input
from prompt_toolkit.key_binding import KeyBindings, KeyPressEvent
from prompt_toolkit.keys import Keys as Key

from agent.cli.screen import Keys
from agent.host import env, terminal

# Enter with Shift, Alt or Control, as terminals send it that can tell them apart.
for _modifier in (2, 3, 4, 5, 6):
    ANSI_SEQUENCES[f"\x1b[13;{_modifier}u"] = Key.ControlJ
    ANSI_SEQUENCES[f"\x1b[27;{_modifier};13~"] = Key.ControlJ

_AS_PRESSED = str.maketrans({"\n": "\r", "\0": "\x04"})
"""What a terminal makes of Enter and of Ctrl-D while it is the shell's."""


class _Reader(PosixStdinReader):
    """The keys that were pressed, also for the `early` bytes: from before there was a prompt."""

    early = 0

    def read(self, count: int = 1024) -> str:
        if not self.early:
            return super().read(count)
        count = min(count, self.early)
        self.early -= count
        return super().read(count).translate(_AS_PRESSED)


class Keyboard(Vt100Input):
    """Keys as they are pressed, also while something is printed above the prompt.

    The library sets the terminal back meanwhile, as a program that is run there needs it. Where
    there is none, what is typed is shown twice, and Enter comes as Ctrl-J, a new line to us.
    """

    lent = False
    """Whether another program has the terminal."""

    def __init__(self, stdin: TextIO) -> None:
        super().__init__(stdin)
        self.stdin_reader = self._reader = _Reader(self.fileno(), encoding=stdin.encoding)

    @contextlib.contextmanager
    def raw_mode(self) -> Generator[None]:
        with super().raw_mode():
            self._reader.early = terminal.unread(self.fileno())
            yield

    def cooked_mode(self) -> AbstractContextManager[None]:
        return super().cooked_mode() if self.lent else contextlib.nullcontext()

    async def edit(self) -> None:
        """Have the person's own editor (`$VISUAL`, `$EDITOR`) change what is being typed."""
        for name in ("VISUAL", "EDITOR"):
            try:
                shlex.split(env.variable(name))
            except ValueError as error:
                print(f"! ${name} cannot be read: {error}")
                return
        self.lent = True
        try:
            await get_app().current_buffer.open_in_editor()
        finally:
            self.lent = False

    async def suspend(self) -> None:
        """Give the terminal back to the shell until it says to go on."""
        self.lent = True
        try:
            await run_in_terminal(terminal.suspend)
        finally:
            self.lent = False


def bindings(keys: Keys, keyboard: Keyboard) -> KeyBindings:
    """What keys do that the library does not know, or knows otherwise."""
    made = KeyBindings()
    here = has_focus(DEFAULT_BUFFER)  # and not in a search through the history
    empty = Condition(lambda: not get_app().current_buffer.text)

    def begin_anew(event: KeyPressEvent) -> None:
        event.current_buffer.reset()
        event.app.vi_state.reset()

    @made.add("enter", filter=here)
    def submit(event: KeyPressEvent) -> None:
        buffer = event.current_buffer
        text = buffer.text
        if not text.strip():
            return
        buffer.append_to_history()
        begin_anew(event)
        keys.submit(text)

    @made.add("escape", "enter", filter=here)
    @made.add("c-j", filter=here)
    def newline(event: KeyPressEvent) -> None:
        event.current_buffer.newline(copy_margin=False)

    @made.add("c-c", filter=here)
    def interrupt(event: KeyPressEvent) -> None:
        if keys.interrupt(bool(event.current_buffer.text)):
            begin_anew(event)

    @made.add("escape", "escape", filter=here & emacs_mode)
    def clear(event: KeyPressEvent) -> None:
        event.current_buffer.reset()

    @made.add("c-g", filter=here)
    @made.add("c-x", "c-e", filter=here)
    @made.add("v", filter=here & vi_navigation_mode)
    def edit(event: KeyPressEvent) -> None:
        event.app.create_background_task(keyboard.edit())

    @made.add("c-l")
    def redraw(event: KeyPressEvent) -> None:
        """An empty screen; what was on it goes where all that is older went."""
        renderer, output = event.app.renderer, event.app.output
        renderer.erase()
        output.write_raw("\n" * output.get_size().rows)
        output.cursor_goto(2, 1)  # tmux keeps what is erased from the first row on
        output.flush()
        renderer.request_absolute_cursor_position()

    @made.add("c-z")
    def suspend(event: KeyPressEvent) -> None:
        event.app.create_background_task(keyboard.suspend())

    def answer(event: KeyPressEvent) -> None:
        if not keys.answer(event.data):
            event.current_buffer.insert_text(event.data)

    for digit in "0123456789":
        made.add(digit, filter=here & empty & (emacs_mode | vi_insert_mode))(answer)

    @made.add("c-d", filter=here & empty)
    def leave(event: KeyPressEvent) -> None:
        keys.leave()

    del submit, newline, interrupt, clear, edit, redraw, suspend, leave
    return made
