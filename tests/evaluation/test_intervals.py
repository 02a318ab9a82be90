from __future__ import annotations

import json
import subprocess
import sys

import numpy as np
import pytest

from sortograph.evaluation import difference, judge, mcnemar_exact, paired_difference, share, wilson
from sortograph.evaluation.intervals import f1_score, mean_interval, mean_of_shares, t_value
from sortograph.records import PredictionTable


def answers(both: int, only_a: int, only_b: int, neither: int) -> tuple[np.ndarray, np.ndarray]:
    a = [True] * (both + only_a) + [False] * (only_b + neither)
    b = [True] * both + [False] * only_a + [True] * only_b + [False] * neither
    return np.array(a, dtype=np.bool_), np.array(b, dtype=np.bool_)


def test_wilson_gives_published_limits() -> None:
    # Newcombe, Statistics in Medicine 17 (1998), 857–872, table I, method 3.
    for hits, n, low, high in ((81, 263, 0.2553, 0.3662), (15, 148, 0.0624, 0.1605), (0, 20, 0, 0.1611)):
        estimate = wilson(hits, n)
        assert (estimate.low, estimate.high) == pytest.approx((low, high), abs=5e-5)
        assert (estimate.n, estimate.level, estimate.method) == (n, 0.95, "wilson")


def test_difference_gives_published_limits() -> None:
    # Newcombe, Statistics in Medicine 17 (1998), 873–890, table II, method 10.
    for a, m, b, n, low, high in (
        (56, 70, 48, 80, 0.0524, 0.3339),
        (9, 10, 3, 10, 0.1705, 0.8090),
        (6, 7, 2, 7, 0.0582, 0.8062),
        (5, 56, 0, 29, -0.0381, 0.1926),
        (0, 10, 0, 20, -0.1611, 0.2775),
        (0, 10, 0, 10, -0.2775, 0.2775),
        (10, 10, 0, 20, 0.6791, 1.0),
        (10, 10, 0, 10, 0.6075, 1.0),
    ):
        estimate = difference(wilson(a, m), wilson(b, n))
        assert (estimate.low, estimate.high) == pytest.approx((low, high), abs=5e-5)
        assert estimate.value == pytest.approx(a / m - b / n)
        assert (estimate.n, estimate.level) == (m + n, 0.95)
    with pytest.raises(ValueError, match="two levels"):
        difference(wilson(1, 2, 0.9), wilson(1, 2))


@pytest.mark.parametrize(("hits", "n", "level"), [(0, 0, 0.95), (3, 2, 0.95), (-1, 2, 0.95), (1, 2, 1.0)])
def test_wilson_refuses_what_is_no_share(hits: int, n: int, level: float) -> None:
    with pytest.raises(ValueError, match=r"no share|confidence level"):
        wilson(hits, n, level)


def test_f1_of_one_class() -> None:
    estimate = f1_score(8, 2)
    part = share(8, 10)
    assert estimate.value == pytest.approx(2 * 8 / (2 * 8 + 2))
    assert estimate.low == pytest.approx(2 * part.low / (1 + part.low))
    assert (f1_score(0, 4).value, f1_score(4, 0).high) == (0, 1)


def test_student_quantiles() -> None:
    # Two-sided 95 %: any printed table.
    for degrees, expected in ((1, 12.706), (2, 4.303), (3, 3.182), (10, 2.228), (1000, 1.962)):
        assert t_value(0.95, degrees) == pytest.approx(expected, rel=2e-3)


def test_mean_of_losses() -> None:
    values = np.array([0.1, 0.2, 0.6, 0.1])
    estimate = mean_interval(values)
    reach = 3.182 * values.std(ddof=1) / 2
    assert (estimate.value, estimate.low) == (0.25, 0.0)
    assert estimate.high == pytest.approx(0.25 + reach, rel=2e-3)
    with pytest.raises(ValueError, match="no values"):
        mean_interval(values[:0])


def test_mean_of_shares_is_wider_where_they_move_together() -> None:
    parts = [wilson(15, 20), wilson(18, 20)]
    free, bound = mean_of_shares(parts, 40), mean_of_shares(parts, 40, np.ones((2, 2)))
    assert free.value == bound.value == pytest.approx(0.825)
    assert bound.low < free.low < free.value < free.high < bound.high
    assert bound.low == pytest.approx((parts[0].low + parts[1].low) / 2)


