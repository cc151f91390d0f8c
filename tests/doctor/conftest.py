from __future__ import annotations

from tests.e2e.conftest import user

__all__ = ["user"]
