"""Four synthetic photos with which a bundle proves, on any machine, that it still answers the same."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

COUNT = 4
_LCG = (1664525, 1013904223, 0xFFFFFFFF)  # Numerical Recipes, 2nd ed., section 7.1, "quick and dirty"


def golden_photos(size: tuple[int, int]) -> NDArray[np.uint8]:
    """Gradient, checker, stripes and noise: uint8 (4, H, W, 3) for `size` = (height, width).

    Made by integer arithmetic alone, so that every platform and every NumPy gives the same bytes.
    """
    height, width = size
    rows, columns = np.arange(height, dtype=np.int64)[:, None], np.arange(width, dtype=np.int64)[None, :]
    return np.stack(
        [_gradient(rows, columns), _checker(rows, columns), _stripes(rows, columns), _noise(height, width)]
    )


def _rgb(*channels: NDArray[np.int64]) -> NDArray[np.uint8]:
    return np.stack(np.broadcast_arrays(*channels), axis=-1).astype(np.uint8)


def _gradient(rows: NDArray[np.int64], columns: NDArray[np.int64]) -> NDArray[np.uint8]:
    across = columns * 255 // max(1, columns.size - 1)
    down = rows * 255 // max(1, rows.size - 1)
    return _rgb(across, down, 255 - (across + down) // 2)


def _checker(rows: NDArray[np.int64], columns: NDArray[np.int64]) -> NDArray[np.uint8]:
    odd = (rows // 8 + columns // 8) % 2
    return _rgb(32 + 192 * odd, 224 - 192 * odd, 64 + 64 * odd)


def _stripes(rows: NDArray[np.int64], columns: NDArray[np.int64]) -> NDArray[np.uint8]:
    band = (rows + 2 * columns) // 5 % 3
    return _rgb(band * 100, 250 - band * 90, (band + 1) % 3 * 80)


def _noise(height: int, width: int) -> NDArray[np.uint8]:
    # One generator for each column and channel, all stepped together from row to row.
    factor, step, mask = (np.uint64(value) for value in _LCG)
    state = (np.arange(width * 3, dtype=np.uint64) * np.uint64(2654435761) + np.uint64(1)) & mask
    lines = np.empty((height, width * 3), dtype=np.uint8)
    for line in lines:
        state = (state * factor + step) & mask
        line[:] = state >> np.uint64(24)
    return lines.reshape(height, width, 3)
