"""Attempts to get out, each a function that returns evidence if it succeeds and "" if not.

Runs by itself, inside a sandbox or (where that does no harm) on the host to show that it works:
`python3 -I probe.py NAME [ARGUMENT…]` prints `SAFE` or `ESCAPED: evidence`. Nobody imports it. It
runs on whatever Python 3.8 or newer a sandbox has.
"""

from __future__ import annotations

import ctypes
import errno
import fcntl
import mmap
import os
import platform
import pty
import resource
import signal
import socket
import stat
import struct
import sys
import termios
from collections.abc import Callable
from typing import Any

libc = ctypes.CDLL(None, use_errno=True)
X86 = platform.machine() == "x86_64"
NEWNS, NEWUSER = 0x20000, 0x10000000


def call(number: int, *arguments: Any) -> tuple[int, int]:
    """A raw system call: its result, and the error number when it failed."""
    ctypes.set_errno(0)
    words: list[Any] = [
        a if isinstance(a, (bytes, ctypes.Array)) else ctypes.c_long(a) for a in arguments
    ]
    result = libc.syscall(ctypes.c_long(number), *words)
    return result, ctypes.get_errno()


def in_child(attempt: Callable[[], str]) -> tuple[str, int]:
    """Run `attempt` in a child; its evidence, or how the child died."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        os.write(writing, (attempt() or "").encode())
        os._exit(0)
    os.close(writing)
    with os.fdopen(reading) as said:
        evidence = said.read()
    _, status = os.waitpid(child, 0)
    return evidence, status


def processes() -> list[str]:
    return [name for name in os.listdir("/proc") if name.isdigit()]


def reads(path: str, size: int = 65536) -> bytes:
    try:
        with open(path, "rb") as file:
            return file.read(size)
    except OSError:
        return b""


# Files and secrets


def file_by_path(path: str) -> str:
    return reads(path).decode()


def file_through_processes(path: str) -> str:
    for pid in processes():
        for door in ("root", "cwd/../../../../../../../.."):
            found = reads(f"/proc/{pid}/{door}/{path.lstrip('/')}")
            if found:
                return f"/proc/{pid}/{door}: {found.decode()}"
    return ""


def file_by_name(top: str, name: str) -> str:
    skipped = {"/proc", "/usr"}
    for folder, folders, names in os.walk(top):
        folders[:] = [f for f in folders if os.path.join(folder, f) not in skipped]
        if name in names:
            return os.path.join(folder, name)
    return ""


def environment(canary: str) -> str:
    return ", ".join(
        p for p in processes() if canary.encode() in reads(f"/proc/{p}/environ", 10**6)
    )


def command_line(backwards: str) -> str:
    marker = backwards[::-1].encode()
    return ", ".join(p for p in processes() if marker in reads(f"/proc/{p}/cmdline", 10**6))


def accounts() -> str:
    for path in ("/etc/shadow", "/etc/gshadow", "/etc/sudoers", "/etc/machine-id"):
        if reads(path):
            return path
    return ""


def descriptors() -> str:
    inherited = [int(n) for n in os.listdir("/proc/self/fd") if int(n) > 2]
    return ", ".join(str(n) for n in inherited if os.path.exists(f"/proc/self/fd/{n}"))


def programs_of_the_host() -> str:
    mine = [f"/proc/{pid}/exe" for pid in processes()]
    return ", ".join(path for path in mine if os.access(path, os.W_OK))


def unix_socket_files(top: str, own: str = "") -> str:
    skipped = {"/proc", "/usr", *own.split(":")}
    for folder, folders, names in os.walk(top):
        folders[:] = [f for f in folders if os.path.join(folder, f) not in skipped]
        for name in names:
            if stat.S_ISSOCK(os.lstat(os.path.join(folder, name)).st_mode):
                return os.path.join(folder, name)
    return ""


def core_dumps() -> str:
    hard = resource.getrlimit(resource.RLIMIT_CORE)[1]
    return "" if hard == 0 else f"hard limit {hard}"


# Terminal


def terminal() -> str:
    if any(os.isatty(n) for n in range(10)):
        return "a standard stream is a terminal"
    try:
        os.close(os.open("/dev/tty", os.O_RDWR))
    except OSError:
        return ""
    return "/dev/tty opens"


def _typed(command: int) -> str:
    def attempt() -> str:
        os.setsid()
        _, slave = pty.openpty()
        fcntl.ioctl(slave, termios.TIOCSCTTY, 0)
        number = 16 if X86 else 29
        result, _ = call(number, slave, command, ctypes.create_string_buffer(b"x"))
        return "typed" if result == 0 else ""

    return in_child(attempt)[0]


def typing() -> str:
    return _typed(0x5412)


def typing_with_high_bits() -> str:
    return _typed(0x5412 + (1 << 32))


# Processes and the kernel


def memory_of_the_parent() -> str:
    try:
        with open(f"/proc/{os.getppid()}/mem", "rb"):
            return "opened"
    except OSError:
        return ""


def tracing_the_parent() -> str:
    seize = 0x4206  # does not stop it, and ends with us
    return "seized" if libc.ptrace(seize, os.getppid(), None, None) == 0 else ""


def shared_memory(key: str) -> str:
    return "attached" if libc.shmget(int(key), 0, 0) >= 0 else ""


def keyring(description: str) -> str:
    request_key, keyctl = (249, 250) if X86 else (218, 219)
    search = 10
    for ring in (-3, -4, -5):
        key, _ = call(keyctl, search, ring, b"user", description.encode(), 0)
        if key > 0:
            return f"found in keyring {ring}"
    key, _ = call(request_key, b"user", description.encode(), 0, 0)
    return "requested" if key > 0 else ""


def list_of_keys() -> str:
    return reads("/proc/keys").decode()[:80]


def namespace_by_unshare() -> str:
    return in_child(lambda: "made" if libc.unshare(NEWUSER) == 0 else "")[0]


def namespace_by_clone() -> str:
    def attempt() -> str:
        child, _ = call(56 if X86 else 220, NEWUSER | signal.SIGCHLD, 0, 0, 0, 0)
        if child == 0:
            os._exit(0)
        return "made" if child > 0 else ""

    return in_child(attempt)[0]


def namespace_by_clone3() -> str:
    def attempt() -> str:
        flags = struct.pack("8Q", NEWUSER, 0, 0, 0, signal.SIGCHLD, 0, 0, 0)
        child, _ = call(435, ctypes.create_string_buffer(flags, len(flags)), len(flags))
        if child == 0:
            os._exit(0)
        return "made" if child > 0 else ""

    return in_child(attempt)[0]


def mounting(place: str) -> str:
    def attempt() -> str:
        libc.unshare(NEWUSER | NEWNS)
        libc.mount(None, b"/", None, 1 << 14 | 1 << 18, None)  # private, recursively
        return "mounted" if libc.mount(b"x", place.encode(), b"tmpfs", 0, None) == 0 else ""

    return in_child(attempt)[0]


def mounting_the_new_way() -> str:
    def attempt() -> str:
        libc.unshare(NEWUSER | NEWNS)
        return "opened" if call(430, b"tmpfs", 0)[0] >= 0 else ""

    return in_child(attempt)[0]


def mounted_again_for_writing() -> str:
    def attempt() -> str:
        remount, bind = 32, 4096
        libc.unshare(NEWUSER | NEWNS)
        return "remounted" if libc.mount(None, b"/usr", None, remount | bind, None) == 0 else ""

    return in_child(attempt)[0]


def socket_families() -> str:
    tried = {
        "netlink generic": (socket.AF_NETLINK, socket.SOCK_RAW, 16),
        "netlink audit": (socket.AF_NETLINK, socket.SOCK_RAW, 9),
        "packet": (17, socket.SOCK_RAW, 0),
        "alg": (38, socket.SOCK_SEQPACKET, 0),
        "vsock": (40, socket.SOCK_STREAM, 0),
        "bluetooth": (31, socket.SOCK_RAW, 1),
        "tipc": (30, socket.SOCK_STREAM, 0),
        "raw ip": (socket.AF_INET, socket.SOCK_RAW, 1),
    }
    opened: list[str] = []
    for name, arguments in tried.items():
        try:
            socket.socket(*arguments).close()
        except OSError:
            continue
        opened.append(name)
    return ", ".join(opened)


def calls_of_32_bits() -> str:
    """`int 0x80` with getpid, which needs no argument: must be death, not an answer."""
    code = b"\xb8\x14\x00\x00\x00\xcd\x80\xc3"  # mov eax, 20; int 0x80; ret

    def attempt() -> str:
        memory = mmap.mmap(-1, 4096, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC)
        memory.write(code)
        address = ctypes.addressof(ctypes.c_char.from_buffer(memory))
        return "answered" if ctypes.CFUNCTYPE(ctypes.c_long)(address)() else ""

    evidence, status = in_child(attempt)
    return "" if os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGSYS else evidence


def io_uring() -> str:
    _, error = call(425, 1, 0)
    return "" if error in (errno.ENOSYS, errno.EPERM) else os.strerror(error)


def file_handles() -> str:
    handle = ctypes.create_string_buffer(struct.pack("Ii", 128, 0) + bytes(128))
    mount = ctypes.create_string_buffer(8)
    number = 303 if X86 else 264
    return "given" if call(number, -100, b"/", handle, mount, 0)[0] == 0 else ""


def dangerous_calls() -> str:
    """Calls with arguments that would do no harm; all must be refused before they are looked at."""
    numbers = {
        "bpf": (321, 280), "perf_event_open": (298, 241), "userfaultfd": (323, 282),
        "open_by_handle_at": (304, 265), "init_module": (175, 105), "finit_module": (313, 273),
        "delete_module": (176, 106), "kexec_load": (246, 104), "swapoff": (168, 225),
        "acct": (163, 89), "quotactl": (179, 60), "clock_settime": (227, 112), "setns": (308, 268),
        "sethostname": (170, 161), "setdomainname": (171, 162), "pivot_root": (155, 41),
        "chroot": (161, 51), "umount2": (166, 39), "keyctl": (250, 219), "add_key": (248, 217),
        "pidfd_getfd": (438, 438), "fanotify_init": (300, 262), "syslog": (103, 116),
        "move_mount": (429, 429), "open_tree": (428, 428), "mount_setattr": (442, 442),
    }  # fmt: skip
    passed = [
        name for name, pair in numbers.items()
        if call(pair[0 if X86 else 1], -1, 0, 0, 0, 0)[1] != errno.EPERM
    ]  # fmt: skip
    return ", ".join(passed)


def new_privileges() -> str:
    status = reads("/proc/self/status").decode()
    told = dict(line.split(":\t", 1) for line in status.splitlines() if ":\t" in line)
    wanted = {"NoNewPrivs": "1", "Seccomp": "2"}
    wanted |= dict.fromkeys(("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"), "0" * 16)
    return ", ".join(f"{name} {told[name]}" for name in wanted if told[name] != wanted[name])


def devices() -> str:
    usual = {
        "null", "zero", "full", "random", "urandom", "tty", "console", "ptmx", "pts", "shm", "fd",
        "stdin", "stdout", "stderr", "core", "mqueue",
    }  # fmt: skip
    return ", ".join(sorted(set(os.listdir("/dev")) - usual))


def kernel_settings() -> str:
    for path in ("sys/kernel/core_pattern", "sysrq-trigger", "sys/vm/overcommit_memory",
                 "sys/kernel/hostname", "sys/user/max_user_namespaces"):  # fmt: skip
        try:
            os.close(os.open(f"/proc/{path}", os.O_WRONLY))
        except OSError:
            continue
        return path
    return ""


def system_tree() -> str:
    return "/sys" if os.path.exists("/sys") and os.listdir("/sys") else ""


def host_name(name: str) -> str:
    return name if os.uname().nodename == name else ""


# Network


def connecting(address: str, port: str) -> str:
    try:
        socket.create_connection((address, int(port)), timeout=5).close()
    except OSError:
        return ""
    return "connected"


def datagram(address: str, port: str) -> str:
    """What is sent must not arrive; the host answers what does."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
        client.settimeout(2)
        try:
            client.sendto(b"from inside", (address, int(port)))
            return "answered" if client.recv(100) else ""
        except OSError:
            return ""


