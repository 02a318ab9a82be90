"""Photos on disk, an index of them, and a cache of the test's own."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from sortograph.records import DatasetIndex, PhotoFacts


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Six photos of noise in different formats and sizes; one JPEG lies on its side."""
    folder = tmp_path / "photos"
    folder.mkdir()
    chance = np.random.default_rng(5)
    for number, suffix in enumerate(("png", "jpg", "jpg", "png", "jpg", "bmp")):
        height, width = 20 + 13 * number, 31 + 40 * number
        image = Image.fromarray(chance.integers(0, 256, (height, width, 3), dtype=np.uint8))
        exif = Image.Exif()
        exif[0x0112] = 6 if number == 2 else 1
        image.save(folder / f"{number}.{suffix}", exif=exif)
    return folder


@pytest.fixture
def make_index() -> Callable[..., DatasetIndex]:
    """`make_index(root, facts)`: what a scan would say of the photos below `root`."""

    def make(root: Path, facts: Sequence[PhotoFacts]) -> DatasetIndex:
        paths = sorted(path.name for path in root.iterdir())
        return DatasetIndex(
            root=root,
            classes=("a", "b"),
            paths=tuple(paths),
            labels=np.arange(len(paths), dtype=np.int64) % 2,
            groups=("",) * len(paths),
            splits=("train",) * len(paths),
            sha256=tuple(fact.sha256 for fact in facts),
            sizes=np.array([(fact.width, fact.height) for fact in facts], dtype=np.int32),
        )

    return make


@pytest.fixture
def facts() -> Callable[[int], PhotoFacts]:
    """Facts of photo number k, which is nowhere."""
    return lambda number: PhotoFacts(hashlib.sha256(bytes([number])).hexdigest(), number + 1, number + 2)
