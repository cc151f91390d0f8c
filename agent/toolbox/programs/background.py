"""Jobs: background programs with a name, which outlive the call that started them.

What is known of one lies in a folder of its own, so every process of ours sees the same: the
resident toolbox, the next one, and one that lives for a single request. See `keeper` and `joblog`.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
import subprocess
import time
from typing import Any, Dict, List, Optional, Tuple

from agent.toolbox.files import transfer
from agent.toolbox.files.paths import Answer
from agent.toolbox.programs import joblog, keeper, own, ports

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,39}")
JOBS_MAX = 32
POLL_SECONDS = 0.05
STATE_MAX_BYTES = 1_000_000
TEXT_MAX_BYTES = 20_000
COMMAND_SHOWN = 200


def start(arguments: Dict[str, Any], limits: Dict[str, Any]) -> Answer:
    """Start `command` as job `name`; the name of one that has ended may be used again."""
    name, command = arguments["name"], arguments["command"]
    if not NAME.fullmatch(name):
        return _no("bad_name")
    try:
        folder = _claimed(name)
        if folder is None:
            return _no("taken")
        if len(_running()) >= JOBS_MAX:
            shutil.rmtree(folder, ignore_errors=True)
            return _no("too_many", count=JOBS_MAX)
        cwd = os.path.normpath(os.path.join(limits["workdir"], arguments.get("cwd") or "."))
        job = {"name": name, "command": command, "cwd": cwd, "at": time.time()}
        with open(os.path.join(folder, keeper.JOB), "w", encoding="ascii") as file:
            json.dump(job, file)
        subprocess.run(
            [*own.command("job"), folder],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
            check=False,
        )
    except OSError as error:
        return _no("denied", why=error.strerror or str(error))
    return {"ok": True, "name": name}


def jobs(arguments: Dict[str, Any], limits: Dict[str, Any]) -> Answer:
    """All jobs, the newest first."""
    told: List[Tuple[float, Dict[str, Any]]] = []
    for folder in _folders():
        job = _read(folder, keeper.JOB)
        if job is None:
            continue
        began, command = float(job["at"]), str(job["command"])
        recent = [line.text for line in joblog.last(folder, 3) if line.text.strip()]
        state = _state(folder)
        state["seconds"] = max(0.0, float(state.pop("at", 0.0) or time.time()) - began)
        shown = {
            "name": os.path.basename(folder),
            "command": command[:COMMAND_SHOWN],
            "lines": joblog.count(folder),
            "last_line": recent[-1][:COMMAND_SHOWN] if recent else "",
        }
        told.append((began, dict(state, **shown)))
    told.sort(key=lambda one: -one[0])
    return {"ok": True, "jobs": [shown for _, shown in told]}


def look(arguments: Dict[str, Any], limits: Dict[str, Any]) -> Answer:
    """Output of a job: the last `lines` of it, those after line `after` only.

    With `seconds` it first waits, at most so long, for `text` in a line after `after`, for `port`
    to answer, or without either for the job's end. It stops waiting when the job ends.
    """
    folder = _folder(arguments["name"])
    if folder is None:
        return _no("absent", names=[os.path.basename(f) for f in _folders()])
    met = _wait(folder, arguments, limits) if arguments.get("seconds") else ""
    state = _state(folder)
    state.pop("at", None)
    rest = max(0, int(arguments.get("after", 0)))
    wanted = max(1, int(arguments.get("lines", 1)))
    lines = joblog.last(folder, wanted)
    if rest:
        lines = [line for line in lines if line.number > rest]
    lines, cut = _fitting(lines, limits)
    shown = {
        "text": "\n".join(line.text[: limits["line_chars"]] for line in lines),
        "first": lines[0].number if lines else 0,
        "last": lines[-1].number if lines else 0,
        "total": joblog.count(folder),
        "cut": cut,
    }
    return dict(state, ok=True, name=arguments["name"], met=met, **shown)


def send(arguments: Dict[str, Any], limits: Dict[str, Any]) -> Answer:
    """Type `text` at a job's terminal."""
    folder = _folder(arguments["name"])
    if folder is None:
        return _no("absent", names=[os.path.basename(f) for f in _folders()])
    lines = joblog.count(folder)
    answer = keeper.ask(folder, send=arguments["text"])
    if answer is None:
        return dict(_no("over"), **_state(folder))
    return dict(answer, lines=lines)