def lookup(name: str) -> str:
    """A name that is looked up is a message to whoever serves its domain."""
    try:
        return str(socket.getaddrinfo(name, 443)[0][4][0])
    except OSError:
        return ""


def through_the_proxy(host: str, port: str) -> str:
    """Ask whoever lets us out, as every program here is told to, for a place of our choice."""
    told = os.environ.get("https_proxy") or os.environ.get("HTTPS_PROXY") or ""
    where, _, number = told.rpartition("/")[2].rpartition("@")[2].rpartition(":")
    if not number.isdigit():
        return ""
    try:
        with socket.create_connection((where, int(number)), timeout=10) as client:
            asked = f"CONNECT {host}:{port} HTTP/1.1\r\nHost: {host}:{port}\r\n\r\n"
            client.sendall(asked.encode())
            answer = client.recv(1000).split(b"\r\n")[0]
    except OSError:
        return ""
    return answer.decode("latin-1") if answer.split(b" ")[1:2] == [b"200"] else ""


def abstract_socket(name: str) -> str:
    with socket.socket(socket.AF_UNIX) as client:
        return "connected" if client.connect_ex(b"\0" + name.encode()) == 0 else ""


def socket_file(path: str) -> str:
    with socket.socket(socket.AF_UNIX) as client:
        return "connected" if client.connect_ex(path) == 0 else ""


