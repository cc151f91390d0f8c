"""What bubblewrap is told."""

from __future__ import annotations

from pathlib import Path, PurePosixPath

import pytest

from agent.core.errors import SandboxError
from agent.sandbox import bubblewrap
from agent.sandbox.bubblewrap import DIRECTORIES, Plan, listed, options

MOUNTS = {
    "--bind": 2, "--ro-bind": 2, "--ro-bind-try": 2, "--ro-bind-data": 2, "--symlink": 2,
    "--tmpfs": 1, "--proc": 1, "--dev": 1, "--dir": 1,
}  # fmt: skip
OTHERS = {
    "--size": 1, "--perms": 1, "--uid": 1, "--gid": 1, "--hostname": 1, "--cap-drop": 1,
    "--setenv": 2, "--chdir": 1, "--seccomp": 1, "--remount-ro": 1,
}  # fmt: skip


@pytest.fixture
def steps() -> list[tuple[str, ...]]:
    """The options with their values, one by one."""
    plan = Plan(Path("/state/s1"), {"MINE": "a b"}, b"zip", b"bpf")
    words = iter(options(plan, lambda content: 9))
    sizes = MOUNTS | OTHERS
    return [(word, *(next(words) for _ in range(sizes.get(word, 0)))) for word in words]


def test_nothing_is_mounted_below_what_the_sandbox_can_write(steps: list[tuple[str, ...]]) -> None:
    mounted = [PurePosixPath(step[-1]) for step in steps if step[0] in MOUNTS]
    for own in map(PurePosixPath, DIRECTORIES.values()):
        assert mounted.count(own) == 1
        assert not [path for path in mounted if own in path.parents]


def test_its_own_directories_are_all_that_is_bound_for_writing(
    steps: list[tuple[str, ...]],
) -> None:
    bound = {step[2]: step[1] for step in steps if step[0] == "--bind"}
    assert bound == {inside: f"/state/s1/{name}" for name, inside in DIRECTORIES.items()}
    last = max(i for i, step in enumerate(steps) if step[0] in MOUNTS)
    assert [step[0] for step in steps[last - 2 : last + 1]] == ["--bind"] * 3


def test_of_the_host_only_system_directories_show(steps: list[tuple[str, ...]]) -> None:
    sources = {step[1] for step in steps if step[0].startswith("--ro-bind") and step[1] != "9"}
    allowed = ("/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32", "/dev/null")
    assert all(source in allowed or source.startswith("/etc/") for source in sources)
    private = ("/etc", "/etc/ssl", "/etc/ssl/private", "/etc/shadow", "/etc/passwd", "/etc/pki")
    assert not sources.intersection(private)


def test_every_memory_file_system_has_a_size(steps: list[tuple[str, ...]]) -> None:
    at = [i for i, step in enumerate(steps) if step[0] == "--tmpfs"]
    assert at
    assert all(steps[i - 2][0] == "--size" for i in at)
    assert ("--remount-ro", "/") in steps
    assert ("--remount-ro", "/dev") in steps


@pytest.mark.parametrize(
    "flag",
    [
        "--unshare-user", "--unshare-ipc", "--unshare-pid", "--unshare-net", "--unshare-uts",
        "--unshare-cgroup-try", "--disable-userns", "--new-session", "--as-pid-1",
        "--clearenv",
    ],
)  # fmt: skip
def test_each_wall_is_asked_for(steps: list[tuple[str, ...]], flag: str) -> None:
    assert (flag,) in steps


def test_the_filter_comes_last_and_capabilities_go(steps: list[tuple[str, ...]]) -> None:
    assert steps[-1] == ("--seccomp", "9")
    assert ("--cap-drop", "ALL") in steps
    assert ("--ro-bind", "/dev/null", "/proc/keys") in steps


def test_the_environment_is_ours_plus_what_is_given(steps: list[tuple[str, ...]]) -> None:
    seen = {step[1]: step[2] for step in steps if step[0] == "--setenv"}
    assert seen == {**bubblewrap.ENVIRONMENT, "MINE": "a b"}


def test_options_travel_with_every_byte_and_cannot_be_smuggled() -> None:
    assert listed(["--setenv", "A", "x y\n\udcff"]) == b"--setenv\0A\0x y\n\xff\0"
    with pytest.raises(SandboxError):
        listed(["--setenv", "A", "x\0--bind\0/\0/host"])
