"""Any Pillow image → RGB: the colours that a person sees in the file, on white where it is transparent.

Wide grey is scaled to 8 bits, inks become light, and the colours that an embedded ICC profile describes
are turned into those of sRGB, which is what networks are trained on and what screens show.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from sortograph.records.looks import PROFILE, TRANSPARENT

if TYPE_CHECKING:
    from PIL.ImageCms import ImageCmsTransform

WIDE_GREY = ("I;16", "I;16L", "I;16B", "I;16N", "I", "F")
_WHITE = {"I": (255, 65_535, 2**31 - 1, 2**32 - 1), "F": (1, 255, 65_535)}
# Profiles of printers take about 2 MB; what is larger is no profile of a photo.
_LARGEST_PROFILE = 4 * 1024 * 1024
_MODES = {"GRAY": "L", "RGB": "RGB", "CMYK": "CMYK"}
_WHITE_IS_ZERO, _PHOTOMETRIC = 0, 262


@dataclass(frozen=True, slots=True)
class Stored:
    """What a file says of its samples that the mode of the decoded image does not.

    raw: Pillow's name of the samples, such as "RGB;16B".
    inverted: a TIFF of wide grey in which 0 is white. Pillow turns narrow grey by itself, but not this.
    """

    raw: str = ""
    inverted: bool = False


_AS_IT_IS = Stored()


def stored(image: Image.Image) -> Stored:
    """To be asked before the image is loaded: Pillow forgets it then."""
    tiles = getattr(image, "tile", ())
    args = tiles[0][3] if tiles else ""
    raw = args[0] if isinstance(args, tuple) and args else args
    tags = getattr(image, "tag_v2", {})
    return Stored(
        raw=raw if isinstance(raw, str) else "",
        inverted=image.mode in WIDE_GREY and tags.get(_PHOTOMETRIC) == _WHITE_IS_ZERO,
    )


def to_rgb(image: Image.Image) -> Image.Image:
    """Any Pillow image → RGB of the same size.

    >>> to_rgb(Image.new("LA", (1, 1), (0, 128))).getpixel((0, 0))
    (127, 127, 127)
    """
    return converter(image)(image)[0]


def converter(
    image: Image.Image, samples: Stored = _AS_IT_IS
) -> Callable[[Image.Image], tuple[Image.Image, int]]:
    """A function that turns the image, or strips cropped from it, into RGB.

    It also gives which of TRANSPARENT and PROFILE were needed: a profile that says sRGB is not, nor is
    an alpha channel that is opaque.
    """
    top = _top(image, samples.raw) if image.mode in WIDE_GREY else 0.0
    key = _key(image.info.get("transparency"), samples.raw)
    profile = image.info.get("icc_profile")

    def convert(strip: Image.Image) -> tuple[Image.Image, int]:
        if strip.mode in WIDE_GREY:
            colours, alpha = _narrow(strip, top, samples, key)
        else:
            colours, alpha = _separate(strip, key)
        rgb, found = _to_srgb(colours, profile)
        if alpha is None or alpha.getextrema() == (255, 255):
            return rgb, found
        white = Image.new("RGB", rgb.size, (255, 255, 255))
        white.paste(rgb, mask=alpha)
        return white, found | TRANSPARENT

    return convert


def _key(key: object, raw: str) -> object:
    """The transparent colour of a PNG, in the range of its decoded pixels: files keep their own."""
    if isinstance(key, tuple) and ";16" in raw:
        return tuple(value >> 8 for value in key)
    if isinstance(key, int) and raw in ("L;2", "L;4"):
        return key * (255 // (2 ** int(raw[2]) - 1))
    return key


def _separate(image: Image.Image, key: object) -> tuple[Image.Image, Image.Image | None]:
    """Colours (mode L, RGB or CMYK) and alpha (mode L), if there is any."""
    if image.mode in ("1", "L"):
        grey = image if image.mode == "L" else image.convert("L")
        return grey, None if key is None else grey.point([255 * (value != key) for value in range(256)])
    if image.mode in ("LA", "La"):
        grey, alpha = (image if image.mode == "LA" else image.convert("LA")).split()
        return grey, alpha
    keyed = key is not None and image.mode in ("RGB", "P")
    if keyed:
        image.info["transparency"] = key
    if keyed or image.mode in ("RGBA", "RGBa", "PA"):
        rgba = image if image.mode == "RGBA" else image.convert("RGBA")
        return rgba.convert("RGB"), rgba.getchannel("A")
    return image if image.mode in ("RGB", "CMYK") else image.convert("RGB"), None


def _top(image: Image.Image, raw: str) -> float:
    """The value of white.

    Files of 32 bits do not say which it is: it is the first usual one that the brightest pixel does not
    exceed (by more than a tenth, since filters overshoot).
    """
    if raw.startswith("I;12"):
        return 4095
    if image.mode not in _WHITE:
        return 65_535
    if raw.startswith("I;16"):
        return 32_767  # signed
    tops = _WHITE[image.mode]
    brightest = max(float(_values(strip, raw).max(initial=0)) for _, strip in strips(image))
    return next((top for top in tops if brightest <= 1.1 * top), tops[-1])


def _values(image: Image.Image, raw: str) -> NDArray[np.float32]:
    values = np.asarray(image)
    if raw == "I;32N":  # Pillow holds these unsigned numbers as signed ones
        values = values.view(np.uint32)
    return np.nan_to_num(values.astype(np.float32), copy=False)


def _narrow(
    image: Image.Image, top: float, samples: Stored, key: object
) -> tuple[Image.Image, Image.Image | None]:
    """16- and 32-bit grey to 8 bit (mode L), and alpha; Pillow's own conversion clips it to white instead."""
    grey = _values(image, samples.raw)
    alpha = Image.fromarray(np.where(grey == key, 0, 255).astype(np.uint8)) if isinstance(key, int) else None
    grey *= 255 / top
    narrow = np.rint(grey, out=grey).clip(0, 255, out=grey).astype(np.uint8)
    return Image.fromarray(255 - narrow if samples.inverted else narrow), alpha


