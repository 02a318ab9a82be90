"""Does the exported graph answer as the network did that was trained?"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sortograph.bundle.runtime import Answers, asked
from sortograph.errors import GateError

TOLERANCE = 1e-4


@dataclass(frozen=True, slots=True)
class Parity:
    """What was compared: n photos, the largest difference of a probability, how many best classes differ."""

    difference: float
    n: int
    disagreements: int


def answers_of(graph: bytes, photos: NDArray[np.uint8]) -> Answers:
    """What a graph answers before it is in a bundle, to photos uint8 (N, H, W, 3).

    Raises BundleError when the graph is not allowed in a bundle, or ONNX Runtime refuses it.
    """
    return asked(graph, "the exported graph")(photos)


def check_parity(
    reference_logits: NDArray[Any],
    answers: Answers,
    classes: Sequence[str],
    *,
    temperature: float = 1.0,
    where: str = "",
    tolerance: float = TOLERANCE,
) -> Parity:
    """Compare the probabilities of N photos with softmax(reference_logits / temperature).

    reference_logits: (N, C), of the trained network in float32, in evaluation mode, for the same pixels
    where: the file that holds the graph

    Raises GateError when a probability differs by more than `tolerance` or is no number. What passes can name
    another best class only where the two best probabilities are within twice that of each other; such ties
    are counted as disagreements.
    """
    expected = _softmax(np.asarray(reference_logits, dtype=np.float64) / temperature)
    given = np.asarray(answers.probabilities, dtype=np.float64)
    if expected.shape != given.shape or expected.shape[1:] != (len(classes),) or not len(expected):
        raise GateError(
            f"{given.shape} probabilities of the exported model for {expected.shape} of the network",
            where=where,
            expected=f"rows of {len(classes)} from both, and at least one",
            fix=_FIX,
        )
    differences = np.abs(expected - given)
    changed = int((expected.argmax(axis=1) != given.argmax(axis=1)).sum())
    # NaN is larger than any number here.
    row, column = divmod(int(np.argmax(np.nan_to_num(differences, nan=np.inf))), len(classes))
    worst = float(differences[row, column])
    if not worst <= tolerance:
        raise GateError(
            f"the exported model answers otherwise than the trained network: {given[row, column]:.6g} in the"
            f" place of {expected[row, column]:.6g} for {classes[column]!r}, photo {row + 1} of {len(given)};"
            f" the best class differs for {changed}",
            where=where,
            expected=f"probabilities within {tolerance:g}",
            fix=_FIX,
        )
    return Parity(worst, len(given), changed)


_FIX = "sortograph doctor"


def _softmax(logits: NDArray[np.float64]) -> NDArray[np.float64]:
    powers = np.exp(logits - logits.max(axis=1, keepdims=True))
    return np.asarray(powers / powers.sum(axis=1, keepdims=True))
