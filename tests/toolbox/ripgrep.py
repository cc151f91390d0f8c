"""ripgrep to compare with: the one that is installed, or one from npm's registry."""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
import tarfile
from pathlib import Path

import pytest

VERSION = "1.18.0"
MACHINES = {"x86_64": "linux-x64", "aarch64": "linux-arm64"}


@pytest.fixture(scope="session")
def rg(request: pytest.FixtureRequest) -> str:
    """The path of a ripgrep; without one the test is left out, loudly."""
    there = shutil.which("rg")
    if there:
        return there
    kept = Path(request.config.cache.mkdir("ripgrep")) / VERSION / "package/bin/rg"
    if kept.exists():
        return str(kept)
    name = f"@vscode/ripgrep-{MACHINES.get(platform.machine(), 'none')}@{VERSION}"
    folder = kept.parents[2]
    folder.mkdir(exist_ok=True)
    try:
        command = ["npm", "pack", "--silent", name]
        packed = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("NOT TESTED: there is no ripgrep to compare with; install `ripgrep`")
    with tarfile.open(folder / packed.stdout.strip()) as archive:
        program = archive.extractfile("package/bin/rg")
        assert program is not None
        kept.parent.mkdir(parents=True, exist_ok=True)
        # Whole at once: another worker may be at it as well.
        made = kept.with_name(f"rg.{os.getpid()}")
        made.write_bytes(program.read())
        made.chmod(0o755)
        made.rename(kept)
    return str(kept)
