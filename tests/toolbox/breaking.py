"""Run as a program: a patch in the toolbox's own code, killed or failing at one moment of it.

    breaking.py SOURCE FOLDER HOW NUMBER    the patch on stdin; its answer as JSON on stdout

Each thing that Python asks of the system about files is a moment, counted from 1. HOW is `kill`,
`fail` (that one thing fails), `fail-on` (it fails, and so does all that follows), `meddle` (another
program changes the last file just then) or `run`, which only counts.
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


def main() -> None:
    source, folder, how, number = sys.argv[1:]
    sys.path.insert(0, source)
    from agent.toolbox import patches

    limits = {"workdir": folder, "file_max": 10**7, "line_chars": 2_000, "diff_max": 20_000}
    moments = Moments(folder, how, int(number))
    sys.addaudithook(moments.hook)
    text = sys.stdin.read()
    moments.on = True
    answer = patches.patch({"patch": text}, limits)
    moments.on = False
    sys.stdout.write(json.dumps({"answer": answer, "moments": moments.count}))


if __name__ == "__main__":
    main()
