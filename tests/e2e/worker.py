"""A glovebox process that a test may kill: a real session, a model that counts.

`python -m tests.e2e.worker REPOSITORY [--continue | --fork] [--sandbox NAME] [--image I]` prints a
line per event. The model's k-th reply of a turn appends line k to a file of the turn; after `STEPS`
of them the turn is over.
"""

from __future__ import annotations

import argparse
import asyncio
from pathlib import Path

from agent.app import Options, open_session
from agent.config import Settings
from agent.core.messages import AssistantMessage, ToolCall, UserMessage
from agent.llm.protocol import Request
from agent.testing.model import Scripted

STEPS = 12


def count(request: Request) -> AssistantMessage:
    """The next reply, found from the conversation alone."""
    turn = sum(isinstance(m, UserMessage) for m in request.messages)
    done = 0
    for message in reversed(request.messages):
        if isinstance(message, UserMessage):
            break
        done += isinstance(message, AssistantMessage)
    if done == STEPS:
        return AssistantMessage(f"turn {turn} is over")
    command = f"echo {done} >> turn-{turn}.txt; echo {turn}.{done}"
    call = ToolCall(f"c{turn}-{done}", "bash", {"command": command})
    return AssistantMessage("", calls=(call,), stop="calls")


async def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("repository", type=Path)
    parser.add_argument("--continue", dest="resume", action="store_const", const="")
    parser.add_argument("--fork", action="store_const", const="")
    parser.add_argument("--sandbox", default="auto")
    parser.add_argument("--image", default="")
    asked = parser.parse_args()
    settings = Settings(model="counting", sandbox=asked.sandbox, image=asked.image, network="none")
    options = Options(asked.repository, settings, resume=asked.resume, fork=asked.fork)
    session = await open_session(options, llm=Scripted([count] * 1000))
    print("opened", flush=True)
    try:
        if session.state.behind:
            async for record in session.sync():
                print(type(record.event).__name__, flush=True)
        async for record in session.send("count"):
            print(type(record.event).__name__, flush=True)
    finally:
        await session.close()
    print("closed", flush=True)


if __name__ == "__main__":
    asyncio.run(main())
