"""Heads that were tried on the embeddings of a backbone."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class Rung:
    """One head of the ladder, judged by cross-validation within the training photos.

    name      its kind: "logistic", "nearest-mean", "neighbours", "mlp"
    settings  what sets it apart from others of its kind, such as {"penalty": 0.003}
    score     0–1: accuracy, or balanced accuracy where classes are uneven; None where nothing was compared
    log_loss  mean natural-log cross-entropy per photo; None where nothing was compared
    error     standard error of the score over the folds
    seconds   that it took
    """

    name: str
    settings: Mapping[str, Any] = field(default_factory=dict)
    score: float | None = None
    log_loss: float | None = None
    error: float | None = None
    folds: int = 0
    metric: str = "accuracy"
    seconds: float = 0.0

    def title(self) -> str:
        """
        >>> Rung("logistic", {"penalty": 0.003, "balance": "none"}).title()
        'logistic (penalty 0.003, balance none)'
        """
        told = ", ".join(f"{key} {value}" for key, value in self.settings.items())
        return f"{self.name} ({told})" if told else self.name

    def to_json(self) -> dict[str, Any]:
        return {**asdict(self), "settings": dict(self.settings)}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Rung:
        """Raises TypeError for fields that are missing or unknown."""
        return cls(**data)
