"""Bundles as an attacker writes them: objects, packs and headers byte by byte, no git involved."""

from __future__ import annotations

import hashlib
import zlib

KINDS = {"commit": 1, "tree": 2, "blob": 3, "tag": 4}
PERSON = b"X <x@example.org> 1700000000 +0000"


class Pack:
    """Objects on their way into a pack; each `put` returns the object's id."""

    def __init__(self) -> None:
        self._entries: dict[str, bytes] = {}

    def put(self, kind: str, body: bytes, *, include: bool = True) -> str:
        header = f"{kind} {len(body)}\0".encode()
        oid = hashlib.sha1(header + body).hexdigest()
        if include:
            self._entries[oid] = _size(KINDS[kind], len(body)) + zlib.compress(body)
        return oid

    def blob(self, body: bytes, *, include: bool = True) -> str:
        return self.put("blob", body, include=include)

    def tree(self, *entries: tuple[bytes, bytes, str], include: bool = True) -> str:
        """A tree of (mode, name, id), written in the order given."""
        body = b"".join(m + b" " + n + b"\0" + bytes.fromhex(i) for m, n, i in entries)
        return self.put("tree", body, include=include)

    def commit(self, tree: str, *parents: str, message: bytes = b"x\n", head: bytes = b"") -> str:
        lines = [b"tree " + tree.encode(), *(b"parent " + p.encode() for p in parents)]
        lines += [b"author " + PERSON, b"committer " + PERSON]
        return self.put("commit", b"\n".join(lines) + b"\n" + head + b"\n" + message)

    def doubled(self, oid: str, size: int, content: str) -> str:
        """A blob that is `oid` (`size` bytes) twice, in a few bytes; `content` is its id."""
        ops = b"".join(_copy(at, min(_COPY_MAX, size - at)) for at in range(0, size, _COPY_MAX))
        delta = _number(size) + _number(2 * size) + ops + ops
        entry = _size(7, len(delta)) + bytes.fromhex(oid) + zlib.compress(delta)
        self._entries[content] = entry
        return content

    def pack(self, *, claims: int | None = None) -> bytes:
        count = len(self._entries) if claims is None else claims
        data = b"PACK" + (2).to_bytes(4, "big") + count.to_bytes(4, "big")
        data += b"".join(self._entries.values())
        return data + hashlib.sha1(data).digest()

    def bundle(self, tip: str, *needs: str, ref: str = "refs/glovebox/out", **kwargs: int) -> bytes:
        lines = [f"-{oid} x" for oid in needs] + [f"{tip} {ref}"]
        head = "# v2 git bundle\n" + "".join(f"{line}\n" for line in lines)
        return head.encode() + b"\n" + self.pack(**kwargs)


_COPY_MAX = 0xFFFFFF


def _copy(offset: int, size: int) -> bytes:
    """The instruction of a delta that copies from its base."""
    return b"\xff" + offset.to_bytes(4, "little") + size.to_bytes(3, "little")


def _number(value: int) -> bytes:
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes((*out, value))


def _size(kind: int, size: int) -> bytes:
    first = kind << 4 | size & 15
    size >>= 4
    out = bytearray()
    while size:
        out.append(first | 0x80)
        first, size = size & 0x7F, size >> 7
    out.append(first)
    return bytes(out)
