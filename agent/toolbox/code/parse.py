"""The worker that parses: `python3 -I -S toolbox.zip parse [GRAMMARS]`, one text at a time.

On stdin and stdout: a length, then JSON; a request goes on with its text. The process can be killed
at any moment and nothing is lost but its answer. It limits itself besides: memory, the processor
time of one text, its own age.
"""

from __future__ import annotations

import ast
import contextlib
import json
import os
import resource
import select
import signal
from typing import Any, Dict, List, Optional, Tuple

from agent.toolbox.code import regexes
from agent.toolbox.code.outline import ANSWER, REQUEST, packed
from agent.toolbox.code.trees import Trees
from agent.toolbox.programs import memory
from agent.toolbox.programs.pipes import read_exactly, write_all

MEMORY_BYTES = 1_500_000_000
RESIDENT_MAX_KB = 400_000
LIFE_CPU_SECONDS = 900
IDLE_SECONDS = 60.0


def serve(grammars: str = "") -> None:
    """Answer until stdin ends, nobody asks any more, or it is time for a new process."""
    incoming, outgoing = os.dup(0), os.dup(1)
    null = os.open(os.devnull, os.O_RDWR)
    for standard in (0, 1):
        os.dup2(null, standard)
    _limit()
    trees = Trees(grammars)
    while not _worn():
        if not select.select([incoming], [], [], IDLE_SECONDS)[0]:
            return
        request = _read(incoming)
        if request is None:
            return
        ask, data = request
        # The default action of its signal ends the process, also in the middle of C code.
        signal.setitimer(signal.ITIMER_PROF, ask["cpu"])
        answer = json.dumps(_answer(trees, ask, data)).encode("ascii")
        signal.setitimer(signal.ITIMER_PROF, 0)
        write_all(outgoing, ANSWER.pack(len(answer)) + answer)


def _limit() -> None:
    _lower(resource.RLIMIT_AS, MEMORY_BYTES)
    _lower(resource.RLIMIT_CPU, 2 * LIFE_CPU_SECONDS)
    _lower(resource.RLIMIT_CORE, 0)
    _lower(resource.RLIMIT_FSIZE, 0)
    signal.signal(signal.SIGPROF, signal.SIG_DFL)
    # When memory is short this goes first: it can be started again.
    with contextlib.suppress(OSError), open("/proc/self/oom_score_adj", "w") as file:
        file.write("900")


def _lower(kind: int, value: int) -> None:
    hard = resource.getrlimit(kind)[1]
    if hard != resource.RLIM_INFINITY:
        value = min(value, hard)
    resource.setrlimit(kind, (value, value))


def _worn() -> bool:
    used = resource.getrusage(resource.RUSAGE_SELF)
    resident = memory.of()[1] // 1024
    return resident > RESIDENT_MAX_KB or used.ru_utime + used.ru_stime > LIFE_CPU_SECONDS


def _read(descriptor: int) -> Optional[Tuple[Dict[str, Any], bytes]]:
    lengths = read_exactly(descriptor, REQUEST.size)
    if len(lengths) < REQUEST.size:
        return None
    first, second = REQUEST.unpack(lengths)
    both = read_exactly(descriptor, first + second)
    if len(both) < first + second:
        return None
    return json.loads(both[:first].decode("ascii")), both[first:]


def _answer(trees: Trees, ask: Dict[str, Any], data: bytes) -> Any:
    language = ask["language"]
    if ask["op"] == "able":
        return trees.grammar(language) is not None
    grammar = trees.grammar(language)
    if ask["op"] == "errors":
        found = grammar.errors(data) if grammar is not None else []
        return _exact(language, data, found, grammar is not None)
    if grammar is not None:
        return packed(grammar.outline(data))
    return packed(regexes.outline(language, data.decode("utf-8", "replace")))


def _exact(
    language: str, data: bytes, found: List[Tuple[int, str]], sure: bool
) -> List[Tuple[int, str]]:
    """What Python itself says, which is more telling: when it, too, finds something."""
    if language != "python" or (sure and not found):
        return found
    try:
        ast.parse(data)
    except SyntaxError as error:
        return [(error.lineno or 1, str(error.msg))]
    except (ValueError, RecursionError, MemoryError):
        return found
    return []
