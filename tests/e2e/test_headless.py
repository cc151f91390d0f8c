"""What scripts rely on: limits, checks, exit codes, and one result in every case."""

from __future__ import annotations

import array
import contextlib
import fcntl
import json
import signal
import subprocess
import sys
import termios
import threading
import time
from collections.abc import Callable, Iterator
from typing import IO, Any

import pytest

from agent.session.journal import read
from tests.e2e.rig import MODEL, Ran, User, traces
from tests.e2e.schema import assert_valid
from tests.nesting import assert_nested
from tests.servers.answers import Answer
from tests.servers.openai import OpenAIServer, call, reply, say

pytestmark = [pytest.mark.slow, pytest.mark.sandbox]

GO = ("-m", "go", "--model", MODEL, "--json")
USAGE = {"prompt_tokens": 100, "completion_tokens": 1_000, "total_tokens": 1_100}
PRICED = f"prices:\n  {MODEL}: {{prompt: 0, completion: 100}}\n"
"""A reply of the script costs ten cents, and the least that a reply may be is as long."""


@pytest.fixture
def person(user: User) -> Iterator[User]:
    user.start()
    yield user


def configure(user: User, text: str) -> None:
    place = user.home / ".config/glovebox/config.yml"
    place.parent.mkdir(parents=True, exist_ok=True)
    place.write_text(text)


def run(user: User, *arguments: str, server: OpenAIServer | None = None, **more: Any) -> Ran:
    """A run with `--json`: every record fits the schema, and the last one is the result."""
    ran = user.glovebox(*GO, *arguments, server=server, **more)
    checked(ran)
    return ran


def checked(ran: Ran) -> None:
    for line in ran.out.splitlines():
        assert_valid(json.loads(line))
    assert [e["type"] for e in ran.events].count("Result") == 1, ran.err
    assert ran.events[-1]["type"] == "Result"
    assert ran.events[-1]["exit_code"] == ran.code
    assert "Traceback" not in ran.err


def dear(number: int) -> Any:
    return reply("", call("bash", {"command": f"echo {number} >> f"}), usage=USAGE)


class TestLimits:
    def test_money_stops_it_before_the_call_that_would_break_it(self, person: User):
        configure(person, PRICED)
        with OpenAIServer([dear(n) for n in range(9)]) as server:
            ran = run(person, "--max-cost", "0.35", server=server)
        assert ran.code == 7, ran.err
        result = ran.events[-1]
        assert len(server.requests) == 3
        assert result["usage"]["cost"] == pytest.approx(0.3)
        assert "money of this session" in result["problem"]["message"]
        assert "--max-cost" in result["problem"]["hint"]
        # No reply could have been so long that it broke the limit.
        left = [0.35, 0.25, 0.15]
        for request, money in zip(server.requests, left, strict=True):
            assert request["max_tokens"] * 100e-6 <= money
        assert person.git("show", "glovebox/1:f") == "0\n1\n2"
        assert_nested(ran.records)
        # What was spent is spent, also for who goes on.
        with OpenAIServer([dear(n) for n in range(9)]) as server:
            again = run(person, "--continue", "--max-cost", "0.45", server=server)
        assert (again.code, len(server.requests)) == (7, 1)

    def test_a_limit_on_money_needs_a_price(self, person: User):
        with OpenAIServer([]) as server:
            ran = run(person, "--max-cost", "1", server=server)
        assert ran.code == 2 and server.requests == []
        assert "prices" in ran.events[-1]["problem"]["hint"]

    def test_the_repository_may_lower_a_limit(self, person: User):
        (person.repo / ".glovebox.yml").write_text("max_tokens: 0\n")
        with OpenAIServer([]) as server:
            ran = run(person, server=server)
        assert ran.code == 7 and server.requests == []
        (person.repo / ".glovebox.yml").write_text("test_cmd: evil\n")
        assert run(person).code == 2

    def test_time_ends_a_reply_that_does_not_come(self, person: User):
        with OpenAIServer([say("never", stall_after=0)]) as server:
            ran = run(person, "--deadline", "5", server=server)
        assert ran.code == 7, ran.err
        assert "time of this run" in ran.events[-1]["problem"]["message"]
        assert server.hung_up.wait(60) or not server.requests

    def test_turns_and_steps_are_counted(self, person: User):
        steps = [reply("", call("bash", {"command": f"echo {n}"})) for n in range(3)]
        with OpenAIServer(steps) as server:
            assert run(person, "--steps", "2", server=server).code == 7
        ran = run(person, "--continue", "--max-turns", "1")
        assert ran.code == 7 and "had its 1 turns" in ran.events[-1]["problem"]["message"]

    def test_a_model_that_goes_round_in_circles_is_stopped(self, person: User):
        same = {"command": "cat absent"}
        with OpenAIServer(lambda _: reply("", call("bash", same))) as server:
            ran = run(person, server=server)
        assert (ran.code, len(server.requests)) == (7, 5)
        assert "did the same 5 times" in ran.events[-1]["problem"]["message"]
        assert "same call came 3 times" in ran.of("Told")[0]["text"]


