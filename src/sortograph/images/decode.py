"""The one place where photo bytes become pixels.

Every caller (scan, training, evaluation, prediction) comes through `decoded`, so that all of them see
the same picture: turned by its EXIF orientation, first frame, composited on white, sRGB, uint8.
Pillow raises a dozen kinds of exception on damaged files; they are caught here and nowhere else.
`docs/decoding.md` has the contract as a table.
"""

from __future__ import annotations

import importlib
import io
import logging
import re
import struct
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
import PIL
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError, features

from sortograph.errors import PhotoCode, PhotoError
from sortograph.images.colour import WIDE_GREY, Stored, converter, stored, strips, to_rgb
from sortograph.records.looks import ANIMATED, CMYK, PALETTE, TURNED, WIDE

__all__ = ["JPEG", "MAX_BYTES", "MAX_PIXELS", "SUFFIXES", "Opened", "contract", "decode", "decoded", "header"]
__all__ += ["lies_on_side", "measure", "open_photo", "photo_errors", "spare", "to_rgb"]

# Raised whenever the same bytes could decode to other pixels; part of every pixel cache key.
DECODE_CONTRACT = 3
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
JPEG = b"\xff\xd8\xff"
# Where a file announces what it is, to name it when Pillow cannot read it.
_MARKS = (
    (0, JPEG, "JPEG"),
    (0, b"\x89PNG\r\n\x1a\n", "PNG"),
    (0, b"GIF8", "GIF"),
    (0, b"BM", "BMP"),
    (0, b"II*\0", "TIFF"),
    (0, b"MM\0*", "TIFF"),
    (8, b"WEBP", "WebP"),
    (4, b"ftypavif", "AVIF"),
)
_T = Image.Transpose
# EXIF orientation → how Pillow turns the pixels of the file, and whether its last rows come first then.
_TURNS: dict[int, tuple[_T, bool]] = {
    2: (_T.FLIP_LEFT_RIGHT, False),
    3: (_T.ROTATE_180, True),
    4: (_T.FLIP_TOP_BOTTOM, True),
    5: (_T.TRANSPOSE, False),
    6: (_T.ROTATE_270, True),
    7: (_T.TRANSVERSE, True),
    8: (_T.ROTATE_90, False),
}
_SIDEWAYS = (5, 6, 7, 8)
_SMALL = 1 << 20  # pixels of a photo of which there may be several copies at once

# Photos are decoded in threads, where `catch_warnings` would race; what Pillow has to say of a photo
# reaches the user as a PhotoError or not at all.
warnings.filterwarnings("ignore", module=r"PIL\..*")
logging.getLogger("PIL").addHandler(logging.NullHandler())


def contract() -> str:
    """Names everything that decides which pixels the same bytes give, for cache keys."""
    jpeg = features.version_feature("libjpeg_turbo") or features.version("jpg")
    colours = features.version_module("littlecms2") if features.check_module("littlecms2") else None
    return f"{DECODE_CONTRACT}-pillow{PIL.__version__}-jpeg{jpeg}-lcms{colours}{_heif()}"


def _heif() -> str:
    from importlib.metadata import PackageNotFoundError, version  # which a prediction does without

    try:
        return f"-heif{version('pillow-heif')}"
    except PackageNotFoundError:
        return ""


def decode(data: bytes, at_least: tuple[int, int] | None = None) -> NDArray[np.uint8]:
    """Decode one photo to RGB, uint8 (H, W, 3).

    at_least: (height, width) that the caller will resize to. JPEGs are then shrunk while they are
    decoded (by 2, 4 or 8, as libjpeg offers), but never below three and a half times that size.

    Raises PhotoError with the reason when the bytes are no readable photo.

    >>> buffer = io.BytesIO(); Image.new("L", (3, 2), 7).save(buffer, "PNG")
    >>> decode(buffer.getvalue()).shape
    (2, 3, 3)
    """
    return open_photo(data, at_least).pixels


@dataclass(frozen=True, slots=True)
class Opened:
    """A decoded photo: an upright image of the mode RGB, and what its file needed to become that.

    format is one of `sortograph.records.looks.FORMATS`; oddities are bits of the same module.
    """

    image: Image.Image
    format: str
    oddities: int

    @property
    def pixels(self) -> NDArray[np.uint8]:
        """uint8 (H, W, 3), made anew each time."""
        pixels = np.empty((self.image.height, self.image.width, 3), np.uint8)
        for top, strip in strips(self.image):  # one step would take twice the memory
            pixels[top : top + strip.height] = np.asarray(strip)
        return pixels


