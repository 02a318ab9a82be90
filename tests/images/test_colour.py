from __future__ import annotations

import io
import struct
import zlib
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageCms

from sortograph.images import colour as module
from sortograph.images.colour import to_rgb
from sortograph.images.decode import decode, open_photo
from sortograph.records.looks import PROFILE, TRANSPARENT, WIDE

REFERENCES = Path(__file__).parents[1] / "references" / "decode"
SRGB = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
COLOURS = np.stack(np.meshgrid(*[np.arange(0, 256, 15, dtype=np.uint8)] * 3), axis=-1).reshape(18, -1, 3)


def profile_in(name: str) -> bytes:
    with Image.open(REFERENCES / name) as image:
        return image.info["icc_profile"]


def encoded(image: Image.Image, kind: str = "PNG", **options: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def grey_tiff(values: np.ndarray, bits: int, photometric: int, data: bytes) -> bytes:
    """Unsigned grey samples as an uncompressed little-endian TIFF."""
    height, width = values.shape
    tags = {
        256: width,
        257: height,
        258: bits,
        259: 1,
        262: photometric,
        273: 0,
        277: 1,
        278: height,
        279: len(data),
    }
    tags[273] = 8 + 2 + 12 * len(tags) + 4
    entries = b"".join(struct.pack("<HHII", tag, 4, 1, value) for tag, value in tags.items())
    return b"II*\0" + struct.pack("<IH", 8, len(tags)) + entries + bytes(4) + data


def test_wide_gamut_becomes_srgb_by_formula() -> None:
    """Colorants of Display P3 and sRGB adapted to D50 (ICC.1:2010, annex E), gamma 2.2 and IEC 61966-2-1."""
    wide = np.array([[0.51512, 0.29198, 0.15710], [0.24120, 0.69225, 0.06657], [-0.00105, 0.04189, 0.78407]])
    srgb = np.array([[0.43607, 0.38515, 0.14307], [0.22249, 0.71687, 0.06061], [0.01392, 0.09708, 0.71410]])
    linear = ((COLOURS / 255) ** 2.2 @ (np.linalg.inv(srgb) @ wide).T).clip(0, 1)
    expected = 255 * np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * linear ** (1 / 2.4) - 0.055)
    opened = open_photo(encoded(Image.fromarray(COLOURS), icc_profile=profile_in("profile-wide.png")))
    assert opened.oddities == PROFILE
    assert np.abs(opened.pixels - expected).max() <= 2
    assert np.abs(opened.pixels.astype(int) - COLOURS).max() > 20


def test_a_profile_that_says_srgb_changes_no_pixel() -> None:
    opened = open_photo(encoded(Image.fromarray(COLOURS), icc_profile=SRGB))
    assert opened.oddities == 0
    assert (opened.pixels == COLOURS).all()


def test_grey_with_a_profile_of_grey_by_formula() -> None:
    ramp = np.arange(256, dtype=np.uint8).reshape(16, 16)
    linear = (ramp / 255) ** 1.4
    expected = 255 * np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * linear ** (1 / 2.4) - 0.055)
    opened = open_photo(encoded(Image.fromarray(ramp), icc_profile=profile_in("profile-grey.png")))
    assert opened.oddities == PROFILE
    assert np.abs(opened.pixels - expected[..., None]).max() <= 2


def test_grey_with_the_profile_of_a_coloured_photo_is_read_as_that() -> None:
    profile, ramp = profile_in("profile-wide.png"), np.arange(256, dtype=np.uint8).reshape(16, 16)
    coloured = decode(encoded(Image.fromarray(np.stack([ramp] * 3, axis=-1)), icc_profile=profile))
    assert (decode(encoded(Image.fromarray(ramp), icc_profile=profile)) == coloured).all()


def test_transparency_is_laid_on_white_after_the_profile() -> None:
    profile = profile_in("profile-wide.png")
    image = Image.new("RGBA", (2, 1), (200, 90, 40, 255))
    image.putpixel((1, 0), (200, 90, 40, 0))
    solid = decode(encoded(image.convert("RGB"), icc_profile=profile))[0, 0].tolist()
    opened = open_photo(encoded(image, icc_profile=profile))
    assert opened.pixels[0].tolist() == [solid, [255, 255, 255]]
    assert opened.oddities == PROFILE | TRANSPARENT


@pytest.mark.parametrize("junk", [b"", b"no profile", bytes(500), SRGB[:200], SRGB[:128] + bytes(400)])
def test_a_damaged_profile_is_ignored(junk: bytes) -> None:
    opened = open_photo(encoded(Image.fromarray(COLOURS), "TIFF", icc_profile=junk))
    assert opened.oddities == 0
    assert (opened.pixels == COLOURS).all()


@pytest.mark.parametrize("name", ["profile-grey.png", "profile-cmyk.tif"])
def test_a_profile_of_other_pixels_is_ignored(name: str) -> None:
    assert (decode(encoded(Image.fromarray(COLOURS), icc_profile=profile_in(name))) == COLOURS).all()


