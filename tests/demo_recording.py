"""Make `agent/cli/demo.jsonl` again: `make recording`.

The replies are written here; the requests they are keyed to come from a real run in a real
sandbox. Needed when the tools, their schemas or the sample change shape.
"""

from __future__ import annotations

import asyncio
from typing import Any

from agent.app import Options, open_session
from agent.cli.demo import RECORDING, make_sample
from agent.cli.sample import MESSAGE
from agent.config import Settings
from agent.core.messages import AssistantMessage, ToolCall
from agent.host import files
from agent.testing.model import Scripted

FIXED = """    share, rest = divmod(total, people)
    return [share + 1] * rest + [share] * (people - rest)"""
BROKEN = """    share = total // people
    return [share] * people"""


def _reply(text: str, *calls: ToolCall) -> AssistantMessage:
    return AssistantMessage(text=text, calls=calls, stop="calls" if calls else "done")


def _call(number: int, name: str, **arguments: Any) -> ToolCall:
    return ToolCall(f"call_{number}", name, arguments)


REPLIES = (
    _reply(
        "I'll run the tests first.",
        _call(1, "bash", command="python3 -m unittest 2>&1 | tail -n 12; exit ${PIPESTATUS[0]}"),
        _call(2, "read", path="ledger/split.py"),
    ),
    _reply(
        "The remainder of the division is dropped. The first shares must carry it.",
        _call(3, "edit", path="ledger/split.py", old=BROKEN, new=FIXED),
        _call(4, "bash", command="python3 -m unittest"),
    ),
    _reply(
        "Fixed. Now the check of the sandbox.",
        _call(5, "bash", command="cat ~/.ssh/id_* /root/.ssh/id_* /home/*/.ssh/id_*; ls /root"),
        _call(
            6,
            "bash",
            command='env | grep -iE "key|token|secret"; cat .env; python3 -c "import socket; '
            "socket.create_connection(('1.1.1.1', 443), 5)\" 2>&1 | tail -n 1; exit 1",
        ),
    ),
    _reply(
        "Splitting 1000 cents among 3 people gave 999: the remainder was dropped. The first "
        "shares now carry one cent more each, and both tests pass. The SSH keys and your .env do "
        "not exist in here, no secret is in the environment, and there is no network."
    ),
)


async def record() -> None:
    """Run the sample session with the replies above and write the recording."""
    with files.temporary_dir("glovebox-recording-", shared=True) as folder:
        repository = folder / "ledger"
        await make_sample(repository)
        made = folder / "demo.jsonl"
        options = Options(repository, Settings(model="scripted"), record=made, state=folder)
        session = await open_session(options, llm=Scripted(REPLIES))
        try:
            async for _ in session.send(MESSAGE):
                pass
        finally:
            await session.close()
        files.write_whole(RECORDING, files.read_bytes(made), mode=0o644)


if __name__ == "__main__":
    asyncio.run(record())
