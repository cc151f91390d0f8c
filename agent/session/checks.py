"""Commands that are to succeed after a turn; what they say when they do not goes to the model.

The linter runs before the work is brought home, because it may mend what it finds, and on the files
that the turn has changed; the tests run after it. Each failure that is told begins another turn, a
bounded number of times.
"""

from __future__ import annotations

import shlex
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import dataclass
from functools import partial
from itertools import count
from typing import Any, Literal

from agent.core.events import AnyEvent, Checked, Checking
from agent.core.limits import (
    CHECK_FILES_MAX,
    CHECK_HEAD_CHARS,
    CHECK_SECONDS,
    CHECK_TAIL_CHARS,
    CHECK_TRIES,
    UNTIL_TRIES,
)
from agent.core.messages import ToolCall
from agent.loop import wording
from agent.session.place import Workplace

By = Literal["person", "check"]
Take = Callable[[str, By], Awaitable[bool]]
"""Takes a turn; whether the model came to its end."""

_CHANGED = """
test -n "$1" && git diff --name-only -z --diff-filter=d "$1" --
git ls-files -z --others --exclude-standard
"""


@dataclass(frozen=True, slots=True)
class Commands:
    """What is run: `lint` with the changed files after it, `test`, and `until`, which is a goal.

    `tries` is how often a failure is told to the model, None the usual number. Without `always`
    tests are left out after a turn that used no tool.
    """

    lint: str = ""
    test: str = ""
    until: str = ""
    tries: int | None = None
    always: bool = False


class Checks:
    """The checks of one session. `hold` runs what can be interrupted, and within its time."""

    def __init__(
        self,
        commands: Commands,
        place: Workplace,
        emit: Callable[[AnyEvent], None],
        hold: Callable[[Callable[[], Coroutine[Any, Any, str]]], Awaitable[str]],
    ) -> None:
        self._commands = commands
        self._place = place
        self._emit = emit
        self._hold = hold
        usual = UNTIL_TRIES if commands.until else CHECK_TRIES
        self._tries = usual if commands.tries is None else commands.tries

    async def rounds(
        self,
        text: str,
        take: Take,
        sync: Callable[[], Awaitable[bool]],
        turns: Callable[[], int],
        since: Callable[[], str],
    ) -> None:
        """A turn for `text`, and one for each failure of a check after it.

        `sync` brings home what there is and says whether a tool was used. `turns` is how many more
        there may be, `since` the newest commit that is home.
        """
        by: By = "person"
        began = ""
        for attempt in count(1):
            done = await take(text, by)
            began = began or since()  # before the first turn there may be no commit yet
            left = min(self._tries - attempt + 1, turns())
            words = ""
            try:
                if done and self._commands.lint:
                    words = await self._hold(partial(self._lint, began, attempt, left))
            finally:
                used = await sync()
            if done and not words:
                words = await self._test(attempt, left, used=used)
            if not words or left <= 0:
                return
            text, by = words, "check"

    async def _lint(self, began: str, attempt: int, left: int) -> str:
        context = await self._place.context(ToolCall("check", "", None), lambda _: None)
        found = await context.sandbox.exec(
            ["sh", "-c", _CHANGED, "sh", began], cwd=context.sandbox.workdir
        )
        names = [n.decode("utf-8", "surrogateescape") for n in found.output.split(b"\0") if n]
        if not names:
            return ""
        return await self._check("lint", self._commands.lint, attempt, left, names)

    async def _test(self, attempt: int, left: int, *, used: bool) -> str:
        if self._commands.test and (used or self._commands.always):
            test = self._commands.test
            words = await self._hold(lambda: self._check("test", test, attempt, left))
            if words:
                return words
        if self._commands.until:
            goal = self._commands.until
            return await self._hold(lambda: self._check("until", goal, attempt, left))
        return ""

    async def _check(
        self,
        kind: Literal["lint", "test", "until"],
        command: str,
        attempt: int,
        left: int,
        names: list[str] | None = None,
    ) -> str:
        """Run one; what the model is told when it fails, "" when it does not."""
        context = await self._place.context(ToolCall("check", "", None), lambda _: None)
        script = f'{command} "$@"' if names else command
        self._emit(Checking(kind, command))
        try:
            result = await context.sandbox.exec(
                ["sh", "-c", script, "sh", *(names or [])[:CHECK_FILES_MAX]],
                cwd=context.sandbox.workdir,
                seconds=CHECK_SECONDS,
            )
        except BaseException:
            self._emit(Checking(kind, ""))
            raise
        output = _ends(result.output, result.dropped)
        code = None if result.timed_out else result.exit_code
        seconds = round(result.seconds, 3)
        self._emit(Checked(kind, command, code, output, attempt, max(0, left), seconds))
        return "" if code == 0 else wording.check_failed(command, code, output)


def linting(command: str, since: str) -> str:
    """A script that runs a linter as after a turn: on the files that changed `since` a commit.

    Its exit code is the linter's own, which `xargs` makes another one of.
    """
    base = shlex.quote(since)
    told = shlex.quote(f'(\n{command} "$@"\n) >&3 2>&4 3>&- 4>&-\necho $?')
    return (
        f"changed() {{{_CHANGED}}}\n"
        f'test -n "$(changed {base} | tr -d "\\0")" || echo "no file has changed"\n'
        "exec 3>&1 4>&2\n"
        f"codes=$(changed {base} | xargs -0 -r sh -c {told} sh)\n"
        'for code in $codes; do test "$code" = 0 || exit "$code"; done'
    )


def _ends(output: bytes, dropped: int) -> str:
    """The beginning and the end of what a command said."""
    text = output.decode("utf-8", "replace")
    if not dropped and len(text) <= CHECK_HEAD_CHARS + CHECK_TAIL_CHARS:
        return text
    head, tail = text[:CHECK_HEAD_CHARS], text[-CHECK_TAIL_CHARS:]
    left_out = wording.words_cut(dropped + len(text) - len(head) - len(tail))
    return f"{head}\n{left_out}\n{tail}"
