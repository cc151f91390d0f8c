"""Toolchains of the user's home: usable inside, and nothing else of the home with them."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from agent.host import env, files, toolchains
from agent.sandbox import carry
from agent.sandbox.local import LocalBackend
from tests.sandbox_fixtures import local_sandbox, new_spec

SECRET = "secret-of-the-home"


def program(path: Path, text: str, mode: int = 0o755) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    path.chmod(mode)
    return path


@pytest.fixture
def home(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A home that, as root's, nobody else may pass through."""
    with files.temporary_dir("gbh-") as home:
        monkeypatch.setenv("HOME", str(home))
        for path in (".cargo/credentials.toml", ".npmrc", ".pypirc", ".config/x", ".pyenv/secret"):
            program(home / path, SECRET, 0o644)
        one = home / ".pyenv" / "versions" / "9.10.0"
        program(one / "bin" / "python9", "#!/bin/sh\necho python9 $LD_LIBRARY_PATH $*\n")
        program(one / "bin" / "pip9", f"#!{one}/bin/python9\nnever run as this\n")
        program(one / "pip.conf", SECRET)
        program(one / "etc" / "npmrc", SECRET)
        program(one / "lib" / "libpython9.so.1.0", "")
        program(home / ".pyenv" / "versions" / "9.9.0" / "bin" / "python9", "#!/bin/sh\necho old\n")
        program(home / ".pyenv" / "versions" / "9.9.0" / "bin" / "python99", "#!/bin/sh\necho 99\n")
        program(home / ".pyenv" / "version", "9.10.0\n")
        program(home / ".nvm/versions/node/v9.0.0/bin/node9", "#!/bin/sh\necho node nine\n")
        program(home / ".nvm/versions/node/v10.0.0/bin/node9", "#!/bin/sh\necho node ten\n")
        program(home / ".cargo" / "bin" / "ripper", "#!/bin/sh\necho ripper\n")
        program(home / ".local" / "bin" / "uv", "#!/bin/sh\necho uv\n")
        program(home / ".local" / "bin" / "own-script", SECRET)
        yield home


@pytest.mark.sandbox
async def test_they_work_inside(home: Path) -> None:
    async with local_sandbox() as sandbox:
        script = "python9; python99; pip9 install 'a b'; node9; ripper; uv"
        result = await sandbox.exec(["sh", "-c", script])
        place = "/opt/toolchains"
        assert result.output.decode().splitlines() == [
            f"python9 {place}/lib",
            "99",
            f"python9 {place}/lib {place}/python-9.10.0/bin/pip9 install a b",
            "node ten",
            "ripper",
            "uv",
        ]
        libraries = await sandbox.exec(["sh", "-c", "cat /opt/toolchains/lib/libpython9.so.1.0"])
        assert libraries.exit_code == 0


@pytest.mark.sandbox
async def test_nothing_else_of_the_home_comes_with_them(home: Path) -> None:
    async with local_sandbox() as sandbox:
        script = f"grep -r {SECRET} /opt / --exclude-dir=proc --exclude-dir=usr -s; echo $?; env"
        result = await sandbox.exec(["sh", "-c", script])
        assert result.output.startswith((b"1\n", b"2\n")), result
        assert str(home).encode() not in result.output
        assert (await sandbox.exec(["own-script"])).exit_code == 127
        for target in ("python-9.10.0/new", "python-9.10.0/pip.conf", "bin/new", "new"):
            touched = await sandbox.exec(["sh", "-c", f"echo x >/opt/toolchains/{target}"])
            assert touched.exit_code != 0
    assert (home / ".pyenv/versions/9.10.0/pip.conf").read_text() == SECRET


@pytest.mark.sandbox
async def test_the_facts_name_them(home: Path) -> None:
    program(home / ".rustup/toolchains/own/bin/swift", "#!/bin/sh\necho it is there\n")
    carry._found.cache_clear()
    assert "swift" in LocalBackend(Path("/nowhere")).facts(new_spec()).programs
    async with local_sandbox() as sandbox:
        assert (await sandbox.exec(["swift"])).output == b"it is there\n"


def test_what_is_not_as_it_should_be_stays_outside(home: Path) -> None:
    versions = home / ".pyenv" / "versions"
    (versions / "9.9.0").chmod(0o777)
    (versions / "9.8.0").symlink_to(versions / "9.10.0")
    outside = home / "outside"
    program(outside / "bin" / "x", "")
    (home / ".nvm" / "versions" / "node" / "v11").symlink_to(outside)
    (versions / "9.7.0" / "bin").mkdir(parents=True)
    (versions / "9.7.0" / "pip.conf").symlink_to(outside)
    (home / ".cargo" / "bin").rename(home / "elsewhere")
    (home / ".cargo" / "bin").symlink_to(home / "elsewhere")
    found = toolchains.find()
    names = {one.name for one in found.toolchains}
    assert names == {"python-9.10.0", "node-v10.0.0", "node-v9.0.0", "uv"}
    said = "\n".join(found.left_out)
    for part in (
        "9.9.0: everybody may write",
        "9.7.0: a file with",
        "cargo-programs: it is a link",
    ):
        assert part in said


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")
def test_what_belongs_to_others_stays_outside(home: Path) -> None:
    os.chown(home / ".pyenv" / "versions" / "9.9.0" / "bin", 12345, 12345)
    assert "9.9.0: it belongs to another user" in "\n".join(toolchains.find().left_out)


def test_a_home_without_any_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    with files.temporary_dir() as empty:
        monkeypatch.setenv("HOME", str(empty))
        assert toolchains.find() == toolchains.Found()
        assert carry.Carried().options(lambda _: 0) == []
        assert carry.Carried().environment("a:b") == {}


@pytest.mark.sandbox
async def test_the_mounts_of_root_show_nowhere(home: Path) -> None:
    async with local_sandbox() as sandbox:
        assert (await sandbox.exec(["ripper"])).output == b"ripper\n"
        assert "toolchains" not in Path("/proc/self/mountinfo").read_text()


@pytest.mark.sandbox
async def test_where_root_may_not_make_mounts_it_is_said(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def refuse(paths: object) -> object:
        raise PermissionError(1, "no mounts here")

    monkeypatch.setattr(carry, "reach", refuse)
    monkeypatch.setattr(env, "is_root", lambda: True)
    monkeypatch.setattr(carry, "_refused", [])
    assert await carry.carry() == carry.Carried()
    assert "no mounts here" in "\n".join(LocalBackend(Path("/nowhere")).capabilities.notes)


def test_versions_are_ordered_as_numbers() -> None:
    names = ["3.10.0", "system", "3.9.1", "v3", "3.10.0rc1"]
    ordered = ["3.9.1", "3.10.0", "3.10.0rc1", "system", "v3"]
    assert sorted(sorted(names, key=toolchains._order), key=lambda n: not n[0].isdigit()) == ordered
