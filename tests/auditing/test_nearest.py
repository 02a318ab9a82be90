"""Neighbours among embeddings: exactly those of a full comparison, and nearly all of them with cells."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from sortograph.auditing import nearest
from sortograph.auditing.nearest import centred, near_rows
from sortograph.records import Event, Step


def clouds(n: int, width: int = 24, seed: int = 0) -> NDArray[np.float32]:
    """Photos of thirty kinds; row n // 2 + k is a near copy of row k, for the first fifty."""
    rng = np.random.default_rng(seed)
    features = rng.normal(size=(30, width))[rng.integers(0, 30, n)] + rng.normal(0, 0.5, (n, width))
    features[n // 2 : n // 2 + 50] = features[:50] + rng.normal(0, 0.02, (50, width))
    return np.asarray(features + 3, dtype=np.float32)


def by_hand(units: NDArray[np.float32], count: int, least: float) -> set[tuple[int, int]]:
    cosines = units.astype(np.float64) @ units.astype(np.float64).T
    np.fill_diagonal(cosines, -2)
    order = np.argsort(-cosines, axis=1)[:, :count]
    return {
        (min(row, other), max(row, other))
        for row, others in enumerate(order.tolist())
        for other in others
        if cosines[row, other] >= least
    }


def pairs_of(found: tuple[NDArray[np.int64], NDArray[np.int64]]) -> list[tuple[int, int]]:
    return list(zip(found[0].tolist(), found[1].tolist(), strict=True))


def test_what_all_photos_share_says_nothing() -> None:
    features = np.array([[9, 1], [9, -1], [9, 3], [9, -3]], dtype=np.float32)
    units = centred(features)
    np.testing.assert_allclose(np.abs(units @ units.T), 1, atol=1e-6)
    assert (units[0] @ units[1]) < 0
    assert not centred(np.ones((3, 2), dtype=np.float32)).any()


@pytest.mark.parametrize("count", [1, 3, 8])
def test_the_nearest_are_those_of_a_full_comparison(count: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(nearest, "_BLOCK", 64)
    units = centred(clouds(300))
    found = pairs_of(near_rows(units, count, 0.6))
    assert found == sorted(by_hand(units, count, 0.6))
    assert found


def test_with_cells_copies_are_found_in_a_part_of_the_comparisons(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(nearest, "FEW", 100)
    units, compared = centred(clouds(2000)), []
    whole = nearest._best

    def counting(units, rows, others, *more):
        compared.append(len(rows) * len(others))
        return whole(units, rows, others, *more)

    monkeypatch.setattr(nearest, "_best", counting)
    found = set(pairs_of(near_rows(units, 8, 0.6)))
    assert {(row, 1000 + row) for row in range(50)} <= found
    assert sum(compared) < 2000 * 2000 / 3
    assert found == set(pairs_of(near_rows(units, 8, 0.6)))


def test_progress_ends_with_all_of_them(monkeypatch: pytest.MonkeyPatch) -> None:
    for few in (100, 10_000):
        monkeypatch.setattr(nearest, "FEW", few)
        told: list[Event] = []
        near_rows(centred(clouds(700)), 2, 0.9, told.append)
        last = told[-1]
        assert isinstance(last, Step)
        assert (last.done, last.total) == (700, 700)


@pytest.mark.parametrize("n", [0, 1, 2])
def test_few_photos_are_no_trouble(n: int) -> None:
    units = np.ones((n, 4), dtype=np.float32) / 2
    assert pairs_of(near_rows(units, 8, 0.5)) == [(0, 1)] * (n == 2)
