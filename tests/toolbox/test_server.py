"""The toolbox's half of the wire, put to a host that does not behave."""

from __future__ import annotations

import ast
import json
import os
import struct
import subprocess
import threading
from pathlib import Path
from typing import Any

import pytest

from agent.core import limits
from agent.host import files, system
from agent.sandbox import frames as host_frames
from agent.sandbox.toolbox import LIMITS, bundle
from agent.toolbox.__main__ import OLDEST
from agent.toolbox.channel import frames
from agent.toolbox.channel.jobs import CROWDED, Job, Reply
from agent.toolbox.network.dial import Dial
from agent.toolbox.programs.execute import Execution
from agent.toolbox.programs.family import Family
from tests.sandbox_fixtures import TOOLBOX_PYTHON

HELLO = {"op": "hello", "arguments": {"limits": LIMITS, "bounds": {}}}


def ask(number: int, value: Any) -> bytes:
    data = value if isinstance(value, bytes) else json.dumps(value).encode()
    return frames.HEADER.pack(len(data), frames.ASK_END, number) + data


def talk(folder: Path, sent: bytes, *before: str) -> list[tuple[int, int, bytes]]:
    """What a toolbox answers to these bytes, until it ends; it must end by itself."""
    with files.temporary_dir() as place:
        (place / "toolbox.zip").write_bytes(bundle())
        argv = [TOOLBOX_PYTHON, "-I", "-S", *before, str(place / "toolbox.zip")]
        done = subprocess.run(argv, input=sent, cwd=folder, capture_output=True, timeout=60)
    assert b"Traceback" not in done.stderr
    answers: list[tuple[int, int, bytes]] = []
    data = done.stdout
    while data:
        size, kind, number = frames.HEADER.unpack(data[: frames.HEADER.size])
        answers.append((kind, number, data[frames.HEADER.size :][:size]))
        data = data[frames.HEADER.size + size :]
    return answers


def test_both_ends_have_the_same_wire() -> None:
    assert host_frames.HEADER.format == frames.HEADER.format
    assert limits.FRAME_PAYLOAD_MAX_BYTES == frames.PAYLOAD_MAX_BYTES
    assert limits.MESSAGE_MAX_BYTES == frames.MESSAGE_MAX_BYTES
    names = (
        "ASK",
        "ASK_END",
        "DATA",
        "DATA_END",
        "CANCEL",
        "LIVE",
        "ANSWER",
        "ANSWER_END",
        "FAILED",
        "CREDIT",
        "TUNE",
    )
    assert {n: getattr(frames, n) for n in names} == dict(host_frames.Kind.__members__)


@pytest.mark.parametrize(
    "broken",
    [
        b"\xff" * 13,
        struct.pack("!IBQ", 2**32 - 1, frames.ASK_END, 2),
        struct.pack("!IBQ", frames.PAYLOAD_MAX_BYTES + 1, frames.ASK_END, 2),
        struct.pack("!IBQ", 0, 0, 2),
        struct.pack("!IBQ", 0, frames.ANSWER_END, 2),
        ask(2, b"{"),
        ask(2, b"\xff\xfe"),
        ask(2, b"[" * 900_000),
        ask(2, b"1" * 10_000),
        ask(2, [1]),
        ask(2, {"op": 1, "arguments": {}}),
        ask(2, {"op": "read", "arguments": []}),
        ask(2, {"op": "put", "arguments": {"path": "x", "mode": 420}})
        + ask(2, {"op": "put", "arguments": {"path": "x", "mode": 420}}),
    ],
)
def test_a_broken_frame_ends_the_connection(tmp_path: Path, broken: bytes) -> None:
    after = ask(3, {"op": "write", "arguments": {"path": "after", "text": "x"}})
    answers = talk(tmp_path, ask(1, HELLO) + broken + after)
    assert [number for _, number, _ in answers] == [1]
    assert not (tmp_path / "after").exists()


def test_nothing_is_done_before_hello(tmp_path: Path) -> None:
    write = ask(1, {"op": "write", "arguments": {"path": "early", "text": "x"}})
    assert talk(tmp_path, write) == []
    assert list(tmp_path.iterdir()) == []


