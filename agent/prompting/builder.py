"""Fill the system prompt with the facts of one session.

The template is a file; here are only values, no sentences. What the repository controls, such as a
branch name, stands on one line, visible and without a backtick that would end its quotes.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from agent.core.errors import UserError
from agent.core.text import one_line
from agent.sandbox.protocol import Facts

VALUE_MAX_CHARS = 400
_PLACEHOLDER = re.compile(r"\{\{(.*?)\}\}")


@dataclass(frozen=True, slots=True)
class GitFacts:
    """Where the copy came from and where the work will appear.

    `branch` is empty for a detached head, `base` a commit id, `mirror` the branch that will hold
    the work. Known before the sandbox is up, because the first request does not wait for it.
    """

    branch: str
    base: str
    mirror: str


def system_prompt(template: str, facts: Facts, git: GitFacts, *, date: str = "") -> str:
    """`template` with every `{{placeholder}}` filled; the same bytes for the same facts.

    Raises `UserError` for a placeholder that is unknown, and for a fact that the template leaves
    out: a prompt that hides the network policy is a mistake, not a choice.
    """
    values = _values(facts, git, date)
    used = set(_PLACEHOLDER.findall(template))
    if unknown := sorted(used - set(values)):
        raise UserError(
            f"the system prompt has unknown placeholders: {', '.join(unknown)}",
            f"known are: {', '.join(values)}",
        )
    if missing := sorted(set(values) - used):
        raise UserError(
            f"the system prompt lacks placeholders: {', '.join(missing)}",
            "write each as {{name}}",
        )
    return _PLACEHOLDER.sub(lambda match: values[match[1]], template).strip()


def _values(facts: Facts, git: GitFacts, date: str) -> dict[str, str]:
    given = {
        "backend": facts.backend,
        "system": facts.system,
        "workdir": facts.workdir,
        "programs": ", ".join(facts.programs) or "unknown",
        "network": facts.network,
        "branch": git.branch or "(detached)",
        "base": git.base[:12] or "none yet",
        "mirror": git.mirror,
        "date": date or "unknown",
    }
    return {
        name: one_line(value, VALUE_MAX_CHARS).replace("`", "'") for name, value in given.items()
    }
