"""Start: `python3 -I -S toolbox.zip [DESCRIPTOR]`; without it stdin and stdout are the channel.

With the name of a mode the process does that one thing instead, see `MODES`. With `init` before
anything else it runs below a process 1 of ours, see `init`.
"""

from __future__ import annotations

import os
import sys

OLDEST = (3, 8)
MODES = {
    "once": "channel.once:once",
    "lines": "channel.lines:serve",
    "job": "programs.keeper:keep",
    "parse": "code.parse:serve",
    "search": "search.worker:serve",
    "index": "symbols.build:main",
    "fetch": "network.fetch:main",
    "forward": "network.forward:main",
}


def main() -> None:
    if sys.version_info[:2] < OLDEST:
        sys.exit("glovebox toolbox: python %d.%d or newer is needed" % OLDEST)

    from agent.toolbox.channel.later import loaded

    if sys.argv[1:2] == ["init"]:
        del sys.argv[1]
        loaded("programs.init:watch")(*map(int, sys.argv[1:2]))

    mode = sys.argv[1] if len(sys.argv) > 1 else ""
    if mode in MODES:
        os._exit(loaded(MODES[mode])(*sys.argv[2:]) or 0)

    from agent.toolbox.channel.server import Server
    from agent.toolbox.programs.confine import confine

    incoming, outgoing = _channel(sys.argv[1:])
    confine()
    Server(incoming, outgoing).serve()
    # Threads may sit in a read or a program's wait: nothing of them is needed any more.
    os._exit(0)


def _channel(arguments: list[str]) -> tuple[int, int]:
    """The descriptors of the channel, moved where no program that we start can inherit them."""
    if arguments:
        descriptor = int(arguments[0])
        os.set_inheritable(descriptor, False)
        return descriptor, descriptor
    incoming, outgoing = os.dup(0), os.dup(1)
    null = os.open(os.devnull, os.O_RDWR)
    os.dup2(null, 0)
    os.dup2(null, 1)
    os.close(null)
    return incoming, outgoing


if __name__ == "__main__":
    main()
