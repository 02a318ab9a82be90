"""Heatmaps as small pictures to lay over a photo."""

from __future__ import annotations

import base64
import io
import time
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from sortograph.errors import SortographError
from sortograph.explaining.occlusion import occlusion

Pixels = NDArray[np.uint8]

_FOR, _AGAINST = (214, 40, 40), (38, 84, 204)
_STRENGTH = 0.65  # of the most opaque pixel


class Late(SortographError):
    """A heatmap that took longer than it may."""


def heatmap(
    pixels: Pixels,
    logits: Callable[[Pixels], NDArray[np.floating]],
    label: int,
    seconds: float,
    is_wanted: Callable[[], bool] = lambda: True,
) -> str:
    """Where a photo speaks for a class (red) and where against it (blue), as a data URI of a PNG with alpha.

    pixels: uint8 (H, W, 3), as the model takes them; the PNG has the same size
    logits: photos uint8 (N, H, W, 3) → (N, C)
    is_wanted: is asked before every run of the model
    Raises Late after so many seconds, and when it is no longer wanted.
    """
    ends = time.monotonic() + seconds

    def asked(photos: Pixels) -> NDArray[np.floating]:
        if time.monotonic() > ends or not is_wanted():
            raise Late("the heatmap took too long")
        return logits(photos)

    return data_uri(occlusion(pixels, asked, label).heatmap)


def data_uri(heat: NDArray[np.float32]) -> str:
    """
    heat: float (H, W), −1 to 1

    >>> data_uri(np.zeros((2, 2), np.float32))[:22]
    'data:image/png;base64,'
    """
    colours = np.where(heat[..., None] > 0, np.array(_FOR, np.uint8), np.array(_AGAINST, np.uint8))
    opacity = (np.abs(heat) * _STRENGTH * 255).astype(np.uint8)
    made = io.BytesIO()
    Image.fromarray(np.dstack([colours, opacity])).save(made, "PNG", optimize=False)
    return "data:image/png;base64," + base64.b64encode(made.getvalue()).decode("ascii")
