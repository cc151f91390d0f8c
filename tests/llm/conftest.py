"""A provider on the loopback, and questions to ask it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack

import pytest

from tests.servers.answers import Script
from tests.servers.openai import OpenAIServer

KEY = "sk-canary-0123456789abcdef"

Provider = Callable[[Script], OpenAIServer]


@pytest.fixture
def provider(monkeypatch: pytest.MonkeyPatch) -> Iterator[Provider]:
    """Start a scripted provider and point the environment at it."""
    with ExitStack() as stack:

        def start(script: Script) -> OpenAIServer:
            server = stack.enter_context(OpenAIServer(script))
            monkeypatch.setenv("OPENAI_BASE_URL", server.url)
            monkeypatch.setenv("OPENAI_API_KEY", KEY)
            return server

        yield start
