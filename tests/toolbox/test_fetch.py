"""Pages from a real server: what is told of them, and what stops a page that has no end."""

from __future__ import annotations

import gzip
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from agent.toolbox.network.fetch import BODY_MAX_BYTES, REDIRECTS_MAX, address
from tests.toolbox.conftest import Use

HTML = "text/html; charset=utf-8"
PAGES: dict[str, tuple[str, bytes]] = {
    "/page": (HTML, b"<title>T</title><h1>Hi</h1><p>there, <a href=other>go</a>"),
    "/plain": ("text/plain", "é\n<b>".encode()),
    "/json": ("application/json", b'{"a": 1}'),
    "/feed": ("application/atom+xml", b"<feed/>"),
    "/latin": ("text/plain; charset=latin-1", b"caf\xe9"),
    "/meta": ("text/html", b'<meta charset="latin-1"><p>caf\xe9'),
    "/odd": ("text/plain; charset=no-such", b"caf\xc3\xa9"),
    "/picture": ("image/png", b"\x89PNG\0"),
    "/lie": ("text/plain", b"\0\0binary"),
    "/long": ("text/plain", b"0123456789" * 10),
    "/big": ("text/plain", b"x" * (BODY_MAX_BYTES + 100)),
}


class Handler(BaseHTTPRequestHandler):
    """Serves `PAGES`, and paths that misbehave."""

    def do_GET(self) -> None:
        self.server.seen.append(dict(self.headers))  # type: ignore[attr-defined]
        getattr(self, self.path.strip("/").replace("-", "_").split("?")[0], self.page)()

    def page(self) -> None:
        kind, body = PAGES.get(self.path.split("?")[0], ("text/html", b"nothing here"))
        self.send(200 if self.path.split("?")[0] in PAGES else 404, body, **{"Content-Type": kind})

    def send(self, status: int, body: bytes, **headers: str) -> None:
        self.send_response(status)
        for name, value in {"Content-Length": str(len(body)), **headers}.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        self.wfile.write(body)

    def unnamed(self) -> None:
        self.send(200, b"\n<!DOCTYPE html><p>no <b>kind</b>")

    def moved(self) -> None:
        self.send(302, b"", Location="/page")

    def round(self) -> None:
        self.send(302, b"", Location="/round")

    def to_file(self) -> None:
        self.send(302, b"", Location="file:///etc/passwd")

    def zipped(self) -> None:
        self.send(
            200, gzip.compress(b"unzipped"), Content_Type="text/plain", Content_Encoding="gzip"
        )

    def bomb(self) -> None:
        data = gzip.compress(b"\n" * 300_000_000, compresslevel=9)
        self.send(200, data, Content_Type="text/plain", Content_Encoding="gzip")

    def no_zip(self) -> None:
        self.send(200, b"no gzip", Content_Type="text/plain", Content_Encoding="gzip")

    def drip(self) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "text/plain")
        self.end_headers()
        try:
            while not self.server.stopping.wait(0.05):  # type: ignore[attr-defined]
                self.wfile.write(b".")
        except OSError:
            return

    def hang(self) -> None:
        self.server.stopping.wait()  # type: ignore[attr-defined]

    def knot(self) -> None:
        self.send(200, b"<a " * 1_000_000, Content_Type=HTML)

    def nonsense(self) -> None:
        self.wfile.write(b"\0\1\2 nonsense\r\n\r\n")

    def log_message(self, format: str, *args: Any) -> None:
        """Quiet."""


