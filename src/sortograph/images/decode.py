"""The one place where photo bytes become pixels.

Every caller (scan, training, evaluation, prediction) comes through `decode`, so that all of them see
the same picture: turned by its EXIF orientation, first frame, composited on white, RGB uint8.
Pillow raises a dozen kinds of exception on damaged files; they are caught here and nowhere else.
"""

from __future__ import annotations

import importlib
import io
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import PIL
from numpy.typing import NDArray
from PIL import Image, ImageOps, UnidentifiedImageError, features

from sortograph.errors import PhotoError

# Raised whenever the same bytes could decode to other pixels; part of every pixel cache key.
DECODE_CONTRACT = 1
# JPEG covers MPO, the format of phones with several pictures in one file: Pillow opens it as JPEG.
FORMATS = ("JPEG", "PNG", "WEBP", "BMP", "GIF", "TIFF", "AVIF")
SUFFIXES = frozenset(
    f".{name}"
    for name in ("jpg", "jpeg", "jpe", "jfif", "png", "apng", "webp", "bmp", "dib", "gif", "tif", "tiff")
) | {".mpo", ".avif", ".heic", ".heif"}
MAX_PIXELS = 50_000_000
MAX_BYTES = 256 * 1024 * 1024
_AVIF_BRANDS = (b"avif", b"avis", b"mif1", b"msf1")
_HEIF_BRANDS = (b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1")
# What `Image.preinit` leaves out, for the start-up time: loaded when the first such photo comes.
_PLUGINS = {"WEBP": "PIL.WebPImagePlugin", "TIFF": "PIL.TiffImagePlugin", "AVIF": "PIL.AvifImagePlugin"}
_WIDE_GREY = ("I;16", "I;16L", "I;16B", "I;16N", "I", "F")
_WHITE = {"I": (255, 65_535, 2**31 - 1), "F": (1, 255, 65_535)}

# Photos are decoded in threads, where `catch_warnings` would race; what Pillow has to say of a photo
# reaches the user as a PhotoError or not at all.
warnings.filterwarnings("ignore", module=r"PIL\..*")


def contract() -> str:
    """Names everything that decides which pixels the same bytes give, for cache keys."""
    jpeg = features.version_feature("libjpeg_turbo") or features.version("jpg")
    return f"{DECODE_CONTRACT}-pillow{PIL.__version__}-jpeg{jpeg}"


def decode(data: bytes, at_least: tuple[int, int] | None = None) -> NDArray[np.uint8]:
    """Decode one photo to RGB, uint8 (H, W, 3).

    at_least: (height, width) that the caller will resize to. JPEGs are then shrunk while they are
    decoded (by 2, 4 or 8, as libjpeg offers), but never below twice that size.

    Raises PhotoError with the reason when the bytes are no readable photo.

    >>> buffer = io.BytesIO(); Image.new("L", (3, 2), 7).save(buffer, "PNG")
    >>> decode(buffer.getvalue()).shape
    (2, 3, 3)
    """
    with photo_errors():
        image = _open(data)
        if at_least is not None:
            _shrink(image, at_least)
        image.load()
        ImageOps.exif_transpose(image, in_place=True)
        return np.asarray(to_rgb(image))


def shrunk_size(data: bytes, at_least: tuple[int, int]) -> tuple[int, int]:
    """Width and height, before EXIF turning, that `decode` would read; from the header alone.

    Calls of `decode` with different `at_least` give the same pixels where this is the same.
    """
    with photo_errors():
        image = _open(data)
        _shrink(image, at_least)
        return image.size


def _shrink(image: Image.Image, at_least: tuple[int, int]) -> None:
    if image.format in ("JPEG", "MPO"):
        height, width = at_least
        wanted = (2 * height, 2 * width) if _lies_on_side(image) else (2 * width, 2 * height)
        image.draft(image.mode, wanted)


def measure(data: bytes) -> tuple[int, int]:
    """Width and height after EXIF turning, read from the header alone."""
    with photo_errors():
        image = _open(data)
        width, height = image.size
        return (height, width) if _lies_on_side(image) else (width, height)


def _lies_on_side(image: Image.Image) -> bool:
    # Pillow turns TIFFs by itself: their size is that of the turned picture from the start.
    return image.format != "TIFF" and image.getexif().get(0x0112, 1) in (5, 6, 7, 8)


def _open(data: bytes) -> Image.Image:
    if not data:
        raise PhotoError("empty file")
    if len(data) > MAX_BYTES:
        raise PhotoError(f"{len(data) / 1e6:.0f} MB, above the limit of {MAX_BYTES / 1e6:.0f} MB")
    image = Image.open(io.BytesIO(data), formats=_formats(data))
    width, height = image.size
    if width * height > MAX_PIXELS:
        raise PhotoError(f"{width}×{height} pixels, above the limit of {MAX_PIXELS / 1e6:.0f} megapixels")
    if width < 1 or height < 1:
        raise PhotoError(f"{width}×{height} pixels")
    return image


def _formats(data: bytes) -> tuple[str, ...]:
    """The formats to try. Rarer plugins are loaded when the first bytes of a photo ask for them."""
    Image.preinit()
    names = [name for name in FORMATS if name not in _PLUGINS]
    if name := _announced(data):
        importlib.import_module(_PLUGINS[name])
        names.append(name)
    if data[4:8] == b"ftyp" and data[8:12] in _HEIF_BRANDS and _has_heif(data):
        names.append("HEIF")
    return tuple(name for name in names if name in Image.OPEN)


def _announced(data: bytes) -> str:
    """The one of `_PLUGINS` whose mark the bytes start with, or ""."""
    if data.startswith((b"II", b"MM")):
        return "TIFF"
    if data.startswith(b"RIFF"):
        return "WEBP"
    return "AVIF" if data[4:8] == b"ftyp" and data[8:12] in _AVIF_BRANDS else ""


def _has_heif(data: bytes) -> bool:
    """Load the plugin for HEIC. Raises PhotoError where it is missing and nothing else reads the photo."""
    try:
        plugin = importlib.import_module("pillow_heif")
    except ImportError:
        if b"avif" in data[8:64]:
            return False
        raise PhotoError('a HEIC photo; to read it: pip install "sortograph[heic]"') from None
    if "HEIF" not in Image.OPEN:
        plugin.register_heif_opener()
    return True


def to_rgb(image: Image.Image) -> Image.Image:
    """Any Pillow image → RGB of the same size: transparency laid on white, wide grey scaled to 8 bits."""
    if image.mode == "RGB" and "transparency" not in image.info:
        return image
    if image.mode in _WIDE_GREY:
        return _narrow(image).convert("RGB")
    if image.mode == "PA" or "transparency" in image.info:
        image = image.convert("RGBA")
    if image.mode in ("RGBA", "LA", "La", "RGBa"):
        rgba = image if image.mode == "RGBA" else image.convert("RGBA")
        white = Image.new("RGB", rgba.size, (255, 255, 255))
        white.paste(rgba, mask=rgba)
        return white
    return image.convert("RGB")


def _narrow(image: Image.Image) -> Image.Image:
    """16- and 32-bit grey to 8 bit; Pillow's own conversion clips it to white instead.

    Files of 32 bits do not say which value is white: it is the first usual one that the brightest pixel
    does not exceed (by more than a tenth, since filters overshoot).
    """
    values = np.asarray(image)
    grey = np.nan_to_num(values.astype(np.float32), copy=False)
    tops = _WHITE.get(image.mode, (65_535,))
    brightest = float(grey.max(initial=0.0))
    grey *= 255 / next((top for top in tops if brightest <= 1.1 * top), tops[-1])
    narrow = np.rint(grey, out=grey).clip(0, 255, out=grey).astype(np.uint8)
    if isinstance(clear := image.info.get("transparency"), int):
        narrow[values == clear] = 255
    return Image.fromarray(narrow)


@contextmanager
def photo_errors() -> Iterator[None]:
    """Turns whatever Pillow raises on a damaged or unknown photo into a PhotoError with the reason."""
    try:
        yield
    except PhotoError:
        raise
    except UnidentifiedImageError:
        raise PhotoError(f"not a photo that can be read ({', '.join(FORMATS)})") from None
    except Image.DecompressionBombError as error:
        raise PhotoError(str(error)) from None
    except MemoryError:
        raise PhotoError("too large to decode in memory") from None
    except Exception as error:
        raise PhotoError(f"damaged ({_first_line(error)})") from None


def _first_line(error: Exception) -> str:
    text = str(error).strip().splitlines()
    return text[0][:120] if text else type(error).__name__
