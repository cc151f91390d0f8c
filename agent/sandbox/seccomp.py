"""The system call filter: a deny list as a classic BPF program, assembled here.

Namespaces and the empty set of capabilities are the wall; this takes away the parts of the kernel
that have no use inside and have let programs through such walls before. Reasons: B1, B5, B7-B9,
D13 of the threat model. A new kernel brings new calls: those past the last known do not exist.
"""

from __future__ import annotations

import errno
import struct
from collections.abc import Iterable, Mapping

ALLOW = 0x7FFF0000
KILL = 0x80000000
EPERM = 0x00050000 | errno.EPERM
ENOSYS = 0x00050000 | errno.ENOSYS
EAFNOSUPPORT = 0x00050000 | errno.EAFNOSUPPORT

MACHINES = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}
LAST_KNOWN = 469  # file_setattr, Linux 6.17; since 424 all processors number alike

DENIED: Mapping[str, Mapping[str, int]] = {
    "x86_64": {
        "mount": 165, "umount2": 166, "pivot_root": 155, "chroot": 161, "setns": 308,
        "keyctl": 250, "add_key": 248, "request_key": 249,
        "bpf": 321, "perf_event_open": 298, "userfaultfd": 323, "fanotify_init": 300,
        "name_to_handle_at": 303, "open_by_handle_at": 304,
        "create_module": 174, "init_module": 175, "finit_module": 313, "delete_module": 176,
        "get_kernel_syms": 177, "query_module": 178, "kexec_load": 246, "kexec_file_load": 320,
        "reboot": 169, "swapon": 167, "swapoff": 168, "acct": 163, "quotactl": 179,
        "settimeofday": 164, "clock_settime": 227, "adjtimex": 159, "clock_adjtime": 305,
        "sethostname": 170, "setdomainname": 171, "iopl": 172, "ioperm": 173, "modify_ldt": 154,
        "uselib": 134, "vhangup": 153, "syslog": 103, "lookup_dcookie": 212, "nfsservctl": 180,
        "_sysctl": 156,
    },
    "aarch64": {
        "mount": 40, "umount2": 39, "pivot_root": 41, "chroot": 51, "setns": 268,
        "keyctl": 219, "add_key": 217, "request_key": 218,
        "bpf": 280, "perf_event_open": 241, "userfaultfd": 282, "fanotify_init": 262,
        "name_to_handle_at": 264, "open_by_handle_at": 265,
        "init_module": 105, "finit_module": 273, "delete_module": 106,
        "kexec_load": 104, "kexec_file_load": 294,
        "reboot": 142, "swapon": 224, "swapoff": 225, "acct": 89, "quotactl": 60,
        "settimeofday": 170, "clock_settime": 112, "adjtimex": 171, "clock_adjtime": 266,
        "sethostname": 161, "setdomainname": 162,
        "vhangup": 58, "syslog": 116, "lookup_dcookie": 18, "nfsservctl": 42,
    },
}  # fmt: skip
DENIED_EVERYWHERE: Mapping[str, int] = {
    "open_tree": 428, "move_mount": 429, "fsopen": 430, "fsconfig": 431, "fsmount": 432,
    "fspick": 433, "pidfd_getfd": 438, "mount_setattr": 442, "quotactl_fd": 443, "statmount": 457,
    "listmount": 458, "open_tree_attr": 467,
}  # fmt: skip
# The libraries know how to do without these: clone3 hides its flags behind a pointer, where no
# filter sees them, and io_uring does what other calls do without asking the filter again.
ABSENT: Mapping[str, int] = {
    "io_uring_setup": 425, "io_uring_enter": 426, "io_uring_register": 427, "clone3": 435,
}  # fmt: skip
BY_ARGUMENT: Mapping[str, Mapping[str, int]] = {
    "x86_64": {
        "clone": 56, "unshare": 272, "ioctl": 16, "socket": 41, "socketpair": 53,
        "mknod": 133, "mknodat": 259,
    },
    "aarch64": {
        "clone": 220, "unshare": 97, "ioctl": 29, "socket": 198, "socketpair": 199, "mknodat": 33,
    },
}  # fmt: skip

