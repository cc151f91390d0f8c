"""The map in a real session: made inside, given when it is there, about what was asked."""

from __future__ import annotations

from pathlib import Path

import pytest

from agent.app import Options, open_session
from agent.config import Settings
from agent.core.events import Mapped
from agent.core.messages import AssistantMessage, ToolCall, ToolMessage
from agent.llm.protocol import Request
from agent.testing.model import Scripted
from tests.toolbox.code import repository

pytestmark = [pytest.mark.sandbox, pytest.mark.slow]


def seen(request: Request) -> bool:
    """Whether the newest results carry the map."""
    last = request.messages[-1]
    return isinstance(last, ToolMessage) and "[Repository map" in last.results[-1].text


def look(request: Request) -> AssistantMessage:
    """Go on calling until the map is there, each time for something else."""
    if seen(request):
        return AssistantMessage("done")
    number = len(request.messages)
    target = f"make_{(number + 6) % 60}"  # 7 in the first request
    call = ToolCall(f"c{number}", "lsp", {"operation": "definition", "target": target})
    return AssistantMessage("", calls=(call,), stop="calls")


async def test_the_model_is_given_the_files_that_a_request_is_about(tmp_path: Path) -> None:
    files = {f"part{n % 5}__piece_{n}": f"def make_{n}(): pass\n" for n in range(60)}
    root = repository(
        tmp_path / "r",
        shop__invoice="from shop.tax import lookup_rate\n\n\nclass Invoice:\n    pass\n",
        shop__tax="def lookup_rate(country):\n    return country\n",
        shop__tax_desk="from shop.tax import lookup_rate\n",
        **files,
    )
    settings = Settings(model="scripted", sandbox="local", network="none")
    session = await open_session(
        Options(root, settings, state=tmp_path / "state"), llm=Scripted([look] * 150)
    )
    try:
        records = [r async for r in session.send("the tax on an invoice is wrong")]
        mapped = [r.event for r in records if isinstance(r.event, Mapped)]
        assert len(mapped) == 1 and {"shop/invoice.py", "shop/tax.py"} <= set(mapped[0].files[:3])
        assert "1: def lookup_rate(country)" in mapped[0].text
        results = [m for m in session.state.history.messages if isinstance(m, ToolMessage)]
        assert "part2/piece_7.py" in results[0].results[0].text
    finally:
        await session.discard()
