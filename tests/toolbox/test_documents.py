"""Pictures, notebooks and PDFs, read by a real toolbox."""

from __future__ import annotations

import base64
import json
import shutil
import struct
import subprocess
import zlib
from pathlib import Path

import pytest

from agent.core.limits import IMAGE_MAX_BYTES
from agent.toolbox.files.images import Picture, picture
from tests.toolbox.conftest import Use


def png(width: int, height: int, filling: bytes = b"") -> bytes:
    """A grey picture; `filling` is a chunk of no meaning."""

    def chunk(name: bytes, data: bytes) -> bytes:
        return (
            struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))
        )

    head = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    rows = zlib.compress((b"\0" + b"\x80" * width) * height)
    parts = [
        chunk(b"IHDR", head),
        chunk(b"tEXt", filling),
        chunk(b"IDAT", rows),
        chunk(b"IEND", b""),
    ]
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)


def vp8x(width: int, height: int) -> bytes:
    sizes = (width - 1).to_bytes(3, "little") + (height - 1).to_bytes(3, "little")
    return b"RIFF\x1e\0\0\0WEBPVP8X\x0a\0\0\0\0\0\0\0" + sizes


JPEG = b"\xff\xd8\xff\xe0\x00\x04ab\xff\xff\xc0\x00\x0b\x08\x00\x02\x00\x03\x01\x01\x11\x00"


@pytest.mark.parametrize(
    ("data", "found"),
    [
        (png(3, 2), Picture("image/png", 3, 2)),
        (b"GIF89a\x03\x00\x02\x00\xf0", Picture("image/gif", 3, 2)),
        (JPEG, Picture("image/jpeg", 3, 2)),
        (vp8x(3, 2), Picture("image/webp", 3, 2)),
        (b"RIFF\0\0\0\0WEBPVP8L\0\0\0\0\x2f\x02\x40\x00\x00", Picture("image/webp", 3, 2)),
        (b"RIFF" + bytes(4) + b"WEBPVP8 " + bytes(10) + b"\3\0\2\0", Picture("image/webp", 3, 2)),
        (b"\x89PNG\r\n\x1a\n", None),
        (b"GIF89a", None),
        (JPEG[:9], None),
        (b"\xff\xd8" + b"\xff" * 50, None),
        (b"RIFF\0\0\0\0WEBPVP8X", None),
        (b"RIFF\0\0\0\0WAVE" + bytes(50), None),
        (b"", None),
        (b"plain text", None),
    ],
)
def test_pictures_are_known_by_their_first_bytes(data: bytes, found: Picture | None) -> None:
    assert picture(data) == found


