"""What bubblewrap is told: an empty root plus what is needed, never the host minus what is secret.

Order matters: later mounts hide earlier ones. The session's own directories come last and nothing
is ever mounted below them: bubblewrap makes a missing mount point by following whatever links are
there, and from the second start on those were made inside.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from agent.core import limits
from agent.core.errors import SandboxError
from agent.host import system
from agent.sandbox import grammars
from agent.sandbox.carry import Carried

WORKDIR = "/workspace"
HOME = "/home/agent"
TOOLBOX = "/run/agent/toolbox.zip"
USER_ID = "1000"
DIRECTORIES = {"tmp": "/tmp", "home": HOME, "work": WORKDIR}
PROGRAM_PLACES = ("/usr/bin", "/bin")

# Single entries, because the rest of /etc holds the machine's accounts, keys and connections.
# No whole /etc/ssl or /etc/pki: both have a place for private keys.
ETC = (
    "alternatives", "ca-certificates", "ca-certificates.conf", "crypto-policies", "debian_version",
    "fonts", "ld.so.cache", "ld.so.conf", "ld.so.conf.d", "locale.alias", "localtime",
    "lsb-release", "magic", "mime.types", "os-release", "pki/ca-trust", "pki/tls/certs",
    "protocols", "services", "shells", "ssl/certs", "ssl/openssl.cnf", "terminfo", "timezone",
)  # fmt: skip
# Toolchains that a distribution splits between /usr and /etc: `java-17-openjdk`, `python3.11`.
ETC_TOOLCHAINS = ("java", "maven", "perl", "python3", "ruby", "php")

FILES = {
    "/etc/passwd": (
        "root:x:0:0:root:/nonexistent:/usr/sbin/nologin\n"
        f"agent:x:{USER_ID}:{USER_ID}:agent:{HOME}:/bin/bash\n"
        "nobody:x:65534:65534:nobody:/nonexistent:/usr/sbin/nologin\n"
    ),
    "/etc/group": f"root:x:0:\nagent:x:{USER_ID}:\nnogroup:x:65534:\n",
    "/etc/hosts": "127.0.0.1 localhost sandbox\n::1 localhost ip6-localhost ip6-loopback\n",
    "/etc/hostname": "sandbox\n",
    "/etc/nsswitch.conf": "passwd: files\ngroup: files\nshadow: files\nhosts: files\n"
    "services: files\nprotocols: files\n",
    "/etc/resolv.conf": "",
}

ENVIRONMENT = {
    "PATH": f"{HOME}/.local/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
    "HOME": HOME,
    "USER": "agent",
    "LOGNAME": "agent",
    "SHELL": "/bin/sh",
    "LANG": "C.UTF-8",
    "TERM": "dumb",
    "TMPDIR": "/tmp",
}

Data = Callable[[bytes], int]
"""Makes a descriptor that reads as the given bytes."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What differs between sandboxes."""

    place: Path
    environment: Mapping[str, str]
    toolbox: bytes
    seccomp: bytes
    files: Mapping[str, bytes] = field(default_factory=dict[str, bytes])
    sockets: Mapping[str, Path] = field(default_factory=dict[str, Path])
    carried: Carried = field(default_factory=Carried)
    grammars: str = ""
    nested: bool = False
    """User namespaces inside are forbidden by the filter alone: this kernel refuses the rest."""


def options(plan: Plan, data: Data) -> list[str]:
    """All options, in order; `data` turns contents into descriptors that bubblewrap inherits."""
    return [
        *_namespaces(),
        *([] if plan.nested else ["--disable-userns"]),
        *_system(),
        *_directories(),
        *_etc(data),
        *_kernel(),
        *plan.carried.options(data),
        *_file(TOOLBOX, plan.toolbox, data),
        *(("--ro-bind", plan.grammars, grammars.PLACE) if plan.grammars else ()),
        *(word for path, content in plan.files.items() for word in _file(path, content, data)),
        *(word for path, own in plan.sockets.items() for word in ("--ro-bind", str(own), path)),
        *_own(plan.place),
        *("--remount-ro", "/dev", "--remount-ro", "/"),
        *_environment({**ENVIRONMENT, **_found(plan.carried), **plan.environment}),
        *("--chdir", WORKDIR),
        *("--seccomp", str(data(plan.seccomp))),
    ]


