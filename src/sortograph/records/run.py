"""What a run did."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sortograph.records.evaluation import EvaluationResult
    from sortograph.records.heads import Rung
    from sortograph.records.trust import Trust


@dataclass(frozen=True, slots=True)
class EpochRow:
    """One epoch. Training figures are running means over augmented batches; validation figures are clean.

    With MixUp, a training photo counts as right by the label that it had before it was mixed.
    Losses are mean natural-log cross-entropies per photo; accuracies are 0–1; None without validation.
    `gradient_norms` holds the L2 norm per layer before clipping, its mean over every eighth step.
    """

    epoch: int
    train_loss: float
    train_accuracy: float
    validation_loss: float | None
    validation_accuracy: float | None
    learning_rate: float
    seconds: float
    photos_per_second: float
    gradient_norms: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class RunRecord:
    """A run folder in memory.

    status   "running", "interrupted", "failed" or "finished"
    recipe   the resolved recipe as plain data
    best_epoch  the epoch whose weights were kept
    decisions   what was decided on the way and why, a sentence each
    rungs       the heads that were tried on embeddings, the kept one first
    trust       what calibration photos promise; None without such photos
    """

    id: str
    folder: Path
    recipe: Mapping[str, Any]
    fingerprint: str
    seed: int
    environment: Mapping[str, Any]
    history: tuple[EpochRow, ...]
    evaluation: Mapping[str, EvaluationResult]
    status: str
    best_epoch: int | None = None
    seconds: float = 0.0
    decisions: tuple[str, ...] = ()
    rungs: tuple[Rung, ...] = ()
    trust: Trust | None = None

    @property
    def bundle(self) -> Path:
        return self.folder / "model.onnx"

    @property
    def report(self) -> Path:
        return self.folder / "report.html"

    def going_on(self, folder: Path | None = None) -> tuple[str, Path]:
        """How it goes on: the words after `sortograph train PHOTOS`, not yet quoted for a shell.

        folder: the run folder as it is to be typed; None for `self.folder`

        Only networks have checkpoints. Heads are found anew, from embeddings that are kept.
        """
        place = self.folder if folder is None else folder
        is_frozen = self.recipe.get("model", {}).get("kind") in ("auto", "backbone")
        if is_frozen and not self.recipe.get("finetune", {}).get("epochs"):
            return "--recipe", place / "recipe.toml"
        return "--resume", place

    def to_json(self) -> dict[str, Any]:
        """The object that `train --json` and `evaluate --json` print."""
        from sortograph.records.evaluation import leaks  # NumPy, which a record of a run does without

        return {
            "run": self.folder.as_posix(),
            "bundle": self.bundle.as_posix(),
            "report": self.report.as_posix(),
            "recipe": self.recipe.get("name", ""),
            "seed": self.seed,
            "seconds": round(self.seconds, 3),
            "status": self.status,
            "best_epoch": self.best_epoch,
            "decisions": list(self.decisions),
            "evaluation": {split: result.to_json() for split, result in self.evaluation.items()},
            "leaks": leaks(self.evaluation),
            "trust": None if self.trust is None else self.trust.to_json(),
        }
