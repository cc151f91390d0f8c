from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.e2e.conftest import user
from tests.terminal import Terminal, terminal

__all__ = ["tty", "user"]


@pytest.fixture
def tty() -> Iterator[Terminal]:
    with terminal() as made:
        yield made
