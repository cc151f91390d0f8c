"""Files of the host that a crash must not spoil."""

from __future__ import annotations

import errno
import fcntl
import os
import pwd
import subprocess
import sys
import textwrap
import threading
import tracemalloc
from pathlib import Path

import pytest

from agent.core.errors import GloveboxError, HostError, UserError
from agent.host import disk, env, files, trouble
from tests.full import room_for


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


def test_without_room_a_file_has_all_of_it_or_nothing(tmp_path: Path) -> None:
    log, whole = files.AppendFile(tmp_path / "log"), tmp_path / "whole"
    log.append(b"1" * 90)
    files.write_whole(whole, b"old")
    with room_for(100):
        for write in (
            lambda: log.append(b"2" * 90),
            lambda: files.write_whole(whole, b"2" * 101),
            lambda: disk.write_once(tmp_path / "once", b"2" * 101),
        ):
            with pytest.raises(HostError, match=str(tmp_path)) as raised:
                write()
            assert "ulimit -f" in raised.value.hint
            assert isinstance(raised.value, GloveboxError)
        log.append(b"3")
    log.close()
    assert (tmp_path / "log").read_bytes() == b"1" * 90 + b"3"
    assert whole.read_bytes() == b"old"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["log", "whole"]


def test_temporary_files_never_lie_where_glovebox_was_started(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # What Python takes when no directory for such files can be written.
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    monkeypatch.delenv("TMPDIR", raising=False)
    with pytest.raises(HostError, match="temporary") as raised, files.temporary_dir():
        pass
    assert "TMPDIR" in raised.value.hint
    assert not list(tmp_path.iterdir())
    monkeypatch.setenv("TMPDIR", str(tmp_path))  # it is what was asked for
    with files.temporary_dir() as folder:
        assert folder.parent == tmp_path


def test_a_home_is_never_below_where_glovebox_was_started(monkeypatch: pytest.MonkeyPatch) -> None:
    account = Path(pwd.getpwuid(os.getuid()).pw_dir)
    for nowhere in ("", "rel", "."):
        monkeypatch.setenv("HOME", nowhere)
        assert env.home() == account
    monkeypatch.setattr(os, "getuid", lambda: 2**31 - 7)
    with pytest.raises(UserError, match="no home directory") as raised:
        env.home()
    assert "HOME" in raised.value.hint
    monkeypatch.setenv("HOME", "/somewhere")
    assert env.home() == Path("/somewhere")


def test_to_read_takes_memory_for_what_is_there_alone(tmp_path: Path) -> None:
    (tmp_path / "small").write_bytes(b"x" * 3_000_000)
    tracemalloc.start()
    try:
        assert len(files.read_bytes(tmp_path / "small", limit=500_000_000)) == 3_000_000
        assert tracemalloc.get_traced_memory()[1] < 20_000_000
    finally:
        tracemalloc.stop()
    assert len(files.read_bytes(tmp_path / "small", limit=3_000_000)) == 3_000_000
    with pytest.raises(UserError, match="larger than 2999999 bytes"):
        files.read_bytes(tmp_path / "small", limit=2_999_999)


def test_what_python_says_in_its_own_words_is_named_as_well() -> None:
    for error, word in (
        (MemoryError(), "memory"),
        (RuntimeError("can't start new thread"), "ulimit -u"),
        (OSError(errno.EMFILE, "Too many open files"), "ulimit -n"),
    ):
        refused = trouble.named(error)
        assert refused is not None
        assert word in refused.hint
    assert trouble.named(RuntimeError("dictionary changed size during iteration")) is None
    assert trouble.named(FileNotFoundError(errno.ENOENT, "No such file or directory")) is None
