"""Embeddings of photos: what a backbone makes of them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class FeatureTable:
    """features float32 (N, D) of ascending rows int64 (N,) of an index; `source` names what made them."""

    features: NDArray[np.float32]
    rows: NDArray[np.int64]
    source: str

    def __post_init__(self) -> None:
        if self.features.ndim != 2 or len(self.features) != len(self.rows):
            raise ValueError("features are (N, D), one line for each of N rows")

    def of(self, rows: NDArray[np.int64]) -> NDArray[np.float32]:
        """float32 (n, D) of these rows. Raises KeyError for one that is not in the table.

        >>> table = FeatureTable(np.eye(3, dtype=np.float32), np.array([2, 5, 9]), "a network")
        >>> table.of(np.array([9, 2])).tolist()
        [[0.0, 0.0, 1.0], [1.0, 0.0, 0.0]]
        """
        places = np.searchsorted(self.rows, rows)
        if not np.array_equal(self.rows[np.minimum(places, len(self.rows) - 1)], rows):
            raise KeyError("a row without features")
        return self.features[places]
