"""Pictures as part of the page itself."""

from __future__ import annotations

import base64
import io
from dataclasses import dataclass

from PIL import Image

_SHARP = 1.5  # pixels of a plot for each of the page, so that it stays sharp
_QUALITY = 82
_TYPES = {"PNG": "image/png", "JPEG": "image/jpeg"}


@dataclass(frozen=True, slots=True)
class Picture:
    """A data: URL, and the size to show it at."""

    url: str
    width: int
    height: int


def embedded(data: bytes, *, is_plot: bool) -> Picture:
    """A PNG or JPEG for the page. Sheets of photos become JPEGs where that is smaller: a page has many."""
    with Image.open(io.BytesIO(data), formats=tuple(_TYPES)) as image:
        kind, size = image.format or "", image.size
        packed = data if is_plot or kind == "JPEG" else _jpeg(image)
    if len(packed) < len(data):
        data, kind = packed, "JPEG"
    width, height = (round(side / _SHARP) if is_plot else side for side in size)
    return Picture(f"data:{_TYPES[kind]};base64,{base64.b64encode(data).decode()}", width, height)


def _jpeg(image: Image.Image) -> bytes:
    buffer = io.BytesIO()
    image.convert("RGB").save(buffer, "JPEG", quality=_QUALITY, optimize=True, progressive=True)
    return buffer.getvalue()
