from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image

Photo = Callable[..., Path]


@pytest.fixture
def photo(tmp_path: Path) -> Photo:
    """Writes a small photo below `tmp_path`; its colour follows from its name, so contents differ."""

    def make(name: str, colour: str = "") -> Path:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        digest = hashlib.sha256((colour or name).encode("utf-8", "surrogateescape")).digest()
        Image.new("RGB", (6, 4), tuple(digest[:3])).save(path, "PNG", compress_level=1)
        return path

    return make


@pytest.fixture
def photos(photo: Photo) -> Callable[..., None]:
    """`photos("cats", 3)` writes cats/1.png, cats/2.png and cats/3.png."""

    def make(folder: str, count: int) -> None:
        for number in range(1, count + 1):
            photo(f"{folder}/{number}.png")

    return make
