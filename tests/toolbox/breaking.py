"""Run as a program: a patch by the toolbox's own code, killed or failing at each moment of it.

    breaking.py SOURCE FOLDER HOW FIRST LAST STEP    the patch on stdin

For each number in that range it is done once in FOLDER/NUMBER, by a process of its own, and the
answer is written to FOLDER/NUMBER.json. Each thing that Python asks of the system about files is a
moment, counted from 1. HOW is `kill`, `fail` (that one thing fails), `fail-on` (it fails, and so
does all that follows), `meddle` (another program changes the file c just then) or `run`, which
only counts.
"""

from __future__ import annotations

import errno
import json
import os
import signal
import sys
from typing import Any

CALLS = {"open", "os.link", "os.rename", "os.remove", "os.mkdir", "os.rmdir", "os.chmod"}


class Moments:
    """Counts, and does what is to be done at the chosen moment."""

    def __init__(self, folder: str, how: str, number: int) -> None:
        self.count = 0
        self.on = False
        self._folder = folder
        self._how = how
        self._number = number

    def hook(self, event: str, arguments: tuple[Any, ...]) -> None:
        if not self.on or event not in CALLS or not self._about_files(arguments):
            return
        self.count += 1
        if self.count < self._number or self._how == "run":
            return
        if self._how == "fail-on" or (self._how == "fail" and self.count == self._number):
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        if self.count == self._number and self._how == "kill":
            os.kill(os.getpid(), signal.SIGKILL)
        if self.count == self._number and self._how == "meddle":
            self.on = False
            with open(os.path.join(self._folder, "c"), "w") as file:
                file.write("of somebody else\n")
            self.on = True

    def _about_files(self, arguments: tuple[Any, ...]) -> bool:
        """About the files of the test or the record, not about a module that is loaded."""
        path = str(arguments[0]) if arguments else ""
        return path.startswith((self._folder, "/tmp/.glovebox-changes")) or path.isdigit()


def once(folder: str, how: str, number: int, text: str) -> None:
    """The patch, in this process."""
    from agent.toolbox.changes import patches

    limits = {"workdir": folder, "file_max": 10**7, "line_chars": 2_000, "diff_max": 20_000}
    moments = Moments(folder, how, number)
    sys.addaudithook(moments.hook)
    moments.on = True
    answer = patches.patch({"patch": text}, limits)
    moments.on = False
    with open(f"{folder}.json", "w") as file:
        json.dump({"answer": answer, "moments": moments.count}, file)


def main() -> None:
    source, folder, how, *numbers = sys.argv[1:]
    sys.path.insert(0, source)
    import agent.toolbox.changes.patches  # noqa: F401 loaded once, for all

    text = sys.stdin.read()
    for number in range(*map(int, numbers)):
        child = os.fork()
        if not child:
            once(f"{folder}/{number}", how, number, text)
            os._exit(0)
        _, status = os.waitpid(child, 0)
        if status not in (0, signal.SIGKILL if how == "kill" else 0):
            sys.exit(f"{number}: {status}")


if __name__ == "__main__":
    main()
