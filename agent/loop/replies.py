"""What follows a reply without calls: the end of the turn, or a word to the model to go on.

Bounded, so that no model keeps a turn going with nothing: one word after an empty reply, a few
after replies that were cut at the limit of their length. A call begins the counts anew.
"""

from __future__ import annotations

from agent.core.events import Notice, Told
from agent.core.limits import CUT_REPLIES_MAX, EMPTY_REPLIES_MAX
from agent.core.messages import AssistantMessage
from agent.loop import wording

_GO_ON = "say `go on`, or choose another model with `/model`"


class Patience:
    """What is left of it in one turn."""

    def __init__(self) -> None:
        self._empty = self._cut = 0

    def after(self, reply: AssistantMessage) -> Told | Notice | None:
        """What there is to say to the model, which goes on then, or to the person."""
        if reply.calls:
            self._empty = self._cut = 0
            return None
        if reply.stop == "length":
            return self._after_cut(written=bool(reply.text.strip()))
        if reply.stop == "filtered":
            return Notice("warning", "the provider's filter has ended the reply", _GO_ON)
        return None if reply.text.strip() else self._after_nothing()

    def _after_cut(self, *, written: bool) -> Told | Notice:
        self._cut += 1
        if self._cut > CUT_REPLIES_MAX:
            return Notice("warning", "the replies are cut at the limit of their length", _GO_ON)
        return Told(wording.reply_cut() if written else wording.thoughts_cut())

    def _after_nothing(self) -> Told | Notice:
        self._empty += 1
        if self._empty > EMPTY_REPLIES_MAX:
            return Notice("warning", "the model says nothing", _GO_ON)
        return Told(wording.reply_empty())