class TestChecks:
    def test_a_goal_is_worked_at_until_it_is_met(self, person: User):
        script = [
            reply("", call("bash", {"command": "echo 1 > n"})),
            say("Done."),
            reply("", call("bash", {"command": "echo 2 > n"})),
            say("Really done."),
        ]
        goal = "echo seen $(cat n); grep -q 2 n"
        with OpenAIServer(script) as server:
            ran = run(person, "--until", goal, server=server)
        assert ran.code == 0, ran.err
        checks = ran.of("Checked")
        assert [(c["exit_code"], c["attempt"], c["output"]) for c in checks] == [
            (1, 1, "seen 1\n"),
            (0, 2, "seen 2\n"),
        ]
        assert [t.get("by", "person") for t in ran.of("TurnStarted")] == ["person", "check"]
        told = server.requests[2]["messages"][-1]["content"]
        assert "failed with exit code 1" in str(told) and "seen 1" in str(told)
        assert person.git("show", "glovebox/1:n") == "2"
        assert ran.events[-1]["text"] == "Really done."

    def test_tests_that_still_fail_are_exit_code_9(self, person: User):
        with OpenAIServer(lambda _: say("Done.")) as server:
            ran = run(person, "--test-cmd", "false", "--tries", "2", server=server)
        assert (ran.code, len(server.requests)) == (9, 3)
        assert [c["left"] for c in ran.of("Checked")] == [2, 1, 0]
        assert "`false` still fails" in ran.events[-1]["problem"]["message"]

    def test_the_linter_sees_what_was_changed_and_may_mend_it(self, person: User):
        script = [
            reply("", call("bash", {"command": "echo bad > 'a b.py'; echo x > c.py"})),
            say("Done."),
            say("So be it."),
        ]
        lint = 'sed -i s/bad/good/ "$@"; echo "$@"; ! grep -l x'
        with OpenAIServer(script) as server:
            ran = run(person, "--lint-cmd", lint, "--tries", "1", server=server)
        lints = ran.of("Checked")
        assert lints[0]["kind"] == "lint" and "a b.py c.py" in lints[0]["output"]
        assert "hello.txt" not in lints[0]["output"]
        assert person.git("show", "glovebox/1:a b.py") == "good"
        assert ran.code == 9


class TestQuestions:
    def test_a_host_that_is_asked_for_can_be_a_failure(self, person: User):
        reach = "curl -s -m 20 https://example.org/ || true"
        script = [reply("", call("bash", {"command": reach})), say("Done.")]
        options = ("--network", "list", "--allow-host", "example.com", "--on-ask", "fail")
        with OpenAIServer(script) as server:
            ran = run(person, *options, server=server)
        assert ran.code == 8, ran.err
        assert "example.org:443" in ran.events[-1]["problem"]["message"]
        assert [a["allowed"] for a in ran.of("EgressAnswered")] == [False]

    def test_money_that_is_asked_for_can_be_a_failure(self, person: User):
        configure(person, PRICED)
        with OpenAIServer([dear(0), dear(1)]) as server:
            ran = run(person, "--max-cost", "0.15", "--on-ask", "fail", server=server)
        assert (ran.code, len(server.requests)) == (8, 1)


class TestRefusals:
    @pytest.mark.parametrize(
        ("arguments", "kind"),
        [
            (("--modle", "x"), "UsageError"),
            (("--max-cost", "-1"), "ConfigError"),
            (("--resume", "77"), "UserError"),
            (("--message-file", "x"), "UserError"),
        ],
    )
    def test_what_never_began_has_a_result(self, person: User, arguments: Any, kind: str):
        ran = run(person, *arguments)
        assert ran.code == 2
        assert ran.events[-1]["problem"]["kind"] == kind

    def test_a_defect_is_exit_code_1_with_a_result(self, person: User):
        ran = driven(person, "import agent.session.session as s; s.run_turn = None")
        assert ran.code == 1
        assert "Traceback" in ran.err
        result = ran.events[-1]
        assert result["type"] == "Result" and result["problem"]["kind"] == "TypeError"
        assert "report" in result["problem"]["hint"]


