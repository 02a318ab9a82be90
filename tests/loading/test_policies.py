"""torchvision takes seconds to import: all that needs it here is in this file."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from sortograph.loading.augment import draws
from sortograph.loading.policies import PolicyAugmenter

COUNT = 16
PHOTOS = torch.from_numpy(np.random.default_rng(4).integers(0, 256, (COUNT, 20, 24, 3), dtype=np.uint8))
DRAWN = torch.from_numpy(draws(COUNT, seed=1, epoch=1))


def plain(pixels, drawn):
    return pixels


@pytest.fixture(params=["rand", "trivial"])
def policy(request):
    return PolicyAugmenter(request.param, plain)


def test_most_photos_change_each_in_its_own_way(policy):
    made = policy(PHOTOS, DRAWN)
    assert made.shape == PHOTOS.shape
    assert made.dtype == torch.uint8
    alike = [bool((one == other).all()) for one, other in zip(made, PHOTOS, strict=True)]
    assert sum(alike) < COUNT // 2
    same = policy(PHOTOS[:1].expand(COUNT, -1, -1, -1), DRAWN)
    assert len({photo.numpy().tobytes() for photo in same}) > COUNT // 2


def test_a_photo_looks_as_its_own_draws_say_whatever_batch_it_is_in(policy):
    whole = policy(PHOTOS, DRAWN)
    turned = torch.arange(COUNT - 1, -1, -1)
    assert torch.equal(policy(PHOTOS[turned], DRAWN[turned]), whole[turned])
    assert torch.equal(policy(PHOTOS[3:5], DRAWN[3:5]), whole[3:5])
    other = torch.from_numpy(draws(COUNT, seed=1, epoch=2))
    assert not torch.equal(policy(PHOTOS, other), whole)


def test_the_callers_random_numbers_neither_matter_nor_move(policy):
    whole = policy(PHOTOS, DRAWN)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(77)
        before = torch.get_rng_state()
        assert torch.equal(policy(PHOTOS, DRAWN), whole)
        assert torch.equal(torch.get_rng_state(), before)


def test_the_recipes_own_changes_come_after_it():
    seen = []

    def then(pixels, drawn):
        seen.append((pixels, drawn))
        return pixels.permute(0, 3, 1, 2).float()

    policy = PolicyAugmenter("trivial", then)
    made = policy(PHOTOS, DRAWN)
    assert made.shape == (COUNT, 3, 20, 24)
    assert torch.equal(seen[0][0], policy.changed(PHOTOS, DRAWN))
    assert seen[0][1] is DRAWN
