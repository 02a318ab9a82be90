"""Contact sheets: small photos in a grid, each with a caption, as one PNG. Needs Pillow only."""

from __future__ import annotations

import io
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw
from PIL.PngImagePlugin import PngInfo

from sortograph.reporting import typeface

Tone = Literal["plain", "right", "wrong"]

GROUND = "#14171c"
_LIGHT = "#eceff4"
_PHOTO_GROUND = "#20252d"
_GAP = 10
_FRAME = 3
_PACKED = 1  # of 9: for photos the usual 6 is 4 % smaller, and takes three times as long


@dataclass(frozen=True, slots=True)
class _Style:
    bar: str
    ink: str
    mark: str


# Contrast of ink on bar is at least 5.6 : 1; the mark says the same as the colour does.
STYLES: dict[Tone, _Style] = {
    "plain": _Style(_PHOTO_GROUND, _LIGHT, ""),
    "right": _Style("#f5c518", "#16181d", "✓  "),
    "wrong": _Style("#c62828", "#ffffff", "✗  "),
}


@dataclass(frozen=True, slots=True)
class Tile:
    """One photo, uint8 (H, W, 3) RGB, with a caption of one or two lines (cut at a line break).

    "right" tiles are framed in yellow with ✓, "wrong" ones in red with ✗.
    """

    pixels: NDArray[np.uint8]
    caption: str
    tone: Tone = "plain"


@dataclass(frozen=True, slots=True)
class _Grid:
    columns: int
    tile: int
    lines: int

    @property
    def text(self) -> int:
        return 12 if self.tile < 120 else 15

    @property
    def line(self) -> int:
        return round(self.text * 1.35)

    @property
    def bar(self) -> int:
        return self.lines * self.line + 5 if self.lines else 0

    @property
    def cell(self) -> tuple[int, int]:
        return self.tile + 2 * _FRAME, self.tile + 2 * _FRAME + self.bar


def draw_sheet(
    tiles: Sequence[Tile | None], *, title: str = "", columns: int | None = None, tile: int = 112
) -> bytes:
    """All tiles as one PNG, in reading order, None for a place that stays empty; b"" without tiles.

    Photos keep their aspect and fit a square of `tile` pixels. Captions that are too long end in "…".
    """
    drawn = [each for each in tiles if each is not None]
    if not drawn:
        return b""
    lines = max(len(_lines(each)) for each in drawn)
    grid = _Grid(min(columns or math.ceil(math.sqrt(len(tiles))), len(tiles)), tile, lines)
    head = 40 if title else _GAP
    rows = math.ceil(len(tiles) / grid.columns)
    width = _GAP + grid.columns * (grid.cell[0] + _GAP)
    image = Image.new("RGB", (width, head + rows * (grid.cell[1] + _GAP)), GROUND)
    canvas = ImageDraw.Draw(image)
    if title:
        typeface.draw(canvas, (_GAP, 27), typeface.shorten(title, width - 2 * _GAP, 18), 18, _LIGHT)
    for number, each in enumerate(tiles):
        if each is None:
            continue
        row, column = divmod(number, grid.columns)
        at = (_GAP + column * (grid.cell[0] + _GAP), head + row * (grid.cell[1] + _GAP))
        _draw_tile(image, canvas, each, grid, at)
    return _png(image)


def _draw_tile(
    image: Image.Image, canvas: ImageDraw.ImageDraw, each: Tile, grid: _Grid, at: tuple[int, int]
) -> None:
    style, (left, top), (wide, high) = STYLES[each.tone], at, grid.cell
    canvas.rectangle((left, top, left + wide - 1, top + high - 1), fill=style.bar)
    inner = (left + _FRAME, top + _FRAME)
    canvas.rectangle((*inner, inner[0] + grid.tile - 1, inner[1] + grid.tile - 1), fill=_PHOTO_GROUND)
    photo = _fitted(each.pixels, grid.tile)
    image.paste(
        photo, (inner[0] + (grid.tile - photo.width) // 2, inner[1] + (grid.tile - photo.height) // 2)
    )
    lines = _lines(each)
    # Short captions stand in the middle of a bar that was made for longer ones.
    y = inner[1] + grid.tile + grid.bar / 2 - len(lines) * grid.line / 2 + 0.78 * grid.line
    for line in lines:
        text = typeface.shorten(line, grid.tile - 4, grid.text)
        typeface.draw(canvas, (inner[0] + 2, round(y)), text, grid.text, style.ink)
        y += grid.line


def _lines(each: Tile) -> list[str]:
    text = STYLES[each.tone].mark + each.caption
    return text.split("\n")[:2] if text.strip() else []


def _fitted(pixels: NDArray[np.uint8], side: int) -> Image.Image:
    photo = Image.fromarray(np.ascontiguousarray(pixels))
    scale = side / max(photo.size)
    size = (max(1, round(photo.width * scale)), max(1, round(photo.height * scale)))
    return photo.resize(size, Image.Resampling.LANCZOS if scale < 1 else Image.Resampling.BICUBIC)


def _png(image: Image.Image) -> bytes:
    buffer, ours = io.BytesIO(), PngInfo()
    ours.add_text("Software", "sortograph")
    image.save(buffer, "PNG", pnginfo=ours, compress_level=_PACKED)
    return buffer.getvalue()
