"""Temperature, reliability and calibration error."""

from __future__ import annotations

import numpy as np
import pytest

from sortograph.evaluation import judge
from sortograph.evaluation.calibration import calibration_error, fitted_temperature, reliability
from sortograph.records import PredictionTable


def table(n: int, sharpness: float, seed: int = 0) -> PredictionTable:
    """Answers drawn by the softmax of some logits, which are then made too sharp."""
    random = np.random.default_rng(seed)
    logits = random.normal(size=(n, 4)) * 2
    shares = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    labels = (shares.cumsum(axis=1) < random.random((n, 1))).sum(axis=1)
    return PredictionTable(
        np.arange(n), (logits * sharpness).astype(np.float32), labels, tuple("abcd"), "validation"
    )


@pytest.mark.parametrize("sharpness", [0.5, 1.0, 3.0])
def test_the_temperature_undoes_what_made_answers_too_sure(sharpness: float) -> None:
    assert fitted_temperature(table(20_000, sharpness)) == pytest.approx(sharpness, rel=0.03)


def test_it_is_where_the_log_loss_is_least() -> None:
    found = table(4000, 2.0)
    best = fitted_temperature(found)

    def loss(temperature: float) -> float:
        return judge(found, temperature=temperature).metrics["log_loss"].value

    assert loss(best) < min(loss(best * 1.05), loss(best / 1.05), loss(1.0))


def test_calibration_error_falls() -> None:
    fitted = fitted_temperature(table(3000, 3.0, seed=1))
    fresh = judge(table(3000, 3.0, seed=2), temperature=fitted).metrics
    assert fresh["ece"].value < 0.2 * fresh["ece_uncalibrated"].value
    assert fresh["log_loss"].value < fresh["log_loss_uncalibrated"].value


def test_a_few_photos_that_are_all_right_do_not_ask_for_certainty() -> None:
    logits = np.eye(3, dtype=np.float32)[[0, 1, 2, 0, 1]] * 3
    found = fitted_temperature(
        PredictionTable(np.arange(5), logits, np.array([0, 1, 2, 0, 1]), tuple("abc"), "validation")
    )
    assert 0.3 < found < 1


def test_without_photos_or_labels_it_is_one() -> None:
    none = PredictionTable(
        np.zeros(0, np.int64), np.zeros((0, 2), np.float32), np.zeros(0, np.int64), ("a", "b"), "x"
    )
    assert fitted_temperature(none) == 1.0
    unlabelled = PredictionTable(np.arange(2), np.eye(2, dtype=np.float32), None, ("a", "b"), "x")
    assert fitted_temperature(unlabelled) == 1.0


def test_calibration_error_by_hand() -> None:
    confidence = np.array([0.95, 0.95, 0.95, 0.95, 0.5, 0.5])
    right = np.array([True, True, True, False, True, False])
    found = calibration_error(confidence, right)
    assert found.value == pytest.approx((4 * 0.2 + 2 * 0.0) / 6)
    assert found.low <= found.value <= found.high
    assert found == calibration_error(confidence, right), "draws come from a fixed generator"


def test_fewer_groups_than_photos_widen_the_interval() -> None:
    random = np.random.default_rng(0)
    confidence = random.uniform(0.5, 1, 400)
    right = random.random(400) < confidence - 0.3
    alone, grouped = calibration_error(confidence, right), calibration_error(confidence, right, 40)
    assert grouped.value == alone.value
    assert grouped.high - grouped.low > alone.high - alone.low


def test_reliability_has_a_bin_for_each_fifteenth_that_has_photos() -> None:
    bins = reliability(np.array([1.0, 0.99, 0.5, 0.51]), np.array([True, True, True, False]))
    assert [(round(b.low, 3), b.accuracy.n, b.accuracy.value) for b in bins] == [
        (0.467, 2, 0.5),
        (0.933, 2, 1.0),
    ]
    assert bins[1].confidence == pytest.approx(0.995)


def test_a_well_calibrated_model_may_have_no_error_at_all() -> None:
    random = np.random.default_rng(5)
    held = 0
    for _ in range(200):
        confidence = random.uniform(0.3, 1, 150)
        found = calibration_error(confidence, random.random(150) < confidence)
        held += found.low == 0
    assert held >= 180


def test_a_badly_calibrated_one_has_some() -> None:
    random = np.random.default_rng(6)
    confidence = random.uniform(0.8, 1, 300)
    found = calibration_error(confidence, random.random(300) < confidence - 0.25)
    assert 0.15 < found.low < 0.25 < found.high < 0.35
