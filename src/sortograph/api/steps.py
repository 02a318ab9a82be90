"""What `auto` tries: steps, what came of them, and the recipes that do them again."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from sortograph.api.gains import Hope, Kind
from sortograph.api.opening import Opened
from sortograph.api.transfer import TransferMaker
from sortograph.models.head import answer
from sortograph.recipe import Recipe, Train
from sortograph.records import DatasetIndex, FeatureTable
from sortograph.training.heads import Chosen
from sortograph.training.heads.scores import score

_LEAST = 0.002  # a step is kept when it names at least this share of photos more,
_SURER = 0.05  # or as many with a log loss that is lower by this share


@dataclass(frozen=True, slots=True)
class Attempt:
    """One frozen model: its maker, the embeddings of the training photos, the head, the seconds it took."""

    maker: TransferMaker
    recipe: Recipe
    index: DatasetIndex
    table: FeatureTable
    chosen: Chosen
    seconds: float

    @property
    def taught(self) -> float:
        """The score on the photos that taught it."""
        chosen, index, rows = self.chosen, self.index, self.table.rows
        logits = answer(chosen.plan, chosen.state, self.table.features)
        balanced = chosen.rungs[0].metric == "balanced_accuracy"
        return score(logits, index.labels[rows], np.zeros(len(rows), dtype=np.int64), balanced).value

    @property
    def score(self) -> float:
        return self.chosen.rungs[0].score or 0.0

    @property
    def log_loss(self) -> float:
        return self.chosen.rungs[0].log_loss or 0.0

    @property
    def names(self) -> str:
        return " + ".join(one.backbone.name for one in self.maker.opened)


@dataclass(frozen=True, slots=True)
class Step:
    """What may be tried next, how long it would take, and what may come of it."""

    kind: Kind
    names: tuple[str, ...]
    settings: Recipe
    seconds: float
    hope: Hope

    @property
    def what(self) -> str:
        return " + ".join(self.names) + (", seen mirrored, too" if self.kind == "mirror" else "")

    @property
    def key(self) -> frozenset[str]:
        return frozenset([*self.names, *["mirror"] * (self.kind == "mirror")])


def frozen(settings: Recipe, opened: Sequence[Opened]) -> Recipe:
    """The recipe that does again what was decided."""
    model = settings.model.model_copy(update={"kind": "backbone"})
    names = tuple(one.backbone.name for one in opened)
    backbone = settings.backbone.model_copy(update={"names": names})
    finetune = settings.finetune.model_copy(update={"epochs": 0})  # decided last
    return settings.model_copy(update={"model": model, "backbone": backbone, "finetune": finetune})


def is_better(other: Attempt, best: Attempt) -> bool:
    """More photos right; or as many, with clearly better probabilities, which few photos tell more surely."""
    if other.score >= best.score + _LEAST:
        return True
    return other.score >= best.score and other.log_loss <= (1 - _SURER) * best.log_loss


def tuned(recipe: Recipe, epochs: int) -> Recipe:
    """A few epochs. Views are changed a little, and never mirrored: some classes would change places."""
    mild = {"zoom": 0.1, "width_shift": 0.05, "height_shift": 0.05, "rotation": 0.02}
    is_plain = recipe.augment == type(recipe.augment)()
    augment = recipe.augment.model_copy(update=mild) if is_plain else recipe.augment
    taught: dict[str, Any] = {
        "optimiser": "adamw",
        "weight_decay": 0.01,
        "schedule": "cosine",
        "warmup_epochs": 0.5,
    }
    train = Train(
        seed=recipe.train.seed, batch_size=recipe.train.batch_size, epochs=max(20, epochs), **taught
    )
    finetune = recipe.finetune.model_copy(update={"epochs": epochs})
    return recipe.model_copy(update={"augment": augment, "train": train, "finetune": finetune})


def percent(attempt: Attempt) -> str:
    rung = attempt.chosen.rungs[0]
    metric, error = rung.metric.replace("_", " "), 100 * (rung.error or 0.0)
    figure = f"{100 * attempt.score:.1f} % ± {error:.1f} {metric}"
    return f"{figure} in {rung.folds}-fold cross-validation within train"
