"""Facts of the files, not of what the photos show, that give the class away.

A network takes the easiest cue. Where the photos of each class come from another source, that may be the
compression, the size or a frame, and the scores say nothing of new photos.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from sortograph.auditing import kin
from sortograph.auditing.properties import Property, properties
from sortograph.auditing.view import AuditView
from sortograph.auditing.words import class_of, percent
from sortograph.errors import listed
from sortograph.records import DatasetIndex, Finding

_FOLDS, _SEED = 5, 0
_ENOUGH = 10  # families of a class, below which nothing is claimed of it
_ALPHA = 0.001  # for all properties together (Bonferroni)
# Share of the way from chance to certainty. Sets from one source reach 0.21 by the size of their files, since
# some subjects have more detail; food-scenes, put together from two, reaches 0.32–0.36 by size and shape.
_STRONG, _STRONG_IF_TRUE = 0.3, 0.4


@dataclass(frozen=True, slots=True)
class _Sample:
    """Photos that are judged.

    rows      int64 (n,) of the index
    labels    int64 (n,), 0…C−1
    folds     int64 (n,), one for each family
    names     of the C classes
    families  int64 (C,), how many each class has
    """

    rows: kin.Rows
    labels: kin.Rows
    folds: kin.Rows
    names: tuple[str, ...]
    families: kin.Rows


@dataclass(frozen=True, slots=True)
class Score:
    """How well one property tells the class, out of fold.

    recall  mean over the classes
    chance  what blind answers reach
    p       that blind answers reach as much as `recall` (one-sided, normal approximation)
    """

    recall: float
    chance: float
    p: float

    @property
    def strength(self) -> float:
        return (self.recall - self.chance) / (1 - self.chance)


def find(view: AuditView) -> Iterator[Finding]:
    """One finding for each property that alone tells the class of many photos."""
    sample = _sample(view.index)
    if len(sample.names) < 2:
        return
    known = properties(view.index, sample.rows, len(sample.names))
    for prop in known:
        score, right = judge(sample, prop)
        strong = _STRONG_IF_TRUE if prop.may_be_true else _STRONG
        if score.strength >= strong and score.p * len(known) < _ALPHA:
            yield _finding(sample, prop, score, right)


def _sample(index: DatasetIndex) -> _Sample:
    families = kin.families(index)
    labelled = np.flatnonzero(index.labels >= 0)
    pairs = np.unique(np.stack([index.labels[labelled], families[labelled]]), axis=1)
    sizes = np.bincount(pairs[0], minlength=len(index.classes))
    chosen = np.flatnonzero(sizes >= _ENOUGH)
    rows = labelled[np.isin(index.labels[labelled], chosen)]
    return _Sample(
        rows=rows,
        labels=np.searchsorted(chosen, index.labels[rows]),
        folds=_folds(index.labels[rows], families[rows]),
        names=tuple(class_of(index, int(label)) for label in chosen),
        families=sizes[chosen],
    )


def _folds(labels: kin.Rows, families: kin.Rows) -> kin.Rows:
    """int64 (n,), 0…4: families are shuffled and dealt out, class by class; none is divided."""
    _, first, member = np.unique(families, return_index=True, return_inverse=True)
    shuffled = np.random.default_rng(_SEED).permutation(len(first))
    order = shuffled[np.argsort(labels[first][shuffled], kind="stable")]
    dealt = np.empty(len(first), dtype=np.int64)
    dealt[order] = np.arange(len(first)) % _FOLDS
    return dealt[member]


def judge(sample: _Sample, prop: Property) -> tuple[Score, np.ndarray[tuple[int], np.dtype[np.bool_]]]:
    """The score, and bool (n,) for the photos whose class the property told.

    Each bin answers with the class that it holds most of by that class's own size, as counted on the other
    folds. Were the property blind, each photo would get the answers in the shares q in which they are given,
    so that the mean recall is 1 / C with a variance of Σ q (1 − q) / m / C², m the families of a class.
    """
    classes, bins = len(sample.names), len(prop.words)
    shape = (_FOLDS, bins, classes)
    cell = np.ravel_multi_index((sample.folds, prop.bins, sample.labels), shape)
    counts = np.bincount(cell, minlength=math.prod(shape)).reshape(shape)
    taught = counts.sum(axis=0) - counts
    shares = taught / np.maximum(1, taught.sum(axis=1, keepdims=True))
    answers = shares.argmax(axis=2)[sample.folds, prop.bins]
    right = answers == sample.labels
    sizes = np.bincount(sample.labels, minlength=classes)
    recall = float((np.bincount(sample.labels[right], minlength=classes) / sizes).mean())
    q = np.bincount(answers, minlength=classes) / len(answers)
    deviation = math.sqrt(float((q * (1 - q) / sample.families).sum())) / classes
    z = (recall - 1 / classes) / deviation if deviation else 0.0
    return Score(recall, 1 / classes, math.erfc(z / math.sqrt(2)) / 2), right


def _finding(
    sample: _Sample, prop: Property, score: Score, right: np.ndarray[tuple[int], np.dtype[np.bool_]]
) -> Finding:
    hint = "this may be a true cue" if prop.may_be_true else "new photos will not keep to that"
    return Finding(
        check="shortcuts",
        photos=(),
        severity=round(0.2 if prop.may_be_true else 0.3 + 0.4 * score.strength, 3),
        message=f"{prop.name} alone tells the class of {percent(score.recall)} of the photos, all classes "
        f"counted alike (chance {percent(score.chance)}): {_evidence(sample, prop, right)}; {hint}",
        remedy=_REMEDY_TRUE if prop.may_be_true else _REMEDY,
    )


_REMEDY = (
    "collect every class from the same sources, or bring all photos to one format and size; test on photos "
    "that you take yourself"
)
_REMEDY_TRUE = (
    "make sure that it belongs to the subject, as light does to weather, and not to how photos were taken"
)


def _evidence(sample: _Sample, prop: Property, right: np.ndarray[tuple[int], np.dtype[np.bool_]]) -> str:
    """The two bins that tell most photos, of two classes."""
    shape = (len(prop.words), len(sample.names))
    told = np.bincount(
        np.ravel_multi_index((prop.bins[right], sample.labels[right]), shape), minlength=math.prod(shape)
    )
    totals = np.bincount(prop.bins, minlength=shape[0])
    lines: dict[int, str] = {}
    for place in np.argsort(-told, kind="stable").tolist():
        bin_, label = divmod(place, shape[1])
        if label not in lines and len(lines) < 2 and told[place]:
            here = f"{told[place]} of {totals[bin_]} with {prop.words[bin_]}"
            lines[label] = f"{here} are {sample.names[label]}"
    return listed(lines.values())
