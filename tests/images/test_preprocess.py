from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image

from sortograph.errors import PhotoError
from sortograph.images.preprocess import prepare, resize
from sortograph.records import PreprocessSpec


def ramp(height: int, width: int) -> np.ndarray:
    pixels = np.zeros((height, width, 3), np.uint8)
    pixels[..., 0] = np.linspace(0, 255, width).round()
    pixels[..., 1] = np.linspace(0, 255, height).round()[:, None]
    return pixels


@pytest.mark.parametrize("mode", ["squash", "crop", "pad"])
@pytest.mark.parametrize("shape", [(40, 90), (90, 40), (1, 1), (1, 300), (33, 57)])
def test_every_mode_gives_the_size_of_the_spec(mode: str, shape: tuple[int, int]) -> None:
    spec = PreprocessSpec((24, 36), mode=mode)
    assert resize(ramp(*shape), spec).shape == (24, 36, 3)
    assert resize(ramp(*shape), spec, factor=1.25).shape == (30, 45, 3)


def test_squash_keeps_the_corners() -> None:
    out = resize(ramp(100, 400), PreprocessSpec((50, 50)))
    assert out[0, 0, 0] < 8
    assert out[0, -1, 0] > 247


def test_crop_takes_the_middle_without_changing_the_aspect() -> None:
    out = resize(ramp(100, 400), PreprocessSpec((50, 50), mode="crop")).astype(int)
    # The middle 100 of 400 columns run from 150 to 250, that is from 96 to 159 of 255.
    assert abs(out[25, 0, 0] - 96) <= 2
    assert abs(out[25, -1, 0] - 159) <= 2
    assert out[0, 0, 1] < 8
    assert out[-1, 0, 1] > 247


def test_crop_equals_resizing_all_and_cutting() -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (120, 200, 3), dtype=np.uint8)
    whole = Image.fromarray(pixels).resize((100, 60), Image.Resampling.BILINEAR)
    expected = np.asarray(whole.crop((20, 0, 80, 60)))
    out = resize(pixels, PreprocessSpec((60, 60), mode="crop"))
    assert np.abs(out.astype(int) - expected).max() <= 1


@pytest.mark.parametrize("shape", [(1, 60_000), (60_000, 1)])
def test_crop_of_a_very_long_photo_stays_small(shape: tuple[int, int]) -> None:
    # Covering 224×224 by resizing everything would take 3 gigapixels.
    out = resize(np.full((*shape, 3), 77, np.uint8), PreprocessSpec((224, 224), mode="crop"))
    assert out.shape == (224, 224, 3)
    assert (out == 77).all()


def test_pad_fits_inside_and_fills_with_black() -> None:
    out = resize(np.full((100, 400, 3), 200, np.uint8), PreprocessSpec((48, 48), mode="pad"))
    assert (out[18:30] == 200).all()
    assert (out[:18] == 0).all()
    assert (out[30:] == 0).all()


def test_shrinking_averages() -> None:
    board = (np.indices((512, 512)).sum(axis=0) % 2 * 255).astype(np.uint8)
    out = resize(np.stack([board] * 3, axis=-1), PreprocessSpec((32, 32)))
    assert np.abs(out.astype(int) - 127).max() <= 3


def test_prepare_decodes_and_resizes() -> None:
    buffer = io.BytesIO()
    Image.fromarray(ramp(300, 300)).save(buffer, "JPEG", quality=95)
    spec = PreprocessSpec((32, 32))
    out = prepare(buffer.getvalue(), spec)
    assert np.abs(out.astype(int) - resize(ramp(300, 300), spec)).max() <= 8


def test_prepare_refuses_damage() -> None:
    with pytest.raises(PhotoError):
        prepare(b"nothing", PreprocessSpec((8, 8)))
