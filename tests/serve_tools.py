"""Photos and requests that the tests of the server send."""

from __future__ import annotations

import contextlib
import io
import json
import socket
from typing import Any

from PIL import Image

TOKEN = "a-token-of-some-length"
Colour = tuple[int, int, int]


def photo(colour: Colour = (200, 60, 40), kind: str = "PNG", size: tuple[int, int] = (24, 24)) -> bytes:
    made = io.BytesIO()
    Image.new("RGB", size, colour).save(made, kind)
    return made.getvalue()


def files(*photos: bytes) -> list[tuple[str, tuple[str, bytes, str]]]:
    """What httpx takes for a form: 0.png, 1.png, …"""
    return [("photo", (f"{number}.png", data, "image/png")) for number, data in enumerate(photos)]


def rest(connection: socket.socket) -> bytes:
    """All that still comes before the other end closes, or cuts."""
    found = bytearray()
    with contextlib.suppress(OSError):
        while chunk := connection.recv(1 << 16):
            found += chunk
    return bytes(found)


def parsed(raw: bytes) -> tuple[int, bytes, Any]:
    """Status, head in small letters, and JSON of a raw answer."""
    head, _, body = raw.partition(b"\r\n\r\n")
    return int(head.split()[1]), head.lower(), json.loads(body or b"null")
