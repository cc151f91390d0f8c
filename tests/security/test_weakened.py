"""Each wall of a local sandbox taken away in turn: the attempt that it stops must then succeed.

A probe that cannot succeed proves nothing. Where two walls stand behind each other both go, and the
table says which. Not in it, because something else always does the same: `--new-session` (what
starts bubblewrap makes a session, the toolbox one for every program), `--as-pid-1` (process 1 and
the toolbox both end with their channel; what is killed at any moment is in `test_starts`), `mknod`
(there is no capability for it).
"""

from __future__ import annotations

import contextlib
import ctypes
import functools
import os
import platform
import secrets
import socket
import subprocess
from collections.abc import AsyncGenerator, Callable, Generator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from agent.core import limits
from agent.host import files
from agent.sandbox import bubblewrap, local, seccomp
from agent.sandbox import toolbox as client
from agent.sandbox.protocol import Sandbox
from agent.sandbox.ration import Ration
from tests.sandbox_fixtures import local_sandbox
from tests.security.conftest import inside
from tests.security.test_escape import OWN_PLACES, listening

pytestmark = [pytest.mark.sandbox, pytest.mark.slow]

ROOT = os.geteuid() == 0
X86 = platform.machine() == "x86_64"
Options = list[str]
Patch = Callable[[pytest.MonkeyPatch], None]


def change_options(change: Callable[[Options], Options]) -> Patch:
    """bubblewrap is told what `change` makes of its options."""

    def patch(monkeypatch: pytest.MonkeyPatch) -> None:
        tight = bubblewrap.options

        def weak(plan: bubblewrap.Plan, data: bubblewrap.Data) -> Options:
            before = tight(plan, data)
            after = change(list(before))
            assert after != before
            return after

        monkeypatch.setattr(bubblewrap, "options", weak)

    return patch


def without(*groups: str) -> Patch:
    """Options less each of `groups`, which are words in a row; they must be there."""

    def change(options: Options) -> Options:
        for group in groups:
            words = group.split()
            size = len(words)
            at = next(n for n in range(len(options)) if options[n : n + size] == words)
            options = options[:at] + options[at + size :]
        return options

    return change_options(change)


def without_size(place: str) -> Patch:
    """The file system in memory at `place` less its size."""

    def change(options: Options) -> Options:
        at = next(n for n in range(len(options)) if options[n : n + 2] == ["--tmpfs", place])
        assert options[at - 4] == "--size"
        return options[: at - 4] + options[at - 2 :]

    return change_options(change)


def instead(old: str, new: str) -> Patch:
    def change(options: Options) -> Options:
        words = old.split()
        at = next(n for n in range(len(options)) if options[n : n + len(words)] == words)
        return options[:at] + new.split() + options[at + len(words) :]

    return change_options(change)


def plus(*words: str) -> Patch:
    """Options and others before the first that makes the root read-only."""

    def change(options: Options) -> Options:
        at = options.index("--remount-ro")
        return [*options[:at], *words, *options[at:]]

    return change_options(change)


def unfiltered(options: Options) -> Options:
    at = options.index("--seccomp")
    return options[:at] + options[at + 2 :]


def filter_without(*names: str) -> Patch:
    """The filter less the rules for some calls."""

    def patch(monkeypatch: pytest.MonkeyPatch) -> None:
        found: set[str] = set()

        def less(rules: Any) -> dict[str, Any]:
            found.update(rules.keys() & set(names))
            return {name: value for name, value in rules.items() if name not in names}

        machine = platform.machine()
        for table in ("DENIED_EVERYWHERE", "ABSENT"):
            monkeypatch.setattr(seccomp, table, less(getattr(seccomp, table)))
        for table in ("DENIED", "BY_ARGUMENT"):
            whole = getattr(seccomp, table)
            monkeypatch.setattr(seccomp, table, {**whole, machine: less(whole[machine])})
        assert found == set(names)

    return patch


def filter_for_any_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(seccomp, "KILL", seccomp.ALLOW)


