from __future__ import annotations

import os
import subprocess
import sys

import pytest

ASK = "from agent.host.terminal import has_colours; print(has_colours())"


@pytest.mark.parametrize(
    ("term", "no_color", "expected"),
    [
        ("xterm-256color", "", True),
        ("linux", "", True),
        ("nobody-has-described-it", "", True),
        ("vt100", "", False),
        ("xterm-256color", "1", False),
    ],
)
def test_whether_a_terminal_has_colours(term: str, no_color: str, expected: bool) -> None:
    settings = os.environ | {"TERM": term, "NO_COLOR": no_color}
    done = subprocess.run([sys.executable, "-c", ASK], env=settings, capture_output=True, text=True)

    assert done.stdout.split() == [str(expected)], done.stderr
