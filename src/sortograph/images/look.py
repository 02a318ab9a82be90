"""What a photo looks like, in a few numbers, taken while its pixels are at hand."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from sortograph.records.looks import FORMATS, LOOK, UNIT, WAVES

if TYPE_CHECKING:
    from sortograph.images.decode import Opened

# (height, width) to decode a photo for (`at_least`), so that all looks are taken from like pixels.
CANONICAL = (192, 192)
_GRID = 32  # the side of the square whose waves make the fingerprint
_COSINE = 1 << 10
# Waves weaker than those of a picture whose luma varies by two grey levels are noise: they stay small.
_FAINT = 2.0
_MOST_BYTES = np.iinfo(np.uint32).max


def look_of(opened: Opened, size_in_bytes: int) -> NDArray[np.void]:
    """The look of one photo: shape (), dtype `records.looks.LOOK`.

    opened: what `open_photo(data, at_least=CANONICAL)` gave, of any size from 1×1
    size_in_bytes: of the file

    Brightness, contrast and sharpness are those of the luma (ITU-R BT.601, as Pillow has it) squashed into
    192×192; smaller photos are not enlarged, which would blur them. Sharpness is the variance of the
    Laplacian: Pech-Pacheco et al., "Diatom autofocusing in brightfield microscopy", ICPR 2000, vol. 3,
    314–317.
    """
    luma = _luma(opened.image)
    brightness, contrast = _level(luma)
    border = _border(opened.image)
    look = np.zeros((), dtype=LOOK)
    look["fingerprint"] = _fingerprint(luma)
    look["brightness"] = brightness
    look["contrast"] = contrast
    look["sharpness"] = _sharpness(luma)
    look["border"] = np.rint(border.mean(axis=0))
    look["border_spread"] = np.sqrt(border.var(axis=0).mean())
    look["format"] = FORMATS.index(opened.format)
    look["oddities"] = opened.oddities
    look["bytes"] = min(size_in_bytes, _MOST_BYTES)
    return look


def _luma(image: Image.Image) -> Image.Image:
    grey = image.convert("L")
    height, width = CANONICAL
    size = (min(grey.width, width), min(grey.height, height))
    return grey.resize(size, Image.Resampling.BILINEAR, reducing_gap=1.5)


def _level(luma: Image.Image) -> tuple[float, float]:
    """Mean and standard deviation of an 8-bit grey image."""
    counts, values = np.array(luma.histogram()), np.arange(256)
    mean = float(counts @ values) / float(counts.sum())
    return mean, float(np.sqrt(counts @ np.square(values - mean) / counts.sum()))


def _sharpness(luma: Image.Image) -> float:
    """Variance of the Laplacian; 0 where the picture is too narrow to have one."""
    grey = np.asarray(luma, dtype=np.int16)
    if min(grey.shape) < 3:
        return 0.0
    around = grey[:-2, 1:-1] + grey[2:, 1:-1] + grey[1:-1, :-2] + grey[1:-1, 2:]
    return float((around - 4 * grey[1:-1, 1:-1]).var(dtype=np.float32))


def _border(image: Image.Image) -> NDArray[np.float64]:
    """The outermost pixels, float64 (n, 3)."""
    width, height = image.size
    edges = (
        (0, 0, width, 1),
        (0, height - 1, width, height),
        (0, 0, 1, height),
        (width - 1, 0, width, height),
    )
    return np.concatenate([np.asarray(image.crop(edge)).reshape(-1, 3) for edge in edges]).astype(np.float64)


def _waves(count: int, side: int) -> NDArray[np.int64]:
    """Rows of the orthonormal DCT-II (Ahmed, Natarajan and Rao, IEEE Trans. Computers C-23 (1974), 90–93)
    without its factor √(2 / side), times `_COSINE`, int64 (count, side)."""
    wave, place = np.arange(count)[:, None], np.arange(side)[None]
    rows = np.cos(np.pi * wave * (2 * place + 1) / (2 * side))
    rows[0] /= np.sqrt(2)
    whole: NDArray[np.int64] = np.rint(rows * _COSINE).astype(np.int64)
    return whole


_ROWS = _waves(WAVES, _GRID)


def _fingerprint(luma: Image.Image) -> NDArray[np.int16]:
    """The lowest waves of the luma squashed into a square, over their norm; whole numbers until the division,
    so that all machines agree."""
    square = np.asarray(luma.resize((_GRID, _GRID), Image.Resampling.BOX), dtype=np.int64)
    waves = (_ROWS @ square @ _ROWS.T).astype(np.float64)
    waves *= 2 / (_GRID * _GRID * _COSINE**2)  # their squares now add up to the variance of the luma
    waves[0, 0] = 0
    norm = np.sqrt(np.square(waves).sum())
    fingerprint: NDArray[np.int16] = np.rint(waves * (UNIT / max(norm, _FAINT))).astype(np.int16)
    return fingerprint.ravel()