def test_work_that_does_not_come_home_is_exit_code_6(person: User):
    script = [reply("", call("bash", {"command": "echo x > f; rm -rf .git"})), say("Done.")]
    with OpenAIServer(script) as server:
        ran = run(person, server=server)
    assert ran.code == 6, ran.err
    result = ran.events[-1]
    assert result["text"] == "Done." and result["problem"]["kind"] == "SyncError"
    assert ran.of("SyncFinished")[-1]["problem"] == result["problem"]


class TestSignals:
    @pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
    def test_a_signal_ends_the_turn_and_brings_the_work_home(self, person: User, number: int):
        work = reply("", call("bash", {"command": "echo kept > kept; echo now; sleep 600"}))
        with OpenAIServer([work]) as server:
            process = begin(person, server)
            heard = until(process, lambda event: "now" in str(event.get("text")))
            process.send_signal(number)
            ran = ended(process, heard)
        assert ran.code == 130, ran.err
        checked(ran)
        assert_nested(ran.records)
        assert person.git("show", "glovebox/1:kept") == "kept"

    def test_a_second_signal_ends_it_at_once(self, person: User):
        """The first one finds an agent that does not stop."""
        deaf = "import agent.session.session as s; s.Session.interrupt = lambda *_: None"
        work = reply("", call("bash", {"command": "echo now; sleep 600"}))
        with OpenAIServer([work]) as server:
            process = begin(person, server, first=deaf)
            heard = until(process, lambda event: "now" in str(event.get("text")))
            process.send_signal(signal.SIGTERM)
            process.send_signal(signal.SIGINT)
            ran = ended(process, heard)
        assert ran.code == 130, ran.err
        checked(ran)
        problem = ran.events[-1]["problem"]
        assert "safe inside" in problem["message"] and "glovebox sync 1" in problem["hint"]

    def test_a_second_signal_in_the_middle_of_a_record(self, person: User):
        """A record that is longer than a pipe holds is being written, and nobody reads."""
        long = "word " * 60_000
        with OpenAIServer([say(long, piece=len(long))]) as server:
            process = begin(person, server)
            heard = until(process, lambda event: event["type"] == "StepStarted")
            assert process.stdout is not None
            while waiting_in(process.stdout) < len(long) // 10:
                assert process.poll() is None
                time.sleep(0.01)
            process.send_signal(signal.SIGTERM)
            process.send_signal(signal.SIGINT)
            ran = ended(process, heard)
        assert ran.code == 130, ran.err
        checked(ran)
        (said,) = ran.of("TextDelta")
        assert said["text"] == long

    def test_nobody_ever_reads_and_one_signal_is_enough(self, person: User):
        brief = "import agent.cli.once as o; o._TELL_SECONDS = 0.5"
        flood = "echo kept > kept; yes 'a line of it' | head -c 300000"
        asked, over = threading.Event(), threading.Event()

        def model(request: dict[str, Any]) -> Answer:
            if request["messages"][-1]["role"] == "tool":
                asked.set()  # The run goes on, though the pipe has taken all it can.
                over.wait()
            return reply("", call("bash", {"command": flood}))

        with contextlib.ExitStack() as each:
            server = each.enter_context(OpenAIServer(model))
            each.callback(over.set)
            process = each.enter_context(begin(person, server, first=brief))
            assert process.stdout is not None and process.stderr is not None
            assert asked.wait(120)
            process.send_signal(signal.SIGTERM)
            assert process.wait() == 130
            assert process.stderr.read() == b""
            assert b"Result" not in process.stdout.read()
        assert person.git("show", "glovebox/1:kept") == "kept"
        (journal,) = person.journals()
        records, end = read(journal)
        assert end == journal.stat().st_size
        assert_nested(records)
        last = [type(record.event).__name__ for record in records[-3:]]
        assert last == ["SyncStarted", "SyncFinished", "SandboxState"]
        assert traces(person) == []

    def test_a_signal_before_there_is_a_session(self, person: User):
        slow = (
            "import asyncio, agent.cli.once as o; was = o.open_session\n"
            "async def late(options):\n"
            "    print('{}', flush=True); await asyncio.sleep(1); return await was(options)\n"
            "o.open_session = late"
        )
        with OpenAIServer([]) as server:
            process = begin(person, server, first=slow)
            assert process.stdout is not None and process.stdout.readline() == b"{}\n"
            process.send_signal(signal.SIGTERM)
            ran = ended(process, b"")
        assert ran.code == 130, ran.err
        checked(ran)
        assert server.requests == []

    def test_a_reader_that_goes_away_ends_the_run(self, person: User):
        work = reply("", call("bash", {"command": "echo kept > kept; sleep 2; echo now"}))
        with OpenAIServer([work, *[work] * 20]) as server:
            process = begin(person, server)
            until(process, lambda event: event["type"] == "CallStarted")
            assert process.stdout is not None and process.stderr is not None
            process.stdout.close()
            with process:
                err = process.stderr.read().decode()
            assert process.returncode == 130, err
        assert "Traceback" not in err and "BrokenPipe" not in err
        (result,) = [json.loads(line) for line in err.splitlines() if '"Result"' in line]
        assert_valid(result)
        assert result["event"]["exit_code"] == 130
        assert person.git("show", "glovebox/1:kept") == "kept"


