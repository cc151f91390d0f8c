"""A machine without a Python for the toolbox: used through its shell, a session for each script.

A session's log is text, its command ends only when nobody holds its output any more, and its end
takes all of its processes along. So a script leads a session of the kernel's of its own, writes to
a pipe that is carried into the log as lines of base64, and its exit code follows in that pipe.
What it leaves running goes on; what that prints is not carried any more.
"""

from __future__ import annotations

import secrets
import shlex
from collections.abc import Awaitable, Callable, Sequence

from agent.core import limits
from agent.core.errors import SandboxError
from agent.sandbox.daytona.lines import MISSING, Lines
from agent.sandbox.daytona.machine import PLACE, TRIES, WORKDIR, Machine
from agent.sandbox.daytona.outwards import download, shown
from agent.sandbox.daytona.running import Sessions
from agent.sandbox.frames import Kind
from agent.sandbox.plain.sandbox import PlainSandbox
from agent.sandbox.plain.shell import NOTE, OnBytes, OnGap, carried, told
from agent.sandbox.protocol import Endpoint, Sink

INLINE_BYTES = 200_000
ENDLESS = 2**62
TAIL_BYTES = limits.OUTPUT_TAIL_BYTES + 100
CARRIED_CHARS = (limits.LIVE_MAX_BYTES + limits.OUTPUT_HEAD_BYTES) * 4 // 3
REACH_SAYS_BYTES = 4_000

# A directory of the request's name can be made once, so a request that comes twice runs once. Of a
# flood only the end is carried once it is over; who left running holds the pipe is not waited for.
_CARRY = f"""
umask 077
name=$1 mark=$2 in=$3 room=$4
shift 4
[ -d {PLACE}/shell ] || {{ echo {MISSING}; exit 97; }}
mkdir "{PLACE}/shell/$name" || exit 96
pipe={PLACE}/shell/$name/out
mkfifo "$pipe" || exit 96
(
  cd "{PLACE}/shell/$name" || exit 96  # first: the script begins with the pipe, and may remove it
  exec <out
  rm -f out
  n=0
  carry() {{ echo "@$name $n {Kind.LIVE.value} $1"; n=$((n + 1)); }}
  while [ "$room" -gt 0 ] && piece=$(dd bs=49152 count=1 2>/dev/null | base64 | tr -d '\n') &&
    [ -n "$piece" ]
  do
    carry "$piece"
    room=$((room - ${{#piece}}))
  done
  if [ "$room" -le 0 ]; then
    mkfifo counted
    wc -c <counted >size &
    sh -c 'echo "$$" >reading; exec cat' | tee counted | tail -c {TAIL_BYTES} >tail
    wait
    carry "$(printf '%s %s\n' "$mark" "$(($(cat size) - $(wc -c <tail)))" | base64 | tr -d '\n')"
    while piece=$(dd bs=49152 count=1 2>/dev/null | base64 | tr -d '\n') && [ -n "$piece" ]; do
      carry "$piece"
    done <tail
    carry "$(printf '%s%s\n' "$mark" "$(cat code)" | base64 | tr -d '\n')"
  fi
  rm -f *
) &
exec 3>"$pipe"
setsid sh -c "$@" <"$in" >&3 2>/dev/null 3>&- &
wait $!
code=$?
echo "$code" >"{PLACE}/shell/$name/code"
printf '%s%s\\n' "$mark" "$code" >&3
exec 3>&-
[ "$in" = /dev/null ] || rm -f "$in"
sleep 2
kill "$(cat "{PLACE}/shell/$name/reading" 2>/dev/null)" 2>/dev/null
wait
"""
# What is small comes at once, the rest waits in a file. Says on a line of its own which it is.
_STAGE = """
[ -e "$1" ] || { echo "absent"; exit 3; }
[ -f "$1" ] || { echo "not a regular file"; exit 3; }
[ -r "$1" ] || { echo "Permission denied"; exit 3; }
size=$(wc -c <"$1")
[ "$size" -le "$2" ] || { echo "too large"; exit 3; }
if [ "$size" -le "$4" ]; then echo here; exec cat "$1"; fi
umask 077
cat "$1" >"$3" || { rm -f "$3"; echo "cannot be copied"; exit 3; }
wc -c <"$3"
"""
# git is the one program that is certain to be there and can open a connection. It writes down
# that it sends something once there is one.
_REACH = """
seconds=$1
shift
LC_ALL=C GIT_TRACE_PACKET=1 GIT_CONFIG_NOSYSTEM=1 GIT_CONFIG_GLOBAL=/dev/null HOME=/nonexistent
export LC_ALL GIT_TRACE_PACKET GIT_CONFIG_NOSYSTEM GIT_CONFIG_GLOBAL HOME
folder=$(mktemp -d) || exit 1
cd "$folder" || exit 1
n=0 all=
for target; do
  n=$((n + 1))
  git ls-remote "git://$target/x" >"$n" 2>&1 </dev/null &
  all="$all $!"
done
(sleep "$seconds"; kill $all) >/dev/null 2>&1 </dev/null &
watch=$!
wait $all
kill "$watch"
n=0
for target; do
  n=$((n + 1))
  if grep -q 'packet:' "$n"; then echo "$target"; fi
done
cd / && rm -rf "$folder"
"""


