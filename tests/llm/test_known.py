from __future__ import annotations

import pytest

from agent.llm.client import window
from tests.llm.conftest import Provider


@pytest.mark.parametrize(
    ("model", "tokens"),
    [
        ("openai/gpt-4o", 128_000),
        ("gpt-4o", 128_000),
        ("anthropic/claude-sonnet-4-5", 200_000),
        ("openrouter/anthropic/claude-sonnet-4", 200_000),
        ("ollama/llama3", 8_192),
        ("openai/test-model", 0),
        ("nobody/gpt-4o", 0),
        ("groq/gpt-4o", 0),
    ],
)
async def test_the_window_of_a_model_is_what_the_table_says(model: str, tokens: int) -> None:
    assert await window(model) == tokens


async def test_a_model_of_ollama_is_not_asked_about_at_its_server(
    provider: Provider, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = provider([])
    monkeypatch.setenv("OLLAMA_API_BASE", server.url)

    known = [await window("ollama/llama3"), await window("ollama_chat/qwen2.5-coder")]

    assert known == [8_192, 0]
    assert server.requests == []