def strips(image: Image.Image, pixels: int = 1 << 20) -> Iterator[tuple[int, Image.Image]]:
    """The image in full-width strips of about that many pixels, each with the row at which it starts.

    What is done strip by strip needs no second copy of a large photo.
    """
    rows = max(1, pixels // image.width)
    for top in range(0, image.height, rows):
        yield top, image.crop((0, top, image.width, min(top + rows, image.height)))


def _to_srgb(image: Image.Image, profile: object) -> tuple[Image.Image, int]:
    """Mode L, RGB or CMYK → RGB as the profile describes it, and PROFILE where that changed anything."""
    mode, transform = "", None
    if isinstance(profile, bytes) and len(profile) <= _LARGEST_PROFILE:
        mode, transform = _reading(profile)
    if image.mode not in ("RGB", mode):  # grey photos may have the profile of those they were made from
        image = image.convert("RGB")
    if transform is not None and image.mode == mode:
        return transform.apply(image), PROFILE
    return image if image.mode == "RGB" else image.convert("RGB"), 0


@lru_cache(maxsize=16)
def _reading(profile: bytes) -> tuple[str, ImageCmsTransform | None]:
    """The mode of the images that an ICC profile describes, and the way from there to sRGB.

    ("", None) for a damaged profile and for one of no such images; a transform of None where the profile
    says sRGB, under whatever name. Perceptual intent: what viewers use for photos, and the same as the
    relative one for profiles without tables, such as those of cameras and screens.
    """
    try:
        from PIL import ImageCms  # 10 ms, for few photos

        source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
        mode = _MODES.get(source.profile.xcolor_space.strip(), "")
        target = ImageCms.createProfile("sRGB")
        transform = ImageCms.ImageCmsTransform(
            source, ImageCms.ImageCmsProfile(target), mode, "RGB", flags=ImageCms.Flags.HIGHRESPRECALC
        )
        return mode, None if _changes_nothing(transform, mode) else transform
    except Exception:  # whatever is wrong with a profile, the pixels can be seen without it
        return "", None


def _changes_nothing(transform: ImageCmsTransform, mode: str) -> bool:
    """By at most one level, on a grid of all colours."""
    if mode == "CMYK":
        return False
    steps = np.linspace(0, 255, 17).round().astype(np.uint8)
    grid = np.stack(np.meshgrid(steps, steps, steps), axis=-1).reshape(17, -1, 3)
    before = Image.fromarray(np.arange(256, dtype=np.uint8)[None] if mode == "L" else grid)
    after = np.asarray(transform.apply(before)).astype(int)
    return bool(np.abs(after - np.asarray(before.convert("RGB"))).max() <= 1)
