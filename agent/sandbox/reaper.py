"""Sandboxes that nobody will come back to: made here, by a process that died before it said so.

A sandbox is left alone when it has no owner label of ours (another machine, another user, another
state directory), when a living process holds its session, or when a session's journal knows it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from agent.sandbox.protocol import Backend

OWNER = "glovebox.owner"
SESSION = "glovebox.session"


async def orphans(
    backend: Backend,
    owner: str,
    living: Callable[[], Iterable[str]],
    kept: Callable[[str], bool],
) -> tuple[str, ...]:
    """The refs of sandboxes of `owner` that belong to nobody.

    `living` names the sessions that processes hold now, `kept` tells whether a journal knows a ref.
    Both are asked after the sandboxes were listed: whoever made one of these had its lock before,
    so it is among the living now, or has written its ref down, or is dead.
    """
    refs = await backend.find({OWNER: owner})
    if not refs:
        return ()
    spared: set[str] = set()
    for session in living():
        spared.update(await backend.find({OWNER: owner, SESSION: session}))
    return tuple(ref for ref in refs if ref not in spared and not kept(ref))
