"""The attempts of the self-test, and the ordinary work that a sandbox must still allow.

An attempt is a function of `agent/attacks/probe.py` with arguments; `{name}` stands for something
that `agent/host/bait.py` set out. `rows` names what is attacked, for the threat model.
"""

from __future__ import annotations

from dataclasses import dataclass

from agent.core import limits

PLACES = "/workspace:/home/agent:/tmp:/var/tmp:/dev/shm:/run/agent"
"""The session's own places inside: what is there is the sandbox's business."""


@dataclass(frozen=True, slots=True)
class Attempt:
    """One attempt. `bare` are its arguments where nothing is in its way, None where it could harm.

    `remote` says whether it means something when the sandbox is on another machine. `networks` are
    the policies it is an escape under; none means all.
    """

    probe: str
    area: str
    title: str
    inside: tuple[str, ...] = ()
    bare: tuple[str, ...] | None = ()
    remote: bool = False
    networks: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Control:
    """Ordinary work, as a program that prints `works`: a broken sandbox must not look safe."""

    title: str
    argv: tuple[str, ...]
    needs: str = "sh"


def _same(probe: str, area: str, title: str, *words: str, remote: bool = False) -> Attempt:
    """An attempt with the same arguments inside and where nothing is in its way."""
    return Attempt(probe, area, title, words, words, remote)


_FILES, _TERMINAL, _PROCESSES = "files and secrets", "the terminal", "other processes"
_KERNEL, _NETWORK, _LIMITS = "the kernel", "the network", "limits"

ATTEMPTS = (
    _same("file_by_path", _FILES, "read a file of this machine", "{file}"),
    _same("file_by_path", _FILES, "read a file in your home", "{home_file}"),
    _same("file_through_processes", _FILES, "read it through /proc/PID/root", "{file}"),
    Attempt(
        *("file_by_name", _FILES, "find it by name anywhere"),
        inside=("/", "{file_name}"),
        bare=("{folder}", "{file_name}"),
        remote=True,
    ),
    Attempt("file_by_name", _FILES, "find a file of another session", ("/", "{other}"), None),
    _same(
        "environment",
        _FILES,
        "read our environment from /proc/PID/environ",
        "{secret}",
        remote=True,
    ),
    Attempt("accounts", _FILES, "read password hashes and machine ids"),
    Attempt("descriptors", _FILES, "use a file that we had open"),
    Attempt("programs_of_the_host", _FILES, "overwrite a program through /proc/PID/exe"),
    Attempt("core_dumps", _FILES, "leave a core dump"),
    Attempt(
        *("unix_socket_files", _FILES, "find a socket of a program"),
        inside=("/", PLACES),
        bare=("{folder}",),
    ),
    _same("socket_file", _FILES, "connect to a socket file", "{socket_file}"),
    Attempt("terminal", _TERMINAL, "hold your terminal"),
    Attempt("typing", _TERMINAL, "type into it (TIOCSTI)"),
    Attempt("typing_with_high_bits", _TERMINAL, "type into it past a 64-bit check"),
    _same("command_line", _PROCESSES, "see a program of yours", "{process_backwards}"),
    Attempt("memory_of_the_parent", _PROCESSES, "open the memory of the toolbox or of us"),
    Attempt("tracing_the_parent", _PROCESSES, "trace the toolbox or us"),
    _same("shared_memory", _PROCESSES, "attach shared memory", "{shared_memory}"),
    _same("keyring", _PROCESSES, "take a key from your keyring", "{key}"),
    Attempt("list_of_keys", _PROCESSES, "list the keys of this machine"),
    _same("host_name", _PROCESSES, "learn the name of this machine", "{host_name}"),
    Attempt("namespace_by_unshare", _KERNEL, "make a user namespace (unshare)"),
    Attempt("namespace_by_clone", _KERNEL, "make a user namespace (clone)"),
    Attempt("namespace_by_clone3", _KERNEL, "make a user namespace (clone3)"),
    Attempt("mounting", _KERNEL, "mount a file system", ("/tmp",), None),
    Attempt("mounting_the_new_way", _KERNEL, "mount it by fsopen", (), None),
    Attempt("mounted_again_for_writing", _KERNEL, "make /usr writable", (), None),
    Attempt("socket_families", _KERNEL, "open vsock, packet, netlink and other sockets"),
    Attempt("calls_of_32_bits", _KERNEL, "go round the filter by 32-bit calls"),
    Attempt("io_uring", _KERNEL, "go round it by io_uring"),
    Attempt("file_handles", _KERNEL, "open a file by its handle"),
    Attempt("dangerous_calls", _KERNEL, "bpf, kexec, modules, keyrings, clocks …", (), None),
    Attempt("new_privileges", _KERNEL, "have capabilities, or gain privileges"),
    Attempt("devices", _KERNEL, "use a device"),
    Attempt("kernel_settings", _KERNEL, "change a setting of the kernel"),
    Attempt("system_tree", _KERNEL, "look into /sys"),
    _same("connecting", _NETWORK, "connect to a service on 127.0.0.1", "127.0.0.1", "{tcp_port}"),
    _same(
        "connecting", _NETWORK, "connect to it by this machine's address", "{address}", "{tcp_port}"
    ),
    _same("datagram", _NETWORK, "send a datagram to this machine", "{address}", "{udp_port}"),
    _same("abstract_socket", _NETWORK, "connect to an abstract socket", "{abstract_socket}"),
    Attempt(
        *("connecting", _NETWORK, "ask a cloud's metadata service", ("169.254.169.254", "80")),
        bare=None,
        remote=True,
    ),
    Attempt(
        *("connecting", _NETWORK, "connect to the internet by number", ("1.1.1.1", "443"), None),
        remote=True,
        networks=("none", "list", "registries"),
    ),
    Attempt(
        *("lookup", _NETWORK, "send a message as a lookup", ("selftest.example.com",), None),
        remote=True,
        networks=("none", "list", "registries"),
    ),
    Attempt(
        *("through_the_proxy", _NETWORK, "have the proxy connect to this machine"),
        inside=("127.0.0.1", "{tcp_port}"),
        bare=None,
    ),
    Attempt(
        *("through_the_proxy", _NETWORK, "have it connect to this machine by name"),
        inside=("localhost", "{tcp_port}"),
        bare=None,
    ),
    Attempt(
        *("through_the_proxy", _NETWORK, "have it ask a cloud's metadata service"),
        inside=("169.254.169.254", "80"),
        bare=None,
    ),
    Attempt(
        *("through_the_proxy", _NETWORK, "have it connect to a host nobody allowed"),
        inside=("selftest.example.com", "443"),
        bare=None,
        networks=("none", "list", "registries"),
    ),
    Attempt("interfaces", _NETWORK, "find a network interface"),
    Attempt(
        *("places_to_write", _LIMITS, "write outside the session's places", (PLACES,)),
        bare=("/nowhere",),
    ),
    Attempt(
        *("memory_through_files", _LIMITS, "fill the memory through files"),
        inside=(str(limits.SANDBOX_SHM_BYTES + 4096), PLACES),
        bare=("0",),
    ),
    Attempt(
        *("limits", _LIMITS, "be without limits on processes and file size"),
        inside=(str(limits.SANDBOX_PROCESSES_MAX), str(limits.SANDBOX_FILE_MAX_BYTES)),
        bare=("1", "1"),
    ),
    _same("many_processes", _LIMITS, "start more programs than a limit", "40"),
    Attempt("large_file", _LIMITS, "make a file of 9 GB"),
)


