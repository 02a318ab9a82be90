"""Our pixels beside those of ImageMagick, libvips and plain formulas; see decode/ORIGIN.md."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from sortograph.images.decode import decode, open_photo
from sortograph.records.looks import ANIMATED, CMYK, PALETTE, PROFILE, TRANSPARENT, TURNED, WIDE

FOLDER = Path(__file__).parent / "decode"
EXPECTED = sorted(path.name.removesuffix(".png") for path in FOLDER.glob("expected/*.png"))
PHOTOS = sorted(path.name for path in FOLDER.iterdir() if path.suffix not in (".py", ".md", ""))


def test_every_photo_has_its_reference_and_they_are_small() -> None:
    assert PHOTOS == EXPECTED
    assert len(PHOTOS) > 60
    assert sum(path.stat().st_size for path in FOLDER.rglob("*") if path.is_file()) < 150_000


@pytest.mark.parametrize("name", PHOTOS)
def test_pixels_are_those_of_the_reference(name: str) -> None:
    with Image.open(FOLDER / "expected" / f"{name}.png") as image:
        expected = np.asarray(image.convert("RGB")).astype(int)
    pixels = decode((FOLDER / name).read_bytes())
    assert pixels.shape == expected.shape
    assert np.abs(pixels - expected).max() <= 2


@pytest.mark.parametrize("name", [name for name in PHOTOS if "turned" in name])
def test_only_lasting_turns_are_called_so(name: str) -> None:
    orientation = int(name[len("turned-")])
    assert (open_photo((FOLDER / name).read_bytes()).oddities == TURNED) == (2 <= orientation <= 8)


@pytest.mark.parametrize(
    ("name", "kind", "oddities"),
    [
        ("grey.jpg", "JPEG", 0),
        ("ycck.jpg", "JPEG", CMYK),
        ("cmyk16.tif", "TIFF", CMYK | WIDE),
        ("rgb16.png", "PNG", WIDE),
        ("grey16.tif", "TIFF", WIDE),
        ("alpha.webp", "WEBP", TRANSPARENT),
        ("alpha-grey16.png", "PNG", TRANSPARENT | WIDE),
        ("key-palette.png", "PNG", TRANSPARENT | PALETTE),
        ("palette.bmp", "BMP", PALETTE),
        ("palette.gif", "GIF", PALETTE),
        ("frames.png", "PNG", ANIMATED),
        ("frames.webp", "WEBP", ANIMATED),
        ("frames.tif", "TIFF", ANIMATED),
        ("frames.mpo", "MPO", 0),
        ("lab.tif", "TIFF", 0),
        ("profile-wide.jpg", "JPEG", PROFILE),
        ("profile-cmyk.tif", "TIFF", CMYK | PROFILE),
        ("profile-alpha.png", "PNG", TRANSPARENT | PROFILE),
    ],
)
def test_what_a_file_needed_is_said(name: str, kind: str, oddities: int) -> None:
    opened = open_photo((FOLDER / name).read_bytes())
    assert (opened.format, opened.oddities) == (kind, oddities)
