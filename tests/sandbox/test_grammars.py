"""The grammars that go into sandboxes: which, from where, once, and what is said without them."""

from __future__ import annotations

import asyncio
import hashlib
import re
import shutil
import tomllib
import zipfile
from pathlib import Path
from typing import Any

import pytest

from agent.host import extensions
from agent.sandbox import grammars
from agent.sandbox.docker.backend import DockerSandbox
from agent.sandbox.protocol import Sandbox
from agent.sandbox.wheels import WHEELS
from agent.toolbox.code.languages import LANGUAGES, MODULES
from tests.daytona_fixtures import serving, use
from tests.docker.engine import docker_backend, docker_spec
from tests.sandbox_fixtures import local_sandbox, new_spec

OWN = extensions.suffix()
MINOR = int(re.findall(r"cpython-3(\d+)", OWN)[0])
OTHER = OWN.replace(f"3{MINOR}", f"3{23 - MINOR}")  # of another version, same machine


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A cache of its own, which root's sandboxes need not reach."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr("agent.host.env.passable", lambda path: True)
    return tmp_path / "cache" / "glovebox"


# The tables.


def test_both_ends_know_the_same_grammars():
    assert list(grammars.GRAMMARS) == MODULES


def test_the_wheels_are_those_of_our_own_requirements():
    project = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text())
    wanted = {word for word in project["project"]["dependencies"] if "tree-sitter" in word}
    assert {grammars._requirement(name) for name in WHEELS} == wanted


@pytest.mark.parametrize("minor", range(10, 15))
@pytest.mark.parametrize("kind", ["x86_64-linux-gnu", "aarch64-linux-gnu", "x86_64-linux-musl"])
def test_every_target_that_is_promised_has_all_its_wheels(minor: int, kind: str):
    target = f".cpython-3{minor}-{kind}.so"
    assert grammars.problem(target) == ""
    assert set(grammars._wheels(target)) == {grammars.CORE, *grammars.GRAMMARS}


@pytest.mark.parametrize(
    ("target", "said"),
    [
        (".cpython-38-x86_64-linux-gnu.so", "needs Python 3.10 or newer, the sandbox has 3.8"),
        (".cpython-39-aarch64-linux-gnu.so", "needs Python 3.10 or newer, the sandbox has 3.9"),
        (".cpython-312-aarch64-linux-musl.so", "Python 3.12 on aarch64 with musl libc"),
        (".cpython-399-x86_64-linux-gnu.so", "Python 3.99 on x86_64"),
        (".cpython-313t-x86_64-linux-gnu.so", "of the kind `.cpython-313t"),
        (".pypy310-pp73-x86_64-linux-gnu.so", "of the kind `.pypy310"),
        ("", "of the kind `unknown`"),
        ("x; rm -rf /", "of the kind `unknown`"),
        ("\x1b[31m.so", "of the kind `unknown`"),
    ],
)
def test_what_cannot_be_had_is_said(target: str, said: str):
    assert said in grammars.problem(target)


# The bundle.


def test_a_bundle_is_made_once_of_this_environment(cache: Path):
    folder = grammars.found(OWN)
    assert folder is not None
    assert {p.name for p in folder.iterdir()} == {grammars.CORE, *grammars.GRAMMARS}
    assert (folder / "tree_sitter" / f"_binding{OWN}").stat().st_mode & 0o777 == 0o444
    made = folder.stat().st_ino
    assert grammars.found(OWN) == folder
    assert folder.stat().st_ino == made
    assert extensions.archive(folder) == extensions.archive(folder)
    # Its name is its content.
    shutil.rmtree(cache / "grammars")
    assert grammars.found(OWN) == folder


def test_a_bundle_that_somebody_removed_is_made_again(cache: Path):
    folder = grammars.found(OWN)
    assert folder is not None
    shutil.rmtree(folder)
    again = grammars.found(OWN)
    assert again == folder
    assert (again / "tree_sitter").is_dir()


def wheel_for(target: str, monkeypatch: pytest.MonkeyPatch, content: bytes) -> Path:
    """A wheel of tree-sitter for a target, known by its hash, where fetched ones lie."""
    name = grammars._wheels(target)[grammars.CORE]
    path = extensions.wheels() / name
    with zipfile.ZipFile(path, "w") as opened:
        opened.writestr("tree_sitter/__init__.py", "")
        opened.writestr(f"tree_sitter/_binding{target}", content)
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    monkeypatch.setattr(grammars, "WHEELS", {**WHEELS, name: digest})
    return path


def test_another_python_gets_its_own_tree_sitter_from_a_wheel(
    cache: Path, monkeypatch: pytest.MonkeyPatch
):
    assert grammars.found(OTHER) is None
    wheel_for(OTHER, monkeypatch, b"for another")
    folder = grammars.found(OTHER)
    assert folder is not None
    assert (folder / "tree_sitter" / f"_binding{OTHER}").read_bytes() == b"for another"
    own = grammars.found(OWN)
    assert own is not None and own != folder
    same = "tree_sitter_python/_binding.abi3.so"
    assert (folder / same).read_bytes() == (own / same).read_bytes()


