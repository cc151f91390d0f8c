"""How much memory a process has, as the kernel counts it now.

Not `ru_maxrss`: that begins with what the process that started it had.
"""

from __future__ import annotations

import os
from typing import Tuple


def of(pid: str = "self") -> Tuple[int, int]:
    """Mapped and resident bytes. Raises `OSError` for a process that is gone."""
    with open("/proc/%s/statm" % pid, "rb") as file:
        mapped, resident = file.read().split()[:2]
    page = os.sysconf("SC_PAGE_SIZE")
    return int(mapped) * page, int(resident) * page
