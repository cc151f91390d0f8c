"""Programs that run, print, wait and end in every way there is. See `vocabulary`."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from agent.testing.memory.process import HUP, TERM, Process
from agent.testing.vocabulary import program

# Printing.


@program(r"""for word; do printf '%s\0' "$word"; done""")
async def print_arguments(me: Process) -> None:
    """Each argument with a NUL after it."""
    await me.print("".join(f"{word}\0" for word in me.arguments))


@program("pwd")
async def print_workdir(me: Process) -> None:
    await me.print(f"{me.environment['PWD']}\n")


@program("echo 1; echo 2 >&2; echo 3; echo 4 >&2")
async def print_both_ways(me: Process) -> None:
    """Lines to stdout and stderr in turns."""
    for n in (1, 3):
        await me.print(f"{n}\n")
        await me.complain(f"{n + 1}\n")


@program('seq -f %06.0f 0 "$(($1 - 1))"')
async def count(me: Process) -> None:
    """So many lines of seven bytes."""
    await me.print("".join(f"{n:06}\n" for n in range(int(me.arguments[0]))))


@program('for n in $(seq "$2"); do echo "$1-$n"; done')
async def repeat(me: Process) -> None:
    """A word so many times, numbered, each written by itself."""
    for n in range(int(me.arguments[1])):
        await me.print(f"{me.arguments[0]}-{n + 1}\n")


@program(r"""head -c "$1" /dev/zero | tr '\0' x""")
async def flood(me: Process) -> None:
    """So many times the letter x."""
    await _flood(me.print, int(me.arguments[0]), b"x")


@program(r"""head -c "$1" /dev/zero; head -c "$1" /dev/zero | tr '\0' x >&2; exit 7""")
async def flood_both_ways(me: Process) -> int:
    """So many zeros to stdout, then as many times x to stderr; exit code 7."""
    await _flood(me.print, int(me.arguments[0]), b"\0")
    await _flood(me.complain, int(me.arguments[0]), b"x")
    return 7


@program(r"""head -c "$1" /dev/zero | tr '\0' x; echo >"$2" """)
async def flood_then_leave_a_file(me: Process) -> None:
    """So many times the letter x; the file appears when all of it is out."""
    await _flood(me.print, int(me.arguments[0]), b"x")
    me.files.write(me.path(me.arguments[1]), b"\n")


async def _flood(write: Callable[[bytes], Awaitable[None]], size: int, letter: bytes) -> None:
    piece = letter * 65_536
    for at in range(0, size, len(piece)):
        await write(piece[: size - at])


# Reading.


@program('read -r x; echo "got $x"; read -r y; echo "got $y"')
async def answer_two_lines(me: Process) -> None:
    for _ in range(2):
        await me.print(f"got {await me.line()}\n")


@program("""
test -t 0 && test -t 1 || exit 3
stty size
for n in $(seq "$1"); do read -r line; stty size; done
exit 4
""")
async def say_the_size(me: Process) -> int:
    """The size of the terminal, once more after each of so many lines; 3 without a terminal."""
    if me.streams.terminal is None:
        return 3
    for n in range(int(me.arguments[0]) + 1):
        if n:
            await me.line()
        size = me.streams.terminal
        await me.print(f"{size.rows} {size.columns}\r\n")
    return 4


# Ending.


@program('exit "$1"')
async def exit_with(me: Process) -> int:
    return int(me.arguments[0])


@program('kill "-$1" $$')
async def die_by(me: Process) -> None:
    """End by a signal."""
    me.signal(int(me.arguments[0]))
    await asyncio.sleep(0)


@program('sleep "$2" & echo "$1"; sleep "$2"; echo after')
async def print_and_wait(me: Process) -> None:
    """Print a word, then wait for ever with a child in the background and one in front."""
    me.start("sleep", me.arguments[1])
    await me.print(f"{me.arguments[0]}\n")
    await me.start("sleep", me.arguments[1]).wait()
    await me.print("after\n")


@program("""
trap '' TERM HUP
sleep "$1" &
echo deaf
for n in 1 2 3; do sleep "$1"; done
""")
async def ignore_the_end(me: Process) -> None:
    """Print `deaf`, and wait with children; none of them heeds TERM or HUP."""
    me.ignore(TERM, HUP)
    me.start("sleep", me.arguments[0])
    await me.print("deaf\n")
    for _ in range(3):
        await me.start("sleep", me.arguments[0]).wait()


# It takes a moment, in which a second signal would have it tidy up once more.
@program("""trap 'echo tidied; sleep 0.2; exit 0' TERM; sleep "$1" & sleep "$1" & echo up; wait""")
async def tidy_up(me: Process) -> None:
    """Print `up`, and wait with children; when told to end print `tidied`."""
    told = me.trap(TERM)
    for _ in range(2):
        me.start("sleep", me.arguments[0])
    await me.print("up\n")
    await told.wait()
    await me.print("tidied\n")


# Leaving something running, and finding it.


@program('sleep "$1" & echo started')
async def leave_running(me: Process) -> None:
    me.start("sleep", me.arguments[0])
    await me.print("started\n")


@program("""
file=$1
(n=0; while echo tick; do n=$((n + 1)); echo $n >"$file"; sleep 0.01; done) &
""")
async def leave_counting(me: Process) -> None:
    """Leave a copy of itself that prints, and counts in a file as long as it can print."""
    me.fork(_count_on)


async def _count_on(me: Process) -> None:
    n = 0
    while True:
        await me.print("tick\n")
        n += 1
        me.files.write(me.path(me.arguments[0]), f"{n}\n".encode())
        await asyncio.sleep(0.01)


@program("""
now() { n=; read -r n 2>/dev/null <"$file"; echo "${n:-0}"; }
file=$1 goal=$(($(now) + $2))
until [ "$(now)" -ge $goal ]; do sleep 0.01; done
""")
async def await_growth(me: Process) -> None:
    """Wait until the number in a file has grown by so many."""
    goal = _number(me) + int(me.arguments[1])
    while _number(me) < goal:
        await me.start("sleep", "0.01").wait()


def _number(me: Process) -> int:
    try:
        return int(me.files.read(me.path(me.arguments[0])))
    except FileNotFoundError:
        return 0


@program("""
found=9
for folder in /proc/[0-9]*; do
    { tr '\\0' '\\n' <"$folder/cmdline"; } 2>/dev/null | grep -qx "[$2]$3" &&
        kill "-$1" "${folder#/proc/}" && found=0
done
exit $found
""")
async def signal_every(me: Process) -> int:
    """Signal every process with an argument that is given in two parts; 9 when there is none."""
    found = [p for p in me.world.processes if "".join(me.arguments[1:]) in p.argv]
    for process in found:
        process.signal(int(me.arguments[0]))
    return 0 if found else 9
