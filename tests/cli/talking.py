"""A person at a terminal with glovebox in it."""

from __future__ import annotations

import json
import os
import signal
from pathlib import Path
from typing import Any

from tests.e2e.rig import MODEL, User, traces
from tests.servers.openai import OpenAIServer
from tests.terminal import Terminal

PROMPT = "›"
SIZE = (100, 40)


def begin(
    tty: Terminal,
    user: User,
    server: OpenAIServer,
    *flags: str,
    environment: dict[str, str] | None = None,
    size: tuple[int, int] = SIZE,
) -> None:
    """Start the conversation and wait until it can be typed in and the sandbox is up."""
    argv = user.argv("--model", MODEL, *flags)
    settings = user.with_server(server) | (environment or {})
    tty.start(argv, env=settings, cwd=user.repo, size=size)
    tty.wait_for("sandbox `local` is ready")


def say_to(tty: Terminal, text: str) -> None:
    tty.type(text)
    tty.key("Enter")


def quit_(tty: Terminal) -> str:
    """Leave by command, when no turn is under way; the transcript with the exit code."""
    tty.wait_for(lambda text: "; Ctrl-C interrupts" not in text)
    say_to(tty, "/quit")
    return tty.wait_for("exit code 0")


def user_messages(server: OpenAIServer) -> list[str]:
    """What the newest request says the person said."""
    messages: list[dict[str, Any]] = server.requests[-1]["messages"]
    return [_text(m["content"]) for m in messages if m["role"] == "user"]


def _text(content: Any) -> str:
    return content if isinstance(content, str) else "".join(part["text"] for part in content)


def glovebox_pid(tty: Terminal, user: User) -> int:
    """The process of the program in the terminal, found by its home directory."""
    marker = f"HOME={user.home}".encode()
    for folder in Path("/proc").iterdir():
        if not folder.name.isdigit():
            continue
        try:
            environment = (folder / "environ").read_bytes().split(b"\0")
            argv = (folder / "cmdline").read_bytes().split(b"\0")
        except OSError:
            continue
        if marker in environment and b"agent" in argv:
            return int(folder.name)
    raise AssertionError("glovebox does not run")


def kill(tty: Terminal, user: User, number: signal.Signals) -> None:
    os.kill(glovebox_pid(tty, user), number)


def bubblewraps(user: User) -> list[str]:
    """Sandboxes of this user that still run."""
    return [command for command in traces(user) if "bwrap" in command]


def history(user: User) -> Path:
    return user.state / "glovebox" / "history"


def history_entries(user: User) -> list[str]:
    return [json.loads(row) for row in history(user).read_text().splitlines()]
