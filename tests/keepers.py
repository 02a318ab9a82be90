"""Keepers of pixels for scans, without a cache."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from sortograph.records import PhotoFacts, PreprocessSpec

SPEC = PreprocessSpec(size=(8, 9))


class Kept:
    """Keeps pixels in memory."""

    sizes = ((SPEC, 1.0),)

    def __init__(self) -> None:
        self.pixels: dict[str, np.ndarray] = {}

    def has(self, sha256: str) -> bool:
        return sha256 in self.pixels

    def keep(self, facts: PhotoFacts, pixels: Sequence[np.ndarray]) -> None:
        (self.pixels[facts.sha256],) = pixels
