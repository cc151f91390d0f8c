"""What the toolbox does to itself first: programs beside it must not take it over or starve it."""

from __future__ import annotations

import contextlib
import os
import resource
import signal
from typing import Mapping

_PR_SET_DUMPABLE = 4


def confine() -> None:
    """Become a bad target: no ptrace or memory access by programs of the same user, no dumps."""
    os.umask(0o022)
    # A host that was started in the background ignores these, and ignoring is inherited: programs
    # in here could not be interrupted, and a shell cannot even trap what was ignored before it.
    for number in (signal.SIGINT, signal.SIGQUIT, signal.SIGHUP, signal.SIGTERM):
        if signal.getsignal(number) == signal.SIG_IGN:
            signal.signal(number, signal.SIG_DFL)
    # When memory is short the kernel should take a program in here before one of the host's.
    # Must come before the prctl: afterwards our own files in /proc belong to root.
    with contextlib.suppress(OSError), open("/proc/self/oom_score_adj", "w") as file:
        file.write("500")
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    _undumpable()


def _undumpable() -> None:
    # ctypes is missing from some small interpreters; what it guards is the toolbox's own memory,
    # which the host never trusts anyway.
    try:
        import ctypes

        ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0)
    except (ImportError, OSError, AttributeError):
        return


def expendable(pid: int) -> None:
    """When memory is short this program goes before the toolbox, however small it is."""
    with contextlib.suppress(OSError), open("/proc/%d/oom_score_adj" % pid, "w") as file:
        file.write("900")


def bound(limits: Mapping[str, int]) -> None:
    """Set the limits that every program started from here inherits.

    The number of processes is counted per user namespace, so it must be set in here: set before
    bubblewrap starts it would count everything the user runs.
    """
    _lower(resource.RLIMIT_NPROC, limits["processes"], limits["processes"])
    _lower(resource.RLIMIT_FSIZE, limits["file_bytes"], limits["file_bytes"])
    # Programs that close or scan every possible descriptor look at the soft limit: keep it small.
    _lower(resource.RLIMIT_NOFILE, 4096, limits["descriptors"])


def _lower(kind: int, soft: int, hard: int) -> None:
    _, highest = resource.getrlimit(kind)
    if highest != resource.RLIM_INFINITY:
        hard = min(hard, highest)
    resource.setrlimit(kind, (min(soft, hard), hard))
