"""Detail that is compared at the same sharpness."""

from __future__ import annotations

import io

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image, ImageFilter

from sortograph.dataset.alike import DETAIL, SIDE, are_same, likeness, soft_likeness

Photo = NDArray[np.uint8]


def scene(seed: int) -> Photo:
    rng = np.random.default_rng(seed)
    whole = np.zeros((SIDE, SIDE, 3))
    for cells, weight in ((4, 40), (12, 40), (32, 30), (96, 10)):
        noise = Image.fromarray(rng.integers(0, 256, (cells, cells, 3), dtype=np.uint8))
        whole += weight * (np.asarray(noise.resize((SIDE, SIDE), Image.Resampling.BICUBIC)) / 127.5 - 1)
    return np.clip(128 + whole, 0, 255).astype(np.uint8)


def blurred(photo: Photo, width: float) -> Photo:
    buffer = io.BytesIO()
    Image.fromarray(photo).filter(ImageFilter.GaussianBlur(width)).save(buffer, "JPEG", quality=90)
    return np.asarray(Image.open(buffer).convert("RGB"))


@pytest.mark.parametrize("width", [0.7, 1.2, 2.0])
def test_a_blurred_photo_keeps_its_detail_at_the_same_sharpness(width: float) -> None:
    sharp = np.stack([scene(seed) for seed in range(4)])
    soft = np.stack([blurred(photo, width) for photo in sharp])
    for one, other in ((sharp, soft), (soft, sharp)):
        assert (soft_likeness(one, other) > 0.95).all()
    if width > 1:
        assert (likeness(sharp, soft).detail < DETAIL).all()
        assert not are_same(likeness(sharp, soft)).any()


def test_other_scenes_do_not_agree_however_blurred() -> None:
    sharp = np.stack([scene(seed) for seed in range(6)])
    soft = np.stack([blurred(scene(seed + 100), 2.0) for seed in range(6)])
    assert (soft_likeness(sharp, soft) < 0.6).all()


def test_one_moved_a_little_is_laid_on_the_other() -> None:
    whole = np.asarray(Image.fromarray(scene(3)).resize((120, 120), Image.Resampling.BICUBIC))
    sharp, moved = whole[12:108, 12:108], blurred(whole, 1.5)[8:104, 15:111]
    assert soft_likeness(sharp[None], moved[None])[0] > 0.9
