"""What holds for every view, whatever the photo, the wishes and the draws are."""

from __future__ import annotations

import numpy as np
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from sortograph.loading.augment import Augmenter, draws, mixed
from sortograph.recipe import Augment

# Time limits per example would fail on a busy machine, not on a wrong view.
untimed = settings(deadline=None, max_examples=60)

words = st.integers(0, 2**32 - 1)
epochs = st.integers(1, 10_000)
sides = st.integers(1, 9)
sizes = st.tuples(sides, sides)
shares = st.floats(0, 0.9)
moves = {
    "horizontal_flip": st.booleans(),
    "vertical_flip": st.booleans(),
    "rotation": st.floats(0, 0.5),
    "zoom": shares,
    "width_shift": shares,
    "height_shift": shares,
}
colours = {"brightness": st.floats(0, 1), "contrast": st.floats(0, 1)}
wishes = st.builds(Augment, **moves, **colours)


def photos(count: int, size: tuple[int, int], seed: int) -> torch.Tensor:
    return torch.from_numpy(np.random.default_rng(seed).integers(0, 256, (count, *size, 3), dtype=np.uint8))


def drawn(count: int, seed: int) -> torch.Tensor:
    return torch.from_numpy(draws(count, seed, 1))


@untimed
@given(wish=wishes, stored=sizes, size=sizes, seed=words)
def test_every_view_has_its_size_and_lies_within_the_range(
    wish: Augment, stored: tuple[int, int], size: tuple[int, int], seed: int
) -> None:
    views = Augmenter(wish, size)(photos(3, stored, seed), drawn(3, seed))
    assert views.shape == (3, 3, *size)
    assert bool(torch.isfinite(views).all())
    assert 0 <= float(views.min()) <= float(views.max()) <= 255 + 1e-3


@untimed
@given(wish=st.builds(Augment, **moves), size=sizes, seed=words)
def test_moving_a_photo_adds_no_colours(wish: Augment, size: tuple[int, int], seed: int) -> None:
    """What lies outside is reflected, never black; bilinear values lie between their neighbours."""
    before = photos(2, size, seed)
    views = Augmenter(wish, size)(before, drawn(2, seed))
    for photo, view in zip(before.permute(0, 3, 1, 2).float(), views, strict=True):
        for old, new in zip(photo, view, strict=True):
            assert float(new.min()) >= float(old.min()) - 1e-2
            assert float(new.max()) <= float(old.max()) + 1e-2


@untimed
@given(wish=wishes, seed=words, order=st.permutations(range(5)), cut=st.integers(1, 4))
def test_a_view_does_not_depend_on_the_batch_around_it(
    wish: Augment, seed: int, order: list[int], cut: int
) -> None:
    augment, pixels, table = Augmenter(wish, (5, 4)), photos(5, (6, 5), seed), drawn(5, seed)
    whole = augment(pixels, table)
    chosen = torch.tensor(order[:cut])
    torch.testing.assert_close(augment(pixels[chosen], table[chosen]), whole[chosen], rtol=0, atol=1e-2)


@untimed
@given(few=st.integers(1, 30), more=st.integers(0, 30), seed=words, epoch=epochs)
def test_draws_of_a_row_do_not_depend_on_how_many_rows_there_are(
    few: int, more: int, seed: int, epoch: int
) -> None:
    np.testing.assert_array_equal(draws(few, seed, epoch), draws(few + more, seed, epoch)[:few])


@untimed
@given(
    alpha=st.floats(0.01, 8),
    labels=st.lists(st.integers(0, 3), min_size=1, max_size=12),
    place=st.tuples(words, epochs, words),
)
def test_mixed_labels_stay_shares_and_fit_their_photos(
    alpha: float, labels: list[int], place: tuple[int, int, int]
) -> None:
    targets = torch.eye(4)[labels]
    pixels = (targets * 60).view(-1, 4, 1, 1).expand(-1, 4, 2, 2)
    mixture, shares = mixed(pixels, targets, alpha, place)
    torch.testing.assert_close(shares.sum(1), torch.ones(len(labels)))
    assert 0 <= float(shares.min()) <= float(shares.max()) <= 1
    torch.testing.assert_close(mixture, (shares * 60).view(-1, 4, 1, 1).expand(-1, 4, 2, 2))
    torch.testing.assert_close(shares.sum(0).sum(), targets.sum())
