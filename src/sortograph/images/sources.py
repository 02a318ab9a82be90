"""Photos as callers hold them: a path, bytes, a Pillow image or an array, all to the same pixels."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps

from sortograph.errors import DataError, PhotoError
from sortograph.images.archive import place_of, read_member
from sortograph.images.decode import MAX_PIXELS, photo_errors, to_rgb
from sortograph.images.inspect import read_bytes
from sortograph.images.preprocess import prepare, resize
from sortograph.records.pixels import PreprocessSpec

Photo = str | os.PathLike[str] | bytes | Image.Image | NDArray[np.uint8]


def to_pixels(photo: Photo, spec: PreprocessSpec) -> NDArray[np.uint8]:
    """Any photo → uint8 (H, W, 3) of the spec's size. Raises PhotoError with the reason.

    Paths, also of members of archives, and bytes give the same pixels. A Pillow image is turned and
    composited in the same way, but was decoded at its full size, which may differ from them by a few grey
    levels. An array is uint8 (h, w, 3) RGB and the right way up.
    """
    if isinstance(photo, np.ndarray):
        return resize(_checked(photo), spec)
    if isinstance(photo, Image.Image):
        return resize(_decoded(photo), spec)
    if isinstance(photo, bytes | bytearray | memoryview):
        return prepare(bytes(photo), spec)
    if isinstance(photo, str | os.PathLike):
        return prepare(read_file(Path(photo)), spec)
    raise PhotoError(f"{type(photo).__name__} is no path, bytes, Pillow image or uint8 array")


def read_file(path: Path) -> bytes:
    """All bytes of a photo: of a file, or of a member of an archive by photos.zip/cats/1.jpg.

    Raises PhotoError.
    """
    place = place_of(path)
    if place is None:
        return read_bytes(path)
    try:
        return read_member(*place)
    except DataError as error:
        raise PhotoError(error.what) from None


def name_of(photo: Photo) -> str:
    """The path as it was given; "" for photos without one."""
    if isinstance(photo, str | os.PathLike):
        return os.fsdecode(photo)
    if isinstance(photo, Image.Image):
        return os.fsdecode(getattr(photo, "filename", ""))
    return ""


def _checked(pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    if pixels.dtype != np.uint8 or pixels.ndim != 3 or pixels.shape[2] != 3 or 0 in pixels.shape:
        raise PhotoError(f"an array {pixels.dtype} {pixels.shape} instead of uint8 (height, width, 3)")
    return pixels


def _decoded(image: Image.Image) -> Image.Image:
    with photo_errors():
        if image.width * image.height > MAX_PIXELS or 0 in image.size:
            raise PhotoError(f"{image.width}×{image.height} pixels, out of range")
        return to_rgb(ImageOps.exif_transpose(image))
