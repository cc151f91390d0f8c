"""Files of the host that a crash must not spoil."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
from pathlib import Path

from agent.host import files


def test_what_a_killed_write_left_goes_with_the_file(tmp_path: Path) -> None:
    script = """
        import os, sys
        from pathlib import Path
        from agent.host import files
        os.replace = lambda *_: os.kill(os.getpid(), 9)
        files.write_whole(Path(sys.argv[1]), b"x")
    """
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    argv = [sys.executable, "-c", textwrap.dedent(script), str(tmp_path / "a*")]
    assert subprocess.run(argv, env=environment, check=False).returncode == -9
    files.write_whole(tmp_path / "ab", b"stays")
    assert len(list(tmp_path.iterdir())) == 2
    files.remove_written(tmp_path / "a*")
    assert [path.name for path in tmp_path.iterdir()] == ["ab"]
