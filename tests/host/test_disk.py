from __future__ import annotations

import os
import threading
from pathlib import Path

import pytest

from agent.host import disk


def test_what_lies_at_a_path_is_said_without_following_links(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"12345")
    (tmp_path / "dir").mkdir()
    (tmp_path / "link").symlink_to("dir")
    os.mkfifo(tmp_path / "pipe")
    names = (b"file", b"dir", b"link", b"pipe", b"none", b"file/below", b"\xff")
    kinds = [disk.look(tmp_path, name).kind for name in names]
    assert kinds == ["file", "dir", "link", "other", "absent", "absent", "absent"]
    assert disk.look(tmp_path, b"file").size == 5


def test_a_copy_is_exact_to_the_nanosecond(tmp_path: Path) -> None:
    (tmp_path / "old").write_bytes(b"x" * 100_000)
    os.utime(tmp_path / "old", ns=(1_234_567_890_123_456_789, 1_234_567_890_987_654_321))
    assert disk.copy_exactly(tmp_path / "old", tmp_path / "new")
    assert (tmp_path / "new").stat().st_mtime_ns == 1_234_567_890_987_654_321
    assert (tmp_path / "new").read_bytes() == (tmp_path / "old").read_bytes()
    assert not disk.copy_exactly(tmp_path / "none", tmp_path / "other")
    assert not (tmp_path / "other").exists()


def test_a_descriptor_stands_where_it_should_and_follows_no_link(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"0123456789")
    with disk.reading(tmp_path / "file", 4) as descriptor:
        assert os.read(descriptor, 100) == b"456789"
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fstat(descriptor)
    (tmp_path / "link").symlink_to("file")
    with pytest.raises(OSError, match="symbolic link"), disk.reading(tmp_path / "link"):
        pass


def test_only_one_of_many_writes_once(tmp_path: Path) -> None:
    won: list[int] = []

    def write(n: int) -> None:
        if disk.write_once(tmp_path / "below" / "id", f"{n}\n".encode() * 1000):
            won.append(n)

    threads = [threading.Thread(target=write, args=(n,)) for n in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(won) == 1
    assert (tmp_path / "below/id").read_bytes() == f"{won[0]}\n".encode() * 1000
    assert [p.name for p in (tmp_path / "below").iterdir()] == ["id"]
