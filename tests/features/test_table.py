"""Photos that are read again, by this process or by others."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from sortograph.dataset import scan
from sortograph.errors import PhotoError
from sortograph.features.table import read_by_others, readers
from sortograph.records import PreprocessSpec

SIZES = (
    (PreprocessSpec(size=(24, 20)), 1.0),
    (PreprocessSpec(size=(16, 16), mode="crop", crop_share=0.8, interpolation="bicubic"), 1.0),
    (PreprocessSpec(size=(30, 10), mode="pad"), 1.25),
)


def painted(mode: str, seed: int) -> Image.Image:
    colours = np.random.default_rng(seed).integers(0, 256, (75, 110, 3), dtype=np.uint8)
    return Image.fromarray(colours).resize((440, 300), Image.Resampling.BICUBIC).convert(mode)


@pytest.fixture
def odd(tmp_path: Path) -> Path:
    """Photos of many kinds, some of them turned or see-through."""
    kinds = (("L", "jpg"), ("RGB", "jpg"), ("CMYK", "jpg"), ("RGBA", "png"), ("P", "png"), ("RGB", "webp"))
    for seed, (mode, suffix) in enumerate(kinds):
        for label in "ab":
            (tmp_path / label).mkdir(exist_ok=True)
            painted(mode, seed + ord(label)).save(tmp_path / label / f"{mode}.{suffix}")
    exif = Image.Exif()
    exif[0x0112] = 6  # turned by 90 degrees
    painted("RGB", 99).save(tmp_path / "a" / "turned.jpg", exif=exif)
    return tmp_path


def test_both_ways_give_the_same_pixels(odd: Path) -> None:
    index = scan(odd)
    rows = [5, 1, *range(6, len(index)), 0]
    assert len(index) == 13
    by_others = list(read_by_others(index, rows, SIZES))
    for read, pixels in zip(readers(index, rows, SIZES), by_others, strict=True):
        for mine, theirs in zip(read(), pixels, strict=True):
            assert mine.dtype == np.uint8
            np.testing.assert_array_equal(mine, theirs)


def test_nothing_is_decoded_that_was_not_indexed(odd: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    index = scan(odd)
    (row,) = (row for row, path in enumerate(index.paths) if path == "a/RGB.jpg")
    (read,) = readers(index, [row], SIZES)
    (odd / "a" / "RGB.jpg").write_bytes((odd / "b" / "RGB.jpg").read_bytes())
    monkeypatch.setattr("sortograph.features.table.Photo", None)  # it would fail
    with pytest.raises(PhotoError, match="changed since it was indexed"):
        read()


def test_photos_are_read_when_they_are_asked_for(odd: Path) -> None:
    index = scan(odd)
    waiting = list(readers(index, range(len(index)), SIZES))
    (odd / index.paths[2]).unlink()
    assert [len(read()) for read in (*waiting[:2], *waiting[3:])] == [3] * 12
    with pytest.raises(PhotoError, match="no such file"):
        waiting[2]()
