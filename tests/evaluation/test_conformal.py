"""Sets of classes hold the true one as often as they promise."""

from __future__ import annotations

import numpy as np
import pytest

from sortograph.evaluation.conformal import LEVELS, conformal_table


def draw(random: np.random.Generator, n: int) -> tuple[np.ndarray, np.ndarray]:
    shares = random.dirichlet([0.3] * 5, size=n)
    wrong_model = shares**1.7  # too sure, as networks are
    labels = (shares.cumsum(axis=1) < random.random((n, 1))).sum(axis=1)
    return wrong_model / wrong_model.sum(axis=1, keepdims=True), np.minimum(labels, 4)


@pytest.mark.parametrize("n", [40, 250])
def test_mean_coverage_is_the_level(n: int) -> None:
    random = np.random.default_rng(7)
    fresh, truth = draw(random, 20_000)
    own = fresh[np.arange(len(truth)), truth]
    covered = np.zeros(len(LEVELS))
    for _ in range(400):
        covered += [float((own >= row.threshold).mean()) / 400 for row in conformal_table(*draw(random, n))]
    for level, held in zip(LEVELS, covered, strict=True):
        assert level - 0.01 <= held <= min(1.0, level + 1 / (n + 1) + 0.01)


def test_too_few_photos_give_sets_of_all_classes() -> None:
    rows = conformal_table(np.array([[0.9, 0.1]] * 8), np.zeros(8, dtype=np.int64))
    assert {row.threshold for row in rows} == {0.0}


def test_by_hand() -> None:
    shares = np.stack([np.linspace(0.01, 0.99, 99), np.linspace(0.99, 0.01, 99)], axis=1)
    rows = conformal_table(shares, np.zeros(99, dtype=np.int64))
    # 90 % of 100 are 90: the 90th from the top of 0.01 … 0.99 is 0.10.
    assert rows[0].threshold == pytest.approx(0.10)
    assert rows[0].n == 99