def _python(title: str, program: str) -> Control:
    return Control(title, ("python3", "-I", "-c", f"{program}\nprint('works')"), "python3")


CONTROLS = (
    Control("a shell", ("sh", "-c", "echo works")),
    Control("files in the workspace", ("sh", "-c", "echo works >f && cat f && rm f")),
    Control("temporary files", ("sh", "-c", "d=$(mktemp -d) && echo works >$d/f && cat $d/f")),
    Control("the home directory", ("sh", "-c", "echo works >~/.f && cat ~/.f && rm ~/.f")),
    Control(
        "git",
        (
            "sh",
            "-ec",
            "cd $(mktemp -d) && git init -q r && cd r && git config user.email a@b && "
            "git config user.name n && echo x >f && git add f && git commit -qm works && "
            "git bundle create -q ../b HEAD && git log --format=%s",
        ),
        "git",
    ),
    _python(
        "threads",
        "import threading as t\nx = [t.Thread(target=lambda: 0) for _ in range(50)]\n"
        "[y.start() for y in x]; [y.join() for y in x]",
    ),
    _python("semaphores", "import multiprocessing as m\nm.Semaphore(2).acquire()"),
    _python(
        "sockets of its own",
        "import os, socket as s, tempfile\np = tempfile.mkdtemp() + '/s'\n"
        "a = s.socket(s.AF_UNIX); a.bind(p); a.listen(); s.socket(s.AF_UNIX).connect(p)",
    ),
    _python(
        "loopback of its own",
        "import socket as s\na = s.create_server(('127.0.0.1', 0))\n"
        "s.create_connection(a.getsockname())",
    ),
    _python("pseudo terminals", "import pty\npty.openpty()"),
    _python(
        "a hundred processes",
        "import subprocess as s\nx = [s.Popen(['sleep', '0.1']) for _ in range(100)]\n"
        "[y.wait() for y in x]",
    ),
    _python(
        "debuggers",
        "import ctypes, os\nc = os.fork() or os.execvp('sleep', ['sleep', '9'])\n"
        "assert ctypes.CDLL(None).ptrace(0x4206, c, None, None) == 0\nos.kill(c, 9)",
    ),
)
