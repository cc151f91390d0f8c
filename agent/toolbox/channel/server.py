"""The resident loop: reads frames, starts what they ask for, never waits for any of it."""

from __future__ import annotations

import os
import sys
from importlib.machinery import EXTENSION_SUFFIXES
from typing import Any, Dict, Optional

from agent.toolbox.changes import edits, patches, records, writes
from agent.toolbox.channel import frames
from agent.toolbox.channel.frames import BadFrame, Outgoing
from agent.toolbox.channel.jobs import Call, Job, Reply
from agent.toolbox.channel.later import Operation, end_servers, later
from agent.toolbox.code import parsing
from agent.toolbox.files import notes
from agent.toolbox.files import read as files
from agent.toolbox.files.transfer import Get, Put
from agent.toolbox.network.dial import Dial
from agent.toolbox.network.forward import Ways
from agent.toolbox.programs import background, confine, ports
from agent.toolbox.programs.execute import Execution
from agent.toolbox.programs.family import Family
from agent.toolbox.programs.interact import Interaction
from agent.toolbox.search import grep, listing

OPERATIONS: Dict[str, Operation] = {
    "read": files.read,
    "write": writes.write,
    "edit": edits.edit,
    "multiedit": edits.multiedit,
    "patch": patches.patch,
    "glob": listing.glob,
    "ls": listing.ls,
    "paths": listing.everything,
    "notes": notes.notes,
    "grep": grep.grep,
    "lsp": later("symbols.lsp:lsp"),
    "rename": later("symbols.lsp:rename"),
    "map": later("symbols.map:map_"),
    "index": later("symbols.build:begin"),
    "job_start": background.start,
    "job_list": background.jobs,
    "job_look": background.look,
    "job_send": background.send,
    "job_kill": background.kill,
    "grammars": later("code.grammars:grammars"),
    "fetch": later("network.fetch:fetch"),
    "port": ports.port,
    "ports": ports.ports,
}
WAITING = frozenset(
    ("fetch", "grammars", "job_look", "port", "glob", "ls", "paths", "grep", "lsp", "map", "index")
)
"""Those that change nothing and may take long: they must not keep anybody from changing files."""


class Request:
    """One request while its pieces arrive and until it is answered."""

    def __init__(self) -> None:
        self.asked = bytearray()
        self.job: Optional[Job] = None


class Server:
    """Serves one host over one channel; when that closes, it ends and so does what it started."""

    def __init__(self, incoming: int, outgoing: int) -> None:
        self._incoming = incoming
        self._out = Outgoing(outgoing)
        self._requests: Dict[int, Request] = {}
        self._family = Family()
        self._limits: Dict[str, Any] = {}

    def serve(self) -> None:
        """Answer requests until the host closes the channel or breaks the protocol."""
        try:
            while True:
                frame = frames.read_frame(self._incoming)
                if frame is None:
                    break
                self._accept(*frame)
        except BadFrame as error:
            sys.stderr.write("glovebox toolbox: %s\n" % error)
        finally:
            self._family.kill()
            self._end()

    def _end(self) -> None:
        for request in list(self._requests.values()):
            if request.job is not None:
                request.job.kill()
        end_servers()

    def _accept(self, kind: int, number: int, payload: bytes) -> None:
        request = self._requests.get(number)
        if kind in (frames.ASK, frames.ASK_END):
            self._ask(number, request, payload, kind == frames.ASK_END)
        elif request is None or request.job is None:
            return  # data or a cancel for something that has already ended
        elif kind == frames.DATA:
            if request.job.started and not request.job.streams:
                raise BadFrame("data after its end")
            request.job.data(payload)
        elif kind == frames.DATA_END:
            request.job.end()
        elif kind == frames.CREDIT:
            request.job.credit(frames.count(payload))
        elif kind == frames.TUNE:
            request.job.tune(frames.decode(payload))
        elif request.job.started:
            request.job.cancel()
        else:
            request.job.abandon()

    def _ask(self, number: int, request: Optional[Request], piece: bytes, last: bool) -> None:
        if request is None:
            request = self._requests[number] = Request()
        if request.job is not None or len(request.asked) > frames.MESSAGE_MAX_BYTES:
            raise BadFrame("request asked twice or too long")
        request.asked += piece
        if last:
            ask = frames.decode(bytes(request.asked))
            request.asked.clear()
            reply = Reply(self._out, number, self._requests)
            try:
                request.job = self._job(reply, *frames.asked(ask))
            except (KeyError, TypeError, ValueError) as error:
                reply.fail("bad arguments: %r" % (error,))
            except OSError as error:  # no descriptor to be had: this request alone suffers
                reply.fail("cannot work inside: %s" % error)

    def _job(self, reply: Reply, op: str, arguments: Dict[str, Any]) -> Optional[Job]:
        if op == "hello":
            return self._hello(reply, arguments)
        if not self._limits:
            raise BadFrame("request before hello")
        if op == "exec":
            return Execution(reply, arguments, self._limits, self._family)
        if op == "interact":
            return Interaction(reply, arguments, self._limits, self._family)
        if op == "dial":
            return Dial(reply, arguments, self._limits)
        if op == "put":
            return Put(reply, arguments, self._limits)
        if op == "get":
            return Get(reply, arguments, self._limits)
        if op in OPERATIONS:
            return Call(reply, arguments, self._limits, OPERATIONS[op])
        reply.fail("unknown operation `%s`" % op)
        return None

    def _hello(self, reply: Reply, arguments: Dict[str, Any]) -> None:
        self._limits = dict(arguments["limits"], workdir=os.getcwd())
        records.recover(self._limits["workdir"])
        if arguments["bounds"]:
            confine.bound(arguments["bounds"])
        if arguments.get("environment") is not None:
            # Where whoever started us could not choose it: an image has variables of its own.
            os.environ.clear()
            os.environ.update(arguments["environment"])
        parsing.use_grammars(arguments.get("grammars", ""))
        if arguments.get("ways"):
            self._ways = Ways(arguments["ways"])
        python, suffix = list(sys.version_info[:3]), EXTENSION_SUFFIXES[0]
        reply.answer({"ok": True, "python": python, "suffix": suffix})
