from __future__ import annotations

import io
import sys
import zlib
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import PIL
import pytest
from PIL import Image, ImageFile, features

from sortograph.errors import PhotoError
from sortograph.images import decode as module
from sortograph.images.decode import contract, decode, measure, open_photo
from sortograph.records.looks import ANIMATED, FORMATS, TRANSPARENT, TURNED


def encoded(image: Image.Image, kind: str, **options: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def quarters(height: int = 32, width: int = 48) -> np.ndarray:
    """Four flat colours, so that every turn and flip gives another picture."""
    pixels = np.zeros((height, width, 3), np.uint8)
    pixels[: height // 2, : width // 2] = (250, 10, 10)
    pixels[: height // 2, width // 2 :] = (10, 250, 10)
    pixels[height // 2 :, : width // 2] = (10, 10, 250)
    pixels[height // 2 :, width // 2 :] = (240, 240, 20)
    return pixels


def busy(height: int, width: int) -> Image.Image:
    """Smooth but not flat, so that compressed data are spread over the file."""
    y, x = np.mgrid[:height, :width]
    waves = [127 + 90 * np.sin(x / a + y / b) for a, b in ((9, 13), (17, 7), (5, 23))]
    return Image.fromarray(np.stack(waves, axis=-1).astype(np.uint8))


TURNS = {
    1: lambda p: p,
    2: lambda p: p[:, ::-1],
    3: lambda p: p[::-1, ::-1],
    4: lambda p: p[::-1],
    5: lambda p: p.transpose(1, 0, 2),
    6: lambda p: np.rot90(p, -1),
    7: lambda p: p[::-1, ::-1].transpose(1, 0, 2),
    8: lambda p: np.rot90(p),
    0: lambda p: p,
    9: lambda p: p,
}


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "TIFF", "WEBP"])
@pytest.mark.parametrize("orientation", TURNS)
def test_exif_orientation_turns_the_picture_and_its_measures(kind: str, orientation: int) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    options = {"quality": 95} if kind in ("JPEG", "WEBP") else {}
    data = encoded(Image.fromarray(quarters()), kind, exif=exif, **options)
    expected = TURNS[orientation](quarters())
    pixels = decode(data)
    assert pixels.shape == expected.shape
    assert pixels.dtype == np.uint8
    # The middles of the quarters: away from the edges that compression blurs.
    height, width = expected.shape[:2]
    spots = [(y, x) for y in (height // 4, 3 * height // 4) for x in (width // 4, 3 * width // 4)]
    for y, x in spots:
        assert np.abs(pixels[y, x].astype(int) - expected[y, x]).max() <= 12
    assert measure(data) == (width, height)


def test_turned_jpeg_is_shrunk_along_the_right_sides() -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    data = encoded(busy(400, 1600), "JPEG", exif=exif)
    assert measure(data) == (400, 1600)
    # Turned it is 1600 high, 400 wide: half of it holds 3.5 times (220, 55), a quarter would not.
    assert decode(data, at_least=(220, 55)).shape == (800, 200, 3)


@pytest.mark.parametrize("orientation", TURNS)
def test_large_photos_are_put_together_from_strips(orientation: int) -> None:
    # Not a multiple of the strip's height, and more than one strip.
    pixels = np.asarray(busy(1050, 1300)).copy()
    pixels[0, 0] = (255, 0, 0)
    exif = Image.Exif()
    exif[0x0112] = orientation
    opened = open_photo(encoded(Image.fromarray(pixels), "PNG", exif=exif, compress_level=1))
    assert (opened.pixels == TURNS[orientation](pixels)).all()
    assert opened.oddities == (TURNED if 2 <= orientation <= 8 else 0)


def test_exif_after_the_pixels_of_a_png_counts() -> None:
    data = encoded(Image.fromarray(quarters()), "PNG")
    exif = Image.Exif()
    exif[0x0112] = 6
    body = b"eXIf" + exif.tobytes()[6:]
    chunk = (len(body) - 4).to_bytes(4, "big") + body + zlib.crc32(body).to_bytes(4, "big")
    at = data.index(b"IEND") - 4
    assert (decode(data[:at] + chunk + data[at:]) == TURNS[6](quarters())).all()
    assert measure(data[:at] + chunk + data[at:]) == (32, 48)


@pytest.mark.parametrize("offset", range(6, 40, 3))
def test_exif_with_a_wrong_byte_spoils_nothing(offset: int) -> None:
    exif = Image.Exif()
    exif[0x0112] = 1
    exif[0x010F] = "maker"
    damaged = bytearray(exif.tobytes())
    damaged[min(offset, len(damaged) - 1)] ^= 0xFF
    data = encoded(Image.fromarray(quarters()), "JPEG", exif=bytes(damaged))
    assert set(decode(data).shape) == {32, 48, 3}


def test_damaged_exif_does_not_spoil_a_good_picture() -> None:
    data = encoded(Image.fromarray(quarters()), "JPEG", exif=b"Exif\0\0no exif at all")
    assert decode(data).shape == (32, 48, 3)


@pytest.mark.parametrize("at_least", [(16, 16), (50, 50), (64, 30), (100, 200), (300, 300), (2000, 2000)])
@pytest.mark.parametrize("size", [(801, 1203), (640, 480), (97, 101)])
def test_draft_never_goes_below_the_bound(size: tuple[int, int], at_least: tuple[int, int]) -> None:
    data = encoded(busy(*size), "JPEG", quality=92)
    height, width, _ = decode(data, at_least=at_least).shape
    assert height >= min(size[0], 3.5 * at_least[0])
    assert width >= min(size[1], 3.5 * at_least[1])
    assert (height, width) == size or height < size[0]


def test_draft_is_close_to_the_full_decode() -> None:
    data = encoded(busy(800, 1200), "JPEG", quality=92)
    full, draft = decode(data), decode(data, at_least=(50, 50))
    assert draft.shape == (200, 300, 3)
    small = [
        np.asarray(Image.fromarray(p).resize((50, 50), Image.Resampling.BILINEAR), int) for p in (full, draft)
    ]
    assert np.abs(small[0] - small[1]).mean() < 1.5


def test_cmyk_jpeg() -> None:
    data = encoded(Image.fromarray(quarters()).convert("CMYK"), "JPEG", quality=95)
    pixels = decode(data)
    assert pixels.shape == (32, 48, 3)
    assert np.abs(pixels[8, 12].astype(int) - (250, 10, 10)).max() <= 12


@pytest.mark.parametrize("kind", ["GIF", "WEBP", "PNG", "TIFF"])
def test_animations_give_their_first_frame(kind: str) -> None:
    frames = [Image.new("RGB", (8, 8), colour) for colour in ("red", "lime", "blue")]
    options = {"lossless": True} if kind == "WEBP" else {}
    data = encoded(frames[0], kind, save_all=True, append_images=frames[1:], **options)
    assert decode(data)[4, 4].tolist() == [255, 0, 0]


def test_mpo_gives_its_first_picture() -> None:
    frames = [Image.new("RGB", (16, 16), colour) for colour in ("red", "blue")]
    data = encoded(frames[0], "MPO", save_all=True, append_images=frames[1:])
    assert np.abs(decode(data)[8, 8].astype(int) - (255, 0, 0)).max() <= 5


def test_avif_where_pillow_has_it() -> None:
    if not features.check("avif"):
        pytest.skip("this Pillow has no AVIF")
    data = encoded(Image.fromarray(quarters()), "AVIF", quality=95)
    assert decode(data).shape == (32, 48, 3)


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "BMP", "GIF", "TIFF"])
def test_cut_files_give_a_picture_or_a_reason(kind: str) -> None:
    image = busy(60, 80)
    data = encoded(image, kind)
    refused = 0
    for length in range(0, len(data), 37):
        try:
            pixels = decode(data[:length])
        except PhotoError:
            refused += 1
        else:
            assert pixels.shape == (60, 80, 3)
    assert refused >= 0.5 * (len(data) / 37)
    assert decode(data).shape == (60, 80, 3)


@pytest.mark.parametrize(
    "junk", [b"", b"<html>", b"PK\x03\x04" + b"\0" * 99, b"<svg xmlns=''/>", b"\xff\xd8\xff"]
)
def test_what_is_no_photo_is_refused(junk: bytes) -> None:
    with pytest.raises(PhotoError):
        decode(junk)
    with pytest.raises(PhotoError):
        measure(junk)


def test_unknown_content_is_called_so_and_not_damaged() -> None:
    with pytest.raises(PhotoError, match="not a photo"):
        decode(b"<html><body>404</body></html>")


def test_heic_without_plugin_names_the_way_forward(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pillow_heif", None)
    with pytest.raises(PhotoError, match=r"sortograph\[heic\]"):
        decode(b"\0\0\0\x18ftypheic" + b"\0" * 64)


def test_heic_is_read_by_its_plugin_loaded_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """A stand-in for pillow-heif, whose pictures are all of one colour."""

    class Picture(ImageFile.ImageFile):
        format = "HEIF"

        def _open(self) -> None:
            self._size, self._mode, self.tile = (4, 3), "RGB", []
            self.im = Image.new("RGB", self.size, (1, 2, 3)).im

    calls: list[int] = []

    def register() -> None:
        calls.append(1)
        monkeypatch.setitem(Image.OPEN, "HEIF", (Picture, lambda prefix: prefix[8:12] == b"heic"))

    monkeypatch.delitem(Image.OPEN, "HEIF", raising=False)
    monkeypatch.setitem(sys.modules, "pillow_heif", SimpleNamespace(register_heif_opener=register))
    for _ in range(2):
        assert decode(b"\0\0\0\x18ftypheic" + b"\0" * 64).tolist() == [[[1, 2, 3]] * 4] * 3
    assert calls == [1]
    with pytest.raises(PhotoError, match="not a photo"):
        decode(b"\0\0\0\x18ftypisom" + b"\0" * 64)


@pytest.mark.parametrize("kind", ["ICO", "PPM", "TGA", "PCX", "DDS"])
def test_formats_that_are_not_allowed_are_refused_even_where_pillow_knows_them(kind: str) -> None:
    data = encoded(Image.fromarray(quarters()), kind)  # which loads the plugin
    with pytest.raises(PhotoError, match="not a photo"):
        decode(data)


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "BMP", "GIF", "TIFF", "AVIF"])
def test_the_kind_of_file_is_told_by_content(kind: str) -> None:
    if kind == "AVIF" and not features.check("avif"):
        pytest.skip("this Pillow has no AVIF")
    assert open_photo(encoded(Image.fromarray(quarters()), kind)).format == kind
    assert kind in FORMATS


def test_an_opaque_alpha_channel_is_not_called_transparent() -> None:
    solid = Image.fromarray(quarters()).convert("RGBA")
    assert open_photo(encoded(solid, "PNG")).oddities == 0
    solid.putpixel((40, 30), (0, 0, 0, 254))
    assert open_photo(encoded(solid, "PNG")).oddities == TRANSPARENT


@pytest.mark.parametrize("options", [{"loop": 0}, {"duration": 100}])
def test_moving_gifs_are_told_by_their_header(options: dict[str, int]) -> None:
    frames = [Image.new("RGB", (8, 8), colour) for colour in ("red", "lime")]
    data = encoded(frames[0], "GIF", save_all=True, append_images=frames[1:], **options)
    assert open_photo(data).oddities & ANIMATED
    assert not open_photo(encoded(frames[0], "GIF")).oddities & ANIMATED


@pytest.mark.parametrize(
    ("start", "name"),
    [
        (b"\xff\xd8\xff\xc9", "JPEG"),
        (b"\x89PNG\r\n\x1a\n", "PNG"),
        (b"GIF89a", "GIF"),
        (b"II*\0", "TIFF"),
        (b"RIFF\0\1\0\0WEBP", "WebP"),
    ],
)
def test_a_known_kind_that_cannot_be_read_is_named(start: bytes, name: str) -> None:
    with pytest.raises(PhotoError, match=f"a kind of {name} that"):
        decode(start + bytes(64))


def test_libtiff_does_not_write_to_the_terminal(capfd: pytest.CaptureFixture[str]) -> None:
    package = Path(PIL.__file__).parent
    if not [*package.parent.glob("pillow.libs/libtiff*"), *package.glob(".dylibs/libtiff*")]:
        pytest.skip("this Pillow does not bring its own libtiff")
    data = bytearray(encoded(busy(40, 40), "TIFF", compression="tiff_lzw"))
    data[200:900] = bytes(700)
    with pytest.raises(PhotoError, match="damaged"):
        decode(bytes(data))
    assert capfd.readouterr() == ("", "")


def test_the_contract_names_every_decoder_that_decides() -> None:
    assert [part.rstrip("0123456789.") for part in contract().split("-")] == ["", "pillow", "jpeg", "lcms"]


def test_an_enormous_header_is_refused_with_its_size() -> None:
    header = b"IHDR" + (60_000).to_bytes(4, "big") * 2 + b"\x08\x02\0\0\0"
    chunk = (13).to_bytes(4, "big") + header + zlib.crc32(header).to_bytes(4, "big")
    with pytest.raises(PhotoError, match=r"^3600 megapixels, above the limit of 50$"):
        decode(b"\x89PNG\r\n\x1a\n" + chunk + b"\0\0\0\0IDAT" + zlib.crc32(b"IDAT").to_bytes(4, "big"))


def test_too_many_pixels_are_refused_before_decoding() -> None:
    header = b"IHDR" + (8000).to_bytes(4, "big") * 2 + b"\x08\x02\0\0\0"
    chunk = (13).to_bytes(4, "big") + header + zlib.crc32(header).to_bytes(4, "big")
    empty = b"\0\0\0\0IDAT" + zlib.crc32(b"IDAT").to_bytes(4, "big")
    with pytest.raises(PhotoError, match="megapixels"):
        decode(b"\x89PNG\r\n\x1a\n" + chunk + empty)


def test_too_many_bytes_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_BYTES", 100)
    with pytest.raises(PhotoError, match="above the limit"):
        decode(encoded(busy(30, 30), "PNG"))


def test_one_pixel_and_very_long_photos() -> None:
    assert decode(encoded(Image.new("RGB", (1, 1)), "PNG")).shape == (1, 1, 3)
    assert decode(encoded(Image.new("L", (1, 60_000)), "PNG")).shape == (60_000, 1, 3)
