"""Photos unlike anything that was taught: a threshold of likeness."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from sortograph.records import LikenessRow

SHARE = 0.01
_MOST = 256  # prototypes
_PHOTOS = 20_000  # of training that are looked at
_ROUNDS = 8
_FEWEST = 3  # photos of a prototype
Floats = NDArray[np.floating]


def prototypes(embeddings: Floats) -> NDArray[np.float32]:
    """Unit vectors that stand for the training photos, float32 (K, D): one for every four, at most 256.

    embeddings: float (N, D), N ≥ 1

    Spherical k-means from a fixed generator (Dhillon and Modha, "Concept decompositions for large sparse text
    data using clustering", Machine Learning 42 (2001), 143–175). Means of three photos and more: a model that
    is passed on holds the embedding of nobody's picture, but where there are fewer than three.
    """
    rng = np.random.default_rng(0)
    some = embeddings[np.sort(rng.permutation(len(embeddings))[:_PHOTOS])]
    units = unit_vectors(some)
    centres = units[np.sort(rng.permutation(len(units))[: min(_MOST, max(1, len(units) // 4))])]
    for _ in range(_ROUNDS):
        nearest = (units @ centres.T).argmax(axis=1)
        sums = np.zeros_like(centres)
        for centre, unit in zip(nearest.tolist(), units, strict=True):  # ten times as fast as np.add.at
            sums[centre] += unit
        lost = ~np.isin(np.arange(len(centres)), nearest)
        sums[lost] = centres[lost]
        centres = unit_vectors(sums)
    members = np.bincount((units @ centres.T).argmax(axis=1), minlength=len(centres))
    shared = members >= _FEWEST
    return centres[shared] if shared.any() else unit_vectors(units.sum(axis=0, keepdims=True))


def likeness_to(centres: NDArray[np.float32], embeddings: Floats) -> NDArray[np.float64]:
    """Cosine between embeddings and the nearest prototypes, float64 (N,), −1–1, as a bundle computes it."""
    halves = centres.astype(np.float16).astype(np.float32)
    cosines: NDArray[np.float64] = (unit_vectors(embeddings) @ halves.T).max(axis=1).astype(np.float64)
    return cosines


def unit_vectors(vectors: Floats) -> NDArray[np.float32]:
    """Vectors (N, D) of length 1, float32; those of no length stay zero."""
    wide = vectors.astype(np.float32)
    lengths = np.linalg.norm(wide, axis=1, keepdims=True)
    units: NDArray[np.float32] = wide / np.maximum(lengths, np.float32(1e-12))
    return units


def likeness_row(likeness: NDArray[np.float64]) -> LikenessRow | None:
    """The likeness below which a photo counts as unlike anything seen; None without photos.

    likeness: float64 (N,), −1–1, of photos that nothing was chosen by: the cosine between a photo's embedding
              and the nearest prototype of the training photos

    One in a hundred photos of the same kind lies below (a conformal p-value, as in Bates, Candès, Lei,
    Romano, Sesia, "Testing for outliers with conformal p-values", Annals of Statistics 51 (2023), 149–178);
    with fewer than 99 photos one in N + 1.
    """
    n = len(likeness)
    if not n:
        return None
    k = max(1, math.floor(round((n + 1) * SHARE, 9)))
    return LikenessRow(float(np.sort(likeness)[k - 1]), k / (n + 1), n)
