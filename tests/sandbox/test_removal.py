"""Removing what a hostile program left behind."""

from __future__ import annotations

import os
from pathlib import Path

from agent.host.files import remove_tree


def test_links_are_removed_and_never_followed(tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir(0o750)
    (outside / "canary").write_text("mine")
    tree = tmp_path / "tree"
    (tree / "sub").mkdir(parents=True)
    (tree / "to-dir").symlink_to(outside)
    (tree / "sub" / "to-file").symlink_to(outside / "canary")
    (tree / "sub" / "nowhere").symlink_to("/no/such/place")
    os.mkfifo(tree / "sub" / "fifo")
    remove_tree(tree)
    assert not tree.exists()
    assert (outside / "canary").read_text() == "mine"
    assert outside.stat().st_mode & 0o777 == 0o750


def test_modes_do_not_matter(tmp_path: Path) -> None:
    tree = tmp_path / "tree"
    inner = tree / "a" / "b" / "c"
    inner.mkdir(parents=True)
    (inner / "file").touch(0o000)
    for folder in (inner, inner.parent, inner.parent.parent):
        folder.chmod(0o000)
    remove_tree(tree)
    assert not tree.exists()


def test_depth_does_not_matter(tmp_path: Path) -> None:
    tree = tmp_path / "tree"
    tree.mkdir()
    at = os.open(tree, os.O_RDONLY | os.O_DIRECTORY)
    for _ in range(3_000):
        os.mkdir("deeper", dir_fd=at)
        below = os.open("deeper", os.O_RDONLY | os.O_DIRECTORY, dir_fd=at)
        os.close(at)
        at = below
    os.close(at)
    remove_tree(tree)
    assert not tree.exists()


def test_nothing_there_is_no_error_and_changes_nothing(tmp_path: Path) -> None:
    tmp_path.chmod(0o751)
    remove_tree(tmp_path / "absent")
    assert tmp_path.stat().st_mode & 0o777 == 0o751


def test_a_link_in_its_place_is_removed_itself(tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "canary").touch()
    (tmp_path / "tree").symlink_to(outside)
    remove_tree(tmp_path / "tree")
    assert not (tmp_path / "tree").is_symlink()
    assert (outside / "canary").exists()
