"""Ports of this machine: which are listened on, and whether one answers."""

from __future__ import annotations

import contextlib
import os
import time
from typing import Any, Dict, List, Set

from agent.toolbox.files.paths import Answer
from agent.toolbox.network.dial import connected

TABLES = ("/proc/net/tcp", "/proc/net/tcp6")
LISTENING = "0A"
POLL_SECONDS = 0.05
KNOCK_SECONDS = 1.0
GREETING_SECONDS = 5.0
LINE_MAX_BYTES = 200


def ports(arguments: Dict[str, Any], limits: Dict[str, Any]) -> Answer:
    """The TCP ports that programs here listen on, and which programs; not our own."""
    listening = _listening()
    own = _sockets(str(os.getpid()))
    owners = _owners(set(listening) - own)
    found: Dict[int, str] = {}
    for inode, port in listening.items():
        if inode not in own:
            found[port] = found.get(port) or owners.get(inode, "")
    return {"ok": True, "ports": [{"port": p, "program": found[p]} for p in sorted(found)]}


def port(arguments: Dict[str, Any], limits: Dict[str, Any]) -> Answer:
    """Wait at most `seconds` until `port` answers, and hear what it says to an HTTP request."""
    number = int(arguments["port"])
    until = time.monotonic() + float(arguments.get("seconds", 0.0))
    while not answers(number):
        if limits["cancelled"]() or time.monotonic() >= until:
            return dict(ports({}, limits), answers=False, says="")
        time.sleep(POLL_SECONDS)
    return {"ok": True, "answers": True, "says": _greeting(number), "ports": []}


def answers(number: int) -> bool:
    """Whether something takes connections at a port of the loopback."""
    line = connected(number, KNOCK_SECONDS)
    if line is not None:
        line.close()
    return line is not None


def _greeting(number: int) -> str:
    """The first line of the answer to a request for the front page; "" when it is no HTTP."""
    line = connected(number, KNOCK_SECONDS)
    if line is None:
        return ""
    with line, contextlib.suppress(OSError):
        line.settimeout(GREETING_SECONDS)
        line.sendall(b"GET / HTTP/1.1\r\nHost: localhost:%d\r\nConnection: close\r\n\r\n" % number)
        data = b""
        while b"\n" not in data and len(data) < LINE_MAX_BYTES:
            piece = line.recv(LINE_MAX_BYTES)
            if not piece:
                break
            data += piece
        first = data.split(b"\r\n", 1)[0].split(b"\n", 1)[0].decode("latin-1")
        return first[:LINE_MAX_BYTES] if first.startswith("HTTP/") else ""
    return ""


def _listening() -> Dict[str, int]:
    """Inode to port of every socket that listens."""
    found: Dict[str, int] = {}
    for table in TABLES:
        with contextlib.suppress(OSError), open(table, encoding="ascii") as file:
            for row in file.readlines()[1:]:
                fields = row.split()
                if len(fields) > 9 and fields[3] == LISTENING:
                    found[fields[9]] = int(fields[1].rpartition(":")[2], 16)
    return found


def _owners(wanted: Set[str]) -> Dict[str, str]:
    owners: Dict[str, str] = {}
    for pid in filter(str.isdigit, os.listdir("/proc")):
        for inode in _sockets(pid) & wanted:
            owners.setdefault(inode, _program(pid))
    return owners


def _sockets(pid: str) -> Set[str]:
    """The inodes of the sockets that a process has open, as far as we may see them."""
    found: List[str] = []
    with contextlib.suppress(OSError):
        for name in os.listdir("/proc/%s/fd" % pid):
            with contextlib.suppress(OSError):
                target = os.readlink("/proc/%s/fd/%s" % (pid, name))
                if target.startswith("socket:["):
                    found.append(target[8:-1])
    return set(found)


def _program(pid: str) -> str:
    with contextlib.suppress(OSError), open("/proc/%s/cmdline" % pid, "rb") as file:
        words = file.read(4096).rstrip(b"\0").split(b"\0")
        return b" ".join(words).decode("utf-8", "replace")[:LINE_MAX_BYTES]
    return ""
