"""From logits and labels to everything that is said of one split."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sortograph.errors import DataError
from sortograph.evaluation.calibration import calibration_error, reliability
from sortograph.evaluation.intervals import f1_score, mean_interval, mean_of_shares, share_of
from sortograph.evaluation.ranking import auroc, average_precision
from sortograph.records import ClassScore, Estimate, EvaluationResult, PredictionTable

_TOP = 5


def judge(
    table: PredictionTable,
    *,
    temperature: float = 1.0,
    level: float = 0.95,
    groups: NDArray[np.int64] | None = None,
) -> EvaluationResult:
    """All metrics of one split, each with its interval at `level`.

    temperature: divides the logits; it bears on everything that is measured of probabilities
    groups: int64 (N,), equal for photos that belong together, such as shots of one burst: such photos tell
            less than strangers, and intervals are wider for it

    Values are those of scikit-learn: `accuracy_score`, `balanced_accuracy_score`, `f1_score(average="macro")`
    over the classes that have photos, `top_k_accuracy_score(k=5)` where there are more than five classes,
    `log_loss` (natural logarithm, per photo), `brier_score_loss(scale_by_half=False)`, and the macro averages
    of `roc_auc_score` and `average_precision_score`, one class against the rest; "ece" is
    `calibration_error`. With a temperature, "log_loss_uncalibrated" and "ece_uncalibrated" are those without
    it. Macro averages leave out classes without photos in the split; `per_class` keeps them, with support 0.

    Raises DataError when there are no photos, a photo has no label among the classes, or a logit is not
    finite; ValueError for a level outside 0–1.
    """
    labels = _usable_labels(table)
    predicted = table.predicted()
    sample = _Sample(table.logits, labels, predicted, table.probabilities(temperature), groups, level)
    matrix = confusion(labels, predicted, len(table.classes))
    scores = tuple(sample.score(name, k) for k, name in enumerate(table.classes))
    present = np.flatnonzero(matrix.sum(axis=1))
    losses = photo_losses(table, labels, temperature)
    return EvaluationResult(
        split=table.split,
        n=len(labels),
        metrics={
            "accuracy": share_of(sample.right, groups, level),
            **sample.top5(),
            "balanced_accuracy": mean_of_shares([scores[k].recall for k in present], len(labels)),
            "macro_f1": _macro_f1(scores, matrix, present),
            **sample.ranked(scores),
            "log_loss": mean_interval(losses, groups, level),
            "brier": mean_interval(sample.squares(), groups, level, most=2.0),
            "ece": calibration_error(sample.confidence, sample.right, sample.units, level),
            **({} if temperature == 1 else _uncalibrated(table, sample)),
        },
        per_class=scores,
        confusion=matrix,
        gaps={},
        reliability=reliability(sample.confidence, sample.right, level),
    )


def _uncalibrated(table: PredictionTable, sample: _Sample) -> dict[str, Estimate]:
    """What calibration is there for, without it."""
    confidence = table.probabilities().max(axis=1)
    losses = photo_losses(table, sample.labels, 1.0)
    return {
        "log_loss_uncalibrated": mean_interval(losses, sample.groups, sample.level),
        "ece_uncalibrated": calibration_error(confidence, sample.right, sample.units, sample.level),
    }


@dataclass(frozen=True, slots=True)
class _Sample:
    """One split: what was said and what is true."""

    logits: NDArray[np.float32]
    labels: NDArray[np.int64]
    predicted: NDArray[np.int64]
    probabilities: NDArray[np.float64]
    groups: NDArray[np.int64] | None
    level: float

    @property
    def right(self) -> NDArray[np.bool_]:
        hits: NDArray[np.bool_] = self.predicted == self.labels
        return hits

    @property
    def confidence(self) -> NDArray[np.float64]:
        shares: NDArray[np.float64] = self.probabilities.max(axis=1)
        return shares

    @property
    def units(self) -> int:
        """How many photos or groups there are."""
        return len(self.labels) if self.groups is None else len(np.unique(self.groups))

    def score(self, name: str, k: int) -> ClassScore:
        true, said = self.labels == k, self.predicted == k
        involved, both = true | said, true & said
        alone = not true.any() or true.all()
        scores = self.probabilities[:, k]
        return ClassScore(
            name=name,
            precision=self._share(both, said, "never predicted"),
            recall=self._share(both, true, "no photos"),
            f1=f1_score(int(both.sum()), int((involved & ~both).sum()), self.level),
            support=int(true.sum()),
            auroc=None if alone else auroc(scores, true, self.groups, self.level),
            average_precision=None if alone else average_precision(scores, true, self.groups, self.level),
        )

    def _share(self, hits: NDArray[np.bool_], among: NDArray[np.bool_], without: str) -> Estimate:
        if not among.any():
            return Estimate(0.0, 0.0, 1.0, self.level, 0, without)
        groups = None if self.groups is None else self.groups[among]
        return share_of(hits[among], groups, self.level)

    def top5(self) -> dict[str, Estimate]:
        if self.logits.shape[1] <= _TOP:
            return {}
        own = self.logits[np.arange(len(self.labels)), self.labels]
        hit = (self.logits > own[:, None]).sum(axis=1) < _TOP
        return {"top5_accuracy": share_of(hit, self.groups, self.level)}

    def ranked(self, scores: Sequence[ClassScore]) -> dict[str, Estimate]:
        """Macro averages; none where there is one class alone."""
        found = {
            "auroc": [score.auroc for score in scores if score.auroc is not None],
            "average_precision": [
                score.average_precision for score in scores if score.average_precision is not None
            ],
        }
        # All classes rank the same photos: taken for fully correlated, which two classes are.
        return {
            name: mean_of_shares(parts, len(self.labels), np.ones((len(parts), len(parts))))
            for name, parts in found.items()
            if parts
        }

    def squares(self) -> NDArray[np.float64]:
        """Of each photo the squared distance of its probabilities from the truth, 0–2 (Brier 1950)."""
        own = self.probabilities[np.arange(len(self.labels)), self.labels]
        rest = np.einsum("nc,nc->n", self.probabilities, self.probabilities) - own**2
        distances: NDArray[np.float64] = np.maximum(0.0, rest) + (1 - own) ** 2
        return distances


def _macro_f1(
    scores: Sequence[ClassScore], matrix: NDArray[np.int64], present: NDArray[np.int64]
) -> Estimate:
    parts, n = [scores[k].f1 for k in present], int(matrix.sum())
    return mean_of_shares(parts, n, _f1_correlation(matrix, present))


def confusion(labels: NDArray[np.int64], predicted: NDArray[np.int64], classes: int) -> NDArray[np.int64]:
    """Counts, int64 (C, C): rows are truth, columns are predictions.

    >>> confusion(np.array([0, 0, 1]), np.array([0, 1, 1]), 2).tolist()
    [[1, 1], [0, 1]]
    """
    counts = np.bincount(labels * classes + predicted, minlength=classes**2)
    return counts.reshape(classes, classes).astype(np.int64)


def photo_losses(
    table: PredictionTable, labels: NDArray[np.int64], temperature: float
) -> NDArray[np.float64]:
    """Cross-entropy of each photo, float64 (N,), at or above 0; by logarithms, so that none is infinite."""
    scaled = table.logits.astype(np.float64) / temperature
    scaled -= scaled.max(axis=1, keepdims=True)
    losses: NDArray[np.float64] = np.log(np.exp(scaled).sum(axis=1)) - scaled[np.arange(len(labels)), labels]
    return losses


def _usable_labels(table: PredictionTable) -> NDArray[np.int64]:
    where = f"split {table.split!r}"
    if len(table.rows) == 0:
        raise DataError("no photos to evaluate", where=where, expected="at least one labelled photo")
    labels = np.full(len(table.rows), -1) if table.labels is None else table.labels
    strangers = int(((labels < 0) | (labels >= len(table.classes))).sum())
    if strangers:
        raise DataError(
            f"{strangers} of {len(labels)} photos have no label among the model's classes",
            where=where,
            expected="a label for every photo that is evaluated",
            fix="label them, or sortograph predict for photos without labels",
        )
    broken = int((~np.isfinite(table.logits)).any(axis=1).sum())
    if broken:
        raise DataError(
            f"the model's answers to {broken} of {len(labels)} photos are not finite numbers",
            where=where,
            fix="train again with a lower learning rate",
        )
    return labels


def _f1_correlation(matrix: NDArray[np.int64], present: NDArray[np.int64]) -> NDArray[np.float64]:
    """Correlation between the F1 of the present classes: they share the photos that one lost to the other.

    By the delta method for multinomial counts: with t right and e wrong of m = t + e photos of a class,
    r_ij = (photos confused between i and j) · √(t_i / (e_i m_i)) · √(t_j / (e_j m_j)).
    """
    right = matrix.diagonal()
    involved = matrix.sum(axis=0) + matrix.sum(axis=1) - right
    wrong = involved - right
    scale = np.sqrt(right / np.maximum(wrong * involved, 1))  # without a wrong one there is nothing to share
    shared = (matrix + matrix.T).astype(np.float64)
    correlation: NDArray[np.float64] = (shared * np.outer(scale, scale))[np.ix_(present, present)]
    np.fill_diagonal(correlation, 1.0)
    return correlation
