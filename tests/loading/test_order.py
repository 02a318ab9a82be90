from __future__ import annotations

import numpy as np
import pytest
import torch

from sortograph.loading.order import Purpose, dropout_seed, generator, order

ROWS = np.arange(100, 150, dtype=np.int64)


def test_the_same_epoch_has_the_same_order_and_no_history():
    first = order(ROWS, 7, 3)
    np.random.default_rng().random(10)
    order(ROWS, 7, 2)
    np.testing.assert_array_equal(order(ROWS, 7, 3), first)
    assert first.dtype == np.int64


@pytest.mark.parametrize(("seed", "epoch"), [(7, 4), (8, 3), (3, 7)])
def test_another_seed_or_epoch_has_another_order(seed, epoch):
    assert (order(ROWS, seed, epoch) != order(ROWS, 7, 3)).any()


def test_every_photo_comes_once_and_the_rows_stay_as_they_were():
    rows = ROWS.copy()
    shuffled = order(rows, 1, 1)
    assert sorted(shuffled) == ROWS.tolist()
    np.testing.assert_array_equal(rows, ROWS)


def test_every_place_in_the_order_is_taken_by_every_photo():
    firsts = {int(order(np.arange(5), 0, epoch)[0]) for epoch in range(60)}
    assert firsts == set(range(5))


def test_purposes_draw_apart():
    draws = {tuple(generator(5, purpose, 1).random(4)) for purpose in Purpose}
    assert len(draws) == len(Purpose)


def test_the_numbers_are_those_that_philox_gave_when_runs_were_recorded():
    """Other numbers would make runs that were begun with an older version go on differently."""
    assert order(np.arange(8), 1, 1).tolist() == [4, 7, 3, 2, 6, 1, 0, 5]
    assert dropout_seed(1, 2, 3) == 5_908_305_752_500_292_026


def test_the_largest_seed_epoch_and_step_have_numbers_of_their_own():
    top = 2**32 - 1
    seeds = {dropout_seed(*place) for place in ((top, top, top), (top, top, 0), (top, 0, top), (0, top, top))}
    assert len(seeds) == 4
    for seed in seeds:
        assert 0 <= seed < 2**63
        with torch.random.fork_rng():
            torch.manual_seed(seed)


def test_dropout_has_a_seed_for_every_step():
    seeds = {dropout_seed(1, epoch, step) for epoch in range(1, 20) for step in range(20)}
    assert len(seeds) == 19 * 20
