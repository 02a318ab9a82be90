"""A photo in several sizes is what each decode of its own would give."""

from __future__ import annotations

import io

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from PIL import Image, JpegImagePlugin

from sortograph.errors import PhotoError
from sortograph.images import photo as room
from sortograph.images.decode import measure, open_photo
from sortograph.images.photo import Photo

SIDES = st.integers(1, 400)
TARGETS = st.tuples(st.integers(1, 60), st.integers(1, 60))


def encoded(width: int, height: int, kind: str, orientation: int = 1) -> bytes:
    pixels = np.random.default_rng([width, height]).integers(0, 256, (height, width, 3), dtype=np.uint8)
    exif = Image.Exif()
    exif[0x0112] = orientation
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, kind, exif=exif)
    return buffer.getvalue()


@given(SIDES, SIDES, st.integers(1, 8), st.lists(TARGETS, min_size=1, max_size=4))
@example(280, 560, 6, [(40, 20), (20, 40), (41, 20), (1, 1)])
@settings(max_examples=60)
def test_jpegs_of_all_sizes(width: int, height: int, turn: int, targets: list[tuple[int, int]]) -> None:
    data = encoded(width, height, "JPEG", turn)
    photo = Photo(data)
    for target in [*targets, targets[0]]:
        wanted, found = open_photo(data, target), photo.at(target)
        assert found.oddities == wanted.oddities
        np.testing.assert_array_equal(found.pixels, wanted.pixels)
    assert photo.size == measure(data)


@pytest.mark.parametrize("target", [(10, 10), (40, 40), (100, 90), (300, 300)])
@pytest.mark.parametrize("turn", [1, 6])
@pytest.mark.parametrize(
    ("mode", "kind", "options"),
    [("L", "JPEG", {}), ("CMYK", "JPEG", {}), ("RGB", "JPEG", {"progressive": True}), ("RGB", "MPO", {})],
)
def test_rarer_jpegs(
    mode: str, kind: str, options: dict[str, bool], turn: int, target: tuple[int, int]
) -> None:
    image = Image.open(io.BytesIO(encoded(900, 700, "JPEG"))).convert(mode)
    exif, buffer = Image.Exif(), io.BytesIO()
    exif[0x0112] = turn
    more = {"save_all": True, "append_images": [image.copy()]} if kind == "MPO" else {}
    image.save(buffer, kind, exif=exif, **options, **more)
    photo = Photo(buffer.getvalue())
    photo.at((1, 1))
    wanted, found = open_photo(buffer.getvalue(), target), photo.at(target)
    np.testing.assert_array_equal(found.pixels, wanted.pixels)
    assert (found.format, found.oddities) == (wanted.format, wanted.oddities)
    assert photo.size == measure(buffer.getvalue()) == ((700, 900) if turn == 6 else (900, 700))


@pytest.mark.parametrize("kind", ["PNG", "WEBP", "TIFF", "GIF", "BMP"])
@pytest.mark.parametrize("turn", [1, 6])
def test_other_kinds_have_one_size(kind: str, turn: int) -> None:
    data = encoded(90, 50, kind, turn)
    photo = Photo(data)
    np.testing.assert_array_equal(photo.at((5, 5)).pixels, open_photo(data).pixels)
    assert photo.at((40, 40)) is photo.at((5, 5))
    assert photo.size == photo.at((5, 5)).image.size == measure(data)


def test_headers_are_read_once_and_pixels_for_each_shrunk_size(monkeypatch: pytest.MonkeyPatch) -> None:
    headers, decodes = [], []
    read, made = JpegImagePlugin.jpeg_factory, room.decoded
    monkeypatch.setattr(JpegImagePlugin, "jpeg_factory", lambda *given: headers.append(1) or read(*given))
    monkeypatch.setattr(room, "decoded", lambda *given: decodes.append(1) or made(*given))
    photo = Photo(encoded(1120, 560, "JPEG"))
    assert photo.size == (1120, 560)
    for side in (70, 100, 80, 160, 200):  # shrunk by 2, by 1 from 81 on
        photo.at((side, side))
    assert (len(headers), len(decodes)) == (2, 2)


@pytest.mark.parametrize("data", [b"", b"hello", b"\xff\xd8\xff", b"\xff\xd8", encoded(64, 64, "JPEG")[:900]])
def test_what_cannot_be_read_is_told(data: bytes) -> None:
    with pytest.raises(PhotoError) as wanted:
        open_photo(data, (8, 8))
    with pytest.raises(PhotoError) as found:
        Photo(data).at((8, 8))
    assert (str(found.value), found.value.code) == (str(wanted.value), wanted.value.code)
