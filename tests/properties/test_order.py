"""What holds for every order, whatever the rows, the seed, the epoch and the size of a batch are."""

from __future__ import annotations

import numpy as np
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from sortograph.loading.augment import Augmenter
from sortograph.loading.batches import BatchPlan, TrainingBatches
from sortograph.loading.order import Purpose, dropout_seed, generator, order
from sortograph.recipe import Augment

# Time limits per example would fail on a busy machine, not on a wrong order.
untimed = settings(deadline=None)

words = st.integers(0, 2**32 - 1)
places = st.tuples(words, st.sampled_from(Purpose), words, words)


@untimed
@given(rows=st.lists(st.integers(0, 2**40), max_size=50), seed=words, epoch=words)
def test_an_order_is_a_permutation_and_always_the_same(rows: list[int], seed: int, epoch: int) -> None:
    before = np.array(rows, dtype=np.int64)
    shuffled = order(before, seed, epoch)
    assert sorted(shuffled.tolist()) == sorted(rows)
    assert before.tolist() == rows
    np.testing.assert_array_equal(order(before, seed, epoch), shuffled)


@untimed
@given(one=places, other=places)
def test_no_two_places_share_their_numbers(
    one: tuple[int, Purpose, int, int], other: tuple[int, Purpose, int, int]
) -> None:
    drawn = [tuple(generator(*place).integers(2**63, size=4)) for place in (one, other)]
    assert (drawn[0] == drawn[1]) == (one == other)


@untimed
@given(seed=words, epoch=words, step=words)
def test_a_seed_for_dropout_is_one_that_generators_take(seed: int, epoch: int, step: int) -> None:
    found = dropout_seed(seed, epoch, step)
    assert torch.Generator().manual_seed(found).initial_seed() == found
    assert int(np.random.Philox(key=np.array([found, 1], dtype=np.uint64)).state["state"]["key"][0]) == found


@untimed
@given(
    count=st.integers(1, 40),
    size=st.integers(1, 45),
    seed=words,
    epoch=st.integers(1, 10_000),
    first=st.integers(0, 50),
)
def test_batches_divide_an_epoch(count: int, size: int, seed: int, epoch: int, first: int) -> None:
    rows = np.arange(count, dtype=np.int64)
    made = TrainingBatches(
        lambda chosen: np.zeros((len(chosen), 2, 2, 3), dtype=np.uint8),
        rows,
        rows,
        Augmenter(Augment(), (2, 2)),
        BatchPlan(size, seed, torch.device("cpu")),
    )
    whole = [batch.labels.tolist() for batch in made(epoch)]
    assert len(whole) == len(made)
    assert [row for batch in whole for row in batch] == order(rows, seed, epoch).tolist()
    assert all(2 <= len(batch) <= size + 1 for batch in whole) or size == 1 or count == 1
    assert all(len(batch) == size for batch in whole[:-1])
    assert [batch.labels.tolist() for batch in made(epoch, first)] == whole[first:]