def test_a_wheel_that_is_not_the_one_we_know_is_not_used(
    cache: Path, monkeypatch: pytest.MonkeyPatch
):
    wheel = wheel_for(OTHER, monkeypatch, b"for another")
    wheel.write_bytes(wheel.read_bytes() + b" ")
    assert grammars.found(OTHER) is None
    wheel.write_bytes(b"")
    assert grammars.found(OTHER) is None


def test_without_the_right_wheel_a_local_sandbox_starts_all_the_same(
    cache: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(grammars, "local_target", lambda python: OTHER)
    assert grammars.for_local("/usr/bin/python3") == ""
    assert any(OTHER in note for note in grammars.notes())


def test_a_cache_that_cannot_be_written_holds_nobody_up(
    cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    (tmp_path / "file").touch()
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    assert grammars.for_local("/usr/bin/python3") == ""
    monkeypatch.setattr(grammars, "local_target", lambda python: OTHER)
    assert grammars.for_local("/usr/bin/python3") == ""


async def test_fetching_fails_once_a_day_and_says_why(cache: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", "")
    monkeypatch.setenv("PIP_CONFIG_FILE", "/dev/null")
    said = await grammars.fetch(OTHER)
    assert "tree-sitter==0.26.1" in said
    monkeypatch.delenv("PIP_NO_INDEX")
    assert await grammars.fetch(OTHER) == said


# Inside.


async def probe(sandbox: Sandbox, **more: Any) -> dict[str, Any]:
    return await sandbox.toolbox.call("grammars", probe=True, **more)


async def brought(sandbox: Any) -> None:
    await asyncio.wait([sandbox._bringing])


@pytest.mark.sandbox
async def test_a_local_sandbox_has_all_of_them_and_cannot_change_them():
    async with local_sandbox() as sandbox:
        assert sandbox.notes == ()
        assert sandbox.toolbox.target == grammars.local_target("/usr/bin/python3")
        answer = await probe(sandbox, folder=grammars.PLACE)
        assert (answer["ready"], answer["able"]) == (True, sorted(LANGUAGES))
        tried = await sandbox.exec(["touch", f"{grammars.PLACE}/tree_sitter/new"])
        assert b"Read-only" in tried.output


@pytest.mark.sandbox
async def test_a_local_sandbox_without_them_does(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(grammars, "for_local", lambda python: "")
    async with local_sandbox() as sandbox:
        (note,) = sandbox.notes
        assert "regular expressions" in note
        assert "glovebox doctor" in note
        answer = await probe(sandbox)
        assert (answer["ready"], answer["able"]) == (False, [])


@pytest.mark.sandbox
@pytest.mark.docker
@pytest.mark.slow
async def test_a_container_gets_them_once(monkeypatch: pytest.MonkeyPatch):
    with docker_backend() as backend:
        spec = docker_spec()
        sandbox = await backend.create(spec)
        await brought(sandbox)
        assert (await probe(sandbox))["able"] == sorted(LANGUAGES)
        await sandbox.close()
        # What is there is not carried again, and nothing inside can change it.
        monkeypatch.setattr(DockerSandbox, "_carry", None)
        again = await backend.attach(sandbox.ref, spec)
        tried = await again.exec(["sh", "-c", "rm -rf /run/agent/grammars*; touch /run/agent/x"])
        assert b"denied" in tried.output or b"Read-only" in tried.output
        await brought(again)
        assert (await probe(again))["able"] == sorted(LANGUAGES)
        await backend.destroy(sandbox.ref)


@pytest.mark.sandbox
@pytest.mark.slow
async def test_a_daytona_machine_gets_them_once(monkeypatch: pytest.MonkeyPatch):
    with serving() as server:
        backend = use(server, monkeypatch, grammars=True)
        spec = new_spec()
        sandbox = await backend.create(spec)
        await brought(sandbox)
        assert (await probe(sandbox))["able"] == sorted(LANGUAGES)
        sent = len(server.sent("POST", r"/files/"))
        assert sent
        again = await backend.attach(sandbox.ref, spec)
        await brought(again)
        assert (await probe(again))["able"] == sorted(LANGUAGES)
        assert len(server.sent("POST", r"/files/")) == sent
        await backend.destroy(sandbox.ref)


@pytest.mark.sandbox
@pytest.mark.slow
async def test_an_archive_that_came_damaged_is_refused(monkeypatch: pytest.MonkeyPatch):
    async with local_sandbox() as sandbox:
        data = b"no archive at all"
        await sandbox.put("a.tar.gz", data)
        for digest in ("", hashlib.sha256(data).hexdigest()):
            answer = await sandbox.toolbox.call(
                "grammars", folder="/tmp/g", archive="/workspace/a.tar.gz", digest=digest
            )
            assert not answer["ok"], answer
        left = await sandbox.exec(["sh", "-c", "ls -a /tmp/g /tmp/.new-* 2>&1 | wc -l"])
        assert left.output.strip() == b"2"
