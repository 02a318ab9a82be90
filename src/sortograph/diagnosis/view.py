"""What the families of verdicts look at: a run, its photos by class and split, its log."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sortograph.diagnosis.curves import Values, accuracy_error, entropy
from sortograph.diagnosis.log import RunLog
from sortograph.evaluation import difference
from sortograph.records import DatasetIndex, EpochRow, Estimate, EvaluationResult, RunRecord

HELD_OUT = ("test", "validation")  # the more honest first
_NEAR_CHANCE = 0.97  # of the loss that class frequencies alone give
_LAST = 3  # epochs


@dataclass(frozen=True, slots=True)
class Skip:
    """Why a verdict could not be judged."""

    name: str
    reason: str


@dataclass(frozen=True, slots=True)
class RunView:
    """A run and all that its folder tells about it. `index` has the photos of the run."""

    record: RunRecord
    index: DatasetIndex
    log: RunLog = field(default_factory=RunLog)

    @property
    def history(self) -> tuple[EpochRow, ...]:
        """Epochs, from the log where the run has failed before they were written."""
        return self.record.history or self.log.history

    def get(self, key: str) -> Any:
        """A value of the run's recipe, such as "train.epochs"; the default where the run does not say."""
        section, name = key.split(".")
        given = self.record.recipe.get(section, {})
        return given[name] if name in given else _defaults()[section][name]

    @property
    def kind(self) -> str:
        """How the run was taught: "network" from scratch, "finetune", "mlp" or "head" on embeddings."""
        if self.get("model.kind") in ("cnn", "residual", "dense"):
            return "network"
        if self.get("finetune.epochs"):
            return "finetune"
        return "mlp" if self.history else "head"

    @property
    def epochs_key(self) -> str:
        """Where the recipe says how many epochs there are."""
        return "finetune.epochs" if self.kind == "finetune" else "train.epochs"

    @property
    def rate_key(self) -> str:
        """Where the recipe says the learning rate."""
        return "finetune.learning_rate" if self.kind == "finetune" else "train.learning_rate"

    @property
    def why_no_history(self) -> str:
        """Why there are no curves to be judged; "" where there are."""
        if self.kind == "head":
            return "the head on the embeddings was found without epochs: there are no curves"
        if len(self.history) < 2:
            return f"{len(self.history)} epochs are over: there are no curves"
        if self.kind == "finetune" and self.record.best_epoch is None and self.record.evaluation:
            return "fine-tuning was not kept: its curves are not those of the model"
        return ""

    def values(self, name: str) -> Values:
        """One column of the history, float64 (N,); NaN where there was no validation."""
        column = [getattr(row, name) for row in self.history]
        return np.array([np.nan if value is None else value for value in column], dtype=np.float64)

    @property
    def is_validated(self) -> bool:
        return bool(self.history) and all(row.validation_loss is not None for row in self.history)

    def photos(self, split: str) -> int:
        """Photos of a split."""
        return self.index.splits.count(split)

    @property
    def watched(self) -> int:
        """Validation photos behind the curves: where they choose the epoch, some are kept for calibration."""
        result, count = self.record.evaluation.get("validation"), self.photos("validation")
        if result is not None and result.chose:
            return result.chose
        return count if self.kind == "network" else count // 2

    @property
    def class_counts(self) -> NDArray[np.int64]:
        """Training photos of each class, int64 (C,)."""
        labels = self.index.labels[self.index.rows("train")]
        return np.bincount(labels[labels >= 0], minlength=len(self.index.classes)).astype(np.int64)

    @property
    def majority(self) -> float:
        """Accuracy of always naming the most frequent class of the training photos."""
        counts = self.class_counts
        return float(counts.max() / max(1, counts.sum())) if len(counts) else 1.0

    @property
    def chance_loss(self) -> float:
        """Nats; the loss of a network that has learned class frequencies alone."""
        counts = self.class_counts
        return entropy(counts) if counts.sum() else 0.0

    @property
    def taught(self) -> EvaluationResult | None:
        """The training photos as they are, by the weights that were kept."""
        return self.record.evaluation.get("train")

    @property
    def held_out(self) -> EvaluationResult | None:
        """Test, else validation."""
        return next((self.record.evaluation[s] for s in HELD_OUT if s in self.record.evaluation), None)

    @property
    def accuracy(self) -> Estimate | None:
        """Of held-out photos; where training has seen some of them, of the others."""
        result = self.held_out
        if result is None:
            return None
        return result.metrics.get("accuracy_unseen") or result.metrics["accuracy"]

    @property
    def gap(self) -> Estimate | None:
        """Accuracy on the training photos minus that on held-out ones."""
        if self.taught is None or self.accuracy is None or not self.is_comparable:
            return None
        return difference(self.taught.metrics["accuracy"], self.accuracy)

    @property
    def is_comparable(self) -> bool:
        """Whether some held-out photos were never taught, so that their figure says something."""
        result = self.held_out
        return result is not None and ("train" not in result.leaks or "accuracy_unseen" in result.metrics)

    @property
    def errors(self) -> float:
        """Share of held-out photos that are named wrong; 0 where none were judged."""
        return 0.0 if self.accuracy is None else 1 - self.accuracy.value

    @property
    def has_learned(self) -> bool | None:
        """Whether training photos are named better than by always naming the most frequent class."""
        if self.taught is not None:
            return self.taught.metrics["accuracy"].low > self.majority
        if not self.history:
            return None
        return self._is_above_chance(max(row.train_accuracy for row in self.history))

    @property
    def ends_at_chance(self) -> bool:
        """Whether the last epochs know no more of the training photos than how frequent the classes are."""
        last = self.history[-_LAST:]
        if not last:
            return False
        loss = sum(row.train_loss for row in last) / len(last)
        accuracy = max(row.train_accuracy for row in last)
        return loss >= _NEAR_CHANCE * self.chance_loss and not self._is_above_chance(accuracy)

    def _is_above_chance(self, accuracy: float) -> bool:
        error = accuracy_error(self.majority, self.photos("train"))
        return accuracy > self.majority + 3 * error


@cache
def _defaults() -> dict[str, Any]:
    from sortograph.recipe import Recipe

    return Recipe().to_dict()