def test_paired_difference_gives_published_limits() -> None:
    # Fagerland, Lydersen and Laake, Statistics in Medicine 33 (2014), 2850–2875: 1, 1, 7, 12 photos.
    a, b = answers(1, 7, 1, 12)
    estimate = paired_difference(a, b)
    assert estimate.value == pytest.approx(-6 / 21)
    assert (estimate.low, estimate.high) == pytest.approx((-0.507, -0.026), abs=5e-4)
    other = paired_difference(b, a)
    assert (other.low, other.high) == pytest.approx((-estimate.high, -estimate.low))


def test_paired_difference_of_equal_answers() -> None:
    for table in ((10, 0, 0, 0), (0, 0, 0, 10), (6, 0, 0, 4)):
        estimate = paired_difference(*answers(*table))
        assert estimate.value == 0
        assert -1 <= estimate.low <= 0 <= estimate.high <= 1
        assert estimate.low == -estimate.high
    assert paired_difference(*answers(0, 5, 0, 0)).low == -1


def test_mcnemar() -> None:
    assert mcnemar_exact(*answers(1, 7, 1, 12)) == pytest.approx(2 * 9 / 256)
    assert mcnemar_exact(*answers(5, 0, 0, 5)) == 1.0
    assert mcnemar_exact(*answers(5, 3, 3, 5)) == 1.0
    assert mcnemar_exact(*answers(0, 3000, 2000, 0)) == pytest.approx(2e-45, rel=0.5)


@pytest.mark.parametrize("function", [paired_difference, mcnemar_exact])
def test_pairs_are_needed(function) -> None:
    for a, b in ((np.array([], np.bool_),) * 2, (np.array([True]), np.array([True, False]))):
        with pytest.raises(ValueError, match="two answers"):
            function(a, b)


def test_intervals_of_macro_averages_hold_the_truth_as_often_as_they_say() -> None:
    """300 drawn confusion matrices of an unbalanced task with rare mistakes, where resampling fails."""
    random = np.random.default_rng(5)
    support = np.array([60, 40, 10, 5])
    recall = np.full((4, 4), 0.04 / 3)
    np.fill_diagonal(recall, 0.96)
    joint = recall * support[:, None]
    truth = {
        "balanced_accuracy": 0.96,
        "macro_f1": float((2 * joint.diagonal() / (joint.sum(axis=0) + joint.sum(axis=1))).mean()),
    }
    held = dict.fromkeys(truth, 0)
    for _ in range(300):
        drawn = np.array([random.multinomial(n, row) for n, row in zip(support, recall, strict=True)])
        metrics = judge(table_of(drawn)).metrics
        for name, value in truth.items():
            held[name] += metrics[name].low <= value <= metrics[name].high
    assert all(0.90 <= count / 300 <= 1.0 for count in held.values()), held


def test_intervals_agree_with_resampling_where_photos_are_many() -> None:
    random = np.random.default_rng(8)
    matrix = np.array([[900, 60, 40], [100, 850, 50], [20, 150, 830]])
    n = int(matrix.sum())
    drawn = random.multinomial(n, matrix.ravel() / n, size=2000).reshape(-1, 3, 3)
    right = drawn.diagonal(axis1=1, axis2=2)
    f1 = (2 * right / (drawn.sum(axis=1) + drawn.sum(axis=2))).mean(axis=1)
    recall = (right / drawn.sum(axis=2)).mean(axis=1)
    metrics = judge(table_of(matrix)).metrics
    for name, values in (("macro_f1", f1), ("balanced_accuracy", recall)):
        expected = np.percentile(values, [2.5, 97.5])
        assert (metrics[name].low, metrics[name].high) == pytest.approx(tuple(expected), abs=1e-3)


def table_of(matrix: np.ndarray) -> PredictionTable:
    """Predictions that lead to this confusion matrix."""
    classes = len(matrix)
    cells = np.repeat(np.arange(classes**2), matrix.ravel())
    logits = np.eye(classes, dtype=np.float32)[cells % classes]
    names = tuple(f"c{k}" for k in range(classes))
    return PredictionTable(np.arange(len(cells)), logits, cells // classes, names, "test")


def test_the_room_loads_numpy_alone() -> None:
    code = "import json, sys, sortograph.evaluation\nprint(json.dumps(sorted(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert not {"sklearn", "scipy", "pandas", "torch", "PIL"} & set(json.loads(done.stdout))
