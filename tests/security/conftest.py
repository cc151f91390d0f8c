from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import agent
from agent.sandbox.protocol import Sandbox

PROBE = Path(agent.__file__).parent / "attacks" / "probe.py"
SOURCE = PROBE.read_text("utf-8")


async def inside(sandbox: Sandbox, probe: str, *arguments: str) -> str:
    """What a probe says in the sandbox."""
    await sandbox.put("/tmp/probe.py", SOURCE.encode())
    result = await sandbox.exec(["python3", "-I", "/tmp/probe.py", probe, *arguments])
    assert result.exit_code == 0, result
    return result.output.decode().strip()


def outside(probe: str, *arguments: str, **more: Any) -> str:
    """What a probe says on the host, where it must be able to succeed."""
    argv = [sys.executable, "-I", str(PROBE), probe, *arguments]
    done = subprocess.run(argv, capture_output=True, text=True, timeout=60, check=True, **more)
    return done.stdout.strip()
