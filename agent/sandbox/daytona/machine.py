"""One box with our toolbox in it: made ready, woken when it stopped, asked single questions.

The service's errors do not tell what happened to a box, its state does (a stopped one answers as to
a bad request, one in transition as a broken gateway, a vanished one as to a missing file). So every
failure ends in reading the state. Promises: a box that stopped is started once for the request that
found it so; a question with a claim is answered at most once however often it has to be sent.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import hashlib
import json
import secrets
import shlex
from collections.abc import Mapping
from typing import Any

from agent.core import limits
from agent.core.errors import SandboxError, SandboxLost, SandboxUnavailable, ToolboxError
from agent.sandbox.daytona.lines import MISSING, Lines
from agent.sandbox.daytona.sdk import Box
from agent.sandbox.daytona.trouble import Kind, Trouble
from agent.sandbox.toolbox import BOUNDS, LIMITS, bundle, patience_of

WORKDIR = "/workspace"
PLACE = "/var/tmp/glovebox"
"""Ours inside, on the box's disk: the toolbox, and what waits to be picked up."""

SHELL_NEEDS = ("base64", "dd", "git", "mkfifo", "mktemp", "setsid")
"""The programs without which a box that has no Python is of no use; see `daytona.plain`."""

TRIES = 5
START_SECONDS = 180.0
SETTLE_SECONDS = 120.0
POLL_SECONDS = 0.5
WAIT_MAX_SECONDS = 60.0
WORD_MAX_CHARS = 90_000
_STARTABLE = ("stopped", "archived", "paused")
_SETTLED = ("started", "error", "build_failed", *_STARTABLE)
_GONE = ("destroyed", "destroying")
_AGAIN = "the files are kept there; go on with `--continue`"

_PREPARE = """\
umask 077
mkdir -p {place}/claims {place}/in {place}/out {place}/shell || exit 1
if [ ! -w {work} ]; then
  mkdir -p {work} 2>/dev/null ||
    {{ sudo -n mkdir -p {work} && sudo -n chown "$(id -u):$(id -g)" {work}; }} 2>/dev/null
fi
[ -w {work} ] || {{ echo "@nowork $(id -un)"; exit 0; }}
echo "@home $HOME"
echo "@user $(id -un)"
echo "@path $PATH"
python=$(command -v python3)
found=$("$python" -I -S -c 'import sys; print("python %d.%d" % sys.version_info[:2])' 2>/dev/null)
"$python" -I -S -c 'import sys; sys.exit(sys.version_info < (3, 8))' 2>/dev/null || {{
  echo "@plain ${{found:-no Python}}"
  for name in {needed}; do command -v $name >/dev/null 2>&1 || lacking="$lacking $name"; done
  [ -z "$lacking" ] || echo "@lacks$lacking"
  exit 0
}}
echo "@python $python"
echo "@target $("$python" -I -S -c 'import _imp; print(_imp.extension_suffixes()[0])' 2>/dev/null)"
[ -r {toolbox} ] && echo "@toolbox"
exit 0
"""
_INSTALL = """\
import hashlib, os, sys
data = open(sys.argv[1], "rb").read()
if hashlib.sha256(data).hexdigest() != sys.argv[3]: sys.exit("@damaged")
os.replace(sys.argv[1], sys.argv[2])
sys.stdout.write("@installed\\n")
"""


