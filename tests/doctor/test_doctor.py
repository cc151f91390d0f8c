"""`glovebox doctor`: the right part is named, and the fix in the words of the distribution."""

from __future__ import annotations

import json
import os
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from agent.cli.doctor import report_text
from agent.config import Settings
from agent.doctor import distribution, local, machine, remote
from agent.doctor.examination import examination
from agent.doctor.gits import holes_of
from agent.doctor.report import Finding, Report, Section
from agent.host import system
from agent.sandbox import bubblewrap, grammars
from agent.sandbox.docker import engine
from agent.sandbox.protocol import SandboxSpec
from tests.e2e.rig import User

SPEC = SandboxSpec("doctor", network="none")
NO_NAMESPACES = (
    *("bwrap", "--dev-bind", "/", "/", "--unshare-user", "--uid", "1000", "--gid", "1000"),
    "--disable-userns",
)


def named(section: Section, name: str) -> Finding:
    return next(f for f in section.findings if f.name == name)


@pytest.mark.sandbox
def test_a_machine_that_works_is_told_so_and_no_key_is_shown(user: User) -> None:
    user.start()
    done = user.glovebox("doctor", "--network", "none", "--json")
    report = json.loads(done.out)
    assert (done.code, report["ok"]) == (0, True)
    assert "local" in report["backends"]
    states = {f["name"]: f["state"] for s in report["sections"][:2] for f in s["findings"]}
    assert {"git", "state directory", "user namespaces", "network namespace"} <= states.keys()
    assert set(states.values()) <= {"ok", "warning", "skipped"}
    assert "OPENAI_API_KEY" in done.out
    assert "sk-canary-key" not in done.out + done.err
    text = user.glovebox("doctor", "--network", "none").out
    assert "Sandboxes can be made with `local`" in text
    assert "sk-canary-key" not in text


@pytest.mark.sandbox
def test_a_machine_without_user_namespaces_is_told_which_part_is_missing(user: User) -> None:
    user.start()
    done = user.glovebox("doctor", "--json", "--network", "none", within=NO_NAMESPACES)
    report = json.loads(done.out)
    assert done.code == 5
    assert "local" not in report["backends"]
    found = {f["name"]: f for s in report["sections"] for f in s["findings"]}
    for name in ("user namespaces", "network namespace"):
        assert found[name]["state"] == "failed"
        assert "sudo" in found[name]["fix"]
    assert found["bubblewrap"]["state"] == "failed" or "bwrap" in found["bubblewrap"]["found"]


