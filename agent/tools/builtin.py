"""The tools that come with glovebox: each file here with a `tool` function, and its prompt."""

from __future__ import annotations

import pkgutil
from collections.abc import Callable, Mapping

import agent.tools
from agent.core.errors import UserError
from agent.tools.base import Tool, Toolset
from agent.tools.wrap import wrap

REMEDY = "reinstall glovebox-agent; in a checkout, give each tool its file in `prompts/tools`"


def builtin(texts: Mapping[str, str]) -> Toolset:
    """Every tool, with its description from `texts` (the files of `prompts/tools`), wrapped.

    Raises `UserError` when a tool has no text or a text no tool.
    """
    makers = discover()
    wanted = {f"{name}.md" for name in makers}
    if missing := sorted(wanted - set(texts)):
        raise UserError(f"`prompts/tools` lacks {', '.join(missing)}", REMEDY)
    if extra := sorted(set(texts) - wanted):
        raise UserError(f"`prompts/tools` has {', '.join(extra)} without a tool", REMEDY)
    return Toolset([wrap(make(texts[f"{name}.md"].strip())) for name, make in makers.items()])


def discover() -> dict[str, Callable[[str], Tool]]:
    """The `tool` functions of the files beside this one, by file name."""
    found: dict[str, Callable[[str], Tool]] = {}
    for file in pkgutil.iter_modules(agent.tools.__path__):
        if file.name == "builtin":
            continue
        module = pkgutil.resolve_name(f"agent.tools.{file.name}")
        if hasattr(module, "tool"):
            found[file.name] = module.tool
    return found
