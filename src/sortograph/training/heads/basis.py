"""Embeddings standardised, and turned to where linear models are learned the quickest."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sortograph.training.heads.alone import alone
from sortograph.training.heads.task import Floats

# Above that many directions, to find them takes longer than it saves.
_MOST_DIRECTIONS = 3072
# Up to that many, several threads gain little.
_FEW_DIRECTIONS = 2048
# Directions with less of the largest spread are rounding alone.
_NOTHING = 1e-10


@dataclass(frozen=True, slots=True)
class Basis:
    """z = ((x − mean) · scale) @ turn: R principal components of standardised embeddings.

    Weights in this space have the same length as in that of the standardised embeddings, so an L2 penalty is
    the same in both; and where there are fewer photos than numbers in an embedding (N < D), the best weights
    lie in the N dimensions that the photos span (Hastie & Tibshirani 2004, Biostatistics 5, theorem 1). The
    components are uncorrelated: their spread tells how steep the loss is along each.

    mean (D,), scale (D,): 1 / standard deviation, 0 for numbers that never change
    turn (D, R), orthonormal columns; None for the standardised embeddings themselves
    spread (R,): mean square of each component
    """

    mean: NDArray[np.float64]
    scale: NDArray[np.float64]
    turn: Floats | None
    spread: Floats

    def components(self, features: Floats) -> Floats:
        """(N, D) → float32 (N, R)."""
        made = self.standardised(features)
        return made if self.turn is None else np.asarray(made @ self.turn)

    def standardised(self, features: Floats) -> Floats:
        made: Floats = features - self.mean.astype(np.float32)
        made *= self.scale.astype(np.float32)
        return made

    def unfolded(self, weights: Floats, bias: Floats) -> tuple[Floats, Floats]:
        """Weights (R, C) and bias (C,) of components → those of embeddings as they are: (C, D) and (C,)."""
        turned = weights if self.turn is None else self.turn @ weights
        exact = turned.T.astype(np.float64) * self.scale
        return exact.astype(np.float32), (bias - exact @ self.mean).astype(np.float32)


def standard(features: Floats) -> Basis:
    """Embeddings (N, D) standardised, and nothing more."""
    mean = features.mean(axis=0, dtype=np.float64)
    deviation = features.std(axis=0, dtype=np.float64)
    varies = deviation > 1e-6 * np.maximum(1e-6, np.abs(mean))
    scale = np.where(varies, 1 / np.where(varies, deviation, 1), 0)
    return Basis(mean, scale, None, varies.astype(np.float32))


def basis(features: Floats) -> Basis:
    """The principal components of embeddings (N, D); labels have no part in it."""
    plain = standard(features)
    count, length = features.shape
    if min(count, length) > _MOST_DIRECTIONS:
        return plain
    made = plain.standardised(features)
    with alone(min(count, length) <= _FEW_DIRECTIONS):
        turn, squares = _of_numbers(made) if count >= length else _of_photos(made)
    return Basis(plain.mean, plain.scale, turn, (squares / count).astype(np.float32))


def _of_numbers(made: Floats) -> tuple[Floats, NDArray[np.float64]]:
    squares, turn = np.linalg.eigh(made.T @ made)
    return turn, np.maximum(squares, 0)


def _of_photos(made: Floats) -> tuple[Floats, NDArray[np.float64]]:
    """By the products of photos with each other, N² of them; double precision keeps the turn orthonormal."""
    exact = made.astype(np.float64)
    squares, vectors = np.linalg.eigh(exact @ exact.T)
    held = squares > _NOTHING * max(squares[-1], _NOTHING)
    turn = exact.T @ (vectors[:, held] / np.sqrt(squares[held]))
    return turn.astype(np.float32), squares[held]