class Server(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.seen: list[dict[str, str]] = []
        self.stopping = threading.Event()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Clients here hang up on purpose."""


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    made = Server()
    thread = threading.Thread(target=made.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    yield made
    made.stopping.set()
    made.shutdown()
    made.server_close()
    thread.join()


def get(use: Use, server: Server, path: str, **more: Any) -> dict[str, Any]:
    url = f"http://127.0.0.1:{server.server_port}{path}"
    return use("fetch", url=url, **{"limit": 30_000, "seconds": 30.0, **more})


def test_a_page_is_markdown_with_its_title(use: Use, server: Server) -> None:
    page = get(use, server, "/page")
    url = f"http://127.0.0.1:{server.server_port}"
    assert (page["ok"], page["url"], page["title"]) == (True, f"{url}/page", "T")
    assert page["text"] == f"# Hi\n\nthere, [go]({url}/other)"
    assert "glovebox" in server.seen[-1]["User-Agent"]


@pytest.mark.parametrize(
    ("path", "text"),
    [
        ("/plain", "é\n<b>"),
        ("/json", '{"a": 1}'),
        ("/feed", "<feed/>"),
        ("/latin", "café"),
        ("/meta", "café"),
        ("/odd", "café"),
        ("/zipped", "unzipped"),
        ("/unnamed", "no **kind**"),
    ],
)
def test_text_is_text(path: str, text: str, use: Use, server: Server) -> None:
    assert get(use, server, path)["text"] == text


def test_it_comes_in_parts_that_join(use: Use, server: Server) -> None:
    first = get(use, server, "/long", limit=60)
    assert (first["start"], first["end"], first["total"]) == (0, 60, 100)
    rest = get(use, server, "/long", limit=60, start=first["end"])
    assert first["text"] + rest["text"] == "0123456789" * 10
    assert get(use, server, "/long", start=1000)["text"] == ""


def test_a_detour_is_followed_and_told(use: Use, server: Server) -> None:
    assert get(use, server, "/moved")["url"].endswith("/page")


def test_detours_have_an_end(use: Use, server: Server) -> None:
    before = len(server.seen)
    assert get(use, server, "/round")["reason"] in ("status", "unreachable")
    assert len(server.seen) - before <= REDIRECTS_MAX + 2


@pytest.mark.parametrize(
    ("path", "reason"),
    [
        ("/absent", "status"),
        ("/picture", "binary"),
        ("/lie", "binary"),
        ("/to-file", "status"),
        ("/no-zip", "unreachable"),
        ("/nonsense", "broken"),
    ],
)
def test_what_is_no_page_says_why(path: str, reason: str, use: Use, server: Server) -> None:
    assert get(use, server, path)["reason"] == reason


@pytest.mark.parametrize("path", ["/big", "/bomb"])
def test_a_flood_is_cut(path: str, use: Use, server: Server) -> None:
    page = get(use, server, path, seconds=60.0)
    assert (page["ok"], page["cut"]) == (True, True)
    assert page["total"] <= BODY_MAX_BYTES


@pytest.mark.parametrize("path", ["/drip", "/hang", "/knot"])
def test_one_that_takes_for_ever_is_given_up(path: str, use: Use, server: Server) -> None:
    began = time.monotonic()
    assert get(use, server, path, seconds=1.0)["reason"] == "late"
    assert time.monotonic() - began < 60


def test_nobody_there(use: Use) -> None:
    gone = use("fetch", url="http://127.0.0.1:9/", limit=10, seconds=10.0)
    assert (gone["reason"], "refused" in gone["why"]) == ("unreachable", True)


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        ("e.example", "https://e.example/"),
        ("localhost:3000/a", "http://localhost:3000/a"),
        ("localhost.example", "https://localhost.example/"),
        ("http://e.example:8080/a b?q=é#top", "http://e.example:8080/a%20b?q=%C3%A9"),
        ("https://bücher.example/", "https://xn--bcher-kva.example/"),
        ("http://[::1]:80/", "http://[::1]:80/"),
        ("file:///etc/passwd", ""),
        ("ftp://e.example/", ""),
        ("https://me:secret@e.example/", ""),
        ("https://", ""),
        ("http://e.example:99999/", ""),
        ("data:text/html,x", ""),
        ("", ""),
        ("https://e.example/\r\nX: y", "https://e.example/X:%20y"),
    ],
)
def test_an_address_is_one_of_the_web_or_none(typed: str, meant: str) -> None:
    assert address(typed) == meant
