from __future__ import annotations

import math

import numpy as np
import pytest

from sortograph.training.heads.scores import Score, log_loss, score

LABELS = np.array([0, 0, 0, 0, 1, 1])
FOLDS = np.array([0, 1, 0, 1, 0, 1])
# Right are the photos 0, 1, 2 and 4.
LOGITS = np.array([[2, 0], [2, 0], [2, 0], [0, 2], [0, 2], [2, 0]], dtype=np.float32)


def test_accuracy_its_error_over_folds_and_the_log_loss():
    got = score(LOGITS, LABELS, FOLDS, balanced=False)
    right, wrong = math.log(1 + math.exp(-2)), math.log(1 + math.exp(2))
    assert got.value == pytest.approx(4 / 6)
    assert got.log_loss == pytest.approx((4 * right + 2 * wrong) / 6)
    # Folds have 3 of 3 and 1 of 3: deviation √(2 · (1/3)²) / √1, over √2.
    assert got.error == pytest.approx(1 / 3)


def test_balanced_accuracy_is_the_mean_over_classes_with_photos():
    got = score(LOGITS, LABELS, FOLDS, balanced=True)
    assert got.value == pytest.approx((3 / 4 + 1 / 2) / 2)
    assert got.error == pytest.approx(abs(1 - (1 / 2 + 0) / 2) / 2)
    shifted = score(np.pad(LOGITS, ((0, 0), (2, 1)), constant_values=-9), LABELS + 2, FOLDS, balanced=True)
    assert shifted.value == got.value


def test_the_lower_log_loss_decides_among_equals():
    assert Score(0.9, 0.3, 0.0).rank < Score(0.9, 0.4, 0.0).rank < Score(0.8, 0.1, 0.0).rank


def test_log_losses_of_very_sure_answers_are_finite():
    assert log_loss(np.float32([[1e4, 0], [0, 1e4]]), np.array([0, 0])) == pytest.approx(5e3)


def test_one_fold_has_no_error():
    assert score(LOGITS, LABELS, FOLDS * 0, balanced=False).error == 0