def toolbox_without(line: str) -> Patch:
    """The toolbox with a line that does nothing in place of one of its own."""

    def patch(monkeypatch: pytest.MonkeyPatch) -> None:
        modules = client.system.modules_of

        def weak(package: str) -> dict[str, bytes]:
            sources = dict(modules(package))
            assert line.encode() in sources["programs/confine.py"]
            sources["programs/confine.py"] = sources["programs/confine.py"].replace(
                line.encode(), b"pass"
            )
            return sources

        monkeypatch.setattr(client.system, "modules_of", weak)

    return patch


def bounds(**larger: int) -> Patch:
    def patch(monkeypatch: pytest.MonkeyPatch) -> None:
        tight = Ration.bounds.fget  # type: ignore[attr-defined]
        monkeypatch.setattr(Ration, "bounds", property(lambda self: {**tight(self), **larger}))

    return patch


def with_our_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    start = local.launch
    monkeypatch.setenv("PROVIDER_API_KEY", "canary-in-the-environment")

    async def launch(argv: Sequence[str], **more: Any) -> Any:
        return await start(argv, **{**more, "env": dict(os.environ)})

    monkeypatch.setattr(local, "launch", launch)


def as_root(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(local, "_user_for", lambda session: 0)


def both(*patches: Patch) -> Patch:
    def patch(monkeypatch: pytest.MonkeyPatch) -> None:
        for one in patches:
            one(monkeypatch)

    return patch


@dataclass(frozen=True)
class Wall:
    """What is taken away, and then found: a probe with arguments, or a script; and a word of it."""

    weaken: Patch
    probe: str = ""
    arguments: tuple[str, ...] = ()
    evidence: str = ""
    script: str = ""
    possible: bool = field(default=True)
    behind: Patch | None = None  # goes first, and alone it must not be enough


SHM = str(limits.SANDBOX_SHM_BYTES + 4096)
OWN = "/workspace:/home/agent:/tmp"
USERS = "--disable-userns"
WALLS: dict[str, Wall] = {
    "ipc namespace": Wall(without("--unshare-ipc"), "shared_memory", ("{key}",)),
    "pid namespace": Wall(
        both(
            # bubblewrap takes the second for a mistake without the first.
            without("--unshare-pid", "--as-pid-1"),
            instead("--proc /proc", "--ro-bind /proc /proc"),
        ),
        "command_line", ("{marker}",),
    ),
    "net namespace, abstract sockets": Wall(
        without("--unshare-net"), "abstract_socket", ("{abstract}",)
    ),
    "net namespace, services": Wall(
        without("--unshare-net"), "connecting", ("127.0.0.1", "{port}")
    ),
    "uts namespace": Wall(
        without("--unshare-uts", "--hostname sandbox"), "host_name", ("{host}",)
    ),
    "name": Wall(without("--hostname sandbox"), "host_name", ("{host}",)),
    "cgroup namespace": Wall(
        without("--unshare-cgroup-try"),
        script="cut -d: -f3 /proc/self/cgroup | grep -q '/.*/' && echo told",
        evidence="told", possible=any(
            line.rpartition(":")[2] != "/"
            for line in Path("/proc/self/cgroup").read_text().splitlines()
        ),
    ),
    "user namespaces, unshare": Wall(
        both(without(USERS), filter_without("unshare")), "namespace_by_unshare"
    ),
    "user namespaces, clone": Wall(
        both(without(USERS), filter_without("clone")), "namespace_by_clone"
    ),
    "user namespaces, clone3": Wall(
        both(without(USERS), filter_without("clone3")), "namespace_by_clone3"
    ),
    "user namespaces, mount": Wall(
        both(without(USERS), filter_without("unshare", "mount")), "mounting", ("/tmp",)
    ),
    "user namespaces, fsopen": Wall(
        both(without(USERS), filter_without("unshare", "fsopen")), "mounting_the_new_way"
    ),
    "capabilities": Wall(
        instead("--cap-drop ALL", "--cap-add ALL"), "new_privileges", evidence="CapEff"
    ),
    "numbers of the user": Wall(
        without("--uid 1000", "--gid 1000"), script="test $(id -u) = 1000 || echo told",
        evidence="told", possible=os.geteuid() != 1000,
    ),
    "size of /dev/shm": Wall(
        without_size("/dev/shm"), "memory_through_files", (SHM, OWN), "/dev/shm"
    ),
    "size of /var/tmp": Wall(
        without_size("/var/tmp"), "memory_through_files", (SHM, OWN), "/var/tmp"
    ),
    "read-only root": Wall(without("--remount-ro /"), "places_to_write", (OWN_PLACES,), "/"),
    "read-only /dev": Wall(
        without("--remount-ro /dev"), "places_to_write", (OWN_PLACES,), "/dev"
    ),
    # Root's sandboxes run as users who have no keys.
    "keys": Wall(without("--ro-bind /dev/null /proc/keys"), "list_of_keys", possible=not ROOT),
    "users of keys": Wall(
        without("--ro-bind /dev/null /proc/key-users"),
        script="cat /proc/key-users 2>/dev/null", evidence="/", possible=not ROOT,
    ),
    "no home": Wall(plus("--ro-bind", "{home}", "/mnt"), "file_by_name", ("/", "{canary}")),
    "no sockets": Wall(plus("--ro-bind", "{socket}", "/mnt"), "unix_socket_files", ("/",), "/mnt"),
    "no devices": Wall(plus("--dev-bind", "/dev/null", "/dev/sda"), "devices", (), "sda"),
    "no accounts": Wall(plus("--ro-bind", "{file}", "/etc/shadow"), "accounts", (), "/etc/shadow"),
    "no system tree": Wall(plus("--ro-bind", "/sys", "/sys"), "system_tree", (), "/sys"),
    "filter": Wall(change_options(unfiltered), "new_privileges", (), "Seccomp 0"),
    "filter, machine": Wall(
        filter_for_any_machine, "calls_of_32_bits", (), "answered", possible=X86
    ),
    "filter, sockets": Wall(filter_without("socket"), "socket_families", (), "netlink generic"),
    "filter, io_uring": Wall(filter_without("io_uring_setup"), "io_uring"),
    "filter, handles": Wall(filter_without("name_to_handle_at"), "file_handles", (), "given"),
    "filter, typing": Wall(
        filter_without("ioctl"), "typing", (), "typed",
        possible=Path("/proc/sys/dev/tty/legacy_tiocsti").exists()
        and Path("/proc/sys/dev/tty/legacy_tiocsti").read_text().strip() == "1",
    ),
    "toolbox, memory": Wall(toolbox_without("    _undumpable()\n"), "memory_of_the_parent"),
    "toolbox, tracing": Wall(toolbox_without("    _undumpable()\n"), "tracing_the_parent"),
    "toolbox, dumps": Wall(
        toolbox_without("resource.setrlimit(resource.RLIMIT_CORE, (0, 0))"), "core_dumps"
    ),
    "toolbox, processes": Wall(
        bounds(processes=10**9), "limits", ("9999", str(2**62)), "processes"
    ),
    "toolbox, size of a file": Wall(bounds(file_bytes=2**62), "large_file", (), "9 GB"),
    "environment": Wall(
        without("--clearenv"), "environment", ("canary-in-the-environment",),
        behind=with_our_environment,
    ),
    "user": Wall(
        as_root, "file_by_path", ("/mnt",), possible=ROOT,
        behind=plus("--ro-bind", "{private}", "/mnt"),
    ),
}  # fmt: skip


@pytest.fixture
def bait() -> Generator[dict[str, str]]:
    """What a weakened sandbox can find."""
    libc = ctypes.CDLL(None, use_errno=True)
    key, marker, abstract = secrets.randbelow(2**30) + 1, *(secrets.token_hex(8) for _ in "12")
    segment = libc.shmget(key, 4096, 0o1666)
    assert segment >= 0
    with files.temporary_dir(shared=True) as home, contextlib.ExitStack() as stack:
        canary = home / f"canary-{secrets.token_hex(4)}"
        canary.write_text("canary")
        private = home / "private"
        private.write_text("canary")
        private.chmod(0o600)
        path = str(home / "s")
        home.chmod(0o755)
        stack.enter_context(listening(socket.AF_UNIX, path))
        stack.enter_context(listening(socket.AF_UNIX, b"\0" + abstract.encode()))
        server = stack.enter_context(listening(socket.AF_INET, ("127.0.0.1", 0)))
        argv = ["sh", "-c", "read line", marker]
        with subprocess.Popen(argv, stdin=subprocess.PIPE) as process:
            yield {
                "key": str(key),
                "marker": marker[::-1],
                "abstract": abstract,
                "port": str(server.getsockname()[1]),
                "host": os.uname().nodename,
                "home": str(home),
                "canary": canary.name,
                "file": str(canary),
                "private": str(private),
                "socket": path,
            }
            process.communicate(b"\n")
    libc.shmctl(segment, 0, None)


@contextlib.asynccontextmanager
async def weakened(weaken: Patch, bait: dict[str, str]) -> AsyncGenerator[Sandbox]:
    """A sandbox made while `weaken` has its way; words in braces are bait."""
    with pytest.MonkeyPatch.context() as monkeypatch:
        weaken(monkeypatch)
        listed = bubblewrap.listed
        fill = functools.partial(_filled, bait)
        monkeypatch.setattr(bubblewrap, "listed", lambda words: listed([fill(w) for w in words]))
        async with local_sandbox() as sandbox:
            yield sandbox


def _filled(bait: dict[str, str], word: str) -> str:
    return bait.get(word[1:-1], word) if word.startswith("{") else word


async def told(wall: Wall, sandbox: Sandbox, bait: dict[str, str]) -> str:
    if wall.script:
        result = await sandbox.exec(["sh", "-c", wall.script])
        return result.output.decode()
    return await inside(sandbox, wall.probe, *(_filled(bait, word) for word in wall.arguments))


@pytest.mark.parametrize("name", WALLS)
async def test_without_a_wall_its_attempt_succeeds(name: str, bait: dict[str, str]) -> None:
    wall = WALLS[name]
    if not wall.possible:
        pytest.skip("this wall makes no difference for this user, kernel or processor")
    behind = both() if wall.behind is None else wall.behind
    async with weakened(behind, bait) as sandbox:
        before = await told(wall, sandbox, bait)
    async with weakened(both(behind, wall.weaken), bait) as sandbox:
        after = await told(wall, sandbox, bait)
    assert before in ("SAFE", "")
    assert after.startswith("" if wall.script else "ESCAPED")
    assert wall.evidence in after
    assert after


async def test_each_forbidden_call_is_forbidden_by_its_own_rule(bait: dict[str, str]) -> None:
    async with weakened(change_options(unfiltered), bait) as sandbox:
        said = await inside(sandbox, "dangerous_calls")
    # Others need a capability as well, and cannot be told apart from in here.
    passed = said.removeprefix("ESCAPED: ").split(", ")
    assert {"keyctl", "add_key"} <= set(passed)
    for name in passed:
        async with weakened(filter_without(name), bait) as sandbox:
            assert await inside(sandbox, "dangerous_calls") == f"ESCAPED: {name}"


def test_a_weakening_that_changes_nothing_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    plan = bubblewrap.Plan(Path("/nowhere"), {}, b"", b"")
    for patch in (without("--no-such-option"), instead("--no-such", "--x")):
        with monkeypatch.context() as one:
            patch(one)
            with pytest.raises((StopIteration, RuntimeError)):
                bubblewrap.options(plan, lambda _: 0)
    with monkeypatch.context() as one, pytest.raises(AssertionError):
        filter_without("no_such_call")(one)