def test_a_picture_comes_whole(use: Use, tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_bytes(png(3, 2))  # whatever it is called
    answer = use("read", path="a.txt")
    assert base64.b64decode(answer["image"]) == png(3, 2)
    assert (answer["kind"], answer["why"], answer["size"]) == (
        "image/png",
        "3x2 pixels",
        len(png(3, 2)),
    )
    assert len(answer["hash"]) == 64


def test_a_picture_too_large_in_bytes_or_pixels_is_refused(use: Use, tmp_path: Path) -> None:
    (tmp_path / "bytes.png").write_bytes(png(3, 2, bytes(IMAGE_MAX_BYTES)))
    (tmp_path / "pixels.png").write_bytes(png(9_000, 1))
    (tmp_path / "fits.png").write_bytes(png(3, 2, bytes(IMAGE_MAX_BYTES - 200)))
    for name, why in (("bytes.png", "3x2 pixels"), ("pixels.png", "9000x1 pixels")):
        answer = use("read", path=name)
        assert (answer["reason"], answer["why"]) == ("too_large_image", why)
    assert use("read", path="fits.png")["ok"]


NOTEBOOK = {
    "cells": [
        {"cell_type": "markdown", "source": ["# Title\n", "text"]},
        {
            "cell_type": "code",
            "source": "plot()\n",
            "outputs": [
                {"output_type": "stream", "text": ["one\n", "\x1b[31mtwo\x1b[0m\n"]},
                {
                    "output_type": "display_data",
                    "data": {"text/plain": ["<Figure>"], "image/png": "AAAA"},
                },
                {"output_type": "error", "ename": "E", "evalue": "no", "traceback": ["a", "b"]},
                {"output_type": "stream", "text": "x" * 5_000},
            ],
        },
    ]
}


def test_a_notebook_is_read_cell_by_cell(use: Use, tmp_path: Path) -> None:
    (tmp_path / "a.ipynb").write_text(json.dumps(NOTEBOOK))
    answer = use("read", path="a.ipynb")
    assert answer["document"] == "notebook"
    assert answer["text"].split("\n") == [
        *("[1 markdown]", "# Title", "text", "[2 code]", "plot()"),
        *("[2 output]", "one", "two", "[2 output: image/png]", "<Figure>"),
        *("[2 error]", "E: no", "a", "b"),
        *("[2 output]", "x" * 2_000, "[1000 more characters]"),
    ]
    assert use("read", path="a.ipynb", offset=4, limit=1)["text"] == "[2 code]"


@pytest.mark.parametrize(
    "content", ["{}", "[]", "not json", '{"cells": 5}', '{"cells": [7]}', "[" * 10_000]
)
def test_what_is_no_notebook_is_read_as_it_is(use: Use, tmp_path: Path, content: str) -> None:
    (tmp_path / "a.ipynb").write_text(content)
    answer = use("read", path="a.ipynb")
    assert (answer["document"], answer["text"]) == ("", content[:2_000])


PAGES = ["Hello page one", "Second page"]


def pdf(pages: list[str]) -> bytes:
    """A minimal PDF of these pages."""
    objects = ["<< /Type /Catalog /Pages 2 0 R >>"]
    kids = " ".join(f"{4 + 2 * n} 0 R" for n in range(len(pages)))
    objects.append(f"<< /Type /Pages /Kids [{kids}] /Count {len(pages)} >>")
    objects.append("<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica >>")
    for number, text in enumerate(pages):
        objects.append(
            "<< /Type /Page /Parent 2 0 R /MediaBox [0 0 300 300]"
            f" /Resources << /Font << /F 3 0 R >> >> /Contents {5 + 2 * number} 0 R >>"
        )
        stream = f"BT /F 12 Tf 20 200 Td ({text}) Tj ET"
        objects.append(f"<< /Length {len(stream)} >>\nstream\n{stream}\nendstream")
    body, places = "%PDF-1.4\n", []
    for number, text in enumerate(objects, 1):
        places.append(len(body))
        body += f"{number} 0 obj\n{text}\nendobj\n"
    table = "".join(f"{place:010} 00000 n \n" for place in places)
    size = len(objects) + 1
    end = f"xref\n0 {size}\n0000000000 65535 f \n{table}trailer << /Size {size} /Root 1 0 R >>\n"
    return f"{body}{end}startxref\n{len(body)}\n%%EOF\n".encode()


def able() -> bool:
    command = ["python3", "-c", "import pypdf"]
    return (
        bool(shutil.which("pdftotext"))
        or not subprocess.run(command, capture_output=True).returncode
    )


@pytest.mark.skipif(not able(), reason="neither pdftotext nor pypdf is here: PDFs are NOT tested")
def test_a_pdf_is_read_page_by_page(use: Use, tmp_path: Path) -> None:
    (tmp_path / "a.pdf").write_bytes(pdf(PAGES))
    answer = use("read", path="a.pdf")
    lines = [line.strip() for line in answer["text"].split("\n") if line.strip()]
    assert (answer["document"], lines) == ("PDF", ["[page 1]", PAGES[0], "[page 2]", PAGES[1]])
    (tmp_path / "broken.pdf").write_bytes(b"%PDF-1.4 and nothing of it")
    assert use("read", path="broken.pdf")["reason"] == "unreadable"


def program(folder: Path, name: str, script: str) -> None:
    folder.mkdir(exist_ok=True)
    path = folder / name
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)


def test_a_pdf_goes_through_whatever_is_there_and_never_further(
    use: Use, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "a.pdf").write_bytes(pdf(PAGES))
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    answer = use("read", path="a.pdf")
    assert (answer["reason"], answer["kind"]) == ("no_reader", "pdf document")
    program(tmp_path / "bin", "python3", "exit 9")
    assert use("read", path="a.pdf")["reason"] == "no_reader"
    program(tmp_path / "bin", "pdftotext", "exit 3")
    answer = use("read", path="a.pdf")
    assert (answer["reason"], answer["why"]) == ("unreadable", "`pdftotext` ended with code 3")
    program(tmp_path / "bin", "pdftotext", "while :; do echo endless; done")
    answer = use("read", path="a.pdf")
    assert (answer["ok"], answer["cut"]) == (True, "lines")