def interfaces() -> str:
    names = {
        line.split(":")[0].strip() for line in reads("/proc/net/dev").decode().splitlines()[2:]
    }
    return ", ".join(sorted(names - {"lo"}))


# Limits


def places_to_write(allowed: str) -> str:
    """Mounts, writable by us, that are not among `allowed` (separated by `:`)."""
    found: list[str] = []
    for line in reads("/proc/self/mountinfo", 10**6).decode().splitlines():
        place = line.split()[4]
        if place in allowed.split(":") or place.startswith("/proc/") or not os.path.isdir(place):
            continue
        try:
            made = os.path.join(place, f"probe-{os.getpid()}")
            os.close(os.open(made, os.O_CREAT | os.O_EXCL | os.O_WRONLY))
            os.unlink(made)
        except OSError:
            continue
        found.append(place)
    return ", ".join(found)


def memory_through_files(limit: str, own: str = "") -> str:
    """Writable file systems in memory that hold more than `limit` bytes.

    Those at `own` are the session's directories, which lie on whatever the host keeps them on.
    """
    found: list[str] = []
    for line in reads("/proc/self/mountinfo", 10**6).decode().splitlines():
        words = line.split()
        kind, place = words[words.index("-") + 1], words[4]
        if kind not in ("tmpfs", "devtmpfs") or "ro" in words[5].split(","):
            continue
        try:
            size = os.statvfs(place).f_blocks * os.statvfs(place).f_frsize
        except OSError:  # one that covers something and cannot be entered
            continue
        if os.path.isdir(place) and size > int(limit) and place not in own.split(":"):
            found.append(f"{place} {size}")
    return ", ".join(found)