class Machine:
    """A box that answers questions; see the module for what it promises."""

    def __init__(self, box: Box, environment: Mapping[str, str]) -> None:
        self.box = box
        self.starts = 0
        self._given = environment
        self._zip = bundle()
        self._digest = hashlib.sha256(self._zip).hexdigest()
        self._toolbox = f"{PLACE}/toolbox-{self._digest[:32]}.zip"
        self._waking = asyncio.Lock()
        self._lost = ""
        self._python = "python3"
        self._environment: dict[str, str] = {}
        self.target = ""
        """Which Python it is, by the ending of its extension modules; see `grammars`."""
        self.plain = ""
        """What the image has in place of a Python for the toolbox; "" when it has one."""
        self.grammars = ""
        """Where grammars are inside, once they are."""

    # Making ready.

    async def prepare(self) -> None:
        """Make everything there that the toolbox needs. Raises `SandboxUnavailable`."""
        script = _PREPARE.format(
            place=PLACE, work=WORKDIR, toolbox=self._toolbox, needed=" ".join(SHELL_NEEDS)
        )
        told = _told(await self._run(f"sh -c {shlex.quote(script)} </dev/null"))
        if "nowork" in told:
            raise SandboxUnavailable(
                f"the user `{told['nowork']}` of this Daytona image cannot make `{WORKDIR}`",
                f"use an image that has `{WORKDIR}`, runs as root or has `sudo`",
            )
        self.plain = told.get("plain", "")[:100]
        if self.plain and "lacks" in told:
            raise SandboxUnavailable(
                f"this Daytona image has {self.plain}, and for use through its shell alone it"
                f" lacks {' and '.join(told['lacks'].split())}",
                "use an image with Python 3.8 or newer",
            )
        self._python = told.get("python", "python3")
        self.target = told.get("target", "")
        self._environment = {
            "PATH": told.get("path", "/usr/local/bin:/usr/bin:/bin"),
            "HOME": told.get("home", "/"),
            "USER": told.get("user", ""),
            "LOGNAME": told.get("user", ""),
            "SHELL": "/bin/sh",
            "LANG": "C.UTF-8",
            "TERM": "dumb",
            "TMPDIR": "/tmp",
            **self._given,
        }
        if not self.plain and "toolbox" not in told:
            await self._install()

    async def _install(self) -> None:
        arriving = f"{PLACE}/in/{secrets.token_hex(8)}"
        await self.upload({arriving: self._zip}, wake=False)
        words = [self._python, "-I", "-S", "-c", _INSTALL, arriving, self._toolbox, self._digest]
        told = _told(await self._run(f"{shlex.join(words)} </dev/null 2>&1"))
        if "installed" not in told:
            raise SandboxError("our helper could not be installed in the Daytona sandbox")

    async def _run(self, command: str) -> str:
        """Run plumbing that may be repeated."""
        for attempt in range(TRIES):
            try:
                return await self.box.run(command, limits.TOOLBOX_ANSWER_SECONDS)
            except Trouble as trouble:
                await self.overcome(trouble, attempt, wake=False)
        raise AssertionError

    # Asking.

    def ask(self, op: str, arguments: Mapping[str, Any], *, once: bool) -> dict[str, Any]:
        """A request for the one-shot toolbox; with `once` it is done at most once."""
        name = secrets.token_hex(8)
        return {
            "id": name,
            "op": op,
            "arguments": dict(arguments),
            "limits": {**LIMITS, "workdir": WORKDIR, "changing": f"{PLACE}/changing"},
            "bounds": BOUNDS,
            "environment": self._environment,
            "grammars": self.grammars,
            "claim": f"{PLACE}/claims/{name}" if once else "",
        }

    @property
    def environment(self) -> Mapping[str, str]:
        """All that programs inside may see, once it is prepared."""
        return self._environment

    def command(self, word: str, how: str = "once") -> str:
        """The shell command that answers the request in `word`, left open for what goes with it."""
        words = [self._python, "-I", "-S", "-X", "utf8", self._toolbox, how, word]
        there = f"[ -r {shlex.quote(self._toolbox)} ] || {{ echo {MISSING}; exit 97; }}"
        return f"( {there}\nexec {shlex.join(words)}"

    async def call(self, op: str, *, once: bool, **arguments: Any) -> dict[str, Any]:
        """Ask the toolbox; its answer. Safe to be sent again, and sent again if need be."""
        ask = self.ask(op, arguments, once=once)
        command = f"{self.command('-')} <<'@'\n{encoded(ask)}\n@\n)"
        for attempt in range(TRIES):
            since = self.starts
            try:
                text = await self.box.run(command, patience_of(arguments))
            except Trouble as trouble:
                await self.overcome(trouble, attempt, since=since)
                continue
            lines = Lines(ask["id"])
            lines.feed(f"{text}\n")
            if lines.ended:
                return lines.answer
            if not lines.missing:
                raise ToolboxError(f"the toolbox answered `{op}` with nothing we understand")
            await self.prepare()
        raise ToolboxError(f"the toolbox cannot be kept in the sandbox: `{op}` found it missing")

    async def upload(self, files: Mapping[str, bytes], *, wake: bool = True) -> None:
        """Write files below `PLACE`; sent again if need be."""
        for attempt in range(TRIES):
            since = self.starts
            try:
                await self.box.upload(files)
            except Trouble as trouble:
                await self.overcome(trouble, attempt, since=since, wake=wake)
            else:
                return

    async def forget(self, path: str) -> None:
        """Remove a file below `PLACE`; one that stays costs only space."""
        with contextlib.suppress(SandboxError):
            await self.box.run(f"rm -f {shlex.quote(path)}", limits.TOOLBOX_ANSWER_SECONDS)

    # Waking.

    def lose(self, why: str) -> None:
        """From now on every request raises `SandboxLost`."""
        self._lost = self._lost or why

    def still_there(self) -> None:
        if self._lost:
            raise SandboxLost(self._lost, _AGAIN)

    async def overcome(
        self, trouble: Trouble, attempt: int, *, since: int = 0, wake: bool = True
    ) -> bool:
        """Return when the request that met `trouble` may be tried again; whether the box restarted.

        Raises `SandboxLost` when the box is gone, and `trouble` when trying again is no use.
        """
        self.still_there()
        if trouble.kind is Kind.DENIED:
            raise trouble
        if trouble.kind is Kind.LIMIT:
            if attempt + 1 >= TRIES:
                raise SandboxError(
                    f"Daytona takes no more requests for now: {trouble.message}",
                    "try again in a minute, or with fewer sessions at once",
                ) from trouble
            await asyncio.sleep(min(trouble.wait or 0.5 * 2**attempt, WAIT_MAX_SECONDS))
            return False
        restarted = await self.wake(since, trouble) if wake else False
        if restarted:
            return True
        if attempt + 1 >= TRIES or trouble.kind in (Kind.REFUSED, Kind.CONFLICT):
            raise self._hopeless(trouble) from trouble
        await asyncio.sleep(0.2 * 2**attempt)
        return False

    def _hopeless(self, trouble: Trouble) -> SandboxError:
        if trouble.kind is Kind.ABSENT:
            self.lose("Daytona says that the sandbox runs, but nothing in it answers")
            return SandboxLost(self._lost, _AGAIN)
        return SandboxError(f"Daytona could not do it: {trouble.message}", trouble.hint)

    async def wake(self, since: int, trouble: Trouble | None = None) -> bool:
        """Have the box run; whether it had stopped since `since`. Raises `SandboxLost`."""
        async with self._waking:
            self.still_there()
            if self.starts > since:
                return True
            state = await self._settled()
            if state == "started":
                return False
            await self._start(state, trouble)
            self.starts += 1
            await self.prepare()
            return True

    async def _settled(self) -> str:
        """The state, once it is none on the way to another."""
        try:
            async with asyncio.timeout(SETTLE_SECONDS):
                # Nothing tells of a change: the state is the service's.
                while (state := await self._state()) not in _SETTLED:  # noqa: ASYNC110
                    await asyncio.sleep(POLL_SECONDS)
        except TimeoutError:
            raise SandboxError(
                f"the Daytona sandbox stays `{self.box.state}`",
                "look at it in Daytona's dashboard, or start a new session",
            ) from None
        return state

    async def _state(self) -> str:
        for attempt in range(TRIES):
            try:
                await self.box.refresh()
            except Trouble as trouble:
                if trouble.kind is Kind.ABSENT:
                    break
                if attempt + 1 >= TRIES:
                    raise SandboxError(
                        f"Daytona cannot be reached: {trouble.message}",
                        f"check the connection; {_AGAIN}",
                    ) from trouble
                await asyncio.sleep(min(trouble.wait or 0.2 * 2**attempt, WAIT_MAX_SECONDS))
            else:
                if self.box.state not in _GONE:
                    return self.box.state
                break
        self.lose("the sandbox does not exist at Daytona any more")
        raise SandboxLost(
            self._lost, "what reached your branch is safe; a new session starts from there"
        )

    async def _start(self, state: str, trouble: Trouble | None) -> None:
        try:
            if state in _STARTABLE:
                await self.box.start(START_SECONDS)
            elif self.box.recoverable:
                await self.box.recover(START_SECONDS)
            else:
                self.lose(f"the Daytona sandbox broke: {self.box.problem or state}")
                raise SandboxLost(self._lost, "start a new session") from trouble
        except Trouble as refused:
            # Somebody else may have started it, or the answer got lost on the way.
            if await self._settled() != "started":
                raise SandboxError(
                    f"the Daytona sandbox cannot be started again: {refused.message}", _AGAIN
                ) from refused


def encoded(ask: Mapping[str, Any]) -> str:
    """A request as a word: text with lone surrogates becomes escapes in it."""
    return base64.b64encode(json.dumps(ask).encode("ascii")).decode("ascii")


def _told(text: str) -> dict[str, str]:
    """The lines `@name value` of plumbing's output; shells print more than that."""
    lines = (line[1:].partition(" ") for line in text.splitlines() if line.startswith("@"))
    return {name: value for name, _, value in lines}
