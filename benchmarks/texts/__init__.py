"""What the harness says to a model, besides the tasks' own words."""

from __future__ import annotations

import functools
from collections.abc import Mapping

from agent.host import files


def text(name: str) -> str:
    """The text in the file `name` beside this one."""
    return _texts()[name].strip()


@functools.cache
def _texts() -> Mapping[str, str]:
    return files.package_texts("benchmarks/texts")
