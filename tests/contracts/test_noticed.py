"""A backend that breaks a promise is noticed: one broken fake for each of them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Mapping, Sequence
from dataclasses import replace
from typing import Any

import pytest

from agent.sandbox.protocol import Endpoint, Facts, SandboxSpec, Size, Stream
from agent.testing import contracts
from agent.testing.contracts import promise as promises
from agent.testing.memory import machine, sandbox, streams
from agent.testing.memory.backend import MemoryBackend
from agent.testing.memory.files import Files
from agent.testing.memory.machine import Machine
from agent.testing.memory.process import KILL, TERM, Body, Process
from agent.testing.memory.sandbox import Held, Kept, MemorySandbox
from agent.testing.memory.streams import Pipe, Streams

SPEC = SandboxSpec("abc")
Defect = tuple[object, str, object]
"""Whose attribute is something else, and what."""

# What the defects below still need of what they replace.
START = MemorySandbox._start
FACTS = MemoryBackend.facts
CREATE = MemoryBackend.create
EXIT_CODE = Process.exit_code.fget
assert EXIT_CODE is not None
PIPE = Pipe.__init__
STREAMS = Streams.__init__
WRITE = Files.write
GONE = Machine._gone


def _argv_without_empty_words(self: Any, argv: Sequence[str], *rest: Any) -> Process:
    return START(self, [word for word in argv if word], *rest)


def _always_in_the_workdir(self: Any, argv: Sequence[str], cwd: str, *rest: Any) -> Process:
    return START(self, argv, "", *rest)


def _stdin_cut(self: Any, changed: Any, content: bytes = b"") -> None:
    PIPE(self, changed, content[:1_000_000])


def _stdin_of_the_host(self: Any, stdin: bytes = b"", **more: Any) -> None:
    STREAMS(self, stdin or b"what the host types", **more)


def _streams_as_one(self: Any, stdin: bytes = b"", *, apart: bool = False, **more: Any) -> None:
    STREAMS(self, stdin, **more)


def _no_terminal(
    self: Any, stdin: bytes = b"", *, apart: bool = False, terminal: Size | None = None
) -> None:
    STREAMS(self, stdin, apart=apart)


def _dead_when_input_is_left(self: Process) -> int | None:
    return -13 if self.streams.stdin._waiting else EXIT_CODE(self)


def _as_a_shell_counts(self: Process) -> int | None:
    code = EXIT_CODE(self)
    return 128 - code if code is not None and code < 0 else code


def _silent(code: int, what: str, error: OSError) -> Body:
    async def refuse(me: Process) -> int:
        return code

    return refuse


async def _lost(*given: Any) -> None:
    """Does nothing."""


def _leader_alone(self: Machine, leader: Process) -> list[Process]:
    return [p for p in self.processes if p is leader]


async def _leader_killed(self: Machine, leader: Process, *numbers: int) -> None:
    for process in self.group(leader):
        process.signal(TERM)
    leader.signal(KILL)


async def _killed_at_once(self: Machine, leader: Process, *numbers: int) -> None:
    await self._kill(self.group(leader))


async def _ended_unheard(self: MemorySandbox, process: Process, kept: Kept) -> None:
    await self._machine.end(process)


def _all_gone_with_the_leader(self: Machine, process: Process) -> None:
    GONE(self, process)
    for left in self.group(process):
        left.signal(KILL)


async def _deadly_after_the_end(self: Pipe, data: bytes) -> None:
    if self._ended:
        raise asyncio.CancelledError  # as by SIGPIPE
    self._waiting += data
    self._changed.tell()


def _head_alone(self: Kept) -> bytes:
    return bytes(self.whole[:30_000])


def _log_in_any_case(self: MemorySandbox, kept: Kept, log: str) -> int:
    if log:
        self._machine.files.make_folders("/tmp/logs")
        self._machine.files.write(log, kept.cut())
    return max(0, len(kept.whole) - 30_000)


async def _second_half_live(self: Kept, streams: Streams) -> None:
    while (printed := await streams.printed()) is not None:
        self.whole += printed[1]
        if self._listener is not None:
            self._listener(printed[1][len(printed[1]) // 2 :])


def _one_for_all(self: Any, listener: Any) -> None:
    self.whole = ALL
    self._listener = listener


ALL = bytearray()


async def _in_text_mode(self: Held, data: bytes) -> None:
    await self._process.streams.stdin.write(data.replace(b"\n", b"\r\n"))


async def _signal_for_one(self: Held, number: int) -> None:
    self._process.signal(number)


def _line_ends_changed(self: Files, path: str, data: bytes, mode: int | None = None) -> None:
    WRITE(self, path, data.replace(b"\r", b""), mode)


def _mode_forgotten(self: Files, path: str, data: bytes, mode: int | None = None) -> None:
    WRITE(self, path, data)


def _reads_anything(self: Files, path: str, limit: int | None = None) -> bytes:
    return self.node(path).data[:limit]


def _one_disk_for_all(self: Machine, programs: Mapping[str, Body], labels: Any) -> None:
    self.files = DISK
    self.labels = dict(labels)
    self.processes = []
    self._programs = dict(programs)


DISK = Files(MemoryBackend()._programs)


async def _closed_but_kept(self: MemoryBackend, ref: str) -> None:
    if ref in self._open:
        await self._open[ref].close()


async def _made_again(self: MemoryBackend, spec: SandboxSpec) -> MemorySandbox:
    ref = f"memory:{spec.session}"
    self.machines[ref] = Machine(self._programs, spec.labels)
    return await self.attach(ref, spec)


async def _online_anyway(self: MemoryBackend, spec: SandboxSpec) -> MemorySandbox:
    return await CREATE(self, replace(spec, network="none"))


async def _found_whatever_the_labels(self: MemoryBackend, labels: Any) -> tuple[str, ...]:
    return tuple(self.machines)


async def _environment_forgotten(self: MemoryBackend, ref: str, spec: SandboxSpec) -> MemorySandbox:
    return MemorySandbox(ref, self.machines[ref], {})


def _boasts(self: MemoryBackend, spec: SandboxSpec) -> Facts:
    facts = FACTS(self, spec)
    return replace(facts, programs=(*facts.programs, "gcc"))


async def _any_port(self: MemorySandbox, port: int) -> Endpoint:
    return Endpoint(port, f"http://localhost:{port}")


DEFECTS: dict[str, Defect] = {
    "arguments_arrive_unchanged": (MemorySandbox, "_start", _argv_without_empty_words),
    "stdin_arrives_whole": (Pipe, "__init__", _stdin_cut),
    "a_program_that_does_not_read_its_stdin_is_no_problem": (
        Process, "exit_code", property(_dead_when_input_is_left),
    ),
    "without_stdin_there_is_nothing_to_read": (Streams, "__init__", _stdin_of_the_host),
    "only_the_given_environment_is_visible": (
        machine, "ENVIRONMENT", {**machine.ENVIRONMENT, "TOKEN": "secret"},
    ),
    "programs_start_in_the_workdir_or_where_they_are_told": (
        MemorySandbox, "_start", _always_in_the_workdir,
    ),
    "exit_codes_are_the_programs_own": (Process, "exit_code", property(_as_a_shell_counts)),
    "a_program_that_cannot_start_says_why": (machine, "_refusal", _silent),
    "stdout_and_stderr_come_as_one": (Process, "complain", _lost),
    "at_the_deadline_the_whole_group_is_killed_and_output_kept": (
        Machine, "group", _leader_alone,
    ),
    "a_program_that_ignores_the_end_is_killed_too": (Machine, "end", _leader_killed),
    "a_program_may_tidy_up_when_it_is_told_to_end": (Machine, "end", _killed_at_once),
    "a_cancel_kills_the_whole_group_and_keeps_output": (MemorySandbox, "_end", _ended_unheard),
    "it_returns_when_the_program_ends_not_what_it_leaves_running": (
        Machine, "_gone", _all_gone_with_the_leader,
    ),
    "what_keeps_running_can_go_on_writing": (Pipe, "write", _deadly_after_the_end),
    "output_beyond_the_cap_keeps_head_and_tail_and_counts_the_rest": (Kept, "cut", _head_alone),
    "the_whole_of_cut_output_is_in_the_log": (MemorySandbox, "_log", _log_in_any_case),
    "output_that_fits_leaves_no_log": (MemorySandbox, "_log", _log_in_any_case),
    "live_output_is_a_prefix_of_the_whole": (Kept, "take", _second_half_live),
    "a_flood_of_output_does_not_reach_the_host": (sandbox, "LIVE_MAX_BYTES", 1 << 40),
    "a_listener_that_fails_ends_the_program_and_nothing_else": (MemorySandbox, "_end", _lost),
    "eight_programs_at_once_do_not_mix": (Kept, "__init__", _one_for_all),
    "the_streams_of_a_held_program_come_apart_and_uncut": (
        Streams, "__init__", _streams_as_one,
    ),
    "a_held_program_reads_while_it_runs": (Held, "send", _in_text_mode),
    "a_held_program_can_have_a_terminal_of_its_own": (Streams, "__init__", _no_terminal),
    "leaving_a_held_program_ends_its_group": (Machine, "end", _lost),
    "a_terminal_can_be_resized": (Held, "resize", _lost),
    "a_signal_reaches_the_whole_group_of_a_held_program": (Held, "signal", _signal_for_one),
    "a_held_program_waits_while_nobody_takes_what_it_prints": (
        streams, "ROOM_BYTES", 1 << 40,
    ),
    "a_held_program_that_cannot_start_says_why": (machine, "_refusal", _silent),
    "put_and_get_are_binary_safe_and_make_parents": (Files, "write", _line_ends_changed),
    "put_takes_pieces_and_a_mode_and_replaces": (Files, "write", _mode_forgotten),
    "get_hands_over_pieces_as_they_arrive": (sandbox, "_PIECE_BYTES", 1 << 40),
    "get_refuses_what_is_no_plain_file_of_that_size": (Files, "read", _reads_anything),
    "put_refuses_where_no_file_can_be": (Files, "_own", lambda self, path: None),
    "closing_and_attaching_keeps_files_and_ends_programs": (Machine, "stop", _lost),
    "destroy_frees_everything_and_may_come_twice": (MemoryBackend, "destroy", _closed_but_kept),
    "two_sandboxes_share_nothing": (Machine, "__init__", _one_disk_for_all),
    "one_session_cannot_be_made_twice": (MemoryBackend, "create", _made_again),
    "a_sandbox_is_found_by_its_labels_until_it_is_destroyed": (
        MemoryBackend, "find", _found_whatever_the_labels,
    ),
    "a_network_policy_that_nobody_knows_is_an_error": (MemoryBackend, "create", _online_anyway),
    "the_environment_of_the_spec_is_visible": (MemoryBackend, "attach", _environment_forgotten),
    "facts_are_true": (MemoryBackend, "facts", _boasts),
    "a_port_can_be_reached_or_the_error_says_why": (MemorySandbox, "expose", _any_port),
}  # fmt: skip


def _break(defect: Defect, monkeypatch: pytest.MonkeyPatch) -> None:
    owner, attribute, broken = defect
    monkeypatch.setattr(owner, attribute, broken)
    monkeypatch.setattr(promises, "PATIENCE_SECONDS", 1.0)


@pytest.mark.parametrize("promise", contracts.SANDBOX, ids=contracts.name)
async def test_a_sandbox_that_breaks_it_is_noticed(
    promise: contracts.Promise, monkeypatch: pytest.MonkeyPatch
) -> None:
    _break(DEFECTS[contracts.name(promise)], monkeypatch)
    broken = await MemoryBackend().create(SPEC)
    with pytest.raises(AssertionError):
        await promise(broken)


@pytest.mark.parametrize("promise", contracts.BACKEND, ids=contracts.name)
async def test_a_backend_that_breaks_it_is_noticed(
    promise: contracts.BackendPromise, monkeypatch: pytest.MonkeyPatch
) -> None:
    _break(DEFECTS[contracts.name(promise)], monkeypatch)
    with pytest.raises(AssertionError):
        await promise(MemoryBackend(), SPEC)


async def test_one_that_never_answers_is_noticed_too(monkeypatch: pytest.MonkeyPatch) -> None:
    async def silent(self: Held) -> AsyncGenerator[tuple[Stream, bytes]]:
        await asyncio.Event().wait()
        yield "stdout", b""

    _break((Held, "output", silent), monkeypatch)
    monkeypatch.setattr(promises, "PATIENCE_SECONDS", 0.05)
    promise = next(p for p in contracts.SANDBOX if contracts.name(p).startswith("leaving_a_held"))
    broken = await MemoryBackend().create(SPEC)
    with pytest.raises(AssertionError, match="waits for what does not come: leaving_a_held"):
        await promise(broken)
    assert not broken._machine.processes