def test_a_huge_profile_is_ignored(monkeypatch: pytest.MonkeyPatch) -> None:
    data = encoded(Image.fromarray(COLOURS), icc_profile=profile_in("profile-wide.png"))
    assert (decode(data) != COLOURS).any()
    monkeypatch.setattr(module, "_LARGEST_PROFILE", 100)
    assert (decode(data) == COLOURS).all()


def test_without_littlecms_the_profile_is_ignored(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(*_arguments: object) -> None:
        raise ImportError("no _imagingcms")

    monkeypatch.setattr(ImageCms, "ImageCmsProfile", missing)
    module._reading.cache_clear()
    data = encoded(Image.fromarray(COLOURS), icc_profile=profile_in("profile-wide.png"))
    assert (decode(data) == COLOURS).all()
    module._reading.cache_clear()


def test_threads_share_profiles_and_get_the_same_pixels() -> None:
    names = ["profile-wide.png", "profile-grey.png", "profile-cmyk.tif", "profile-alpha.png"]
    files = [(REFERENCES / name).read_bytes() for name in names]
    alone = [decode(data) for data in files]
    module._reading.cache_clear()
    with ThreadPoolExecutor(8) as pool:
        together = list(pool.map(decode, files * 50))
    assert all((pixels == alone[i % len(alone)]).all() for i, pixels in enumerate(together))
    assert module._reading.cache_info().currsize == 3  # two of the photos have the same one


def test_the_store_of_profiles_is_bounded() -> None:
    image = Image.new("RGB", (1, 1))
    for i in range(40):
        decode(encoded(image, icc_profile=b"junk %d" % i))
    assert module._reading.cache_info().currsize <= 16


def test_wide_grey_in_which_zero_is_white() -> None:
    ramp = np.linspace(0, 65_535, 256).round().astype("<u2").reshape(16, 16)
    opened = open_photo(grey_tiff(ramp, 16, 0, ramp.tobytes()))
    assert np.abs(opened.pixels[..., 0].astype(int).ravel() - np.arange(255, -1, -1)).max() <= 1
    assert opened.oddities == WIDE


def test_twelve_bits_reach_white() -> None:
    ramp = np.linspace(0, 4095, 256).round().astype(int).reshape(16, 16)
    first, second = ramp[:, ::2], ramp[:, 1::2]
    packed = np.stack([first >> 4, (first & 15) << 4 | second >> 8, second & 255], axis=-1).astype(np.uint8)
    pixels = decode(grey_tiff(ramp, 12, 1, packed.tobytes()))
    assert np.abs(pixels[..., 0].astype(int).ravel() - np.arange(256)).max() <= 1


def test_unsigned_thirty_two_bits_do_not_wrap() -> None:
    ramp = np.linspace(0, 2**32 - 1, 256).round().astype("<u4").reshape(16, 16)
    pixels = decode(grey_tiff(ramp, 32, 1, ramp.tobytes()))
    assert np.abs(pixels[..., 0].astype(int).ravel() - np.arange(256)).max() <= 1


@pytest.mark.parametrize(
    ("mode", "value"), [("HSV", (0, 255, 200)), ("YCbCr", (76, 85, 255)), ("RGBX", (9, 8, 7, 0))]
)
def test_rarer_modes_of_pillow_become_rgb(mode: str, value: tuple[int, ...]) -> None:
    image = Image.new(mode, (2, 1), value)
    red, green, blue = to_rgb(image).getpixel((1, 0))
    assert (red, green, blue) == image.convert("RGB").getpixel((1, 0))
    assert red > green


def test_sixteen_bit_grey_keeps_its_shades() -> None:
    ramp = np.linspace(0, 65535, 256).round().astype(np.uint16).reshape(16, 16)
    for kind in ("PNG", "TIFF"):
        pixels = decode(encoded(Image.fromarray(ramp), kind))
        assert np.abs(pixels[..., 0].astype(int).ravel() - np.arange(256)).max() <= 1
        assert (pixels[..., 0] == pixels[..., 2]).all()


@pytest.mark.parametrize("top", [255, 65_535, 2**31 - 1])
def test_thirty_two_bit_grey_keeps_its_shades(top: int) -> None:
    ramp = np.linspace(0, top, 256).round().astype(np.int32).reshape(16, 16)
    pixels = decode(encoded(Image.fromarray(ramp), "TIFF"))
    assert np.abs(pixels[..., 0].astype(int).ravel() - np.arange(256)).max() <= 1


def test_transparent_sixteen_bit_grey_becomes_white() -> None:
    image = Image.fromarray(np.array([[500, 40_000]], np.uint16))
    data = encoded(image, "PNG")
    # tRNS before IDAT: the grey value 500 is transparent.
    body = b"tRNS" + (500).to_bytes(2, "big")
    chunk = (2).to_bytes(4, "big") + body + zlib.crc32(body).to_bytes(4, "big")
    at = data.index(b"IDAT") - 4
    assert decode(data)[0, :, 0].tolist() == [2, 156]
    assert decode(data[:at] + chunk + data[at:])[0, :, 0].tolist() == [255, 156]


def test_odd_floats_are_black_or_clipped() -> None:
    values = np.array([[np.nan, -3.0, 0.5, 1.05, 1.0]], np.float32)
    assert decode(encoded(Image.fromarray(values), "TIFF"))[0, :, 0].tolist() == [0, 0, 128, 255, 255]


def test_float_grey_of_every_usual_range() -> None:
    for top in (1.0, 255.0, 65_535.0):
        ramp = np.linspace(0, top, 256, dtype=np.float32).reshape(16, 16)
        pixels = decode(encoded(Image.fromarray(ramp), "TIFF"))
        assert np.abs(pixels[..., 1].astype(int).ravel() - np.arange(256)).max() <= 1


def test_lab_is_turned_into_the_same_colours() -> None:
    srgb, lab = ImageCms.createProfile("sRGB"), ImageCms.createProfile("LAB")
    # Muted ones: at the edge of sRGB, 8 bits of LAB are too coarse to come back.
    colours = np.array([[(120, 100, 90), (60, 90, 140), (200, 200, 210), (30, 30, 30)]], np.uint8)
    image = ImageCms.applyTransform(
        Image.fromarray(colours), ImageCms.buildTransform(srgb, lab, "RGB", "LAB")
    )
    assert np.abs(decode(encoded(image, "TIFF")).astype(int) - colours).max() <= 2


def test_one_bit_pictures_are_black_and_white() -> None:
    board = np.indices((8, 8)).sum(axis=0) % 2 == 1
    for kind in ("PNG", "TIFF", "BMP"):
        pixels = decode(encoded(Image.fromarray(board), kind))
        assert (pixels == board[..., None] * 255).all()


def test_palette_with_alpha() -> None:
    image = Image.new("P", (2, 1), 0)
    image.putpalette([200, 0, 0, 0, 0, 200])
    both = image.convert("PA")
    both.putalpha(Image.fromarray(np.array([[255, 0]], np.uint8)))
    assert decode(encoded(both, "TIFF"))[0].tolist() == [[200, 0, 0], [255, 255, 255]]


def test_every_alpha_is_laid_on_white() -> None:
    colour, alpha = np.mgrid[:256:5, :256].astype(np.uint8)
    pixels = decode(encoded(Image.fromarray(np.stack([colour, colour, colour, alpha], axis=-1)), "PNG"))
    expected = (colour.astype(float) * alpha + 255.0 * (255 - alpha.astype(float))) / 255
    assert np.abs(pixels[..., 1] - expected).max() <= 1


@pytest.mark.parametrize("mode", ["LA", "RGBA"])
def test_transparent_pixels_become_white_and_half_ones_lighter(mode: str) -> None:
    image = Image.new("RGBA", (3, 1), (0, 0, 0, 255))
    image.putpixel((1, 0), (0, 0, 0, 0))
    image.putpixel((2, 0), (0, 0, 0, 128))
    pixels = decode(encoded(image.convert(mode), "PNG"))[0]
    assert pixels[0].tolist() == [0, 0, 0]
    assert pixels[1].tolist() == [255, 255, 255]
    assert np.abs(pixels[2].astype(int) - 127).max() <= 1


def test_palette_transparency_becomes_white() -> None:
    image = Image.new("P", (2, 1), 0)
    image.putpalette([200, 0, 0, 0, 0, 200])
    image.putpixel((1, 0), 1)
    for kind in ("PNG", "GIF"):
        pixels = decode(encoded(image, kind, transparency=1))[0]
        assert pixels.tolist() == [[200, 0, 0], [255, 255, 255]]


def test_colour_key_of_rgb_png_becomes_white() -> None:
    image = Image.new("RGB", (2, 1), (1, 2, 3))
    image.putpixel((1, 0), (9, 9, 9))
    pixels = decode(encoded(image, "PNG", transparency=(1, 2, 3)))[0]
    assert pixels.tolist() == [[255, 255, 255], [9, 9, 9]]


@pytest.mark.parametrize("mode", ["La", "RGBa"])
def test_premultiplied_alpha_is_laid_on_white(mode: str) -> None:
    image = Image.new(mode[:-1] + "A", (1, 1), (*([100] * (len(mode) - 1)), 128)).convert(mode)
    assert abs(to_rgb(image).getpixel((0, 0))[0] - 177) <= 1


def test_the_image_that_was_given_stays_as_it_was() -> None:
    image = Image.new("RGB", (2, 2), (1, 2, 3))
    image.info["transparency"] = (1, 2, 3)
    assert to_rgb(image).getpixel((0, 0)) == (255, 255, 255)
    assert image.getpixel((0, 0)) == (1, 2, 3)
    assert image.info == {"transparency": (1, 2, 3)}
