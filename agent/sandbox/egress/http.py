"""Requests of programs to the proxy, read strictly, and written anew for whoever answers them.

Whatever could be understood in two ways is refused: bare line feeds, folded or doubled headers,
transfer encodings. What goes out is built from what was understood, never copied.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from agent.sandbox.egress.names import split

END = b"\r\n\r\n"
HEADERS_MAX = 200
ENDLESS = 1 << 62
_TOKEN = re.compile(rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")
_VERSION = re.compile(rb"HTTP/1\.[01]")
_TARGET = re.compile(rb"[\x21-\x7e]+")
_VALUE = re.compile(rb"[\t\x20-\x7e\x80-\xff]*")
_STATUS = re.compile(rb"HTTP/1\.[01] ([1-9][0-9]{2})(?: [\t\x20-\x7e\x80-\xff]*)?")
_LENGTH = re.compile(rb"[0-9]{1,15}")
_SCHEME = b"http://"

Headers = tuple[tuple[bytes, bytes], ...]

# Between one connection and the next. `Upgrade` among them: WebSockets go through CONNECT.
HOP_BY_HOP = frozenset(
    b"connection keep-alive proxy-connection proxy-authorization proxy-authenticate "
    b"proxy-authentication-info te trailer transfer-encoding upgrade http2-settings".split()
)


class BadRequest(ValueError):
    """What came is not a request that can be understood in exactly one way."""


@dataclass(frozen=True, slots=True)
class Request:
    """The head of a request: names of headers in lower case, values trimmed."""

    method: bytes
    target: bytes
    headers: Headers

    def all(self, name: bytes) -> list[bytes]:
        """The values of every header called `name`."""
        return [value for key, value in self.headers if key == name]

    @property
    def length(self) -> int:
        """How many bytes of body follow. Raises `BadRequest` when that can be disputed."""
        if self.all(b"transfer-encoding"):
            raise BadRequest("a transfer encoding is not taken; send a Content-Length")
        given = self.all(b"content-length")
        if len(given) > 1 or not all(_LENGTH.fullmatch(value) for value in given):
            raise BadRequest("its Content-Length is not one number")
        return int(given[0]) if given else 0


def clean_so_far(data: bytes | bytearray) -> bool:
    """Whether what came of a head has only whole line ends and no NUL: else wait no longer."""
    return data.count(b"\n") == data.count(b"\r\n") and b"\0" not in data


def parse(head: bytes) -> Request:
    """The request in `head`, which ends with an empty line. Raises `BadRequest`."""
    first, *rest = _lines(head)
    parts = first.split(b" ")
    if len(parts) != 3:
        raise BadRequest("its first line is not METHOD TARGET VERSION")
    method, target, version = parts
    if not (_TOKEN.fullmatch(method) and _TARGET.fullmatch(target) and _VERSION.fullmatch(version)):
        raise BadRequest("its first line is not METHOD TARGET VERSION")
    request = Request(method, target, _headers(rest))
    if len(request.all(b"host")) > 1:
        raise BadRequest("it names its host twice")
    return request


def _lines(head: bytes) -> list[bytes]:
    lines = head.removesuffix(END).split(b"\r\n")
    if any(b"\r" in line or b"\n" in line or b"\0" in line for line in lines):
        raise BadRequest("its lines do not end as they must")
    if len(lines) > HEADERS_MAX:
        raise BadRequest("it has too many headers")
    return lines


def _headers(lines: list[bytes]) -> Headers:
    headers: list[tuple[bytes, bytes]] = []
    for line in lines:
        name, colon, value = line.partition(b":")
        # A name with white space, or none: also what a folded line looks like.
        if not colon or not _TOKEN.fullmatch(name) or not _VALUE.fullmatch(value):
            raise BadRequest("a header is not NAME: VALUE")
        headers.append((name.lower(), value.strip(b" \t")))
    return tuple(headers)


def absolute(request: Request) -> tuple[str, int, bytes]:
    """Host as given, port and path of an absolute `http://` target. Raises `BadRequest`, `BadName`.

    Other schemes are refused, and so is a bare path: this proxy has no pages of its own.
    """
    if request.target[: len(_SCHEME)].lower() != _SCHEME:
        raise BadRequest("only http:// addresses and CONNECT are served")
    authority, path = _authority(request.target[len(_SCHEME) :])
    host, port = split(authority, 80)
    return host, port, path


def _authority(text: bytes) -> tuple[str, bytes]:
    if b"#" in text:
        raise BadRequest("its target has a fragment")
    end = min((i for i in (text.find(b"/"), text.find(b"?")) if i >= 0), default=len(text))
    path = text[end:]
    return text[:end].decode("ascii"), path if path.startswith(b"/") else b"/" + path


def origin(request: Request) -> bytes:
    """The path of an origin-form target. Raises `BadRequest`."""
    if not request.target.startswith(b"/") or b"#" in request.target:
        raise BadRequest("its target is not a path")
    return request.target


def rebuilt(request: Request, target: bytes, host: str, extra: Headers = ()) -> bytes:
    """The head that goes out: `target` at `host`, one request and then the end."""
    named = _hops(request.headers)
    kept = [
        (key, value)
        for key, value in request.headers
        if key not in HOP_BY_HOP and key not in named and key != b"host"
    ]
    lines = [b"%s %s HTTP/1.1" % (request.method, target), b"host: " + host.encode("ascii")]
    lines += [b"%s: %s" % pair for pair in (*kept, *extra)]
    return b"\r\n".join([*lines, b"connection: close"]) + END


def parse_status(head: bytes) -> int:
    """The status of an answer. Raises `BadRequest`."""
    match = _STATUS.fullmatch(_lines(head)[0])
    if match is None:
        raise BadRequest("what came back is no HTTP")
    return int(match[1])


@dataclass(frozen=True, slots=True)
class Answer:
    """The head of an answer as it is passed on; `length` is `ENDLESS` when only the end tells."""

    status: int
    head: bytes
    length: int


def answer_rebuilt(head: bytes) -> Answer:
    """The head of an answer, so that its reader knows that nothing follows on it.

    Raises `BadRequest` when it is no answer.
    """
    first, *rest = _lines(head)
    status, headers = parse_status(head), _headers(rest)
    if status == 101:
        raise BadRequest("it wants another protocol")
    named = _hops(headers)
    kept = [
        (key, value)
        for key, value in headers
        if key == b"transfer-encoding" or (key not in HOP_BY_HOP and key not in named)
    ]
    lines = [first, *(b"%s: %s" % pair for pair in kept)]
    if status >= 200:
        lines.append(b"connection: close")
    return Answer(status, b"\r\n".join(lines) + END, _length(status, headers))


def _length(status: int, headers: Headers) -> int:
    if status in (204, 304):
        return 0
    given = [value for key, value in headers if key == b"content-length"]
    framed = any(key == b"transfer-encoding" for key, _ in headers)
    if framed or len(given) != 1 or not _LENGTH.fullmatch(given[0]):
        return ENDLESS
    return int(given[0])


def _hops(headers: Headers) -> frozenset[bytes]:
    """The headers that `Connection` names; never those that frame the message."""
    named = [
        word.strip().lower() for k, v in headers if k == b"connection" for word in v.split(b",")
    ]
    return frozenset(named) - {b"content-length", b"transfer-encoding", b"host"}


def refusal(status: int, reason: str, text: str) -> bytes:
    """An answer of the proxy itself: the reason in the status line, where every client shows it."""
    body = text.encode("utf-8", "replace") + b"\n"
    lines = [
        b"HTTP/1.1 %d %s" % (status, reason.encode("ascii", "replace")),
        b"content-type: text/plain; charset=utf-8",
        b"content-length: %d" % len(body),
        b"connection: close",
    ]
    return b"\r\n".join(lines) + END + body
