"""Heatmaps by covering parts of a photo, for any model that answers. NumPy only.

Zeiler and Fergus, "Visualizing and Understanding Convolutional Networks" (2014, arXiv:1311.2901, section 4.2)
slide a grey square over the photo and watch the probability of the class. Here the square has the mean colour
of the photo and soft edges, since hard ones are patterns of their own; the log-odds are watched, since a
probability near 1 hardly moves; and a second pass with squares of half the side looks closer where the first
one found most.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

LEAST_CALLS = 24
MOST_CALLS = 146  # 5 × 5 large squares and 11 × 11 small ones
_BATCH = 16
_GRID = (3, 5)  # places of the first pass along each side: fewest, most
_EDGE = 0.25  # of a square's side over which it fades out
Pixels = NDArray[np.uint8]
Heat = NDArray[np.float32]
Drops = NDArray[np.float64]
Answer = Callable[[Pixels], NDArray[np.floating]]


@dataclass(frozen=True, slots=True)
class Occluded:
    """What covering parts of one photo did.

    heatmap  float32 (H, W), −1…1: above 0 where covering lowers the log-odds of the class, so where the photo
             speaks for it, below 0 where it speaks against it. The largest absolute value is 1, or all is 0.
    drop     by how much the square that mattered most lowered the log-odds, in nats; 0 where none did
    covered  logits (C,) of the photo with that square; of the photo itself where none lowered them
    """

    heatmap: Heat
    drop: float
    covered: NDArray[np.floating]


def occlusion(photo: Pixels, answer: Answer, label: int, *, calls: int = MOST_CALLS) -> Occluded:
    """Where the photo speaks for a class.

    photo: uint8 (H, W, 3), as the model takes it
    answer: photos uint8 (N, H, W, 3) → logits (N, C), each by itself; asked with at most 16 at once
    label: of the class, 0 ≤ label < C
    calls: covered photos that may be answered, at least 24; more than 146 are not used. One more is the photo
        itself

    The same photo, model and number of calls give the same heatmap. Raises ValueError for fewer calls.
    """
    if calls < LEAST_CALLS:
        raise ValueError(f"{calls} calls are fewer than {LEAST_CALLS}")
    height, width = photo.shape[:2]
    count = max(_GRID[0], min(_GRID[1], round(math.sqrt(calls / 2.2))))
    coarse, fine = _Squares(count, (height, width)), _Squares(2 * count + 1, (height, width))
    probe = _Probe(photo, answer, label)
    wide = coarse.averaged(probe.drops(coarse, np.arange(count**2)))
    at_centres = fine.at_centres(wide)
    closer = np.argsort(-at_centres, kind="stable")[: calls - count**2]
    close = fine.averaged(_filled(probe.drops(fine, np.sort(closer)), at_centres))
    return Occluded(_unit(_unit(wide) + _unit(close)), probe.drop, probe.covered)


def log_odds(logits: NDArray[np.floating], label: int) -> NDArray[np.float64]:
    """log(p / (1 − p)) of a class by its softmax, float64 (N,); 0 where there is no other class.

    >>> log_odds(np.array([[2.0, 0.5]]), 0).tolist()
    [1.5]
    """
    wide = logits.astype(np.float64)
    others = np.delete(wide, label, axis=1)
    if not others.shape[1]:
        return np.zeros(len(wide))
    top = others.max(axis=1)
    odds: NDArray[np.float64] = wide[:, label] - top - np.log(np.exp(others - top[:, None]).sum(axis=1))
    return odds


@dataclass(frozen=True, slots=True)
class _Squares:
    """`count` × `count` places, row by row, for squares that lie half over the next one."""

    count: int
    size: tuple[int, int]

    def mask(self, place: int) -> Heat:
        """How much each pixel is covered, float32 (H, W), 0–1."""
        down, across = divmod(place, self.count)
        mask: Heat = np.outer(self._profiles(self.size[0])[down], self._profiles(self.size[1])[across])
        return mask

    def averaged(self, drops: Drops) -> Heat:
        """At each pixel the mean drop of the squares over it, by how much they cover it."""
        rows, columns = (self._profiles(length) for length in self.size)
        sums = rows.T @ drops.reshape(self.count, self.count) @ columns
        weights = np.outer(rows.sum(axis=0), columns.sum(axis=0))
        averaged: Heat = (sums / np.maximum(weights, 1e-6)).astype(np.float32)
        return averaged

    def at_centres(self, heat: Heat) -> Drops:
        """(count²,): the heat in the middle of each square."""
        rows, columns = (np.arange(1, self.count + 1) * length // (self.count + 1) for length in self.size)
        return heat[np.ix_(rows, columns)].ravel().astype(np.float64)

    def _profiles(self, length: int) -> Heat:
        """How much the squares of each place cover along one side, (count, length)."""
        half = 1 / (self.count + 1)
        centres = np.arange(1, self.count + 1)[:, None] * half
        away = np.abs((np.arange(length) + 0.5) / length - centres)
        fade = 2 * half * _EDGE
        return np.clip((half + fade / 2 - away) / fade, 0, 1).astype(np.float32)


class _Probe:
    """One photo, covered here and there. `drop` and `covered` are of the square that mattered most so far."""

    def __init__(self, photo: Pixels, answer: Answer, label: int) -> None:
        self._photo, self._answer, self._label = photo.astype(np.float32), answer, label
        self._change = self._photo.mean(axis=(0, 1)) - self._photo
        self.covered, self.drop = answer(photo[None])[0], 0.0
        self._odds = float(log_odds(self.covered[None], label)[0])

    def drops(self, squares: _Squares, places: NDArray[np.int64]) -> Drops:
        """(count²,): how much each square lowers the log-odds; NaN at other places."""
        drops = np.full(squares.count**2, np.nan)
        for start in range(0, len(places), _BATCH):
            some = places[start : start + _BATCH]
            logits = self._answer(np.stack([self._with(squares.mask(int(place))) for place in some]))
            drops[some] = self._odds - log_odds(logits, self._label)
            most = int(drops[some].argmax())
            if drops[some[most]] > self.drop:
                self.drop, self.covered = float(drops[some[most]]), logits[most]
        return drops

    def _with(self, mask: Heat) -> Pixels:
        covered: Pixels = (self._photo + self._change * mask[..., None] + 0.5).astype(np.uint8)
        return covered


def _filled(small: Drops, large: Drops) -> Drops:
    """What small squares would do where only large ones were: in proportion, by least squares, never of the
    other sign."""
    known = np.isfinite(small)
    power = float(large[known] @ large[known])
    factor = max(0.0, float(large[known] @ small[known]) / power) if power else 0.0
    return np.where(known, small, factor * large)


def _unit(heat: Heat) -> Heat:
    most = float(np.abs(heat).max())
    scaled: Heat = heat / np.float32(most) if most > 1e-6 else np.zeros_like(heat)
    return scaled