class MachineShell:
    """Runs scripts in a machine; see `plain.shell.Shell`."""

    def __init__(self, machine: Machine, sessions: Sessions) -> None:
        self._machine = machine
        self._sessions = sessions

    async def run(
        self,
        script: str,
        *words: str,
        stdin: bytes = b"",
        on_output: OnBytes | None = None,
        on_gap: OnGap | None = None,
    ) -> int:
        room = str(CARRIED_CHARS if on_gap else ENDLESS)
        self._machine.still_there()
        script, words = carried(script, words)
        for _ in range(TRIES):
            name, mark, source = secrets.token_hex(8), secrets.token_hex(16), "/dev/null"
            if stdin:
                source = f"{PLACE}/in/{name}"
                await self._machine.upload({source: stdin})
            argv = ["sh", "-c", _CARRY, "sh", name, mark, source, room, script, "sh", *words]
            heard = Heard(name, mark, on_output, on_gap)
            sent = await self._sessions.send(f"( exec {shlex.join(argv)} )")
            try:
                await self._sessions.listen(sent, heard, None)
            finally:
                self._sessions.leave(sent)
            if heard.ended:
                return heard.code
            await self._machine.prepare()  # our place was missing, so nothing has run
        raise SandboxError("our place in the Daytona sandbox cannot be kept")


class Heard(Lines):
    """Hands on what a script prints, up to the mark with its exit code.

    A mark with a space after it tells how much is left out there.
    """

    def __init__(
        self, name: str, mark: str, on_output: OnBytes | None, on_gap: OnGap | None = None
    ) -> None:
        super().__init__(name, live_room=ENDLESS)
        self.code = 0
        self._mark = mark.encode("ascii")
        self._on_output = on_output
        self._on_gap = on_gap
        self._held = b""

    def feed(self, text: str) -> bytes:
        said = self._held + super().feed(text)
        while not self.ended:
            before, mark, after = said.partition(self._mark)
            word, end, rest = after.partition(b"\n")
            if not end:
                # The beginning of the mark may be what stands at the end.
                keep = len(mark + after) if mark else _begun(said, self._mark)
                self._tell(said[: len(said) - keep])
                self._held = said[len(said) - keep :]
                break
            self._tell(before)
            if word[:1] != b" ":
                self.code, self.ended = _number(word), True
            elif self._on_gap is not None:
                self._on_gap(_number(word))
            said = rest
        return b""

    def _tell(self, said: bytes) -> None:
        if said and self._on_output is not None:
            self._on_output(said)


def _begun(said: bytes, mark: bytes) -> int:
    """How much of the mark may stand at the end."""
    return next(n for n in range(len(mark) - 1, -1, -1) if said.endswith(mark[:n]))


class PlainMachine(PlainSandbox):
    """One machine without a toolbox; files and ports go the service's own way."""

    def __init__(self, ref: str, machine: Machine, stop: Callable[[], Awaitable[None]]) -> None:
        self._machine = machine
        self._sessions = Sessions(machine)
        self._stop = stop
        shell = MachineShell(machine, self._sessions)
        notes = (NOTE.format(what=machine.plain),)
        super().__init__(ref, WORKDIR, shell, machine.environment, notes)
        self.network = ""  # the service's to enforce, as everywhere else there

    async def get(self, path: str, *, limit: int, sink: Sink | None = None) -> bytes:
        staged, data = f"{PLACE}/out/{secrets.token_hex(8)}", bytearray()
        words = (self._at(path), str(limit), staged, str(INLINE_BYTES))
        code, said = await told(self._shell, _STAGE, *words, limit=INLINE_BYTES + 100)
        first, _, rest = said.partition(b"\n")
        if code or not (first == b"here" or first.strip().isdigit()):
            why = first.decode("utf-8", "replace").strip() or "no reason given"
            raise SandboxError(f"cannot read `{path}` inside the sandbox: {why}")
        take = sink or data.extend
        if first == b"here":
            if len(rest) > limit:
                raise SandboxError(f"cannot read `{path}` inside the sandbox: too large")
            take(rest)
            return bytes(data)
        try:
            if _number(first) > limit:
                raise SandboxError(f"cannot read `{path}` inside the sandbox: too large")
            await download(self._machine, staged, _number(first), take)
        finally:
            await self._machine.forget(staged)
        return bytes(data)

    async def expose(self, port: int) -> Endpoint:
        return await shown(self._machine, port)

    async def reach(self, targets: Sequence[tuple[str, int]], seconds: float) -> list[str]:
        """Which of these addresses programs inside can connect to."""
        asked = [f"[{host}]:{port}" if ":" in host else f"{host}:{port}" for host, port in targets]
        words = (f"{max(1, round(seconds))}", *asked)
        code, said = await told(self._shell, _REACH, *words, limit=REACH_SAYS_BYTES)
        if code:
            raise SandboxError("what the sandbox reaches could not be tried")
        return [line for line in said.decode("utf-8", "replace").splitlines() if line in asked]

    async def close(self) -> None:
        await self._sessions.close()
        await self._stop()

    async def quiet(self) -> None:
        """Wait for what still goes on behind it; for one that nobody uses any more."""
        await self._sessions.close()


def _number(text: bytes) -> int:
    digits = text.strip()
    return int(digits) if digits.isdigit() and len(digits) < 19 else 255
