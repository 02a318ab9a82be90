from __future__ import annotations

import threading
from queue import Queue

import numpy as np
import pytest
import torch

from sortograph.errors import RunError
from sortograph.loading.augment import Augmenter
from sortograph.loading.batches import BatchPlan, TrainingBatches, clean_batches
from sortograph.recipe import Augment

COUNT = 23
PHOTOS = np.random.default_rng(3).integers(0, 256, (COUNT, 8, 6, 3), dtype=np.uint8)
ROWS = np.array([row for row in range(COUNT) if row % 4 != 1], dtype=np.int64)  # 17 photos
NUMBERS = np.arange(COUNT, dtype=np.int64)  # each photo is its own class: labels say who is who
CPU = torch.device("cpu")
WISHES = Augment(horizontal_flip=True, rotation=0.2, zoom=0.2, width_shift=0.2, brightness=0.2, contrast=0.2)


def batches(size: int = 5, seed: int = 1, rows=ROWS, augment: Augment = WISHES) -> TrainingBatches:
    return TrainingBatches(
        lambda chosen: PHOTOS[chosen], rows, NUMBERS, Augmenter(augment, (8, 6)), BatchPlan(size, seed, CPU)
    )


def views(made: TrainingBatches, epoch: int) -> dict[int, np.ndarray]:
    return {
        int(label): photo.numpy()
        for batch in made(epoch)
        for label, photo in zip(batch.labels, batch.photos, strict=True)
    }


def seen(made: TrainingBatches, epoch: int) -> list[int]:
    return [int(label) for batch in made(epoch) for label in batch.labels]


def test_an_epoch_shows_every_training_photo_once_with_its_label():
    plain = batches(augment=Augment())
    assert sorted(seen(plain, 1)) == ROWS.tolist()
    for number, view in views(plain, 1).items():
        np.testing.assert_array_equal(view.transpose(1, 2, 0), PHOTOS[number])


def test_epochs_and_seeds_differ_in_order_and_views():
    made = batches()
    first = views(made, 1)
    assert seen(made, 1) == seen(batches(), 1)
    assert seen(made, 1) != seen(made, 2)
    assert seen(made, 1) != seen(batches(seed=2), 1)
    for other in (views(made, 2), views(batches(seed=2), 1)):
        assert all(not np.array_equal(other[number], first[number]) for number in first)


@pytest.mark.parametrize("size", [1, 4, 17, 100])
def test_the_size_of_a_batch_changes_neither_order_nor_views(size):
    usual, other = batches(), batches(size)
    assert seen(usual, 3) == seen(other, 3)
    expected = views(usual, 3)
    for number, view in views(other, 3).items():
        np.testing.assert_allclose(view, expected[number], atol=1e-3)


def test_the_view_of_a_photo_does_not_depend_on_which_others_are_trained_on():
    few, many = views(batches(rows=ROWS[::3]), 2), views(batches(), 2)
    for number, view in few.items():
        np.testing.assert_allclose(view, many[number], atol=1e-3)


def test_an_epoch_goes_on_from_any_step_as_if_it_had_never_stopped():
    made = batches()
    whole = list(made(2))
    assert [batch.step for batch in whole] == list(range(len(made)))
    for first in range(len(made) + 1):
        rest = list(made(2, first))
        assert [batch.step for batch in rest] == list(range(first, len(made)))
        for batch, expected in zip(rest, whole[first:], strict=True):
            assert torch.equal(batch.photos, expected.photos)
            assert torch.equal(batch.labels, expected.labels)


@pytest.mark.parametrize(
    ("count", "size", "sizes"),
    [
        (17, 5, [5, 5, 5, 2]),
        (16, 5, [5, 5, 6]),
        (15, 5, [5, 5, 5]),
        (4, 5, [4]),
        (6, 5, [6]),
        (1, 5, [1]),
        (3, 1, [1, 2]),
    ],
)
def test_the_last_batch_is_smaller_but_not_of_one_photo(count, size, sizes):
    made = batches(size, rows=ROWS[:count])
    assert [len(batch.labels) for batch in made(1)] == sizes
    assert len(made) == len(sizes)


def test_photos_are_handed_over_as_float32():
    for augment in (Augment(), WISHES):
        batch = next(batches(augment=augment)(1))
        assert batch.photos.shape == (5, 3, 8, 6)
        assert batch.photos.dtype == torch.float32
        assert batch.labels.dtype == torch.int64


def test_clean_batches_give_photos_as_they_are_in_their_order():
    rows = np.array([5, 2, 9, 11, 0], dtype=np.int64)
    made = list(clean_batches(lambda chosen: PHOTOS[chosen], rows, 2, CPU))
    assert [len(chosen) for chosen, _ in made] == [2, 2, 1]
    np.testing.assert_array_equal(np.concatenate([chosen for chosen, _ in made]), rows)
    photos = torch.cat([photos for _, photos in made])
    assert photos.dtype == torch.float32
    np.testing.assert_array_equal(photos.permute(0, 2, 3, 1), PHOTOS[rows])


def test_photos_of_an_epoch_have_the_size_of_that_epoch():
    plan = BatchPlan(5, 1, CPU, sides=lambda epoch: (4, 3) if epoch == 1 else (8, 6))
    augment = Augmenter(Augment(), (8, 6))
    made = TrainingBatches(lambda chosen: PHOTOS[chosen], ROWS, NUMBERS, augment, plan)
    small, whole = views(made, 1), views(made, 2)
    for number, view in small.items():
        assert view.shape == (3, 4, 3)
        # Each is the mean of the pixels around it: lines of pixels do not turn into patterns.
        assert view.mean() == pytest.approx(PHOTOS[number].mean(), abs=12)
        np.testing.assert_array_equal(whole[number].transpose(1, 2, 0), PHOTOS[number])


def read_by(read):
    return TrainingBatches(read, ROWS, NUMBERS, Augmenter(Augment(), (8, 6)), BatchPlan(5, 1, CPU))


def test_the_next_photos_are_read_while_these_are_in_use():
    asked = Queue()

    def read(chosen):
        asked.put(chosen.tolist())
        return PHOTOS[chosen]

    made = read_by(read)(1)
    first = next(made)
    assert asked.get(timeout=10) == first.labels.tolist()
    coming = asked.get(timeout=10)
    assert next(made).labels.tolist() == coming


def test_a_photo_that_cannot_be_read_ends_the_epoch_where_it_is_needed():
    def read(chosen):
        if len(asked) == 2:
            raise RunError("a photo cannot be used any more")
        asked.append(chosen)
        return PHOTOS[chosen]

    asked = []
    made = read_by(read)(1)
    assert [next(made).step, next(made).step] == [0, 1]
    with pytest.raises(RunError, match="cannot be used"):
        next(made)


def test_an_epoch_that_is_left_leaves_no_thread_behind():
    def readers():
        return [thread for thread in threading.enumerate() if thread.name.startswith("sortograph-pixels")]

    made = batches()(1)
    next(made)
    assert readers()
    made.close()
    assert not readers()
