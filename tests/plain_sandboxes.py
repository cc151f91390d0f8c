"""What a sandbox without a Python promises and what it does not, wherever it is."""

from __future__ import annotations

from typing import Any

import pytest

from agent.core.errors import SandboxLacks
from agent.sandbox.plain.sandbox import PlainSandbox
from agent.testing import contracts
from tests.tools.fake import TOOLS, context, use
from tests.tools.test_inside import User as Hands

# What a shell alone cannot do, as `plain/sandbox.py` says.
NOT_PROMISED = (
    "held", "terminal", "the_whole_of_cut_output_is_in_the_log", "can_go_on_writing",
)  # fmt: skip
NEEDS_COREUTILS = ("output_beyond_the_cap_keeps_head_and_tail_and_counts_the_rest",)
PROMISES = [p for p in contracts.SANDBOX if not any(n in contracts.name(p) for n in NOT_PROMISED)]
WORKING = {"bash", "read", "write", "edit", "ls", "glob", "grep"}
OTHERS: dict[str, dict[str, Any]] = {
    "patch": {"patch": "*** Begin Patch\n*** End Patch"},
    "jobs": {"action": "list"},
    "preview": {"port": 80},
    "fetch": {"url": "https://e.example/"},
}


async def the_tools_work(box: PlainSandbox) -> None:
    """Those that are promised without a Python."""
    u = Hands(box)
    await u.bash("rm -rf w && mkdir w && cd w && git init -q . && mkdir -p src/in")
    await u("write", path="w/src/in/a.py", content="def f():\n    return 'needle'\n")
    await u("write", path="w/.gitignore", content="*.log\n")
    await u("write", path="w/x.log", content="needle\n")
    read = await u("read", path="w/src/in/a.py")
    assert read.text == "1\tdef f():\n2\t    return 'needle'"
    part = await u("read", path="w/src/in/a.py", offset=2)
    assert part.text == "2\t    return 'needle'\n[lines 2-2 of 2; the end]"
    again = await u("write", path="w/src/in/a.py", content="x = 'needle'\n")
    assert again.ok, again
    await u.bash("echo changed >w/src/in/a.py")
    stale = await u("write", path="w/src/in/a.py", content="y")
    assert (stale.ok, "changed since" in stale.text) == (False, True)
    await u.bash("printf 'one\\ntwo\\none\\n' >w/e.txt")
    edited = await u("edit", path="w/e.txt", old="two", new="2 $x\\1")
    assert edited.ok and "2\t2 $x\\1" in edited.text, edited
    twice = await u("edit", path="w/e.txt", old="one", new="1")
    assert (twice.ok, "2 times" in twice.text) == (False, True), twice
    assert (await u("edit", path="w/e.txt", old="one", new="1", all=True)).ok
    assert (await u("edit", path="w/e.txt", old="zzz", new="1")).ok is False
    assert await u.bash("cat w/e.txt; rm w/e.txt") == "1\n2 $x\\1\n1\nExit code 0."
    await u.bash("echo 'a needle' >w/src/in/a.py")
    listed = await u("ls", path="w")
    assert listed.text == ".gitignore 6\nsrc/ (1 file)\nx.log 7"
    assert (await u("read", path="w/src")).text == "in/ (1 file)"
    found = await u("glob", pattern="**/*.{py,log}", path="w")
    assert found.text == "1 file:\nw/src/in/a.py"
    hits = await u("grep", pattern="nee(dle|p)", path="w")
    assert hits.text == "1 hit\nw/src/in/a.py\n1:a needle"
    hidden = await u("grep", pattern="needle", path="w", files="*.log", all=True)
    assert "w/x.log" in hidden.text
    for name, more in (
        ("read", {}),
        ("ls", {}),
        ("glob", {"pattern": "*"}),
        ("grep", {"pattern": "x"}),
    ):
        gone = await u(name, path="w/none", **more)
        assert (gone.ok, "does not exist" in gone.text) == (False, True), gone
    assert (await u("grep", pattern="(", path="w")).ok is False
    await u.bash("printf 'a\\0b' >w/bin; mkfifo w/pipe; rm -rf w/link; ln -s src w/link")
    assert "is not text" in (await u("read", path="w/bin")).text
    assert "no regular file" in (await u("read", path="w/pipe")).text
    await u.bash("rm -rf w")


async def the_others_refuse(box: PlainSandbox) -> None:
    """Those that are not promised, each in words a model understands."""
    for name, given in OTHERS.items():
        result = await use(name, context(box), **given)
        assert not result.ok
        assert result.text.startswith(f"`{name}` does not work in this sandbox"), result
    started = await use("bash", context(box), command="true", background="x")
    assert (started.ok, "does not work in this sandbox" in started.text) == (False, True)
    with pytest.raises(SandboxLacks):
        await box.toolbox.call("lsp")
    with pytest.raises(SandboxLacks):
        async with box.interact(["sh"]):
            pass
    assert (await box.toolbox.call("map"))["ok"] is False
    assert {tool.name for tool in TOOLS} > WORKING | set(OTHERS)
