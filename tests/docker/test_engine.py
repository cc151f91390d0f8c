"""What a person is told when the engine is not as it must be; engines that are scripts."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from agent.core.errors import SandboxUnavailable, UserError
from agent.host import system
from agent.sandbox import seccomp
from agent.sandbox.docker import calls, inside, troubles
from agent.sandbox.docker.engine import Engine, Machine
from agent.sandbox.protocol import Limits

INFO = {
    "Architecture": "x86_64",
    "NCPU": 4,
    "MemTotal": 8_000_000_000,
    "MemoryLimit": True,
    "PidsLimit": True,
    "SecurityOptions": ["name=seccomp,profile=default"],
}
PODMAN_INFO = {
    "host": {
        "arch": "arm64",
        "cpus": 4,
        "memTotal": 8_000_000_000,
        "cgroupControllers": ["memory", "pids"],
        "security": {"seccompEnabled": True},
    }
}
LOCAL = "unix:///var/run/docker.sock"


def engine(
    folder: Path, info: Any = None, *, host: str = LOCAL, said: str = "", name: str = "docker"
) -> Engine:
    """An engine whose `info` is this; with `said` every command fails with it."""
    (folder / "info").write_text(json.dumps(INFO if info is None else info))
    (folder / "said").write_text(said)
    script = f"""#!/bin/sh
case "$1 $2" in
  "context inspect") echo {host}; exit;;
