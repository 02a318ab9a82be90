"""What a model said about photos."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class PredictionTable:
    """Logits of N photos of one split.

    rows    int64 (N,), rows of the DatasetIndex
    logits  float32 (N, C), before temperature
    labels  int64 (N,) or None
    """

    rows: NDArray[np.int64]
    logits: NDArray[np.float32]
    labels: NDArray[np.int64] | None
    classes: tuple[str, ...]
    split: str

    def __post_init__(self) -> None:
        n = len(self.rows)
        if self.logits.shape != (n, len(self.classes)):
            raise ValueError(f"logits must be ({n}, {len(self.classes)}), not {self.logits.shape}")
        if self.labels is not None and self.labels.shape != (n,):
            raise ValueError(f"labels must be ({n},), not {self.labels.shape}")

    def probabilities(self, temperature: float = 1.0) -> NDArray[np.float64]:
        """Softmax of logits / temperature, float64 (N, C), rows sum to 1."""
        scaled = self.logits.astype(np.float64) / temperature
        powers = np.exp(scaled - scaled.max(axis=1, keepdims=True))
        shares: NDArray[np.float64] = powers / powers.sum(axis=1, keepdims=True)
        return shares

    def predicted(self) -> NDArray[np.int64]:
        """Index of the largest logit, int64 (N,)."""
        best: NDArray[np.int64] = self.logits.argmax(axis=1)
        return best


@dataclass(frozen=True, slots=True)
class Prediction:
    """The answer for one photo.

    label        class name; None when withheld or unreadable
    probability  of the most probable class, 0–1; None when unreadable
    top_k        (class name, probability), best first
    unsure       why the answer should be looked at, or None
    error        why the photo could not be read, or None
    """

    path: str
    label: str | None
    probability: float | None
    top_k: tuple[tuple[str, float], ...] = ()
    unsure: str | None = None
    error: str | None = None

    def to_json(self) -> dict[str, Any]:
        return {
            "path": self.path,
            "label": self.label,
            "probability": self.probability,
            "top_k": [{"label": label, "probability": p} for label, p in self.top_k],
            "unsure": self.unsure,
            "error": self.error,
        }
