from __future__ import annotations

import io

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image, ImageFilter

from sortograph.images.decode import Opened, open_photo
from sortograph.images.look import CANONICAL, look_of
from sortograph.records import LOOK
from sortograph.records.looks import TURNED, UNIT, WAVES

Pixels = NDArray[np.uint8]


def look(pixels: Pixels, size: int = 1) -> NDArray[np.void]:
    return look_of(Opened(Image.fromarray(pixels), "PNG", 0), size)


def grey(values: NDArray[np.float64]) -> Pixels:
    return np.repeat(np.rint(values).astype(np.uint8)[:, :, None], 3, axis=2)


def scene(height: int, width: int, seed: int = 1) -> Image.Image:
    """Coarse and fine patches of colour."""
    rng = np.random.default_rng(seed)
    sheets = []
    for cells in (4, 16, 64):
        small = Image.fromarray(rng.integers(0, 256, (cells, cells, 3), dtype=np.uint8))
        sheets.append(np.asarray(small.resize((width, height), Image.Resampling.BICUBIC), dtype=np.float32))
    return Image.fromarray((0.6 * sheets[0] + 0.25 * sheets[1] + 0.15 * sheets[2]).astype(np.uint8))


def waves_of(pixels: Pixels) -> NDArray[np.float64]:
    """The fingerprint of a look, as numbers of norm 1."""
    return look(pixels)["fingerprint"].reshape(WAVES, WAVES) / UNIT


@pytest.mark.parametrize("size", [(1, 1), (1, 60_000), (60_000, 1), (2, 3), (3, 2), (8, 8), (700, 500)])
@pytest.mark.parametrize("colour", [(0, 0, 0), (255, 255, 255), (200, 30, 90)])
def test_any_size_of_one_colour(size: tuple[int, int], colour: tuple[int, int, int]) -> None:
    found = look(np.full((*size, 3), colour, dtype=np.uint8))
    assert (found.shape, found.dtype) == ((), LOOK)
    assert not found["fingerprint"].any()
    assert found["contrast"] == found["sharpness"] == found["border_spread"] == 0
    assert found["border"].tolist() == list(colour)


def test_brightness_and_contrast() -> None:
    halves = np.zeros((64, 64))
    halves[:, 32:] = 255
    found = look(grey(halves))
    assert found["brightness"] == 127.5
    assert found["contrast"] == 127.5


def test_brightness_is_that_of_the_luma() -> None:
    green = np.zeros((50, 50, 3), dtype=np.uint8)
    green[:, :, 1] = 200
    assert look(green)["brightness"] == pytest.approx(0.587 * 200, abs=0.5)


def test_sharpness_is_the_variance_of_the_laplacian() -> None:
    # Each pixel of a chequerboard differs by 255 from its four neighbours.
    board = 255 * (np.indices((100, 100)).sum(axis=0) % 2)
    assert look(grey(board))["sharpness"] == 1020**2


def test_sharpness_compares_photos_of_different_sizes() -> None:
    large = scene(800, 600)
    sharp = [
        look(np.asarray(large.resize(size)))["sharpness"] for size in ((600, 800), (400, 500), (200, 260))
    ]
    blurred = look(np.asarray(large.filter(ImageFilter.GaussianBlur(12))))["sharpness"]
    assert max(sharp) < 2 * min(sharp)
    assert blurred < min(sharp) / 4


def test_small_photos_are_not_enlarged() -> None:
    small = 255 * (np.indices((20, 20)).sum(axis=0) % 2)
    assert look(grey(small))["sharpness"] == 1020**2


def test_fingerprint_is_a_cosine_transform() -> None:
    pixels = (
        np.asarray(scene(192, 192).convert("L"), dtype=np.float64).reshape(32, 6, 32, 6).mean(axis=(1, 3))
    )
    places = (np.arange(32) + 0.5) / 32
    expected = np.array(
        [
            [
                (pixels * np.outer(np.cos(np.pi * v * places), np.cos(np.pi * u * places))).sum()
                * (0.5**0.5 if u == 0 else 1)
                * (0.5**0.5 if v == 0 else 1)
                for u in range(WAVES)
            ]
            for v in range(WAVES)
        ]
    )
    expected[0, 0] = 0
    expected /= np.linalg.norm(expected)
    assert waves_of(np.asarray(scene(192, 192))) == pytest.approx(expected, abs=0.005)


