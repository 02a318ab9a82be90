"""Small photos for tests, each seed another one."""

from __future__ import annotations

import io

import numpy as np
from PIL import Image


def picture(seed: int, size=(20, 16)) -> np.ndarray:
    colour = np.random.default_rng(seed).integers(0, 256, 3)
    noise = np.random.default_rng(seed + 1).integers(-20, 20, (*size, 3))
    return np.clip(colour + noise, 0, 255).astype(np.uint8)


def png(pixels: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG")
    return buffer.getvalue()
