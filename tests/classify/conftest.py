"""A folder of photos, and a classifier for them."""

from __future__ import annotations

from pathlib import Path

import pytest

from painted import picture, png
from sortograph.classify import Classifier, load


@pytest.fixture
def classifier(model_file) -> Classifier:
    return load(model_file)


@pytest.fixture
def folder(tmp_path) -> Path:
    """Twelve photos, of which one cannot be read."""
    photos = tmp_path / "photos"
    photos.mkdir()
    for k in range(12):
        (photos / f"{k}.png").write_bytes(png(picture(k)))
    (photos / "5.png").write_bytes(b"no photo")
    return photos