def kill(arguments: Dict[str, Any], limits: Dict[str, Any]) -> Answer:
    """End a job with all that belongs to it, and wait until it has ended."""
    folder = _folder(arguments["name"])
    if folder is None:
        return _no("absent", names=[os.path.basename(f) for f in _folders()])
    grace = limits["kill_grace"]
    if keeper.ask(folder, kill=True, grace=grace) is None:
        return dict(_no("over"), **_state(folder))
    until = time.monotonic() + grace + 5.0
    while _state(folder)["state"] == "running" and time.monotonic() < until:
        time.sleep(POLL_SECONDS)
    state = _state(folder)
    state.pop("at", None)
    return dict(state, ok=True, name=arguments["name"])


# Waiting.


def _wait(folder: str, arguments: Dict[str, Any], limits: Dict[str, Any]) -> str:
    """What was waited for and came: "text", "port", "end", or "" when nothing did in time."""
    text, port = arguments.get("text", ""), arguments.get("port", 0)
    after = max(0, int(arguments.get("after", 0)))
    until = time.monotonic() + float(arguments["seconds"])
    size = -1
    while True:
        over = _state(folder)["state"] != "running"
        now = _size(folder)
        if text and now != size:
            size = now
            for line in joblog.after(folder, after):
                if text in line.text:
                    return "text"
                if line.whole:
                    after = line.number
        if port and ports.answers(port):
            return "port"
        if over:
            return "end"
        if limits["cancelled"]() or time.monotonic() >= until:
            return ""
        time.sleep(POLL_SECONDS)


def _size(folder: str) -> int:
    """A number that changes whenever something is printed."""
    found = joblog.segments(folder)
    with contextlib.suppress(OSError, IndexError):
        return found[-1][0] * joblog.SEGMENT_BYTES * 4 + os.stat(found[-1][1]).st_size
    return 0


def _fitting(lines: List[joblog.Line], limits: Dict[str, Any]) -> Tuple[List[joblog.Line], bool]:
    """The last of `lines` that fit into an answer."""
    room, kept = TEXT_MAX_BYTES, 0
    for line in reversed(lines):
        room -= len(line.text[: limits["line_chars"]].encode("utf-8", "replace")) + 1
        if room < 0 and kept:
            break
        kept += 1
    return lines[len(lines) - kept :], kept < len(lines)


# What lies in the folders. Programs in here can write to them, so nothing in them is relied on.


def place() -> str:
    """Where jobs are kept; it lasts as long as the sandbox's own files."""
    return os.path.join(os.environ.get("TMPDIR") or "/tmp", "glovebox", "jobs")


def _folders() -> List[str]:
    with contextlib.suppress(OSError):
        names = sorted(name for name in os.listdir(place()) if NAME.fullmatch(name))
        return [os.path.join(place(), name) for name in names]
    return []


def _folder(name: str) -> Optional[str]:
    folder = os.path.join(place(), name)
    return folder if NAME.fullmatch(name) and os.path.isdir(folder) else None


def _claimed(name: str) -> Optional[str]:
    """A new folder for `name`; None when a job of that name runs. Old ones make room."""
    os.makedirs(place(), mode=0o700, exist_ok=True)
    folder = os.path.join(place(), name)
    if os.path.isdir(folder):
        if _state(folder)["state"] == "running":
            return None
        shutil.rmtree(folder)
    over = [one for one in _folders() if _state(one)["state"] != "running"]
    over.sort(key=lambda one: os.stat(one).st_mtime)
    for old in over[: max(0, len(over) - JOBS_MAX + 1)]:
        shutil.rmtree(old, ignore_errors=True)
    try:
        os.mkdir(folder, 0o700)
    except FileExistsError:  # somebody was faster
        return None
    return folder


def _running() -> List[str]:
    return [one for one in _folders() if _state(one)["state"] == "running"]


def _state(folder: str) -> Dict[str, Any]:
    """`running`, `ended` with how, or `lost`: the sandbox was stopped while it ran."""
    for _ in range(2):
        ended = _read(folder, keeper.ENDED)
        if ended is not None:
            return {"state": "ended", "exit_code": ended["exit_code"], "at": ended["at"]}
        if keeper.alive(folder):
            return {"state": "running", "exit_code": None}
    return {"state": "lost", "exit_code": None}


def _read(folder: str, name: str) -> Optional[Dict[str, Any]]:
    with contextlib.suppress(OSError, ValueError, RecursionError):
        with os.fdopen(transfer.open_regular(os.path.join(folder, name)), "rb") as file:
            value: Any = json.loads(file.read(STATE_MAX_BYTES).decode("ascii"))
        if isinstance(value, dict) and isinstance(value.get("at"), (int, float)):
            known: Dict[str, Any] = dict(value)  # type: ignore[arg-type]
            known.setdefault("command", "")
            code = known.get("exit_code")
            known["exit_code"] = code if isinstance(code, int) else None
            return known
    return None


def _no(reason: str, **more: Any) -> Answer:
    return dict({"ok": False, "reason": reason}, **more)
