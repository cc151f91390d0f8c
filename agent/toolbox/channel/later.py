"""Operations whose modules are loaded when they are first asked for: most requests need none."""

from __future__ import annotations

import importlib
import sys
from typing import Any, Callable, Dict

Operation = Callable[[Dict[str, Any], Dict[str, Any]], Dict[str, Any]]
"""From the arguments of a request and the limits that hold in here to its answer."""


def loaded(place: str) -> Any:
    """What `module:name` is called in here; the module is loaded if it was not."""
    module, _, name = place.partition(":")
    return getattr(importlib.import_module("agent.toolbox." + module), name)


def later(place: str) -> Operation:
    """The operation at `place`, loaded when it is asked for."""

    def run(arguments: Dict[str, Any], limits: Dict[str, Any]) -> Dict[str, Any]:
        return loaded(place)(arguments, limits)  # type: ignore[no-any-return]

    return run


def end_servers() -> None:
    """End the language servers that this process started."""
    if "agent.toolbox.symbols.servers" in sys.modules:
        loaded("symbols.servers:end_all")()