esac
if [ -s {folder}/said ]; then cat {folder}/said >&2; exit 1; fi
cat {folder}/info
"""
    program = folder / "engine"
    program.write_text(script)
    program.chmod(0o755)
    return Engine(name, str(program))


async def test_an_engine_that_is_as_it_must_be(tmp_path: Path) -> None:
    assert await engine(tmp_path).machine() == Machine("x86_64", 4, 8_000_000_000)
    podman = engine(tmp_path, PODMAN_INFO, name="podman")
    assert await podman.machine() == Machine("aarch64", 4, 8_000_000_000)


DEBIAN = {"ID": "debian"}
NOT_RUNNING = "Cannot connect to the Docker daemon at unix:///x. Is the docker daemon running?"
DENIED = "Got permission denied while trying to connect to the Docker daemon socket at unix:///x"


@pytest.mark.parametrize(
    ("given", "message", "hint"),
    [
        ({"said": NOT_RUNNING}, "does not answer", "systemctl start docker"),
        ({"said": DENIED}, "may not use", "usermod -aG docker"),
        ({"said": "something else"}, "something else", "hello-world"),
        ({"info": {**INFO, "MemoryLimit": False}}, "cannot limit memory", "cgroup"),
        ({"info": {**INFO, "PidsLimit": False}}, "number of processes", "cgroup"),
        ({"info": {**INFO, "SecurityOptions": []}}, "system call filter", "update"),
        ({"info": {**INFO, "Architecture": "riscv64"}}, "riscv64", "x86_64 and aarch64"),
        ({"info": {"ServerErrors": [NOT_RUNNING]}}, "does not answer", "systemctl start docker"),
        ({"info": "text"}, "something else than an object", "hello-world"),
        ({"host": "ssh://elsewhere"}, "another machine: `ssh://elsewhere`", "engine: ssh://else"),
        ({"host": "tcp://10.0.0.1:2375"}, "another machine", "DOCKER_HOST"),
    ],
)
async def test_what_is_wrong_is_said_with_the_remedy(
    given: dict[str, Any],
    message: str,
    hint: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(system, "os_release", lambda: DEBIAN)
    with pytest.raises(SandboxUnavailable) as error:
        await engine(tmp_path, **given).machine()
    assert message in error.value.message
    assert hint in error.value.hint


@pytest.mark.parametrize(
    ("release", "command"),
    [
        ({"ID": "ubuntu"}, "apt install docker.io"),
        ({"ID": "linuxmint", "ID_LIKE": "ubuntu debian"}, "apt install docker.io"),
        ({"ID": "fedora"}, "dnf install podman"),
        ({"ID": "opensuse-tumbleweed"}, "zypper install docker"),
        ({"ID": "unheard"}, "your package manager"),
    ],
)
def test_how_to_install_one_is_said_in_the_words_of_the_distribution(
    release: dict[str, str], command: str
) -> None:
    assert command in troubles.missing(release).hint


def test_an_engine_is_found_by_name_or_address(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("agent.sandbox.docker.engine.PLACES", ())
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(SandboxUnavailable, match="neither is installed"):
        Engine.find()
    for name in ("podman", "docker"):
        (tmp_path / name).write_text("#!/bin/sh\n")
        (tmp_path / name).chmod(0o755)
        assert Engine.find().name == name  # docker comes first once it is there
    assert Engine.find("podman").is_podman
    elsewhere = Engine.find("ssh://box")
    assert elsewhere.remote and elsewhere.command("ps")[1:] == ["--host", "ssh://box", "ps"]
    assert not Engine.find("unix:///run/user/1000/docker.sock").remote
    with pytest.raises(UserError, match="no container engine `dockr`"):
        Engine.find("dockr")


def test_the_command_line_does_not_see_our_keys(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-secret")
    monkeypatch.setenv("DOCKER_CONTEXT", "mine")
    seen = engine(tmp_path).environment()
    assert "OPENAI_API_KEY" not in seen and seen["DOCKER_CONTEXT"] == "mine"


# what a container is told


def _plan(**more: Any) -> inside.Plan:
    machine = Machine("x86_64", 2, 8_000_000_000)
    given = {"name": "n", "image": "i", "user": 20_001, "labels": {}, "limits": Limits()}
    return inside.Plan(**{**given, "machine": machine, "filter_file": "/f", **more})


def test_nothing_of_the_host_is_mounted_but_the_proxy() -> None:
    words = inside.flags(_plan())
    assert not [w for w in words if "type=bind" in w or w in ("-v", "--volume", "--device")]
    assert "--privileged" not in words
    words = inside.flags(_plan(socket=Path('/a,b/"c/proxy')))
    bound = [w for w in words if "type=bind" in w]
    assert bound == ['type=bind,"src=/a,b/""c/proxy",dst=/run/agent/proxy,readonly']


def test_limits_come_from_the_spec_or_from_the_machine() -> None:
    def value(words: list[str], name: str) -> str:
        return words[words.index(name) + 1]

    words = inside.flags(_plan())
    assert value(words, "--memory") == value(words, "--memory-swap") == "6000000000"
    assert value(words, "--cpus") == "2"
    words = inside.flags(_plan(limits=Limits(memory_bytes=10**9, processes=7, cpus=64)))
    assert value(words, "--memory") == value(words, "--memory-swap") == "1000000000"
    assert (value(words, "--pids-limit"), value(words, "--cpus")) == ("7", "2")


def test_users_differ_and_fit_into_rootless_engines() -> None:
    users = {inside.user_of(f"s{n}") for n in range(50)}
    assert len(users) > 45 and all(1_000 < user < 65_536 for user in users)


def test_only_places_of_toolchains_are_taken_from_an_image() -> None:
    image = ["PATH=/opt/go/bin:/bin", "TOKEN=x", "JAVA_HOME=not a path", "GOROOT=/opt/go"]
    seen = inside.environment(image, {"MINE": "1"})
    assert seen["PATH"] == "/home/agent/.local/bin:/opt/go/bin:/bin"
    assert (seen["GOROOT"], seen["MINE"]) == ("/opt/go", "1")
    assert "TOKEN" not in seen and "JAVA_HOME" not in seen


# the filter


def test_the_filter_lets_nothing_through_that_the_local_one_refuses() -> None:
    for machine, denied in seccomp.DENIED.items():
        rules = json.loads(calls.filter_for(machine))["syscalls"]
        free = {n for r in rules if not r["args"] for n in r["names"]}
        refused = {*denied, *seccomp.DENIED_EVERYWHERE, *seccomp.BY_ARGUMENT[machine]}
        assert free & refused == set()
        assert not set(calls.ALLOWED) & {*seccomp.ABSENT}


def _lets(rules: list[dict[str, Any]], name: str, *arguments: int) -> bool:
    """Whether one of the rules for a call holds."""

    def holds(test: dict[str, Any]) -> bool:
        value = arguments[test["index"]]
        if test["op"] == "SCMP_CMP_EQ":
            return value == test["value"]
        return value & test["value"] == test["valueTwo"]

    return any(all(map(holds, rule["args"])) for rule in rules if name in rule["names"])


def test_calls_are_let_through_by_their_arguments() -> None:
    rules = json.loads(calls.filter_for("x86_64"))["syscalls"]
    high = 1 << 32
    for command in range(0x5300, 0x5500):
        refused = command in (seccomp.TIOCSTI, seccomp.TIOCLINUX)
        assert _lets(rules, "ioctl", 0, command) is not refused
        assert _lets(rules, "ioctl", 0, command + high) is not refused
    assert _lets(rules, "ioctl", 0, 0xC0105401)
    families = [n for n in range(64) if _lets(rules, "socket", n, 1, 0)]
    assert families == [1, 2, 10, 16]
    assert not _lets(rules, "socket", 16, 3, 9)
    assert _lets(rules, "clone", 0x01200011) and not _lets(rules, "clone", 0x10000011)
    assert _lets(rules, "unshare", 0x400) and not _lets(rules, "unshare", 0x80)
    kinds = [k for k in range(0, 0o200000, 0o10000) if _lets(rules, "mknod", 0, k | 0o644)]
    assert 0o020000 not in kinds and 0o060000 not in kinds
    assert {0, 0o010000, 0o100000, 0o140000} <= set(kinds)
