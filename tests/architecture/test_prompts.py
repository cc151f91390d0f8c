from __future__ import annotations

import pytest

from agent.core.errors import UserError
from agent.host.files import package_texts
from agent.tools.builtin import builtin, discover

TEXTS = package_texts("prompts/tools")


def test_every_tool_has_its_prompt_and_every_prompt_its_tool() -> None:
    assert set(TEXTS) == {f"{name}.md" for name in discover()}


def test_a_tool_is_named_after_its_file() -> None:
    assert set(builtin(TEXTS).names) == set(discover())


@pytest.mark.parametrize("name", sorted(TEXTS))
def test_a_missing_prompt_is_an_error_that_names_it(name: str) -> None:
    with pytest.raises(UserError, match=name):
        builtin({k: v for k, v in TEXTS.items() if k != name})


def test_a_prompt_without_a_tool_is_an_error_that_names_it() -> None:
    with pytest.raises(UserError, match=r"teleport\.md"):
        builtin({**TEXTS, "teleport.md": "x"})
