"""`write`: a whole text file, new or in place of one that was seen."""

from __future__ import annotations

from typing import Any, Dict

from agent.toolbox.changes import reports
from agent.toolbox.changes.drafts import Drafts, Refused, alone
from agent.toolbox.files.paths import Answer, absolute


def write(arguments: Dict[str, Any], limits: Dict[str, Any]) -> Answer:
    """Replace or create a text file, in the encoding and with the line ends it had."""
    path, seen = absolute(arguments["path"], limits["workdir"]), arguments.get("hash")
    with alone(limits):
        drafts = Drafts(limits, {} if seen is None else {path: seen})
        try:
            draft = drafts.create(path, arguments["text"])
            drafts.commit()
        except Refused as refused:
            return refused.answer
        (told,) = reports.report(drafts, limits)["files"]
        kept = ("path", "hash", "lines", "bytes", "errors", "diff")
        return {"ok": True, "created": draft.before is None, **{key: told[key] for key in kept}}