class TestWatchdog:
    def test_a_sandbox_that_does_not_stop_is_left(self, person: User):
        hang = (
            "import asyncio, agent.cli.once as o, agent.session.session as s\n"
            "o.CLOSE_SECONDS, o._GRACE_SECONDS = 1.0, 0.0\n"
            "async def close(self): await asyncio.sleep(3600)\n"
            "s.Session.close = close"
        )
        with OpenAIServer([say("Done.")]) as server:
            ran = driven(person, hang, server=server)
        checked(ran)
        assert ran.code == 130
        assert "did not end in its time" in ran.events[-1]["problem"]["message"]

    def test_an_event_loop_that_is_stuck_is_left(self, person: User):
        stuck = (
            "import time, agent.cli.once as o, agent.session.session as s\n"
            "o.STOP_SECONDS = 1.0\n"
            "def stick(*_): time.sleep(3600)\n"
            "s.Session.interrupt = stick"
        )
        work = reply("", call("bash", {"command": "echo now; sleep 600"}))
        with OpenAIServer([work]) as server:
            process = begin(person, server, first=stuck)
            heard = until(process, lambda event: "now" in str(event.get("text")))
            process.send_signal(signal.SIGTERM)
            ran = ended(process, heard)
        checked(ran)
        assert ran.code == 130

    def test_a_thread_that_goes_on_does_not_keep_the_process(self, person: User):
        thread = (
            "import threading, agent.cli.main as m, agent.cli.running as r\n"
            "m.LEAVE_SECONDS = r.LEAVE_SECONDS = 1.0\n"
            "threading.Thread(target=threading.Event().wait).start()"
        )
        with OpenAIServer([say("Done.")]) as server:
            ran = driven(person, thread, server=server)
        checked(ran)
        assert ran.code == 0


def _argv(first: str) -> list[str]:
    """glovebox with something broken in it before it begins."""
    return [sys.executable, "-c", f"{first}\nfrom agent.__main__ import main\nmain()"]


def driven(user: User, first: str, server: OpenAIServer | None = None) -> Ran:
    with contextlib.nullcontext(server) if server else OpenAIServer([]) as one:
        done = subprocess.run(
            [*_argv(first), *GO], cwd=user.repo, env=user.with_server(one),
            stdin=subprocess.DEVNULL, capture_output=True, check=False, timeout=240,
        )  # fmt: skip
    return Ran(done.returncode, done.stdout.decode(), done.stderr.decode())


def begin(user: User, server: OpenAIServer, first: str = "") -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [*_argv(first), *GO], cwd=user.repo, env=user.with_server(server),
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip


def waiting_in(pipe: IO[bytes]) -> int:
    """How many bytes were written into a pipe and not read from it."""
    found = array.array("i", [0])
    fcntl.ioctl(pipe, termios.FIONREAD, found)
    return found[0]


def until(process: subprocess.Popen[bytes], wanted: Callable[[Any], bool]) -> bytes:
    """What is printed up to the first event that is wanted."""
    assert process.stdout is not None
    heard = b""
    for line in process.stdout:
        heard += line
        if wanted(json.loads(line)["event"]):
            return heard
    assert process.stderr is not None
    raise AssertionError(process.stderr.read().decode())


def ended(process: subprocess.Popen[bytes], heard: bytes) -> Ran:
    with process:
        assert process.stdout is not None and process.stderr is not None
        out, err = process.stdout.read(), process.stderr.read()
    return Ran(process.returncode, (heard + out).decode(), err.decode())
