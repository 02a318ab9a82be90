from __future__ import annotations

import numpy as np
import pytest
import torch

from sortograph.loading.augment import mixed
from sortograph.loading.mixing import Mixing, blended, cut
from sortograph.loading.order import Purpose, generator


def batch(count: int = 6, side: int = 12) -> tuple[torch.Tensor, torch.Tensor]:
    """Photos whose every value says which photo it is, and their one-hot labels."""
    photos = torch.arange(count).float().view(-1, 1, 1, 1).expand(-1, 3, side, side + 4).contiguous()
    return photos, torch.eye(count)


@pytest.mark.parametrize("step", range(8))
def test_labels_count_as_much_as_the_area_of_their_photo(step):
    photos, shares = batch()
    before = photos.clone()
    made, counted = cut(photos, shares, 1.0, (1, 1, step))
    assert torch.equal(photos, before), "the photos that were given stay as they are"
    for number, row in enumerate(counted):
        area = torch.stack([(made[number, 0] == other).float().mean() for other in range(6)])
        torch.testing.assert_close(row, area)
    assert torch.equal(made[:, 0], made[:, 1]), "all channels alike"


def test_the_box_is_one_rectangle_of_another_photo():
    photos, shares = batch()
    seen = 0
    for step in range(20):
        made = cut(photos, shares, 1.0, (1, 1, step))[0]
        other = made[:, 0] != photos[:, 0]
        for mask in other[other.flatten(1).any(1)]:
            rows, columns = mask.any(1).nonzero().flatten(), mask.any(0).nonzero().flatten()
            assert mask[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1].all()
            assert int(mask.sum()) == len(rows) * len(columns)
            seen += 1
    assert seen > 50


@pytest.mark.parametrize("alpha", [0.5, 2.0])
def test_boxes_are_as_large_as_the_drawn_share_leaves(alpha):
    """One that lies within the photo covers 1 - λ of it, but for whole pixels; edges make others smaller."""
    photos, shares = batch(2, side=200)
    inside = 0
    for step in range(120):
        left = 1 - generator(3, Purpose.CUTMIX, 1, step).beta(alpha, alpha)
        made = cut(photos, shares, alpha, (3, 1, step))[0]
        box = made[0, 0] != photos[0, 0]
        if not box.any():
            continue
        area = float(box.float().mean())
        assert area <= left + 0.001
        if not (box[0].any() or box[-1].any() or box[:, 0].any() or box[:, -1].any()):
            assert area == pytest.approx(left, abs=0.02)
            inside += 1
    assert inside > 3


def test_boxes_follow_from_seed_epoch_and_step():
    photos, shares = batch()
    first = cut(photos, shares, 1.0, (1, 2, 3))[0]
    assert torch.equal(cut(photos, shares, 1.0, (1, 2, 3))[0], first)
    for place in ((2, 2, 3), (1, 3, 3), (1, 2, 4)):
        assert not torch.equal(cut(photos, shares, 1.0, place)[0], first)


def test_the_two_take_turns():
    photos, shares = batch()
    both = Mixing(mixup=0.5, cutmix=0.5)
    for place in ((1, 1, 0), (1, 1, 1), (1, 2, 0), (1, 2, 1)):
        made = blended(photos, shares, both, place)[0]
        expected = cut if sum(place[1:]) % 2 else mixed
        assert torch.equal(made, expected(photos, shares, 0.5, place)[0])


def test_one_alone_and_neither():
    photos, shares = batch()
    for step in range(4):
        place = (1, 1, step)
        assert torch.equal(
            blended(photos, shares, Mixing(cutmix=1.0), place)[0], cut(photos, shares, 1.0, place)[0]
        )
        assert torch.equal(
            blended(photos, shares, Mixing(mixup=1.0), place)[0], mixed(photos, shares, 1.0, place)[0]
        )
        assert blended(photos, shares, Mixing(), place)[0] is photos
    assert np.isclose(float(blended(photos, shares, Mixing(cutmix=1.0), (1, 1, 1))[1].sum()), 6)
