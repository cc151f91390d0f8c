"""The filter program, run by an interpreter of its own; the kernel runs it in tests/security."""

from __future__ import annotations

import re
import struct
from pathlib import Path

import pytest

from agent.sandbox import seccomp
from agent.sandbox.seccomp import ALLOW, EAFNOSUPPORT, ENOSYS, EPERM, KILL

X86, ARM = seccomp.MACHINES["x86_64"], seccomp.MACHINES["aarch64"]
HIGH = 0xDEAD_0000_0000


def verdict(machine: str, number: int, *arguments: int, arch: int | None = None) -> int:
    """What the filter for `machine` says to a call."""
    given = [*arguments, *[0] * (6 - len(arguments))]
    called = seccomp.MACHINES[machine] if arch is None else arch
    data = struct.pack("<IIQ6Q", number, called, 0, *given)
    code = list(struct.iter_unpack("<HBBI", seccomp.program(machine)))
    at, value = 0, 0
    for _ in range(10_000):
        op, yes, no, k = code[at]
        at += 1
        match op:
            case 0x20:
                (value,) = struct.unpack_from("<I", data, k)
            case 0x54:
                value &= k
            case 0x15:
                at += yes if value == k else no
            case 0x35:
                at += yes if value >= k else no
            case 0x45:
                at += yes if value & k else no
            case 0x06:
                return k
    raise AssertionError("the program does not end")


@pytest.mark.parametrize("machine", seccomp.MACHINES)
def test_ordinary_calls_pass_and_listed_ones_do_not(machine: str) -> None:
    listed = {
        **dict.fromkeys(seccomp.DENIED[machine].values(), EPERM),
        **dict.fromkeys(seccomp.DENIED_EVERYWHERE.values(), EPERM),
        **dict.fromkeys(seccomp.ABSENT.values(), ENOSYS),
    }
    arguments = seccomp.BY_ARGUMENT[machine].values()
    for number in range(seccomp.LAST_KNOWN + 1):
        if number not in arguments:
            assert verdict(machine, number) == listed.get(number, ALLOW), number


@pytest.mark.parametrize("machine", seccomp.MACHINES)
def test_calls_of_tomorrow_and_of_x32_do_not_exist(machine: str) -> None:
    for number in (seccomp.LAST_KNOWN + 1, 0x4000_0000, 0x4000_0000 + 56, 0xFFFF_FFFF):
        assert verdict(machine, number) == ENOSYS


def test_another_processors_calls_are_death() -> None:
    assert verdict("x86_64", 39, arch=0x4000_0003) == KILL  # i386, by `int 0x80`
    assert verdict("x86_64", 39, arch=ARM) == KILL
    assert verdict("aarch64", 39, arch=X86) == KILL


@pytest.mark.parametrize("machine", seccomp.MACHINES)
@pytest.mark.parametrize(
    ("call", "arguments", "expected"),
    [
        ("clone", (0x1200011,), ALLOW),  # fork
        ("clone", (0x3D0F00,), ALLOW),  # a thread
        ("clone", (0x80,), ALLOW),  # part of the exit signal
        ("unshare", (0x400,), ALLOW),  # CLONE_FILES
        ("unshare", (0x80,), EPERM),
        *((call, (bit,), EPERM) for call in ("clone", "unshare")
          for bit in (0x20000, 0x2000000, 0x4000000, 1 << 27, 1 << 28, 1 << 29, 1 << 30)),
        *((call, (HIGH | 0x10000000 | 0x11,), EPERM) for call in ("clone", "unshare")),
        ("ioctl", (0, 0x5413), ALLOW),
        ("ioctl", (0, 0x5412), EPERM),
        ("ioctl", (0, 0x541C), EPERM),
        ("ioctl", (0, HIGH | 0x5412), EPERM),
        ("ioctl", (0, HIGH | 0x541C), EPERM),
        *(("socket", (family, 1), ALLOW) for family in (1, 2, 10)),
        ("socket", (16, 3, 0), ALLOW),
        *(("socket", (16, 3, protocol), EAFNOSUPPORT) for protocol in (2, 9, 12, 15, 16)),
        *(("socket", (family, 1), EAFNOSUPPORT) for family in (0, 3, 17, 29, 30, 31, 38, 40, 44)),
        ("socket", (HIGH | 40, 1), EAFNOSUPPORT),
        ("socketpair", (1, 1), ALLOW),
        ("socketpair", (30, 1), EAFNOSUPPORT),
        ("mknodat", (0, 0, 0o100644), ALLOW),
        ("mknodat", (0, 0, 0o010644), ALLOW),
        ("mknodat", (0, 0, 0o140644), ALLOW),
        ("mknodat", (0, 0, 0o020644), EPERM),
        ("mknodat", (0, 0, 0o060644), EPERM),
    ],
)  # fmt: skip
def test_calls_judged_by_their_arguments(
    machine: str, call: str, arguments: tuple[int, ...], expected: int
) -> None:
    assert verdict(machine, seccomp.BY_ARGUMENT[machine][call], *arguments) == expected


def test_mknod_of_x86_is_judged_too() -> None:
    number = seccomp.BY_ARGUMENT["x86_64"]["mknod"]
    assert verdict("x86_64", number, 0, 0o020644) == EPERM
    assert verdict("x86_64", number, 0, 0o010644) == ALLOW


@pytest.mark.parametrize(
    ("machine", "header"),
    [
        ("x86_64", "x86_64-linux-gnu/asm/unistd_64.h"),
        ("aarch64", "asm-generic/unistd.h"),
    ],
)
def test_numbers_are_those_of_the_kernels_own_header(machine: str, header: str) -> None:
    path = Path("/usr/include") / header
    if not path.exists():
        pytest.skip(f"no {path} here")
    pattern = r"#define __NR(?:3264)?_(\w+)\s+(\d+)"
    known = {name: int(number) for name, number in re.findall(pattern, path.read_text())}
    known["_sysctl"] = known.get("_sysctl", 156)
    ours = {
        **seccomp.DENIED[machine],
        **seccomp.DENIED_EVERYWHERE,
        **seccomp.ABSENT,
        **seccomp.BY_ARGUMENT[machine],
    }
    newer = {n for n in ours if n not in known and ours[n] > max(known.values())}
    assert {n: known[n] for n in ours if n not in newer} == {
        n: ours[n] for n in ours if n not in newer
    }


def test_an_unknown_processor_has_no_program() -> None:
    with pytest.raises(KeyError):
        seccomp.program("riscv64")
