"""Exit codes. Scripts rely on them: a code never changes its meaning."""

from __future__ import annotations

from enum import IntEnum

from agent.core.events import Checked, Outcome, Problem


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
    CHECK = 9
    INTERRUPTED = 130


_BY_KIND = {
    "UserError": Exit.USAGE,
    "UsageError": Exit.USAGE,
    "ConfigError": Exit.USAGE,
    "JournalError": Exit.USAGE,
    "HostError": Exit.USAGE,
    "LlmAuthError": Exit.CREDENTIALS,
    "LlmLimitError": Exit.PROVIDER,
    "LlmContextError": Exit.PROVIDER,
    "LlmDownError": Exit.PROVIDER,
    "SandboxError": Exit.SANDBOX,
    "SandboxUnavailable": Exit.SANDBOX,
    "SandboxLost": Exit.SANDBOX,
    "SandboxLacks": Exit.SANDBOX,
    "ToolboxError": Exit.SANDBOX,
    "SyncError": Exit.SYNC,
    "BudgetError": Exit.LIMIT,
    "Reached": Exit.LIMIT,
    "AnswerNeeded": Exit.ANSWER,
    "CheckFailed": Exit.CHECK,
    "Interrupted": Exit.INTERRUPTED,
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


def failed(check: Checked | None) -> Problem | None:
    """A check that still fails, as what is wrong at the end."""
    if check is None or check.exit_code == 0:
        return None
    how = "did not end" if check.exit_code is None else f"exit code {check.exit_code}"
    said = f"`{check.command}` still fails: {how}"
    return Problem("CheckFailed", said, "see what it says above, and go on with `--continue`")