_LOAD, _EQUAL, _AT_LEAST, _ANY_BIT, _AND, _RETURN = 0x20, 0x15, 0x35, 0x45, 0x54, 0x06
_NUMBER_AT, _MACHINE_AT = 0, 4

# Mount, cgroup, uts, ipc, user, pid, net. In `clone` 0x80 belongs to the exit signal, so the bit of
# the time namespace can only be refused in `unshare`.
NAMESPACES = (
    0x00020000 | 0x02000000 | 0x04000000 | 0x08000000 | 0x10000000 | 0x20000000 | 0x40000000
)
TIME_NAMESPACE = 0x80
TIOCSTI, TIOCLINUX = 0x5412, 0x541C
_UNIX, _INET, _INET6, NETLINK = 1, 2, 10, 16
FAMILIES = (_UNIX, _INET, _INET6)
_TYPE_MASK, _CHARACTER_DEVICE, _BLOCK_DEVICE = 0o170000, 0o020000, 0o060000


def program(machine: str) -> bytes:
    """The filter for `machine` as the kernel takes it. KeyError for one that is not in MACHINES."""
    code = [
        _op(_LOAD, _MACHINE_AT),
        _op(_EQUAL, MACHINES[machine], yes=1),
        _op(_RETURN, KILL),
        _op(_LOAD, _NUMBER_AT),
        # Beyond the last known call; on x86-64 that is also where the x32 numbers are.
        _op(_AT_LEAST, LAST_KNOWN + 1, no=1),
        _op(_RETURN, ENOSYS),
    ]
    code += _calls(ABSENT.values(), ENOSYS)
    code += _calls(DENIED_EVERYWHERE.values(), EPERM)
    code += _calls(DENIED[machine].values(), EPERM)
    for name, number in BY_ARGUMENT[machine].items():
        body = _RULES[name]
        code += [_op(_EQUAL, number, no=len(body)), *body]
    code.append(_op(_RETURN, ALLOW))
    return b"".join(code)


def _op(code: int, value: int, *, yes: int = 0, no: int = 0) -> bytes:
    return struct.pack("<HBBI", code, yes, no, value)


def _calls(numbers: Iterable[int], verdict: int) -> list[bytes]:
    return [op for n in numbers for op in (_op(_EQUAL, n, no=1), _op(_RETURN, verdict))]


def _load(argument: int) -> bytes:
    # Only the low half: the kernel ignores the high one, and a comparison of 64 bits misses
    # `TIOCSTI + 2**32` (CVE-2019-10063).
    return _op(_LOAD, 16 + 8 * argument)


def _any_bit(argument: int, bits: int) -> list[bytes]:
    return [_load(argument), _op(_ANY_BIT, bits, no=1), _op(_RETURN, EPERM), _op(_RETURN, ALLOW)]


def _either(first: int, second: int) -> list[bytes]:
    return [
        _op(_EQUAL, first, yes=1),
        _op(_EQUAL, second, no=1),
        _op(_RETURN, EPERM),
        _op(_RETURN, ALLOW),
    ]


def _device(argument: int) -> list[bytes]:
    return [_load(argument), _op(_AND, _TYPE_MASK), *_either(_CHARACTER_DEVICE, _BLOCK_DEVICE)]


_SOCKETS = [
    _load(0),
    _op(_EQUAL, _UNIX, yes=6),
    _op(_EQUAL, _INET, yes=5),
    _op(_EQUAL, _INET6, yes=4),
    _op(_EQUAL, NETLINK, no=2),
    _load(2),
    _op(_EQUAL, 0, yes=1),  # NETLINK_ROUTE, which lists the interfaces
    _op(_RETURN, EAFNOSUPPORT),
    _op(_RETURN, ALLOW),
]

_RULES: Mapping[str, list[bytes]] = {
    "clone": _any_bit(0, NAMESPACES),
    "unshare": _any_bit(0, NAMESPACES | TIME_NAMESPACE),
    "ioctl": [_load(1), *_either(TIOCSTI, TIOCLINUX)],
    "socket": _SOCKETS,
    "socketpair": _SOCKETS,
    "mknod": _device(1),
    "mknodat": _device(2),
}
