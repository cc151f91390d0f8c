from __future__ import annotations

import asyncio
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.rig import User, destroy_sandboxes


@pytest.fixture
def user(suite_home: Path) -> Iterator[User]:
    home = Path(tempfile.mkdtemp(prefix="ada-", dir=suite_home))
    home.chmod(0o711)
    yield User(home)
    asyncio.run(destroy_sandboxes(home / "state/glovebox/sandboxes"))
