"""What tells classes by embeddings: the plan of a head, and its answers by NumPy alone."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sortograph.errors import RecipeError
from sortograph.models.layers import (
    EPSILON,
    LEAST_LENGTH,
    VOTE_FLOOR,
    VOTE_TEMPERATURE,
    Activation,
    BatchNorm,
    Dense,
    Dropout,
    HeadLayer,
    Neighbours,
    Weights,
    weights_of,
)
from sortograph.models.plan import OUTPUT
from sortograph.recipe import Head

Floats = NDArray[np.float32]
State = Mapping[str, NDArray[Any]]

# What one chunk of rows may hold, in numbers of 4 bytes.
_CHUNK = 1 << 24
# What a model.onnx may remember of training photos, in numbers of 4 bytes.
_MOST_REMEMBERED = 100_000_000


@dataclass(frozen=True, slots=True)
class HeadPlan:
    """Layers from embeddings (n, inputs) to logits (n, classes), the last of them named "output"."""

    inputs: int
    classes: int
    layers: tuple[HeadLayer, ...]

    def weights(self) -> Weights:
        """Name → shape of every array, in the order of the layers."""
        return weights_of(self.layers)


def linear_plan(inputs: int, classes: int) -> HeadPlan:
    """One dense layer: logistic regression, or the nearest class mean."""
    return HeadPlan(inputs, classes, (Dense(OUTPUT, inputs, classes),))


def neighbours_plan(inputs: int, classes: int, neighbours: int, count: int) -> HeadPlan:
    """The `neighbours` most alike of `count` remembered embeddings, or all where there are fewer.

    Raises RecipeError where a model could not hold so many.
    """
    if count * inputs > _MOST_REMEMBERED:
        raise RecipeError(
            f"nearest neighbours remember every training photo: {count:,} embeddings of {inputs:,} numbers",
            where="head.kind",
            expected=f"at most {_MOST_REMEMBERED // inputs:,} photos",
            fix="sortograph train PHOTOS --set head.kind=logistic",
        )
    layer = Neighbours(OUTPUT, inputs, classes, count, min(neighbours, count))
    return HeadPlan(inputs, classes, (layer,))


def head_plan(settings: Head, inputs: int, classes: int) -> HeadPlan:
    """The dense layers of `settings`, each followed by what it asks for.

    >>> [type(layer).__name__ for layer in head_plan(Head(dense=(8,), dropout=0.5), 4, 2).layers]
    ['Dense', 'Activation', 'Dropout', 'Dense']
    """
    layers: list[HeadLayer] = []
    width = inputs
    for number, units in enumerate(settings.dense, 1):
        layers.append(Dense(f"dense{number}", width, units))
        if settings.batch_norm:
            layers.append(BatchNorm(f"bn{number}", units))
        layers.append(Activation(settings.activation))
        if settings.dropout:
            layers.append(Dropout(settings.dropout, number))
        width = units
    return HeadPlan(inputs, classes, (*layers, Dense(OUTPUT, width, classes)))


def answer(plan: HeadPlan, state: State, features: Floats) -> Floats:
    """Logits float32 (N, C) of embeddings (N, D), computed in chunks of rows.

    state: the arrays that `plan.weights()` names
    """
    rows = max(1, _CHUNK // _widest(plan))
    logits = np.empty((len(features), plan.classes), dtype=np.float32)
    for start in range(0, len(features), rows):
        x = np.asarray(features[start : start + rows], dtype=np.float32)
        for layer in plan.layers:
            x = _step(layer, state, x)
        logits[start : start + rows] = x
    return logits


def _widest(plan: HeadPlan) -> int:
    """The most numbers that any layer needs for one row."""
    widths = [plan.inputs, plan.classes]
    for layer in plan.layers:
        if isinstance(layer, Dense):
            widths.append(layer.units)
        elif isinstance(layer, Neighbours):
            widths += [2 * layer.count, layer.neighbours * layer.classes]
    return max(widths)


def _step(layer: HeadLayer, state: State, x: Floats) -> Floats:
    arrays: list[Floats] = [np.asarray(state[name], dtype=np.float32) for name in layer.weights()]
    made: Floats
    match layer:
        case Dense():
            weight, bias = arrays
            made = x @ weight.T + bias
            return made
        case BatchNorm():
            weight, bias, mean, variance = arrays
            made = (x - mean) * (weight / np.sqrt(variance + np.float32(EPSILON))) + bias
            return made
        case Activation(kind=kind):
            return _ACTIVATIONS[kind](x)
        case Neighbours():
            return _votes(layer, arrays, x)
        case Dropout():
            return x
    raise TypeError(f"a head has no {type(layer).__name__}")


def unit_vectors(x: Floats, centre: Floats) -> Floats:
    """Vectors from the centre, of length 1: float32 (N, D); those in the centre stay near 0."""
    moved = x - centre
    length = np.sqrt((moved * moved).sum(axis=1, keepdims=True))
    made: Floats = moved / np.maximum(length, np.float32(LEAST_LENGTH))
    return made


def vote(likeness: Floats, labels: Floats) -> Floats:
    """Logits (n, C) of likeness (n, k) to neighbours whose labels are (n, k, C), as `Neighbours` has them."""
    behind = likeness - likeness.max(axis=1, keepdims=True)
    weights = np.exp(behind / np.float32(VOTE_TEMPERATURE))
    sums = np.matmul(weights[:, None, :], labels)[:, 0]
    logits: Floats = np.log(sums + np.float32(VOTE_FLOOR))
    return logits


def _votes(layer: Neighbours, arrays: list[Floats], x: Floats) -> Floats:
    features, labels, centre = arrays
    likeness = unit_vectors(x, centre) @ features.T
    best = np.argpartition(-likeness, layer.neighbours - 1, axis=1)[:, : layer.neighbours]
    return vote(np.take_along_axis(likeness, best, axis=1), labels[best])


def _relu(x: Floats) -> Floats:
    return np.maximum(x, 0)


def _silu(x: Floats) -> Floats:
    half = np.float32(0.5)
    made: Floats = x * (half * np.tanh(half * x) + half)  # tanh does not overflow where exp does
    return made


def _gelu(x: Floats) -> Floats:
    made: Floats = np.float32(0.5) * x * (1 + _erf(x * np.float32(math.sqrt(0.5))))
    return made


def _erf(x: Floats) -> Floats:
    """The error function within 1.5e-7 (Abramowitz & Stegun 1964, formula 7.1.26); NumPy has none."""
    size = np.abs(x)
    t = np.reciprocal(1 + np.float32(0.3275911) * size)
    powers: Floats = np.zeros_like(x)
    for factor in (1.061405429, -1.453152027, 1.421413741, -0.284496736, 0.254829592):
        powers = np.asarray((powers + np.float32(factor)) * t)
    made: Floats = np.copysign(1 - powers * np.exp(-size * size), x)
    return made


_ACTIVATIONS: dict[str, Callable[[Floats], Floats]] = {
    "relu": _relu,
    "silu": _silu,
    "gelu": _gelu,
    "tanh": np.tanh,
}
