from __future__ import annotations

import numpy as np
import pytest

from sortograph.auditing import kin


def test_long_chains_are_joined_whole() -> None:
    n = 20_000
    rng = np.random.default_rng(2)
    order = rng.permutation(n)
    # Row order[k] is tied to order[k + 1] by turns through one column and the other.
    pairs, others = np.empty(n, dtype=np.int64), np.empty(n, dtype=np.int64)
    pairs[order] = np.arange(n) // 2
    others[order] = (np.arange(n) + 1) // 2
    assert set(kin.joined(pairs, others).tolist()) == {0}


@pytest.mark.parametrize("seed", range(5))
def test_joined_is_union_find(seed: int) -> None:
    rng = np.random.default_rng(seed)
    columns = [rng.integers(-1, 60, 100) for _ in range(3)]
    root = list(range(100))
    for column in columns:
        for a in range(100):
            for b in range(a):
                if column[a] == column[b] != -1 and root[a] != root[b]:
                    root = [root[a] if r == root[b] else r for r in root]
    least = [min(k for k in range(100) if root[k] == r) for r in root]
    assert kin.joined(*columns).tolist() == least


def test_together_lists_only_rows_that_agree_in_all_keys() -> None:
    first, second = np.array([1, 0, 1, 0, 1, 0]), np.array([5, 5, 5, 6, 6, 5])
    found = [rows.tolist() for rows in kin.together(np.arange(6), first, second)]
    assert found == [[0, 2], [1, 5]]
    assert [rows.tolist() for rows in kin.together(np.array([0, 1, 3]), first)] == [[1, 3]]
    assert list(kin.together(np.arange(0), first)) == []