def listed(words: Sequence[str]) -> bytes:
    """The options as `--args` reads them."""
    if any("\0" in word for word in words):
        # It would end the option here and begin another one.
        raise SandboxError("an environment variable of the sandbox holds a NUL character")
    return b"".join(word.encode("utf-8", "surrogateescape") + b"\0" for word in words)


def _namespaces() -> list[str]:
    # One by one: `--unshare-all` only *tries* the user namespace and goes on without it.
    return [
        *("--unshare-user", "--unshare-ipc", "--unshare-pid", "--unshare-net", "--unshare-uts"),
        *("--unshare-cgroup-try", "--cap-drop", "ALL"),
        *("--uid", USER_ID, "--gid", USER_ID, "--hostname", "sandbox"),
        # Not `--die-with-parent`: when we die in bubblewrap's first milliseconds it would kill the
        # outer half and leave the inner one waiting for it for ever. Process 1 is ours, sees the
        # end of its channel to us, and cannot be stopped or killed from inside.
        *("--new-session", "--as-pid-1", "--clearenv"),
    ]


def _system() -> list[str]:
    args = [*_tmpfs("/", limits.SANDBOX_ROOT_BYTES, "0755"), "--ro-bind", "/usr", "/usr"]
    for name in ("bin", "sbin", "lib", "lib32", "lib64", "libx32"):
        target = system.link_target(f"/{name}")
        if target is not None:
            args += ["--symlink", target, f"/{name}"]
        elif system.is_dir(f"/{name}"):
            args += ["--ro-bind", f"/{name}", f"/{name}"]
    return args


def _directories() -> list[str]:
    # Made on the way to something else they would be closed to everybody but their owner.
    places = ("/etc", "/home", "/run", "/run/agent", "/var")
    return [word for path in places for word in ("--perms", "0755", "--dir", path)]


def _etc(data: Data) -> list[str]:
    toolchains = [n for n in system.names_in("/etc") if n.startswith(ETC_TOOLCHAINS)]
    args: list[str] = []
    for name in (*ETC, *toolchains):
        args += ["--ro-bind-try", f"/etc/{name}", f"/etc/{name}"]
    for path, content in FILES.items():
        args += _file(path, content.encode(), data)
    return args


def _kernel() -> list[str]:
    return [
        *("--proc", "/proc", "--ro-bind", "/dev/null", "/proc/keys"),
        *("--ro-bind", "/dev/null", "/proc/key-users"),
        *("--dev", "/dev", *_tmpfs("/dev/shm", limits.SANDBOX_SHM_BYTES, "1777")),
        *_tmpfs("/var/tmp", limits.SANDBOX_VAR_TMP_BYTES, "1777"),
        *("--symlink", "/run", "/var/run"),
    ]


def _own(place: Path) -> list[str]:
    args: list[str] = []
    for name, inside in DIRECTORIES.items():
        args += ["--bind", str(place / name), inside]
    return args


def _tmpfs(path: str, size: int, mode: str) -> list[str]:
    return ["--size", str(size), "--perms", mode, "--tmpfs", path]


def _file(path: str, content: bytes, data: Data) -> list[str]:
    return ["--perms", "0444", "--ro-bind-data", str(data(content)), path]


def _found(carried: Carried) -> Mapping[str, str]:
    return carried.environment(ENVIRONMENT["PATH"])


def _environment(variables: Mapping[str, str]) -> list[str]:
    return [word for name, value in variables.items() for word in ("--setenv", name, value)]