@pytest.mark.sandbox
async def test_a_missing_bubblewrap_is_named_with_the_command(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(bubblewrap, "PROGRAM_PLACES", ())
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(system, "os_release", lambda: {"ID": "fedora"})
    section = await local.section(SPEC, tmp_path / "root")
    assert named(section, "bubblewrap").fix == "install it with `sudo dnf install bubblewrap`"
    assert named(section, "user namespaces").found == "not tested: bubblewrap is missing"
    assert not section.usable


@pytest.mark.sandbox
async def test_a_filter_that_takes_no_effect_is_found_out(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(local, "_FILTERED", "exit 1")
    section = await local.section(SPEC, tmp_path / "root")
    assert named(section, "system call filter").state == "failed"


@pytest.mark.parametrize(
    ("release", "words"),
    [
        ({"ID": "debian"}, "sudo apt install git"),
        ({"ID": "linuxmint", "ID_LIKE": "ubuntu debian"}, "sudo apt install git"),
        ({"ID": "rocky", "ID_LIKE": "rhel centos fedora"}, "sudo dnf install git"),
        ({"ID": "opensuse-tumbleweed"}, "sudo zypper install git"),
        ({"ID": "gentoo"}, "sudo emerge dev-vcs/git"),
        ({}, "with your package manager"),
    ],
)
def test_what_is_missing_is_installed_in_the_words_of_the_distribution(
    release: dict[str, str], words: str
) -> None:
    assert words in distribution.install("git", release)


def test_what_forbids_user_namespaces_decides_the_fix() -> None:
    debian, ubuntu, fedora = {"ID": "debian"}, {"ID": "ubuntu"}, {"ID": "fedora"}
    say = distribution.allow_user_namespaces
    assert "unprivileged_userns_clone=1" in say(debian, apparmor=False)
    assert "max_user_namespaces" in say(fedora, apparmor=False)
    assert "apparmor-profiles" in say(ubuntu, apparmor=True)
    assert "weakens the whole computer" in say(ubuntu, apparmor=True)
    assert "apparmor-profiles" not in say(debian, apparmor=True)


def fake(folder: Path, name: str, script: str) -> None:
    path = folder / name
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)


@pytest.mark.parametrize(
    ("told", "newest", "old"),
    [
        ("git version 2.32.0", 7, True),
        ("git version 2.39.3 (Apple Git-145)", 3, True),
        ("git version 2.39.4", 2, False),
        ("git version 2.41.1.windows.1", 2, False),
        ("git version 2.43.6", 1, False),
        ("git version 2.43.7", 0, False),
        ("git version 2.46", 2, False),
        ("git version 2.50.0", 1, False),
        ("git version 2.50.1", 0, False),
        ("git version 2.51.0", 0, False),
        ("git version unknown", 0, False),
    ],
)
def test_known_holes_of_a_git_are_named(told: str, newest: int, old: bool) -> None:
    holes = holes_of(told)
    assert (len(holes), any(hole.old for hole in holes)) == (newest, old)


async def test_a_git_with_old_holes_is_warned_of(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    for version, state in (("2.39.1", "warning"), ("2.45.2", "ok"), ("2.50.1", "ok")):
        fake(tmp_path, "git", f'test "$5" = --version && echo git version {version}; exit 0')
        found = named(await machine.section(tmp_path / "state", ""), "git")
        assert found.state == state
        assert ("CVE-2024-32002" in found.found) == (state == "warning")
        assert ("CVE-2025-48384" in found.found) == (version != "2.50.1")


async def test_a_git_that_is_absent_old_or_broken_is_told(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    section = await machine.section(tmp_path / "state", "")
    assert "not installed" in named(section, "git").found
    for script, word in (
        ("echo git version 2.20.1", "too old"),
        ('test "$5" = --version && echo git version 2.45.0 || exit 3', "fails"),
    ):
        fake(tmp_path, "git", script)
        found = named(await machine.section(tmp_path / "state", ""), "git")
        assert (found.state, word in found.found) == ("failed", True)
        assert found.fix


async def test_a_state_directory_that_cannot_be_used_is_essential(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    section = await machine.section(tmp_path / "file" / "glovebox", "")
    assert named(section, "state directory").state == "failed"
    works = Section("local", (), backend="local", usable=True)
    assert not Report("x", (section, works)).ok
    open_one = tmp_path / "open"
    open_one.mkdir()
    open_one.chmod(0o755)
    found = named(await machine.section(open_one, ""), "state directory")
    assert (found.state, found.fix) == ("warning", f"`chmod go-rw {open_one}`")


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a directory away")
async def test_a_state_directory_of_somebody_else_is_told(tmp_path: Path) -> None:
    os.chown(tmp_path, 12345, 12345)
    found = named(await machine.section(tmp_path, ""), "state directory")
    assert "12345" in found.found


async def test_a_daemon_that_refuses_us_is_told_with_what_it_would_mean(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    fake(
        tmp_path,
        "docker",
        'test "$1" = context && echo unix:///x && exit\n'
        "echo permission denied while trying to connect to the Docker daemon socket >&2; exit 1",
    )
    monkeypatch.setattr(engine, "PLACES", (str(tmp_path),))
    section = await remote.docker(SPEC, tmp_path / "root")
    found = named(section, "engine")
    assert (found.state, section.usable) == ("failed", False)
    assert "usermod -aG docker" in found.fix
    assert "as good as root" in found.fix


async def test_nothing_of_docker_is_no_fault(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(remote, "PLACES", ())
    monkeypatch.setenv("PATH", str(tmp_path))
    section = await remote.docker(SPEC, tmp_path / "root")
    assert [f.state for f in section.findings] == ["skipped"]


async def test_daytona_that_cannot_be_reached_is_told_without_its_key(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    pytest.importorskip("daytona")
    assert named(await remote.daytona(SPEC, tmp_path), "credentials").state == "skipped"
    monkeypatch.setenv("DAYTONA_API_KEY", "canary-of-daytona")
    monkeypatch.setenv("DAYTONA_API_URL", "http://127.0.0.1:1/api")
    section = await remote.daytona(replace(SPEC, labels={"glovebox.owner": "x"}), tmp_path)
    assert named(section, "service").state == "failed"
    assert not section.usable
    text = report_text(Report("x", (section,)))
    assert "canary-of-daytona" not in text


@pytest.mark.sandbox
async def test_the_whole_examination_leaves_nothing(user: User) -> None:
    report = await examination(Settings(network="none"), user.state / "glovebox")
    assert report.ok
    assert list((user.state / "glovebox" / "sandboxes").glob("*")) == []


@pytest.mark.sandbox
async def test_grammars_are_there_or_it_is_said_how_to_get_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    finding = local._grammars()
    assert (finding.state, finding.found) == ("ok", "tree-sitter with 18 grammars"), finding
    other = 13 if sys.version_info[1] == 14 else 14
    for minor, said in ((8, "needs Python 3.10"), (other, "is not here")):
        target = f".cpython-3{minor}-{system.machine()}-linux-gnu.so"
        monkeypatch.setattr(grammars, "local_target", lambda python, target=target: target)
        finding = local._grammars()
        assert finding.state == "warning"
        assert said in finding.found
    assert f"--python-version 3.{other}" in finding.fix
    assert str(tmp_path) in finding.fix
    assert finding.fix.endswith("tree-sitter==0.26.1`")
