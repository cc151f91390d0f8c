"""The scripted provider as a program."""

from __future__ import annotations

import argparse
import json
import signal
import sys
import threading
from pathlib import Path
from typing import Any

from tests.servers.openai import OpenAIServer
from tests.servers.scripts import load_script


def main() -> None:
    """Print the URL, answer until SIGTERM or SIGINT."""
    parser = argparse.ArgumentParser(prog="python -m tests.servers.openai")
    parser.add_argument("--script", type=Path, required=True)
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--log", type=Path, help="append each request as a line of JSON")
    options = parser.parse_args()

    def log(request: dict[str, Any]) -> None:
        if options.log:
            with options.log.open("a", encoding="utf-8") as file:
                file.write(json.dumps(request) + "\n")

    end = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: end.set())
    with OpenAIServer(load_script(options.script), port=options.port, on_request=log) as server:
        sys.stdout.write(server.url + "\n")
        sys.stdout.flush()
        end.wait()
