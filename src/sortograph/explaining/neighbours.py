"""Photos of training that a model takes for the most alike: an answer by examples. NumPy only."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from sortograph.evaluation.likeness import unit_vectors

_ROWS = 256  # queries at once
Vectors = NDArray[np.float32]


def nearest(queries: Vectors, known: Vectors, count: int) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """Of each query the `count` most alike of the known embeddings, the most alike first.

    queries: float32 (Q, D); known: float32 (N, D), N ≥ 1

    Returns rows of `known`, int64 (Q, K), and the cosine of the angle between both embeddings, float32 (Q, K)
    in −1…1; K is the smaller of `count` and N. Of equal ones the lower row comes first. An embedding of
    length 0 is like none.

    >>> nearest(np.float32([[2, 0]]), np.float32([[0, 1], [1, 1], [1, 0]]), 2)[0].tolist()
    [[2, 1]]
    """
    count, units = min(count, len(known)), unit_vectors(known)
    rows = np.zeros((len(queries), count), dtype=np.int64)
    cosines = np.zeros((len(queries), count), dtype=np.float32)
    for start in range(0, len(queries), _ROWS):
        part = slice(start, start + _ROWS)
        likeness = np.clip(unit_vectors(queries[part]) @ units.T, -1, 1)
        rows[part] = np.argsort(-likeness, axis=1, kind="stable")[:, :count]
        cosines[part] = np.take_along_axis(likeness, rows[part], axis=1)
    return rows, cosines
