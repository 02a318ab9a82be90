"""Logistic regression against scikit-learn's, which minimises the same objective in double precision."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import PredefinedSplit, cross_val_predict

from sortograph.recipe import Head, Train
from sortograph.training.heads import HeadTask, choose_head
from sortograph.training.heads import logistic as module
from sortograph.training.heads.logistic import logistic


def embeddings(count: int, inputs: int, classes: int) -> tuple[np.ndarray, np.ndarray]:
    """Above 0, correlated, of uneven spread, as a network's are; classes overlap."""
    rng = np.random.default_rng(count)
    labels = rng.integers(classes, size=count)
    mix = rng.normal(size=(inputs, inputs)) * np.arange(1, inputs + 1)[:, None] ** -0.5
    x = np.maximum((rng.normal(size=(classes, inputs)) * 0.4)[labels] + rng.normal(size=(count, inputs)), -1)
    return np.maximum(x @ mix, 0).astype(np.float32), labels.astype(np.int64)


def scaled(x: np.ndarray) -> np.ndarray:
    """By the roots of deviations, to a mean variance of 1."""
    deviation = x.std(axis=0, dtype=float)
    usual = deviation[deviation > 0].mean()
    return (x - x.mean(axis=0, dtype=float)) / np.sqrt(np.where(deviation > 0, deviation, 1) * usual)


def softmax(logits: np.ndarray) -> np.ndarray:
    powers = np.exp(logits - logits.max(axis=1, keepdims=True))
    return powers / powers.sum(axis=1, keepdims=True)


@pytest.mark.parametrize("penalty", [1e-3, 1e-2, 0.1])
@pytest.mark.parametrize(
    ("count", "inputs", "classes"), [(120, 200, 3), (300, 40, 2), (300, 40, 7)], ids=["wide", "two", "seven"]
)
def test_probabilities_are_those_of_scikit_learn(count, inputs, classes, penalty):
    x, labels = embeddings(count, inputs, classes)
    # Its C is the inverse of the penalty for the sum of losses. Two classes have one row of weights there,
    # half the difference of ours in each of two: with them, the same penalty counts for half.
    scale = 0.5 if classes == 2 else 1
    model = LogisticRegression(C=1 / (penalty * scale * count), tol=1e-8, max_iter=5000)
    expected = model.fit(scaled(x), labels).predict_proba(scaled(x))
    weight, bias = logistic(x, labels, classes, penalty)
    np.testing.assert_allclose(softmax(x @ weight.T + bias), expected, atol=1e-3)


def test_out_of_fold_answers_are_those_of_scikit_learn(monkeypatch):
    monkeypatch.setattr(module, "_LOOSE", 1e-8)
    x, labels = embeddings(250, 30, 4)
    folds = np.arange(len(labels)) % 5
    head = Head(kind="logistic", penalties=(0.03,))
    chosen = choose_head(HeadTask(x, labels, 4, folds, head, Train()))
    assert chosen.logits is not None
    model = LogisticRegression(C=1 / (0.03 * 200), tol=1e-8, max_iter=5000)
    expected = cross_val_predict(model, scaled(x), labels, cv=PredefinedSplit(folds), method="predict_proba")
    np.testing.assert_allclose(softmax(chosen.logits), expected, atol=1e-3)