def open_photo(data: bytes, at_least: tuple[int, int] | None = None) -> Opened:
    """Decode one photo as `decode` does, and say what kind of file it was. Raises PhotoError."""
    with photo_errors():
        return decoded(header(data), at_least)


def decoded(image: Image.Image, at_least: tuple[int, int] | None) -> Opened:
    """Of what `header` gave. Raises whatever Pillow does; see `photo_errors`."""
    if at_least is not None:
        _shrink(image, at_least)
    samples = stored(image)
    orientation = _orientation(image)
    image.load()
    upright, found = _upright(image, samples, 1 if image.format == "TIFF" else orientation)
    # The plugin for HEIC turns by itself, and keeps what the file said.
    turned = image.info.get("original_orientation") or orientation
    oddities = found | (TURNED if turned in _TURNS else 0) | _oddities(image, samples)
    return Opened(upright, image.format or "", oddities)


def _upright(image: Image.Image, samples: Stored, orientation: int) -> tuple[Image.Image, int]:
    """RGB, the right way up, and what was found on the way."""
    method, backwards = _TURNS.get(orientation, (None, False))
    to_rgb = converter(image, samples)
    is_rgb = image.mode == "RGB" and "transparency" not in image.info
    if _area(image) <= _SMALL or (is_rgb and method is None):
        rgb, found = to_rgb(image)
        return rgb if method is None else rgb.transpose(method), found
    sideways, oddities = orientation in _SIDEWAYS, 0
    upright = Image.new("RGB", (image.height, image.width) if sideways else image.size)
    for top, strip in strips(image):  # of a large photo, all steps at once would be as many copies
        rgb, found = to_rgb(strip)
        oddities |= found
        place = image.height - top - strip.height if backwards else top
        upright.paste(
            rgb if method is None else rgb.transpose(method), (place, 0) if sideways else (0, place)
        )
    return upright, oddities


def _area(image: Image.Image) -> int:
    return image.width * image.height


def _oddities(image: Image.Image, samples: Stored) -> int:
    return (
        (CMYK if image.mode == "CMYK" else 0)
        | (WIDE if image.mode in WIDE_GREY or ";16" in samples.raw else 0)
        | (PALETTE if image.mode in ("P", "PA") else 0)
        | (ANIMATED if _is_animated(image) else 0)
    )


def _is_animated(image: Image.Image) -> bool:
    """As far as the header says: nobody looks for further frames."""
    if image.format == "GIF":
        return "loop" in image.info or image.info.get("duration", 0) > 0
    return image.format != "MPO" and bool(getattr(image, "is_animated", False))


def _shrink(image: Image.Image, at_least: tuple[int, int]) -> None:
    if image.format in ("JPEG", "MPO"):
        height, width = at_least
        width, height = spare(width), spare(height)
        image.draft(image.mode, (height, width) if lies_on_side(image) else (width, height))