def test_a_request_that_is_no_use_fails_alone(tmp_path: Path) -> None:
    sent = ask(1, HELLO)
    sent += ask(2, {"op": "no-such", "arguments": {}})
    sent += ask(3, {"op": "read", "arguments": {}})
    sent += ask(4, {"op": "exec", "arguments": {"argv": ["true"]}})
    sent += ask(5, {"op": "read", "arguments": {"path": 7}})
    answers = {number: (kind, payload) for kind, number, payload in talk(tmp_path, sent)}
    assert answers[1][0] == frames.ANSWER_END
    assert answers[2] == (frames.FAILED, b"unknown operation `no-such`")
    # The others may be cut off by the end of the channel, but never answered with success.
    assert {kind for kind, _ in (answers[n] for n in answers if n > 2)} <= {frames.FAILED}


def test_pieces_of_a_request_are_put_together(tmp_path: Path) -> None:
    data = json.dumps(HELLO).encode()
    head = frames.HEADER.pack(10, frames.ASK, 1) + data[:10]
    tail = frames.HEADER.pack(len(data) - 10, frames.ASK_END, 1) + data[10:]
    ((kind, number, payload),) = talk(tmp_path, head + tail)
    assert (kind, number, json.loads(payload)["ok"]) == (frames.ANSWER_END, 1, True)


def test_it_is_written_for_the_oldest_python_it_promises() -> None:
    # What the grammar cannot tell is tested by running this folder with GB_TOOLBOX_PYTHON.
    for name, source in system.modules_of("toolbox").items():
        ast.parse(source, name, feature_version=OLDEST)


WITHOUT_THREADS = """
import runpy, sys, threading
def start(thread): raise RuntimeError("can't start new thread")
threading.Thread.start = start
del sys.argv[0]
runpy.run_path(sys.argv[0], run_name="__main__")
"""


def test_where_programs_have_used_up_all_processes_requests_are_refused(tmp_path: Path) -> None:
    """And the sandbox is not lost: whoever ends the programs goes on in it."""
    asked = [
        ask(number, {"op": "ls", "arguments": {"path": ".", "hidden": False}}) for number in (2, 3)
    ]
    sent = b"".join([ask(1, HELLO), *asked])
    hello, *refused = talk(tmp_path, sent, "-c", WITHOUT_THREADS)
    assert hello[:2] == (frames.ANSWER_END, 1)
    assert refused == [(frames.FAILED, number, CROWDED.encode()) for number in (2, 3)]


WITHOUT_DESCRIPTORS = """
import errno, os, runpy, sys
def pipe(): raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))
os.pipe = pipe
del sys.argv[0]
runpy.run_path(sys.argv[0], run_name="__main__")
"""


def test_a_request_that_gets_no_descriptor_fails_alone(tmp_path: Path) -> None:
    program = {"argv": ["true"], "cwd": "", "env": {}, "log": "", "live": False, "seconds": 9}
    sent = [ask(1, HELLO), ask(2, {"op": "exec", "arguments": program})]
    sent += [ask(3, {"op": "no-such", "arguments": {}})]
    _, *refused = talk(tmp_path, b"".join(sent), "-c", WITHOUT_DESCRIPTORS)
    assert [(kind, number) for kind, number, _ in refused] == [
        (frames.FAILED, 2),
        (frames.FAILED, 3),
    ]


def test_what_never_runs_holds_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither a program whose input was not sent to its end, nor what no thread can be had for."""

    def no_thread(thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    def reply() -> Reply:
        return Reply(out, 1, {})

    null = os.open(os.devnull, os.O_WRONLY)
    out, family = frames.Outgoing(null), Family()
    arguments = {"argv": ["true"], "log": "", "live": False, "window": 1, "port": 1}
    held = len(os.listdir("/proc/self/fd"))
    program: Job = Execution(reply(), arguments, dict(LIMITS, workdir="/"), family)
    program.data(b"half of its input")
    program.abandon()
    program.cancel()
    monkeypatch.setattr(threading.Thread, "start", no_thread)
    Dial(reply(), arguments, {})
    Execution(reply(), arguments, dict(LIMITS, workdir="/"), family).end()
    assert len(os.listdir("/proc/self/fd")) == held
    os.close(null)


def test_a_port_that_is_none_is_nobody(tmp_path: Path) -> None:
    dial = {"window": 100, "port": 70_000}
    sent = ask(1, HELLO) + ask(2, {"op": "dial", "arguments": dial})
    sent += ask(3, {"op": "port", "arguments": {"port": 70_000}})
    answers = {number: (kind, payload) for kind, number, payload in talk(tmp_path, sent)}
    assert frames.FAILED not in {kind for kind, _ in answers.values()}
