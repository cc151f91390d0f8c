"""A web server of ours with TLS, a package index and a git repository on it."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import hashlib
import io
import json
import ssl
import subprocess
import tarfile
import zipfile
from collections.abc import AsyncGenerator, Mapping
from pathlib import Path

from tests.egress.rig import PUBLIC, World

HOST = "packages.example"


def certificate(folder: Path, *names: str) -> tuple[Path, Path]:
    """A key and a certificate for `names`, signed by itself."""
    key, cert = folder / "key.pem", folder / "cert.pem"
    alternative = ",".join(f"DNS:{name}" for name in names)
    subprocess.run(
        [
            *("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"),
            *("-nodes", "-keyout", str(key), "-out", str(cert), "-days", "30"),
            *("-subj", f"/CN={names[0]}", "-addext", f"subjectAltName={alternative}"),
        ],
        check=True,
        capture_output=True,
    )
    return key, cert


@contextlib.asynccontextmanager
async def website(
    world: World, pages: Mapping[str, bytes], folder: Path, host: str = HOST
) -> AsyncGenerator[bytes]:
    """`pages` at http and https; yields the certificate to trust."""
    key, cert = certificate(folder, host)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(cert, key)
    world.name(host)

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                page = pages.get(head.split(b" ")[1].decode().partition("?")[0])
                body = page if page is not None else b"no such page"
                line = b"200 OK" if page is not None else b"404 Not Found"
                writer.write(b"HTTP/1.1 %s\r\nContent-Length: %d\r\n" % (line, len(body)))
                kind = b"application/json" if body[:1] == b"{" else b"text/html"
                writer.write(b"Content-Type: %s\r\n\r\n" % kind + body)
                await writer.drain()
        writer.close()

    plain = await asyncio.start_server(serve, "127.0.0.1", 0)
    secure = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=context)
    world.servers[PUBLIC, 80] = plain.sockets[0].getsockname()[1]
    world.servers[PUBLIC, 443] = secure.sockets[0].getsockname()[1]
    try:
        yield cert.read_bytes()
    finally:
        plain.close()
        secure.close()


def python_package() -> dict[str, bytes]:
    """A package index with one small package."""
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w") as wheel:
        info = "small-1.0.dist-info"
        wheel.writestr("small.py", "answer = 42\n")
        wheel.writestr(f"{info}/METADATA", "Metadata-Version: 2.1\nName: small\nVersion: 1.0\n")
        wheel.writestr(
            f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
        )
        wheel.writestr(f"{info}/RECORD", "")
    name = "small-1.0-py3-none-any.whl"
    return {
        "/simple/small/": f'<html><body><a href="/files/{name}">{name}</a></body></html>'.encode(),
        f"/files/{name}": data.getvalue(),
    }


def node_package() -> dict[str, bytes]:
    """A package registry with one small package."""
    data = io.BytesIO()
    with tarfile.open(fileobj=data, mode="w:gz") as archive:
        for path, text in (
            ("package/package.json", json.dumps({"name": "small", "version": "1.0.0"})),
            ("package/index.js", "module.exports = 42\n"),
        ):
            entry = tarfile.TarInfo(path)
            entry.size = len(text)
            archive.addfile(entry, io.BytesIO(text.encode()))
    packed = data.getvalue()
    digest = base64.b64encode(hashlib.sha512(packed).digest()).decode()
    dist = {"tarball": f"https://{HOST}/npm/small-1.0.0.tgz", "integrity": f"sha512-{digest}"}
    version = {"name": "small", "version": "1.0.0", "dist": dist}
    page = {"name": "small", "dist-tags": {"latest": "1.0.0"}, "versions": {"1.0.0": version}}
    return {"/npm/small": json.dumps(page).encode(), "/npm/small-1.0.0.tgz": packed}


def git_repository(folder: Path) -> dict[str, bytes]:
    """A repository with one commit, as files that git can fetch from any web server."""
    repository = folder / "repository"
    git = ["git", "-c", "user.name=a", "-c", "user.email=a@b"]
    for words in (["init", "-q", str(repository)], ["-C", str(repository), "commit", "-q",
                  "--allow-empty", "-m", "from the web"],
                  ["-C", str(repository), "update-server-info"]):  # fmt: skip
        subprocess.run([*git, *words], check=True, capture_output=True)
    base = repository / ".git"
    return {f"/r.git/{p.relative_to(base)}": p.read_bytes() for p in base.rglob("*") if p.is_file()}
