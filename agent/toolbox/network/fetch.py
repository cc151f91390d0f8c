"""A page of the web as text: through the proxy that is set, bounded in time, bytes and detours.

The work is done in a process of its own, because whoever wrote the page chooses how long it takes
to read: at the deadline it is killed. It can reach what any program in here can, and no more.
"""

from __future__ import annotations

import http.client
import json
import re
import resource
import socket
import sys
import time
import urllib.error
import urllib.parse
import urllib.request
import zlib
from typing import Any, Dict, Tuple

from agent.toolbox.files.paths import Answer
from agent.toolbox.network.markdown import markdown
from agent.toolbox.programs.own import answer_of

BODY_MAX_BYTES = 5_000_000
TEXT_MAX_CHARS = 1_000_000
REDIRECTS_MAX = 8
MEMORY_BYTES = 1_500_000_000
PIECE_BYTES = 65_536
SCHEMES = ("http", "https")
HTML = ("text/html", "application/xhtml+xml")
TEXTS = re.compile(r"text/|application/(json|xml|javascript|x-sh|x-yaml|toml)|\S+\+(json|xml)\Z")
BLOCKED = "blocked by "
HEADERS = {
    "User-Agent": "glovebox-fetch/1 (a coding agent reading a page for its user)",
    "Accept": "text/markdown, text/html;q=0.9, text/plain;q=0.8, */*;q=0.5",
    "Accept-Encoding": "gzip",
}
_LOCAL = re.compile(r"(?:localhost|127\.\d+\.\d+\.\d+|\[::1\])(?=[:/]|$)", re.I)
_HTML = re.compile(rb"\s*<(?:!doctype html|html|head|body)\b", re.I)
_CHARSET = re.compile(rb"<meta[^>]{0,200}charset=[\"']?([A-Za-z0-9_.:-]{1,40})", re.IGNORECASE)


def fetch(arguments: Dict[str, Any], limits: Dict[str, Any]) -> Answer:
    """`limit` characters of the page at `url` from `start` on, within `seconds`."""
    seconds = float(arguments["seconds"])
    try:
        return answer_of("fetch", dict(arguments, seconds=seconds), seconds, limits["cancelled"])
    except TimeoutError:
        return {"ok": False, "reason": "late"}
    except ValueError:
        return {"ok": False, "reason": "unreadable"}


def main() -> None:
    """The process that does it: the request on stdin, the answer on stdout."""
    asked = json.loads(sys.stdin.buffer.read().decode("ascii"))
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))
    sys.stdout.write(json.dumps(_fetched(asked)))
    sys.stdout.flush()


def _fetched(asked: Dict[str, Any]) -> Answer:
    url = address(asked["url"])
    if not url:
        return {"ok": False, "reason": "no_url"}
    until = time.monotonic() + asked["seconds"]
    try:
        with _opener().open(
            urllib.request.Request(url, headers=HEADERS), timeout=asked["seconds"]
        ) as page:
            body, cut = _body(page, until)
            return _told(page, body, cut, asked)
    except urllib.error.HTTPError as error:
        return _refused(error.code, str(error.reason))
    except http.client.HTTPException as error:
        return {"ok": False, "reason": "broken", "why": type(error).__name__}
    except (OSError, ValueError, MemoryError, zlib.error) as error:
        return _failed(getattr(error, "reason", None) or error)


def address(text: str) -> str:
    """`text` as the address of a page, "" when it is none. A name and a password never travel."""
    text = text.strip()
    if "://" not in text:
        text = ("http://" if _LOCAL.match(text) else "https://") + text
    try:
        parts = urllib.parse.urlsplit(text)
        if parts.scheme.lower() not in SCHEMES or not parts.hostname or "@" in parts.netloc:
            return ""
        if ":" in parts.hostname:
            host = "[%s]" % parts.hostname
        else:
            host = parts.hostname.encode("idna").decode("ascii")
        named = "%s:%d" % (host, parts.port) if parts.port else host
    except (ValueError, UnicodeError):
        return ""
    path = urllib.parse.quote(parts.path or "/", safe="/%:@!$&'()*+,;=~-._")
    query = urllib.parse.quote(parts.query, safe="/?%:@!$&'()*+,;=~-._")
    return urllib.parse.urlunsplit((parts.scheme, named, path, query, ""))


