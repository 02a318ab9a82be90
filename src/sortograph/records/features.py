"""Embeddings of photos: what a backbone makes of them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class FeatureTable:
    """features float32 (N, D) of the rows int64 (N,) of an index; `source` names what made them."""

    features: NDArray[np.float32]
    rows: NDArray[np.int64]
    source: str

    def __post_init__(self) -> None:
        if self.features.ndim != 2 or len(self.features) != len(self.rows):
            raise ValueError("features are (N, D), one line for each of N rows")
