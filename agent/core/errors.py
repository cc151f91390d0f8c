"""Every exception glovebox raises on purpose. Each carries the cause and the next step.

    GloveboxError
    ├── UserError            something typed or pointed at is wrong
    │   └── ConfigError      a configuration file or variable is wrong
    ├── LlmError             the model provider; never raised bare
    │   ├── LlmAuthError     no key, or the key was refused
    │   ├── LlmLimitError    rate limit or quota
    │   ├── LlmContextError  the conversation does not fit the model
    │   └── LlmDownError     unreachable, failing, or cut off
    ├── SandboxError
    │   ├── SandboxUnavailable   it cannot be started on this machine
    │   ├── SandboxLost          it was running and is gone
    │   └── SandboxLacks         this one cannot do it, whatever is tried
    ├── ToolboxError         the helper inside refused or answered nonsense
    ├── SyncError            work is safe inside but did not reach the branch
    ├── BudgetError          a limit the user set was reached
    ├── AnswerNeeded         the model asked the user, and nobody was there
    ├── HostError            this computer has no room, no permission, no descriptor
    └── JournalError         a session record cannot be read or written

What the *model* can act on is a tool result, never one of these.
"""

from __future__ import annotations


class GloveboxError(Exception):
    """Base of the tree: `message` says what happened and where, `hint` what to do next."""

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint


class UserError(GloveboxError):
    """A flag, path or request that cannot be honoured as given."""


class ConfigError(UserError):
    """A configuration source holds something wrong; `file` and dotted `key` name the place."""

    def __init__(self, message: str, hint: str = "", *, file: str = "", key: str = "") -> None:
        super().__init__(message, hint)
        self.file = file
        self.key = key


class LlmError(GloveboxError):
    """The model provider did not answer the request.

    `partial` is the text that had arrived when a stream was cut, so that it is not lost.
    """

    def __init__(self, message: str, hint: str = "", *, partial: str = "") -> None:
        super().__init__(message, hint)
        self.partial = partial


class LlmAuthError(LlmError):
    """No credentials, or the provider refused them."""


class LlmLimitError(LlmError):
    """A rate limit or quota, still in force after the retries."""


class LlmContextError(LlmError):
    """The request is larger than the model's context window.

    `model` is whose that is where it is not the one that was wanted, `window` its tokens, or 0.
    """

    def __init__(
        self, message: str, hint: str = "", *, partial: str = "", model: str = "", window: int = 0
    ) -> None:
        super().__init__(message, hint, partial=partial)
        self.model = model
        self.window = window


class LlmDownError(LlmError):
    """The provider is unreachable, failing, or cut the reply off."""


class SandboxError(GloveboxError):
    """The sandbox could not do what was asked of it."""


class SandboxUnavailable(SandboxError):
    """This machine cannot run the sandbox as it is; the hint says what to install or allow."""


class SandboxLost(SandboxError):
    """The sandbox was running and is gone. Files that its backend keeps are still there."""


class SandboxLacks(SandboxError):
    """This sandbox has not what that needs, and trying again is no use."""


class ToolboxError(GloveboxError):
    """The helper inside refused the request or broke the protocol."""


class SyncError(GloveboxError):
    """Work is committed and safe inside the sandbox but has not reached the local branch."""


class BudgetError(GloveboxError):
    """A limit the user set (steps, money, time) was reached."""


class AnswerNeeded(GloveboxError):
    """The model asked the user something, nobody was there, and that was declared a failure."""


class HostError(GloveboxError, OSError):
    """This computer refused: a full disk, a directory of somebody else's, a limit.

    Whoever handles an OSError handles it as well; `number` is its errno.
    """

    def __init__(self, number: int, message: str, hint: str = "") -> None:
        super().__init__(message, hint)
        self.errno = number
        self.strerror = message


class JournalError(GloveboxError):
    """The record of a session cannot be read, written or locked."""
