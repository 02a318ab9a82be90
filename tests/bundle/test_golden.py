from __future__ import annotations

import hashlib

import numpy as np
import pytest

from sortograph.bundle.golden import golden_photos


@pytest.mark.parametrize("size", [(1, 1), (1, 9), (6, 5), (224, 224)])
def test_four_photos_of_the_size(size):
    photos = golden_photos(size)
    assert photos.shape == (4, *size, 3)
    assert photos.dtype == np.uint8


def test_the_photos_differ_and_use_the_range():
    photos = golden_photos((64, 48))
    assert len({photo.tobytes() for photo in photos}) == 4
    assert all(int(photo.max()) - int(photo.min()) >= 190 for photo in photos)


def test_noise_is_neither_flat_nor_repeated():
    noise = golden_photos((64, 48))[3].astype(float)
    assert 110 < noise.mean() < 145
    assert abs(np.corrcoef(noise[:-1].ravel(), noise[1:].ravel())[0, 1]) < 0.1


def test_the_patterns_never_change():
    # Bundles in the world hold logits of exactly these bytes.
    digest = hashlib.sha256(golden_photos((37, 53)).tobytes()).hexdigest()
    assert digest == "1eaff3aefbbf22d1bece32519aaae0e99aa2db0c9201276ec001716bd21d1f44"
