"""Programs that make, change and show files, from inside. See `vocabulary`."""

from __future__ import annotations

import posixpath

from agent.testing.memory.files import Node
from agent.testing.memory.process import Process
from agent.testing.vocabulary import program


@program('mkdir -p "$1"')
async def make_folder(me: Process) -> None:
    me.files.make_folders(me.path(me.arguments[0]))


@program('mkfifo "$1"')
async def make_fifo(me: Process) -> None:
    me.files.make(me.path(me.arguments[0]), Node("fifo"))


@program('ln -s "$1" "$2"')
async def make_link(me: Process) -> None:
    """A symbolic link to the first argument, at the second."""
    me.files.make(me.path(me.arguments[1]), Node("link", data=me.arguments[0].encode()))


@program('truncate -s "$1" "$2"')
async def make_sparse(me: Process) -> None:
    """A file of so many bytes that takes no room."""
    me.files.make(me.path(me.arguments[1]), Node("file", hole=int(me.arguments[0])))


@program("""printf '%s\\n' "$1" >"$2" """)
async def write_line(me: Process) -> None:
    """A line, the first argument, into a file."""
    me.files.write(me.path(me.arguments[1]), f"{me.arguments[0]}\n".encode())


@program('rm -rf "$@"')
async def remove(me: Process) -> None:
    for path in me.arguments:
        me.files.remove(me.path(path))


@program('chmod "$1" "$2"')
async def set_mode(me: Process) -> None:
    """Give the second argument the mode, octal, of the first."""
    me.files.set_mode(me.path(me.arguments[1]), int(me.arguments[0], 8))


@program('stat -c %a "$1"')
async def show_mode(me: Process) -> None:
    await me.print(f"{me.files.node(me.path(me.arguments[0])).mode:o}\n")


@program('ls -A "$1"')
async def list_folder(me: Process) -> None:
    """The names in a folder, one a line."""
    await me.print("".join(f"{name}\n" for name in me.files.names(me.path(me.arguments[0]))))


@program('command -v "$1"')
async def find_program(me: Process) -> int:
    """Where a program is; fails when it is nowhere."""
    try:
        place = me.world.find(me.arguments[0], me.environment["PATH"])
    except FileNotFoundError:
        return 127
    await me.print(f"{posixpath.normpath(place)}\n")
    return 0
