"""From logits and labels to everything that is said of one split."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from sortograph.errors import DataError
from sortograph.evaluation.intervals import f1_score, mean_interval, mean_of_shares, wilson
from sortograph.records import ClassScore, Estimate, EvaluationResult, PredictionTable


def judge(table: PredictionTable, *, temperature: float = 1.0, level: float = 0.95) -> EvaluationResult:
    """Accuracy, balanced accuracy, macro F1 and log loss of one split, each with its interval at `level`.

    The values are scikit-learn's `accuracy_score`, `balanced_accuracy_score`, `f1_score(average="macro")`
    over the classes that have photos, and `log_loss` (natural logarithm, per photo). Both macro averages
    leave out classes without photos in the split; `per_class` keeps them, with support 0.
    `temperature` divides the logits and bears on the log loss alone.

    Raises DataError when there are no photos, a photo has no label among the classes, or a logit is not
    finite; ValueError for a level outside 0–1.
    """
    labels = _usable_labels(table)
    matrix = confusion(labels, table.predicted(), len(table.classes))
    scores = tuple(_class_score(name, k, matrix, level) for k, name in enumerate(table.classes))
    present = np.flatnonzero(matrix.sum(axis=1))
    n = len(labels)
    return EvaluationResult(
        split=table.split,
        n=n,
        metrics={
            "accuracy": wilson(int(matrix.trace()), n, level),
            "balanced_accuracy": mean_of_shares([scores[k].recall for k in present], n),
            "macro_f1": mean_of_shares([scores[k].f1 for k in present], n, _f1_correlation(matrix, present)),
            "log_loss": mean_interval(photo_losses(table, labels, temperature), level),
        },
        per_class=scores,
        confusion=matrix,
        gaps={},
    )


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


def _class_score(name: str, k: int, matrix: NDArray[np.int64], level: float) -> ClassScore:
    right, support, predicted = int(matrix[k, k]), int(matrix[k].sum()), int(matrix[:, k].sum())
    return ClassScore(
        name=name,
        precision=_share(right, predicted, level, "never predicted"),
        recall=_share(right, support, level, "no photos"),
        f1=f1_score(right, support + predicted - 2 * right, level),
        support=support,
    )


def _share(hits: int, n: int, level: float, without: str) -> Estimate:
    return wilson(hits, n, level) if n else Estimate(0.0, 0.0, 1.0, level, 0, without)


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
