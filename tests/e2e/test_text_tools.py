"""A model without tools changes a real repository in a real sandbox."""

from __future__ import annotations

import pytest

from tests.e2e.rig import MODEL, User
from tests.servers.openai import OpenAIServer, say

pytestmark = [pytest.mark.slow, pytest.mark.sandbox]


def test_blocks_in_text_change_files_and_run_programs(user: User):
    user.start({"hello.txt": "hello\nworld"})
    script = [
        say("I look first.\n```bash\ncat hello.txt\n```"),
        say(
            "hello.txt\n```\n<<<<<<< SEARCH\nworld\n=======\neverybody\n>>>>>>> REPLACE\n```\n"
            "deep/new.txt\n```\n<<<<<<< SEARCH\n=======\nnew\n>>>>>>> REPLACE\n```\n"
            "hello.txt\n```\n<<<<<<< SEARCH\nabsent\n=======\nx\n>>>>>>> REPLACE\n```"
        ),
        say("```bash\ncat hello.txt deep/new.txt | tee all.txt\n```"),
        say("All is changed."),
    ]
    with OpenAIServer(script) as server:
        ran = user.glovebox(
            *("-m", "go", "--model", MODEL, "--json"),
            server=server,
            environment={"GLOVEBOX_TOOLS": "text"},
        )

    assert ran.code == 0, ran.err
    assert server.problems == []
    assert [request.get("tools") for request in server.requests] == [None] * 4
    assert "SEARCH" in server.requests[0]["messages"][0]["content"]
    told = [m["content"] for m in server.requests[-1]["messages"] if m["role"] == "user"]
    assert "[result of block 1, bash: ok]\nhello\nworld" in told[1]
    assert "[result of block 3, edit: failed]" in told[2]
    assert "hello\neverybody" in told[3]
    assert user.git("show", "glovebox/1:hello.txt") == "hello\neverybody"
    assert user.git("show", "glovebox/1:all.txt") == "hello\neverybodynew"
