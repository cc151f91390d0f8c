"""Start: `python3 -I -S toolbox.zip [DESCRIPTOR]`; without it stdin and stdout are the channel.

`python3 -I -S toolbox.zip once REQUEST` answers a single request instead, see `once`; `job FOLDER`
keeps a background program, see `keeper`. With `init` before anything else it runs below a process 1
of ours, see `init`.
"""

from __future__ import annotations

import os
import sys

OLDEST = (3, 8)


def main() -> None:
    if sys.version_info[:2] < OLDEST:
        sys.exit("glovebox toolbox: python %d.%d or newer is needed" % OLDEST)

    if sys.argv[1:2] == ["once"]:
        from agent.toolbox.channel.once import once

        os._exit(once(sys.argv[2]))

    if sys.argv[1:2] == ["job"]:
        from agent.toolbox.programs.keeper import keep

        keep(sys.argv[2])
        os._exit(0)

    if sys.argv[1:2] == ["parse"]:
        from agent.toolbox.code.parse import serve as parse

        parse(sys.argv[2:])
        os._exit(0)

    if sys.argv[1:2] == ["search"]:
        from agent.toolbox.search.worker import serve as search

        search()
        os._exit(0)

    if sys.argv[1:2] == ["index"]:
        from agent.toolbox.symbols.build import main as build

        os._exit(build(*sys.argv[2:5]))

    if sys.argv[1:2] == ["fetch"]:
        from agent.toolbox.network.fetch import main as fetch

        fetch()
        os._exit(0)

    if sys.argv[1:2] == ["init"]:
        from agent.toolbox.programs.init import watch

        del sys.argv[1]
        watch(*map(int, sys.argv[1:2]))

    if sys.argv[1:2] == ["lines"]:
        from agent.toolbox.channel.lines import serve

        serve(sys.argv[2])
        os._exit(0)

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
