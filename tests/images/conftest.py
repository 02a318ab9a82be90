"""Photos that many readings are tried on."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """40 photos of different widths, 0.png to 39.png."""
    place = tmp_path_factory.mktemp("photos")
    for number in range(40):
        pixels = np.random.default_rng(number).integers(0, 256, (10, 10 + number, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(place / f"{number}.png")
    return place
