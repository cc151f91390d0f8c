"""What a person chooses about what goes into a sandbox. The repository cannot choose it."""

from __future__ import annotations

from dataclasses import dataclass
from fnmatch import fnmatchcase

from agent.core.limits import SEED_FILE_MAX_BYTES, SEED_TOTAL_MAX_BYTES

INCLUDE_FILE = ".gloveboxinclude"
"""Names ignored files to carry, in the words of a `.gitignore`; secrets and giants stay out."""


@dataclass(frozen=True, slots=True)
class Rules:
    """`history` is a number of commits, 0 all of them, None what is small enough.

    Files of uncommitted work larger than `file_max` bytes stay out, and those that would make it
    more than `total_max` together. `secrets` are patterns of paths that look like secrets and may
    go in all the same. With a commit as `base` it is that which goes in, and nothing uncommitted.
    """

    history: int | None = None
    uncommitted: bool = True
    file_max: int = SEED_FILE_MAX_BYTES
    total_max: int = SEED_TOTAL_MAX_BYTES
    secrets: tuple[str, ...] = ()
    base: str = ""

    def lets_in(self, name: bytes) -> bool:
        """Whether the user said of a path that looks like a secret that it is none."""
        path = name.decode("utf-8", "replace")
        last = path.rpartition("/")[2]
        return any(
            fnmatchcase(path, pattern) or fnmatchcase(last, pattern) for pattern in self.secrets
        )
