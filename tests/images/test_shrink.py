"""How far the pixels that a model takes may be from those of the full decode."""

from __future__ import annotations

import io
from collections.abc import Callable

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from sortograph.images.decode import decode, open_photo
from sortograph.images.preprocess import prepare, resize
from sortograph.records import PreprocessSpec

HEIGHT, WIDTH = 1120, 1200


def noise() -> NDArray[np.uint8]:
    return np.random.default_rng(0).integers(0, 256, (HEIGHT, WIDTH, 3), dtype=np.uint8)


def shades() -> NDArray[np.uint8]:
    """Soft shapes of some thirty pixels, as photos of many pixels have them."""
    cells = np.random.default_rng(2).integers(0, 256, (HEIGHT // 30, WIDTH // 30, 3), dtype=np.uint8)
    return np.asarray(Image.fromarray(cells).resize((WIDTH, HEIGHT), Image.Resampling.BICUBIC))


def stripes() -> NDArray[np.uint8]:
    """Black and white, in bands of one period each, from 2 to 40 pixels."""
    y, x = np.mgrid[:HEIGHT, :WIDTH]
    period = np.geomspace(2, 40, 28)[y // 40]
    return np.where(2 * x // period % 2 > 0, 255, 0).astype(np.uint8)[..., None].repeat(3, axis=2)


def squares() -> NDArray[np.uint8]:
    """Hard edges between saturated colours, where half the colour samples are missing."""
    drawn = np.random.default_rng(1).integers(0, 2, (HEIGHT // 10, WIDTH // 10, 3), dtype=np.uint8)
    return (255 * drawn).repeat(10, axis=0).repeat(10, axis=1)


# Hard edges at full contrast all over, some ten pixels apart, are the worst that is known.
@pytest.mark.parametrize(("make", "bound"), [(shades, 1.0), (noise, 1.0), (stripes, 2.5), (squares, 2.5)])
@pytest.mark.parametrize("subsampling", ["4:4:4", "4:2:0"])
@pytest.mark.parametrize(("shrunk_by", "side"), [(2, 160), (4, 80), (8, 40)])
def test_shrinking_changes_the_pixels_of_a_model_by_little(
    make: Callable[[], NDArray[np.uint8]], bound: float, subsampling: str, shrunk_by: int, side: int
) -> None:
    buffer = io.BytesIO()
    Image.fromarray(make()).save(buffer, "JPEG", quality=90, subsampling=subsampling)
    data, spec = buffer.getvalue(), PreprocessSpec(size=(side, side))
    # As near to the target as it may be shrunk: one pixel more, and it would be shrunk by less.
    assert open_photo(data, spec.size).image.size == (WIDTH // shrunk_by, HEIGHT // shrunk_by)
    assert open_photo(data, (side + 1, side)).image.width > WIDTH // shrunk_by
    apart = np.abs(prepare(data, spec).astype(int) - resize(decode(data), spec))
    assert apart.mean() <= bound
    assert np.quantile(apart, 0.999) <= 10 * bound
