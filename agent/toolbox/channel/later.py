"""Operations whose modules are loaded when they are first asked for: most requests need none."""

from __future__ import annotations

from typing import Any, Dict

from agent.toolbox.files.paths import Answer


def lsp(arguments: Dict[str, Any], limits: Dict[str, Any]) -> Answer:
    """A question about symbols."""
    from agent.toolbox.symbols.lsp import lsp as answer

    return answer(arguments, limits)


def rename(arguments: Dict[str, Any], limits: Dict[str, Any]) -> Answer:
    """A symbol's new name, shown or made."""
    from agent.toolbox.symbols.lsp import rename as answer

    return answer(arguments, limits)


def chart(arguments: Dict[str, Any], limits: Dict[str, Any]) -> Answer:
    """The repository map."""
    from agent.toolbox.symbols.map import map_

    return map_(arguments, limits)


def index(arguments: Dict[str, Any], limits: Dict[str, Any]) -> Answer:
    """Begin to build the index."""
    from agent.toolbox.symbols.build import begin

    return begin(arguments, limits)


def fetch(arguments: Dict[str, Any], limits: Dict[str, Any]) -> Answer:
    """A page of the web as text."""
    from agent.toolbox.network.fetch import fetch as answer

    return answer(arguments, limits)


def grammars(arguments: Dict[str, Any], limits: Dict[str, Any]) -> Answer:
    """Grammars that the host has brought."""
    from agent.toolbox.code.grammars import grammars as answer

    return answer(arguments, limits)


def end_servers() -> None:
    """End the language servers that this process started."""
    import sys

    if "agent.toolbox.symbols.servers" in sys.modules:
        from agent.toolbox.symbols.servers import end_all

        end_all()
