"""Embeddings scaled, and turned to where linear models are learned the quickest."""

from __future__ import annotations

from collections.abc import Sequence
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
_LENGTH = 8.0  # of embeddings that dense layers learn from


@dataclass(frozen=True, slots=True)
class Basis:
    """z = ((x − mean) · scale) @ turn: R principal components of scaled embeddings.

    Weights in this space have the same length as in that of the scaled embeddings, so an L2 penalty is the
    same in both; and where there are fewer photos than numbers in an embedding (N < D), the best weights
    lie in the N dimensions that the photos span (Hastie & Tibshirani 2004, Biostatistics 5, theorem 1). The
    components are uncorrelated: their spread tells how steep the loss is along each.

    mean (D,), scale (D,): 0 for numbers that never change
    turn (D, R), orthonormal columns; None for the scaled embeddings themselves
    spread (R,): mean square of each component
    """

    mean: NDArray[np.float64]
    scale: NDArray[np.float64]
    turn: Floats | None
    spread: Floats

    def components(self, features: Floats) -> Floats:
        """(N, D) → float32 (N, R)."""
        made = self.scaled(features)
        return made if self.turn is None else np.asarray(made @ self.turn)

    def scaled(self, features: Floats) -> Floats:
        made: Floats = features - self.mean.astype(np.float32)
        made *= self.scale.astype(np.float32)
        return made

    def unfolded(self, weights: Floats, bias: Floats) -> tuple[Floats, Floats]:
        """Weights (R, C) and bias (C,) of components → those of embeddings as they are: (C, D) and (C,)."""
        turned = weights if self.turn is None else self.turn @ weights
        exact = turned.T.astype(np.float64) * self.scale
        return exact.astype(np.float32), (bias - exact @ self.mean).astype(np.float32)


def pareto(features: Floats, blocks: Sequence[int] = ()) -> Basis:
    """Embeddings (N, D) about their mean, divided by the roots of their deviations, and all of a block by one
    number that makes their mean variance 1.

    blocks: how many numbers, one after the other, are of each backbone; () where all are of one. So each
        backbone has its say, however large its numbers are

    Pareto scaling (van den Berg et al. 2006, BMC Genomics 7:142). Divided by the deviations themselves, the
    many numbers that hardly ever move would count as much as the others; that costs where photos are few.
    """
    mean = features.mean(axis=0, dtype=np.float64)
    deviation = features.std(axis=0, dtype=np.float64)
    varies = deviation > 1e-6 * np.maximum(1e-6, np.abs(mean))
    usual, start = np.ones_like(deviation), 0
    for width in blocks or (len(deviation),):
        part = slice(start, start := start + width)
        if varies[part].any():
            usual[part] = deviation[part].mean(where=varies[part])
    scale = np.where(varies, 1 / np.sqrt(np.where(varies, deviation, 1) * usual), 0)
    return Basis(mean, scale, None, np.square(deviation * scale).astype(np.float32))


def short(features: Floats, blocks: Sequence[int] = ()) -> Basis:
    """Embeddings scaled as by `pareto`, and shortened to a mean squared length of at most 64 (`_LENGTH`²).

    What one step of Adam may change a logit by grows with the length of what the weights are multiplied with:
    the long embeddings of wide backbones would be learned by heart within a few epochs.
    """
    made = pareto(features, blocks)
    less = min(1.0, _LENGTH / np.sqrt(max(1, int(np.count_nonzero(made.scale)))))
    return Basis(made.mean, made.scale * less, None, made.spread * np.float32(less**2))


def basis(features: Floats, blocks: Sequence[int] = ()) -> Basis:
    """The principal components of embeddings (N, D), scaled as by `pareto`; labels have no part in it."""
    plain = pareto(features, blocks)
    count, length = features.shape
    if min(count, length) > _MOST_DIRECTIONS:
        return plain
    made = plain.scaled(features)
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
