"""The system call filter as container engines take it: an allow list, with what `seccomp` refuses.

Same verdicts as the filter of the local backend. It is the other way round because an engine's
library knows calls by name and only those of its own time: what is not named is refused.
"""

from __future__ import annotations

import errno
import json
from collections.abc import Mapping, Sequence
from typing import Any

from agent.sandbox import seccomp

MACHINES = {"x86_64": "SCMP_ARCH_X86_64", "aarch64": "SCMP_ARCH_AARCH64"}

# Every call of Linux 6.17 on these processors that `seccomp` does not refuse. Names that an
# engine's library does not know are left out by it.
_ALLOWED = """
    accept accept4 access alarm arch_prctl bind brk cachestat capget capset chdir chmod chown
    clock_getres clock_gettime clock_nanosleep close close_range connect copy_file_range creat dup
    dup2 dup3 epoll_create epoll_create1 epoll_ctl epoll_ctl_old epoll_pwait epoll_pwait2 epoll_wait
    epoll_wait_old eventfd eventfd2 execve execveat exit exit_group faccessat faccessat2 fadvise64
    fallocate fanotify_mark fchdir fchmod fchmodat fchmodat2 fchown fchownat fcntl fdatasync
    fgetxattr file_getattr file_setattr flistxattr flock fork fremovexattr fsetxattr fstat fstatfs
    fsync ftruncate futex futex_requeue futex_wait futex_waitv futex_wake futimesat get_mempolicy
    get_robust_list get_thread_area getcpu getcwd getdents getdents64 getegid geteuid getgid
    getgroups getitimer getpeername getpgid getpgrp getpid getppid getpriority getrandom getresgid
    getresuid getrlimit getrusage getsid getsockname getsockopt gettid gettimeofday getuid getxattr
    getxattrat inotify_add_watch inotify_init inotify_init1 inotify_rm_watch io_cancel io_destroy
    io_getevents io_pgetevents io_setup io_submit ioprio_get ioprio_set kcmp kill
    landlock_add_rule landlock_create_ruleset landlock_restrict_self lchown lgetxattr link linkat
    listen listxattr listxattrat llistxattr lremovexattr lseek lsetxattr lsm_get_self_attr
    lsm_list_modules lsm_set_self_attr lstat madvise map_shadow_stack mbind membarrier memfd_create
    memfd_secret migrate_pages mincore mkdir mkdirat mlock mlock2 mlockall mmap move_pages mprotect
    mq_getsetattr mq_notify mq_open mq_timedreceive mq_timedsend mq_unlink mremap mseal msgctl
    msgget msgrcv msgsnd msync munlock munlockall munmap nanosleep newfstatat open openat openat2
    pause personality pidfd_open pidfd_send_signal pipe pipe2 pkey_alloc pkey_free pkey_mprotect
    poll ppoll prctl pread64 preadv preadv2 prlimit64 process_madvise process_mrelease
    process_vm_readv process_vm_writev pselect6 ptrace pwrite64 pwritev pwritev2 read readahead
    readlink readlinkat readv recvfrom recvmmsg recvmsg remap_file_pages removexattr removexattrat
    rename renameat renameat2 restart_syscall rmdir rseq rt_sigaction rt_sigpending rt_sigprocmask
    rt_sigqueueinfo rt_sigreturn rt_sigsuspend rt_sigtimedwait rt_tgsigqueueinfo
    sched_get_priority_max sched_get_priority_min sched_getaffinity sched_getattr sched_getparam
    sched_getscheduler sched_rr_get_interval sched_setaffinity sched_setattr sched_setparam
    sched_setscheduler sched_yield seccomp select semctl semget semop semtimedop sendfile sendmmsg
    sendmsg sendto set_mempolicy set_mempolicy_home_node set_robust_list set_thread_area
    set_tid_address setfsgid setfsuid setgid setgroups setitimer setpgid setpriority setregid
    setresgid setresuid setreuid setrlimit setsid setsockopt setuid setxattr setxattrat shmat shmctl
    shmdt shmget shutdown sigaltstack signalfd signalfd4 splice stat statfs statx symlink symlinkat
    sync sync_file_range syncfs sysfs sysinfo tee tgkill time timer_create timer_delete
    timer_getoverrun timer_gettime timer_settime timerfd_create timerfd_gettime timerfd_settime
    times tkill truncate umask uname unlink unlinkat uretprobe ustat utime utimensat utimes vfork
    vmsplice wait4 waitid write writev
"""
ALLOWED = tuple(_ALLOWED.split())

_LOW = 0xFFFF_FFFF


def filter_for(machine: str) -> bytes:
    """The filter for `machine`, one of MACHINES, as `--security-opt seccomp=FILE` reads it."""
    rules = [
        _rule(ALLOWED),
        _rule(["clone"], [_bits(0, seccomp.NAMESPACES, 0)]),
        _rule(["unshare"], [_bits(0, seccomp.NAMESPACES | seccomp.TIME_NAMESPACE, 0)]),
        *(_rule(["ioctl"], [test]) for test in _neither(1, seccomp.TIOCSTI, seccomp.TIOCLINUX)),
        *(
            _rule([name], [{"index": 0, "value": family, "op": "SCMP_CMP_EQ"}])
            for name in ("socket", "socketpair")
            for family in seccomp.FAMILIES
        ),
        *(
            _rule([name], [_bits(0, _LOW, seccomp.NETLINK), _bits(2, _LOW, 0)])
            for name in ("socket", "socketpair")
        ),
        *(_rule([name], [t]) for name, at in (("mknod", 1), ("mknodat", 2)) for t in _plain(at)),
        # The libraries fall back to `clone` and to plain calls only for this answer.
        _rule(list(seccomp.ABSENT), action="SCMP_ACT_ERRNO", errnoRet=errno.ENOSYS),
    ]
    filter_ = {
        "defaultAction": "SCMP_ACT_ERRNO",
        # Not listed: the 32-bit entry, where the numbers mean other calls. It is death (B9).
        "architectures": [MACHINES[machine]],
        "syscalls": rules,
    }
    return json.dumps(filter_).encode()


def _rule(
    names: Sequence[str],
    tests: Sequence[Mapping[str, Any]] = (),
    *,
    action: str = "SCMP_ACT_ALLOW",
    **more: Any,
) -> dict[str, Any]:
    return {"names": list(names), "action": action, "args": list(tests), **more}


def _bits(argument: int, mask: int, wanted: int) -> dict[str, Any]:
    return {"index": argument, "value": mask, "valueTwo": wanted, "op": "SCMP_CMP_MASKED_EQ"}


def _neither(argument: int, first: int, second: int) -> list[dict[str, Any]]:
    """Tests one of which holds for every value whose low half is neither of the two.

    A bit that both have alike rules out both as soon as it differs. Among the others, a value that
    takes one bit from each of them is neither.
    """
    bits = [1 << n for n in range(32)]
    alike = [_bits(argument, b, ~first & b) for b in bits if not (first ^ second) & b]
    apart = [b for b in bits if (first ^ second) & b]
    mixed = [
        _bits(argument, one | other, first & one | second & other)
        for one in apart
        for other in apart
        if one != other
    ]
    return alike + mixed


def _plain(argument: int) -> list[dict[str, Any]]:
    """Tests one of which holds for every file type but the two kinds of device."""
    # Both devices have 0o020000 set, and neither of the other two bits.
    return [
        _bits(argument, 0o020000, 0),
        _bits(argument, 0o010000, 0o010000),
        _bits(argument, 0o100000, 0o100000),
    ]