def spare(side: int) -> int:
    """What a side that will be resized must at least be: below, fine patterns come out differently."""
    return -(-7 * side // 2)


def measure(data: bytes) -> tuple[int, int]:
    """Width and height after EXIF turning, read from the header alone."""
    with photo_errors():
        image = header(data)
        width, height = image.size
        return (height, width) if lies_on_side(image) else (width, height)


def lies_on_side(image: Image.Image) -> bool:
    """Whether EXIF turns it by a right angle."""
    # Pillow turns TIFFs by itself: their size is that of the turned picture from the start.
    return image.format != "TIFF" and _orientation(image) in _SIDEWAYS


def _orientation(image: Image.Image) -> int:
    """1–8, as EXIF or XMP have it; 1 where they are missing or make no sense."""
    if image.format == "PNG":
        image.load()  # its EXIF may follow the pixels
    try:
        value = image.getexif().get(0x0112, 1)
    except Exception:  # damaged EXIF says nothing about the picture
        return 1
    return value if value in _TURNS else 1


def header(data: bytes) -> Image.Image:
    """The photo with its header read and no pixels. Raises as `decoded`, and PhotoError above the limits."""
    if not data:
        raise PhotoError("empty file", code="empty")
    if len(data) > MAX_BYTES:
        raise PhotoError(
            f"{len(data) / 1e6:.0f} MB, above the limit of {MAX_BYTES / 1e6:.0f} MB", code="too-large"
        )
    try:
        image = _identified(data)
    except UnidentifiedImageError:
        raise _unidentified(data) from None
    width, height = image.size
    if width * height > MAX_PIXELS:
        limit = f"{MAX_PIXELS / 1e6:.0f} megapixels"
        raise PhotoError(f"{width}×{height} pixels, above the limit of {limit}", code="too-large")
    if width < 1 or height < 1:
        raise PhotoError(f"{width}×{height} pixels", code="damaged")
    return image


def _identified(data: bytes) -> Image.Image:
    """The photo with its header read. Raises UnidentifiedImageError."""
    if not data.startswith(JPEG):
        return Image.open(io.BytesIO(data), formats=_formats(data))
    from PIL import JpegImagePlugin  # alone: `Image.open` loads five plugins, a tenth of a prediction's start

    try:
        return JpegImagePlugin.jpeg_factory(io.BytesIO(data), "")
    except (SyntaxError, IndexError, TypeError, struct.error):  # as `Image.open` has it
        raise UnidentifiedImageError from None


def _formats(data: bytes) -> tuple[str, ...]:
    """The formats to try. Rarer plugins are loaded when the first bytes of a photo ask for them."""
    Image.preinit()
    names = [name for name in FORMATS if name not in _PLUGINS]
    if name := _announced(data):
        importlib.import_module(_PLUGINS[name])
        names.append(name)
        if name == "TIFF":
            _silence_libtiff()
    if data[4:8] == b"ftyp" and data[8:12] in _HEIF_BRANDS and _has_heif(data):
        names.append("HEIF")
    return tuple(name for name in names if name in Image.OPEN)


def _unidentified(data: bytes) -> PhotoError:
    for offset, mark, name in _MARKS:
        if data.startswith(mark, offset):
            return PhotoError(f"damaged, or a kind of {name} that cannot be read", code="damaged")
    return PhotoError(f"not a photo that can be read ({', '.join(FORMATS)})", code="not-an-image")


def _announced(data: bytes) -> str:
    """The one of `_PLUGINS` whose mark the bytes start with, or ""."""
    if data.startswith((b"II", b"MM")):
        return "TIFF"
    if data.startswith(b"RIFF"):
        return "WEBP"
    return "AVIF" if data[4:8] == b"ftyp" and data[8:12] in _AVIF_BRANDS else ""


@lru_cache(maxsize=1)
def _silence_libtiff() -> None:
    """Stop libtiff from printing to stderr what it thinks of odd files.

    It has one switch for the whole process, so only the copy that Pillow brings along (on Linux and macOS)
    is touched, never one that other packages share.
    """
    package = Path(PIL.__file__).parent
    for library in (*package.parent.glob("pillow.libs/libtiff*"), *package.glob(".dylibs/libtiff*")):
        import ctypes  # for the few who have TIFFs

        try:
            handlers = ctypes.CDLL(str(library))
            handlers.TIFFSetWarningHandler(None)
            handlers.TIFFSetErrorHandler(None)
        except (OSError, AttributeError):
            return  # then it prints; the photo is read all the same


def _has_heif(data: bytes) -> bool:
    """Load the plugin for HEIC. Raises PhotoError where it is missing and nothing else reads the photo."""
    try:
        plugin = importlib.import_module("pillow_heif")
    except ImportError:
        if b"avif" in data[8:64]:
            return False
        what = 'a HEIC photo; to read it: pip install "sortograph[heic]"'
        raise PhotoError(what, code="unsupported") from None
    if "HEIF" not in Image.OPEN:
        plugin.register_heif_opener()
    return True


@contextmanager
def photo_errors() -> Iterator[None]:
    """Turns whatever Pillow raises on a damaged or unknown photo into a PhotoError with the reason."""
    try:
        yield
    except PhotoError:
        raise
    except Image.DecompressionBombError as error:
        pixels = re.search(r"\d+", str(error))
        found = f"{int(pixels[0]) / 1e6:.0f} megapixels" if pixels else "too many pixels"
        raise PhotoError(f"{found}, above the limit of {MAX_PIXELS / 1e6:.0f}", code="too-large") from None
    except MemoryError:
        raise PhotoError("too large to decode in memory", code="too-large") from None
    except Exception as error:
        line = _first_line(error)
        code: PhotoCode = "truncated" if "truncated" in line.lower() else "damaged"
        raise PhotoError(f"damaged ({line})", code=code) from None


def _first_line(error: Exception) -> str:
    text = str(error).strip().splitlines()
    return text[0][:120] if text else type(error).__name__