class _Redirects(urllib.request.HTTPRedirectHandler):
    max_redirections = REDIRECTS_MAX

    def redirect_request(
        self, req: Any, fp: Any, code: int, msg: str, headers: Any, newurl: str
    ) -> Any:
        if urllib.parse.urlsplit(newurl).scheme not in SCHEMES:
            return None
        return super().redirect_request(req, fp, code, msg, headers, newurl)


def _opener() -> urllib.request.OpenerDirector:
    """The web and nothing else: no `file:`, no `ftp:`."""
    opener = urllib.request.OpenerDirector()
    for handler in (
        urllib.request.ProxyHandler(),
        urllib.request.UnknownHandler(),
        urllib.request.HTTPHandler(),
        urllib.request.HTTPSHandler(),
        urllib.request.HTTPDefaultErrorHandler(),
        _Redirects(),
        urllib.request.HTTPErrorProcessor(),
    ):
        opener.add_handler(handler)
    return opener


def _body(page: Any, until: float) -> Tuple[bytes, bool]:
    """What the page says, at most so many bytes; whether there was more."""
    unpack = None
    if page.headers.get("Content-Encoding", "").lower() == "gzip":
        unpack = zlib.decompressobj(16 + zlib.MAX_WBITS)
    body = bytearray()
    while len(body) <= BODY_MAX_BYTES:
        if time.monotonic() >= until:
            raise socket.timeout
        piece = page.read1(PIECE_BYTES) if hasattr(page, "read1") else page.read(PIECE_BYTES)
        if not piece:
            break
        room = BODY_MAX_BYTES + 1 - len(body)
        body += unpack.decompress(piece, room) if unpack is not None else piece
    return bytes(body[:BODY_MAX_BYTES]), len(body) > BODY_MAX_BYTES


def _told(page: Any, body: bytes, cut: bool, asked: Dict[str, Any]) -> Answer:
    kind = page.headers.get_content_type()
    if "Content-Type" not in page.headers and _HTML.match(body):
        kind = "text/html"
    if not _is_text(kind, body):
        return {"ok": False, "reason": "binary", "kind": kind, "size": len(body)}
    text, url, title = _decoded(page, body), page.geturl(), ""
    if kind in HTML:
        title, text = markdown(text, url)
    text = text[:TEXT_MAX_CHARS]
    start = min(max(0, asked.get("start", 0)), len(text))
    part = text[start : start + asked["limit"]]
    return {
        "ok": True,
        "url": url,
        "title": title[:500],
        "text": part,
        "start": start,
        "end": start + len(part),
        "total": len(text),
        "cut": cut,
    }


def _is_text(kind: str, body: bytes) -> bool:
    return b"\0" not in body[:1000] and (kind in HTML or TEXTS.match(kind) is not None)


def _decoded(page: Any, body: bytes) -> str:
    named = page.headers.get_content_charset()
    if not named:
        match = _CHARSET.search(body[:4096])
        named = match.group(1).decode("ascii") if match else "utf-8"
    try:
        return body.decode(named, "replace")
    except LookupError:
        return body.decode("utf-8", "replace")


def _refused(status: int, why: str) -> Answer:
    if why.startswith(BLOCKED):
        return {"ok": False, "reason": "blocked", "why": why[:300]}
    return {"ok": False, "reason": "status", "status": status, "why": why[:300]}


def _failed(error: Any) -> Answer:
    why = str(error)
    if BLOCKED in why:
        return {"ok": False, "reason": "blocked", "why": why[why.index(BLOCKED) :][:300]}
    if isinstance(error, socket.timeout):
        return {"ok": False, "reason": "late"}
    if isinstance(error, MemoryError):
        return {"ok": False, "reason": "broken", "why": "too much"}
    return {"ok": False, "reason": "unreachable", "why": why[:300]}