@pytest.mark.parametrize("wave", [(0, 1), (3, 0), (2, 5), (7, 7)])
def test_fingerprint_of_one_wave(wave: tuple[int, int]) -> None:
    rows, columns = ((np.arange(side) + 0.5) / side for side in (160, 96))
    ripple = np.outer(np.cos(np.pi * wave[0] * rows), np.cos(np.pi * wave[1] * columns))
    found = waves_of(grey(128 + 100 * ripple))
    assert found[wave] == pytest.approx(1, abs=0.01)
    assert np.linalg.norm(found) == pytest.approx(1, abs=0.001)


def test_mirroring_changes_the_signs_of_odd_columns() -> None:
    pixels = np.asarray(scene(150, 210))
    signs = np.where(np.arange(WAVES) % 2, -1, 1)
    assert waves_of(pixels[:, ::-1]) == pytest.approx(waves_of(pixels) * signs, abs=0.005)


def test_fingerprint_does_not_depend_on_brightness_and_contrast() -> None:
    pixels = np.asarray(scene(150, 210))
    assert waves_of((pixels * 0.5 + 100).astype(np.uint8)) == pytest.approx(waves_of(pixels), abs=0.01)


def test_faint_pictures_have_faint_fingerprints() -> None:
    places = (np.arange(100) + 0.5) / 100
    ripple = np.cos(np.pi * places)[None] * np.ones((100, 1))
    assert np.linalg.norm(waves_of(grey(128 + ripple))) < 0.5
    assert np.linalg.norm(waves_of(grey(128 + 4 * ripple))) == pytest.approx(1, abs=0.001)


@pytest.mark.parametrize("quality", [40, 60, 90])
def test_fingerprint_survives_another_size_and_encoding(quality: int) -> None:
    original = scene(900, 1200)
    buffer = io.BytesIO()
    original.resize((600, 450)).save(buffer, "JPEG", quality=quality)
    copy = open_photo(buffer.getvalue(), at_least=CANONICAL).pixels
    assert np.linalg.norm(waves_of(copy) - waves_of(np.asarray(original))) < 0.03


def test_different_pictures_have_different_fingerprints() -> None:
    one, other = (waves_of(np.asarray(scene(200, 200, seed))) for seed in (1, 2))
    assert np.linalg.norm(one - other) > 0.5


def test_border() -> None:
    framed = np.asarray(scene(60, 80)).copy()
    framed[[0, -1]] = framed[:, [0, -1]] = (10, 20, 30)
    found = look(framed)
    assert found["border"].tolist() == [10, 20, 30]
    assert found["border_spread"] == 0
    framed[[0, -1]] = (50, 60, 70)
    # 160 pixels of rows and 120 of columns, whose four corners are the rows'.
    share = 164 / 280
    found = look(framed)
    assert found["border"].tolist() == [round(low + 40 * share) for low in (10, 20, 30)]
    assert found["border_spread"] == pytest.approx(40 * (share * (1 - share)) ** 0.5, rel=1e-5)


def test_file_facts() -> None:
    found = look_of(Opened(Image.new("RGB", (2, 2)), "WEBP", TURNED), 12_345)
    assert (int(found["format"]), int(found["oddities"]), int(found["bytes"])) == (2, TURNED, 12_345)


def test_a_huge_file_counts_as_the_largest_that_fits() -> None:
    assert look(np.zeros((2, 2, 3), dtype=np.uint8), 2**40)["bytes"] == 2**32 - 1


def test_looks_are_the_same_each_time() -> None:
    pixels = np.asarray(scene(333, 217))
    assert look(pixels).tobytes() == look(pixels.copy()).tobytes()
    assert look(np.asfortranarray(pixels)).tobytes() == look(pixels).tobytes()
