"""Files of the host that a crash must not spoil."""

from __future__ import annotations

import fcntl
import os
import subprocess
import sys
import textwrap
import threading
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


def test_looking_at_a_lock_does_not_take_it(tmp_path: Path) -> None:
    lock = files.FileLock(tmp_path / "lock")
    assert not lock.held
    assert lock.acquire()
    assert files.FileLock(tmp_path / "lock").held
    assert not files.FileLock(tmp_path / "lock").acquire()
    lock.release()
    assert not lock.held
    # Somebody looks at the very moment at which others look, and take it.
    with open(tmp_path / "lock", "rb") as looking:
        fcntl.flock(looking, fcntl.LOCK_SH)
        assert not lock.held
        threading.Timer(0.02, lambda: fcntl.flock(looking, fcntl.LOCK_UN)).start()
        assert lock.acquire()
    lock.release()


def test_a_child_that_inherits_a_lock_holds_it(tmp_path: Path) -> None:
    lock = files.FileLock(tmp_path / "lock")
    assert lock.acquire()
    argv = [sys.executable, "-c", "input()"]
    with subprocess.Popen(argv, pass_fds=[lock.fileno()], stdin=subprocess.PIPE) as child:
        lock.release()
        assert lock.held
        child.communicate(b"\n")
    assert not lock.held