def many_processes(limit: str) -> str:
    """Start more programs than a limit of our own, far below the sandbox's, permits."""
    hard = resource.getrlimit(resource.RLIMIT_NPROC)[1]
    resource.setrlimit(resource.RLIMIT_NPROC, (int(limit), hard))
    children: list[int] = []
    try:
        for _ in range(int(limit) * 2):
            child = os.fork()
            if child == 0:
                signal.pause()
            children.append(child)
    except BlockingIOError:
        return ""
    finally:
        for child in children:
            os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)
    return f"{len(children)} programs"


def limits(processes_max: str, file_max: str) -> str:
    found: list[str] = []
    for name, kind, highest in (
        ("processes", resource.RLIMIT_NPROC, int(processes_max)),
        ("file size", resource.RLIMIT_FSIZE, int(file_max)),
        ("descriptors", resource.RLIMIT_NOFILE, 1 << 20),
    ):
        hard = resource.getrlimit(kind)[1]
        if hard == resource.RLIM_INFINITY or hard > highest:
            found.append(f"{name} {hard}")
    return ", ".join(found)


def large_file() -> str:
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    with open("large", "wb") as file:
        try:
            file.truncate(9_000_000_000)
        except OSError:
            return ""
        finally:
            os.unlink("large")
    return "9 GB"


if __name__ == "__main__":
    found = globals()[sys.argv[1]](*sys.argv[2:])
    sys.stdout.write(f"ESCAPED: {found}\n" if found else "SAFE\n")
