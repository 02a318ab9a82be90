"""Photos whose label is probably wrong, by confident learning on features."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sortograph.auditing import kin
from sortograph.auditing.view import AuditView
from sortograph.auditing.words import class_of
from sortograph.dataset.names import shown
from sortograph.errors import MissingExtra
from sortograph.records import Finding

_FOLDS, _SEED = 5, 0
# Inverse strengths of the penalty on standardised features, the strongest first. With the usual 1.0 the model
# learns wrong labels by heart and is sure of itself; which is best hangs on the photos per class.
_STRENGTHS = (0.001, 0.01, 0.1)


@dataclass(frozen=True, slots=True)
class Suspects:
    """Photos under suspicion, the worst first; judged by a model that has not seen them.

    rows         int64 (n,) of the index
    looks_like   int64 (n,), the likeliest label
    probability  float64 (n,), of that label
    own          float64 (n,), of the label that it has
    """

    rows: kin.Rows
    looks_like: kin.Rows
    probability: NDArray[np.float64]
    own: NDArray[np.float64]


def find(view: AuditView) -> Iterator[Finding]:
    """One finding for each suspect. Raises MissingExtra without scikit-learn and cleanlab."""
    index, suspects = view.index, suspected(view)
    for place, row in enumerate(suspects.rows.tolist()):
        looks_like, own = class_of(index, suspects.looks_like[place]), class_of(index, index.labels[row])
        surer, less = suspects.probability[place], suspects.own[place]
        yield Finding(
            check="label-errors",
            photos=(index.paths[row],),
            severity=round(0.6 - 0.2 * float(less), 6),
            message=f"{shown(index.paths[row])} is labelled {own} but looks like {looks_like} (probability "
            f"{surer:.2f}, {less:.2f} for its own label; judged by a classifier taught without it)",
            remedy=f"look at it: move it to {looks_like} if the label is wrong, leave it if it is only hard",
        )


def suspected(view: AuditView) -> Suspects:
    """What confident learning takes for label errors, ranked by self-confidence: the probability of the label
    that the photo has, the lowest first.

    Probabilities are out of fold; photos of one content, twins, likely duplicates and groups are always in
    one fold. Classes with fewer such families than folds cannot be judged and are left out. An empty answer
    where fewer than two classes remain.

    Northcutt, Jiang and Chuang, "Confident learning", JAIR 70 (2021), 1373–1411: what both prune by class and
    prune by noise rate would remove (section 3.2). Raises MissingExtra.
    """
    rows, features, labels, classes, families = _judged(view)
    if len(classes) < 2:
        nothing = np.zeros(0)
        return Suspects(rows[:0], rows[:0], nothing, nothing)
    try:
        from cleanlab.filter import find_label_issues
    except ImportError:
        raise MissingExtra.of("train", "cleanlab") from None
    probabilities = out_of_fold(features, labels, families)
    order = find_label_issues(
        labels,
        probabilities,
        filter_by="both",
        return_indices_ranked_by="self_confidence",
        n_jobs=1,
    ).astype(np.int64)
    likely = probabilities[order].argmax(axis=1)
    return Suspects(
        rows=rows[order],
        looks_like=classes[likely],
        probability=probabilities[order, likely],
        own=probabilities[order, labels[order]],
    )


def _judged(view: AuditView) -> tuple[kin.Rows, NDArray[np.float32], kin.Rows, kin.Rows, kin.Rows]:
    """Rows of the index, their features, labels 0…C−1 and families; C labels of the index."""
    assert view.features is not None, "asked for only where there are features"
    index, table = view.index, view.features
    families = kin.families(index)
    if view.likely is not None:
        families = kin.joined(families, view.likely.groups)
    labels = index.labels[table.rows]
    kept = labels >= 0
    pairs = np.unique(np.stack([labels[kept], families[table.rows][kept]]), axis=1)
    classes = np.flatnonzero(np.bincount(pairs[0], minlength=len(index.classes)) >= _FOLDS)
    kept &= np.isin(labels, classes)
    rows = table.rows[kept]
    return rows, table.features[kept], np.searchsorted(classes, labels[kept]), classes, families[rows]


def out_of_fold(features: NDArray[np.float32], labels: kin.Rows, families: kin.Rows) -> NDArray[np.float64]:
    """Probabilities (n, C) of each row by a logistic regression on the other folds.

    features (n, D); labels 0…C−1, all present; families (n,) are never divided. Of several penalties, the
    strongest is taken that no weaker neighbour beats in log loss of these probabilities. Raises MissingExtra.
    """
    best = _predicted(features, labels, families, _STRENGTHS[0])
    for strength in _STRENGTHS[1:]:
        other = _predicted(features, labels, families, strength)
        if _log_loss(other, labels) >= _log_loss(best, labels):
            break
        best = other
    return best


def _log_loss(probabilities: NDArray[np.float64], labels: kin.Rows) -> float:
    own = probabilities[np.arange(len(labels)), labels]
    return float(-np.log(np.maximum(own, 1e-15)).mean())


def _predicted(
    features: NDArray[np.float32], labels: kin.Rows, families: kin.Rows, strength: float
) -> NDArray[np.float64]:
    try:
        from sklearn.linear_model import LogisticRegression
        from sklearn.model_selection import StratifiedGroupKFold
        from sklearn.pipeline import make_pipeline
        from sklearn.preprocessing import StandardScaler
    except ImportError:
        raise MissingExtra.of("train", "scikit-learn") from None
    probabilities = np.zeros((len(labels), int(labels.max()) + 1))
    folds = StratifiedGroupKFold(_FOLDS, shuffle=True, random_state=_SEED)
    for taught, judged in folds.split(features, labels, families):
        model = make_pipeline(StandardScaler(), LogisticRegression(C=strength, max_iter=1000))
        model.fit(features[taught], labels[taught])
        # A class whose families are unequal may be missing from the other folds.
        probabilities[np.ix_(judged, model.classes_)] = model.predict_proba(features[judged])
    return probabilities
