"""Exit codes. Scripts rely on them: a code never changes its meaning."""

from __future__ import annotations

from enum import IntEnum

from agent.core.events import Outcome, Problem


class Exit(IntEnum):
    DONE = 0
    OURS = 1
    USAGE = 2
    CREDENTIALS = 3
    PROVIDER = 4
    SANDBOX = 5
    SYNC = 6
    LIMIT = 7
    ANSWER = 8
    NO_WINNER = 9
    INTERRUPTED = 130


_BY_KIND = {
    "UserError": Exit.USAGE,
    "ConfigError": Exit.USAGE,
    "JournalError": Exit.USAGE,
    "LlmAuthError": Exit.CREDENTIALS,
    "LlmLimitError": Exit.PROVIDER,
    "LlmContextError": Exit.PROVIDER,
    "LlmDownError": Exit.PROVIDER,
    "SandboxError": Exit.SANDBOX,
    "SandboxUnavailable": Exit.SANDBOX,
    "SandboxLost": Exit.SANDBOX,
    "ToolboxError": Exit.SANDBOX,
    "SyncError": Exit.SYNC,
    "BudgetError": Exit.LIMIT,
    "AnswerNeeded": Exit.ANSWER,
}


def exit_of(problem: Problem) -> Exit:
    """The code for an error; one that is not ours on purpose is our fault."""
    return _BY_KIND.get(problem.kind, Exit.OURS)


def exit_of_turn(outcome: Outcome, problem: Problem | None, unsynced: Problem | None) -> Exit:
    """The code for a turn. What ended the turn weighs more than a sync that failed after it."""
    if outcome == "interrupted":
        return Exit.INTERRUPTED
    if problem is not None:
        return exit_of(problem)
    return Exit.SYNC if unsynced is not None else Exit.DONE
