"""The learning curve of a run: embeddings that are kept, and heads taught with some of the photos."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from sortograph import runs
from sortograph.api.opening import is_exported, open_backbone
from sortograph.api.reading import read_photos
from sortograph.dataset.thinning import as_thinned, is_thinned
from sortograph.errors import RunError, SortographError
from sortograph.features import FeatureKeeper, GraphEmbedder
from sortograph.models import registry
from sortograph.models.aliases import ALIASES
from sortograph.recipe import BackboneChoice, Pixels, Recipe
from sortograph.records import DatasetIndex, LearningCurve, Progress, RunRecord, Said

_PENALTY = 0.01  # of a run that has no logistic head; in the middle of those that recipes try
_FEWEST = 5  # validation photos, and training photos of the smallest class together with them
Rows = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class _Source:
    """What embeds the photos; `told` names it in a sentence."""

    keeper: FeatureKeeper
    told: str
    stand_in: bool = False


def learning_curve(
    record: RunRecord, settings: Recipe, photos: Path, progress: Progress
) -> tuple[DatasetIndex, LearningCurve | None, str]:
    """The photos of the run as they are now; the curve, or None and the reason why there is none.

    Raises RunError when the photos are not those that the run had, and what reading them raises.
    """
    source, why = _source(settings, progress)
    index = same_photos(record, settings, photos, progress, source.keeper if source else None)
    if source is None:
        return index, None, why
    source.keeper.flush()
    if min(len(index.rows("validation")), len(index.rows("train"))) < _FEWEST:
        return index, None, "there are too few training or validation photos"
    return index, _measured(record, index, source, progress), ""


def same_photos(
    record: RunRecord, settings: Recipe, photos: Path, progress: Progress, keeper: FeatureKeeper | None = None
) -> DatasetIndex:
    """The photos of a run, read again. Raises RunError when they, their labels or splits are others."""
    before = runs.read_data(record.folder)
    if keeper is not None and is_thinned(before.notes):
        keeper.until = time.monotonic()  # nothing is embedded that was left out
    index = as_thinned(read_photos(photos, settings, progress, keeper=keeper).index, before)
    if index.fingerprint != record.fingerprint:
        raise RunError(
            "the photos are not those that the run had",
            where=str(photos),
            expected=f"the same photos, labels and splits as in {record.folder / 'index.csv'}",
            fix=f"sortograph diagnose {record.folder}, which needs no photos",
        )
    return index


def _source(settings: Recipe, progress: Progress) -> tuple[_Source | None, str]:
    """The run's own backbones; for a network from scratch, the largest one that is at hand."""
    try:
        if settings.model.kind == "backbone":
            return _own(settings, progress), ""
        return _stand_in(progress)
    except SortographError as error:
        return None, "; ".join(filter(None, (error.what, error.fix)))


def _own(settings: Recipe, progress: Progress) -> _Source:
    from sortograph.api.transfer import TransferMaker

    maker = TransferMaker(settings, progress)
    names = " + ".join(maker.settings.backbone.names)
    return _Source(maker.keeper, f"a logistic head on {names}")


def _stand_in(progress: Progress) -> tuple[_Source | None, str]:
    name = next(iter(_at_hand()), None)
    if name is None:
        return None, (
            "networks from scratch would have to be trained anew with fewer photos, and no backbone is at "
            "hand whose embeddings could stand in: sortograph weights add NAME FILE"
        )
    opened = open_backbone(name, settings=BackboneChoice(), pixels=Pixels(), progress=progress)
    progress(Said(f"the learning curve is that of a head on {name}, which stands in for the network"))
    keeper = FeatureKeeper(GraphEmbedder(opened.graph, opened.backbone.preprocess), progress=progress)
    told = f"a logistic head on {name}, which stands in for the network"
    return _Source(keeper, told, stand_in=True), ""


def _at_hand() -> list[str]:
    """Backbones on this machine, the largest of the added ones first; the network is never asked."""
    added = sorted(registry.added().values(), key=lambda one: (-one.parameters, one.name))
    usual = [name for name in reversed(ALIASES) if is_exported(name, BackboneChoice(), Pixels())]
    return [*(one.name for one in added), *usual]


def _measured(record: RunRecord, index: DatasetIndex, source: _Source, progress: Progress) -> LearningCurve:
    from sortograph.diagnosis.learning_curve import CurveTask, measure

    train, judged = index.rows("train"), index.rows("validation")
    task = CurveTask(
        labels=index.labels[train],
        judged=index.labels[judged],
        classes=index.classes,
        answer=_answer(record, index, source),
        source=source.told,
        seed=record.seed,
        progress=progress,
    )
    return replace(measure(task), stand_in=source.stand_in)


def _answer(record: RunRecord, index: DatasetIndex, source: _Source) -> Callable[[Rows], Rows]:
    """Places among the training photos → classes of the validation photos, by a head that those teach."""
    from sortograph.training.heads.logistic import logistic

    train, judged = index.rows("train"), index.rows("validation")
    table = source.keeper.table(index, np.sort(np.concatenate([train, judged])))
    teach, asked, labels = table.of(train), table.of(judged), index.labels[train]
    penalty, classes = _penalty(record), len(index.classes)
    widths = source.keeper.widths

    def answer(places: Rows) -> Rows:
        weights, bias = logistic(teach[places], labels[places], classes, penalty, widths)
        # A class that nobody has shown cannot be named.
        unseen = np.bincount(labels[places], minlength=classes) == 0
        logits = np.where(unseen, -np.inf, asked @ weights.T + bias)
        named: Rows = logits.argmax(axis=1)
        return named

    return answer


def _penalty(record: RunRecord) -> float:
    first = record.rungs[0] if record.rungs else None
    return float(first.settings.get("penalty", _PENALTY)) if first is not None else _PENALTY
