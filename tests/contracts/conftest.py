"""The contract suite is shipped code; its assertions should still say what they compared."""

from __future__ import annotations

import pytest

pytest.register_assert_rewrite("agent.testing.contracts")
