"""A real terminal for tests: a tmux server of one's own, read by polling what is on its screen."""

from __future__ import annotations

import shlex
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest

SECONDS = 60.0
ENDED = "exit code "
# Each look is a program: who has waited for long looks less often.
_POLL_SECONDS, _POLL_MAX_SECONDS, _POLL_SHARE = 0.03, 0.12, 0.05


class Terminal:
    """One program in one terminal. Nothing here waits for a fixed time."""

    def __init__(self, folder: Path) -> None:
        program = shutil.which("tmux")
        if program is None:
            pytest.fail("tmux is missing; type: sudo apt-get install tmux")
        self._program, self._folder, self._starts = program, folder, 0

    def start(
        self, argv: Sequence[str], *, env: Mapping[str, str], cwd: Path, size: tuple[int, int]
    ) -> None:
        """Run `argv` with exactly `env` (TERM is tmux's own unless given)."""
        # A server of its own each time: one that is going down still answers on its socket.
        self._starts += 1
        settings = [f"{k}={v}" for k, v in env.items() if k != "TERM"]
        term = [f"TERM={env['TERM']}"] if "TERM" in env else []
        command = shlex.join(["env", "-i", *settings, *(term or ["TERM=screen-256color"]), *argv])
        options = ["-x", str(size[0]), "-y", str(size[1]), "-c", str(cwd)]
        # The exit code stays on the screen, and the screen after the program. A Ctrl-C that the
        # terminal turns into a signal is for the program, not for this shell.
        script = f"trap : INT; {command}; code=$?; echo; echo {ENDED}$code; exec sleep 600"
        self._run("new-session", "-d", *options, "sh", "-c", script)

    @property
    def _tmux(self) -> list[str]:
        return self._server(self._starts)

    def _server(self, start: int) -> list[str]:
        return [self._program, "-S", str(self._folder / f"{start}.sock"), "-f", "/dev/null"]

    def type(self, text: str) -> None:
        """Keys, one by one, as a person types them."""
        self._run("send-keys", "-l", "--", text)

    def key(self, *names: str) -> None:
        """Keys by tmux's names: Enter, C-c, M-Enter, Up."""
        self._run("send-keys", *names)

    def paste(self, text: str) -> None:
        """A bracketed paste."""
        self._run("set-buffer", "--", text)
        self._run("paste-buffer", "-p", "-r")

    def resize(self, columns: int, rows: int) -> None:
        """What happens when a person drags the corner of the window."""
        self._run("resize-window", "-x", str(columns), "-y", str(rows))

    def screen(self) -> str:
        """What is visible now."""
        return self._run("capture-pane", "-p")

    def transcript(self) -> str:
        """The scrollback and what is visible, wrapped lines joined."""
        return self._run("capture-pane", "-p", "-J", "-S", "-")

    def colours(self) -> str:
        """The transcript with its escape sequences."""
        return self._run("capture-pane", "-p", "-e", "-J", "-S", "-")

    @property
    def in_alternate_screen(self) -> bool:
        return self._run("display-message", "-p", "#{alternate_on}").strip() == "1"

    def wait_for(self, what: str | Callable[[str], bool], seconds: float = SECONDS) -> str:
        """The transcript as soon as it holds `what`; fails with what was there instead."""
        holds = what if callable(what) else lambda text: what in text
        begun = time.monotonic()
        end = begun + seconds
        while not holds(text := self.transcript()):
            over = ENDED in text and ENDED in (text := self.transcript()) and not holds(text)
            if over or time.monotonic() > end:
                why = "the program ended before" if over else f"waited {seconds:g} s for"
                pytest.fail(f"{why} {what!r}; the terminal shows:\n{text}")
            waited = time.monotonic() - begun
            time.sleep(min(_POLL_MAX_SECONDS, max(_POLL_SECONDS, waited * _POLL_SHARE)))
        return text

    def stop(self) -> None:
        """End all that was started here, not only what was started last."""
        for start in range(1, self._starts + 1):
            end = [*self._server(start), "kill-server"]
            subprocess.run(end, check=False, capture_output=True)

    def _run(self, *arguments: str) -> str:
        done = subprocess.run([*self._tmux, *arguments], check=True, capture_output=True)
        return done.stdout.decode("utf-8", "replace")


@contextmanager
def terminal() -> Iterator[Terminal]:
    """A terminal whose program is gone afterwards."""
    # A socket's path is at most 108 bytes long, and pytest's own directories have long names.
    with tempfile.TemporaryDirectory(prefix="gb-tty-") as folder:
        made = Terminal(Path(folder))
        try:
            yield made
        finally:
            made.stop()
