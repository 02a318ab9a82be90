from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image, ImageColor

from sortograph.reporting.sheet import GROUND, STYLES, Tile, draw_sheet


def opened(png: bytes) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(png), formats=["PNG"]).convert("RGB"))


def grey(height: int = 40, width: int = 40) -> np.ndarray:
    return np.full((height, width, 3), 128, dtype=np.uint8)


def count(pixels: np.ndarray, colour: str) -> int:
    return int((pixels == ImageColor.getrgb(colour)).all(axis=2).sum())


@pytest.mark.parametrize(("tone", "other"), [("right", "wrong"), ("wrong", "right")])
def test_right_is_yellow_and_wrong_is_red(tone: str, other: str) -> None:
    pixels = opened(draw_sheet([Tile(grey(), "cat", tone)]))
    assert count(pixels, STYLES[tone].bar) > 1000
    assert count(pixels, STYLES[other].bar) == 0


def test_the_mark_tells_right_from_wrong_without_colour() -> None:
    masks = []
    for tone in ("right", "wrong"):
        pixels = opened(draw_sheet([Tile(grey(), "cat", tone)]))
        masks.append((pixels == ImageColor.getrgb(STYLES[tone].bar)).all(axis=2))
    assert not np.array_equal(*masks)


@pytest.mark.parametrize("tone", sorted(STYLES))
def test_captions_can_be_read(tone: str) -> None:
    def luminance(colour: str) -> float:
        parts = np.array(ImageColor.getrgb(colour)) / 255
        linear = np.where(parts <= 0.04045, parts / 12.92, ((parts + 0.055) / 1.055) ** 2.4)
        return float(linear @ [0.2126, 0.7152, 0.0722])

    dark, light = sorted((luminance(STYLES[tone].bar), luminance(STYLES[tone].ink)))
    assert (light + 0.05) / (dark + 0.05) >= 4.5


@pytest.mark.parametrize(("height", "width"), [(100, 50), (50, 100), (7, 700)])
def test_the_aspect_is_kept(height: int, width: int) -> None:
    white = np.full((height, width, 3), 255, dtype=np.uint8)
    where = np.argwhere((opened(draw_sheet([Tile(white, "")], tile=112)) == 255).all(axis=2))
    high, wide = where.max(axis=0) - where.min(axis=0) + 1
    assert max(high, wide) == 112
    assert min(high, wide) == max(1, round(112 * min(height, width) / max(height, width)))


def test_a_long_caption_stays_below_its_photo() -> None:
    short = opened(draw_sheet([Tile(grey(), "x"), Tile(grey(), "")], columns=2))
    long = opened(draw_sheet([Tile(grey(), "x" * 300), Tile(grey(), "")], columns=2))
    assert short.shape == long.shape
    half = short.shape[1] // 2
    assert np.array_equal(short[:, half:], long[:, half:])
    assert not np.array_equal(short[:, :half], long[:, :half])


def test_columns_and_title_make_the_size() -> None:
    tiles = [Tile(grey(), "x")] * 7
    plain, titled = opened(draw_sheet(tiles, columns=3)), opened(draw_sheet(tiles, columns=3, title="실외"))
    assert titled.shape[0] > plain.shape[0]
    assert titled.shape[1] == plain.shape[1]
    assert opened(draw_sheet(tiles)).shape == plain.shape
    assert tuple(plain[-1, -1]) == ImageColor.getrgb(GROUND)


def test_no_tiles_make_no_picture() -> None:
    assert draw_sheet([]) == b""
