"""The resident toolbox where the channel is text: frames travel as numbered lines of base64.

    python3 -I -S toolbox.zip lines ID

Lines come in on stdin as `@NUMBER PAYLOAD`, and what was there already is skipped: whoever does not
know whether a line arrived sends it again. Lines go out as `once` writes them.
"""

from __future__ import annotations

import base64
import os
import sys
import threading

from agent.toolbox.channel import frames
from agent.toolbox.channel.once import Lines, own_stdout
from agent.toolbox.channel.server import Server
from agent.toolbox.programs import confine
from agent.toolbox.programs.pipes import write_all

PIECE_BYTES = 16_384


def serve(name: str) -> None:
    """Serve one host until it closes stdin or breaks the protocol."""
    lines = Lines(own_stdout(), name)
    incoming, arriving = os.pipe()
    leaving, outgoing = os.pipe()
    confine.confine()
    threading.Thread(target=_arrive, args=(arriving,), daemon=True).start()
    threading.Thread(target=_leave, args=(leaving, lines), daemon=True).start()
    Server(incoming, outgoing).serve()


def _arrive(channel: int) -> None:
    expected = 0
    for line in sys.stdin.buffer:
        number, _, payload = line.strip().partition(b" ")
        if number != b"@%d" % expected:
            continue
        expected += 1
        write_all(channel, base64.b64decode(payload))
    os.close(channel)


def _leave(channel: int, lines: Lines) -> None:
    while True:
        piece = os.read(channel, PIECE_BYTES)
        if not piece:
            return
        lines.send(frames.LIVE, 0, piece)
