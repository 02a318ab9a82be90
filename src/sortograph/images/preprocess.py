"""The one evaluation transform: from decoded photo to the uint8 pixels that a model takes."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from sortograph.images.decode import open_photo
from sortograph.records import PreprocessSpec

_FILTERS = {
    "bilinear": Image.Resampling.BILINEAR,
    "bicubic": Image.Resampling.BICUBIC,
    "lanczos": Image.Resampling.LANCZOS,
    "box": Image.Resampling.BOX,
    "nearest": Image.Resampling.NEAREST,
}


def prepare(data: bytes, spec: PreprocessSpec) -> NDArray[np.uint8]:
    """Photo bytes → uint8 (H, W, 3) of the spec's size. Raises PhotoError when unreadable."""
    return resize(open_photo(data, at_least=spec.decoded()).image, spec)


def resize(
    photo: Image.Image | NDArray[np.uint8], spec: PreprocessSpec, factor: float = 1.0
) -> NDArray[np.uint8]:
    """An RGB image, or uint8 (h, w, 3) → uint8 (H, W, 3), H and W being `factor` times the spec's size.

    "squash" changes the aspect, "crop" covers the size and cuts the middle out, "pad" fits inside it
    and fills with black. Shrinking averages over the covered area (Pillow's antialiased filters).
    """
    height, width = spec.scaled(factor)
    image = photo if isinstance(photo, Image.Image) else Image.fromarray(photo)
    resample = _FILTERS[spec.interpolation]
    if spec.mode == "squash":
        return np.asarray(image.resize((width, height), resample))
    if spec.mode == "crop":
        box = _middle(image.size, (width, height), spec.crop_share)
        return np.asarray(image.resize((width, height), resample, box=box))
    scale = min(width / image.width, height / image.height)
    inner = (max(1, round(image.width * scale)), max(1, round(image.height * scale)))
    image = image.resize(inner, resample)
    left, top = (inner[0] - width) // 2, (inner[1] - height) // 2
    return np.asarray(image.crop((left, top, left + width, top + height)))


def _middle(
    size: tuple[int, int], target: tuple[int, int], share: float
) -> tuple[float, float, float, float]:
    """`share` of the largest box (left, top, right, bottom) in the middle of `size` with `target`'s aspect.

    Only this box is resized: resizing all of a 1×60,000 photo to cover a square would need gigabytes.
    """
    scale = min(size[0] / target[0], size[1] / target[1]) * share
    width, height = min(size[0], target[0] * scale), min(size[1], target[1] * scale)
    left, top = (size[0] - width) / 2, (size[1] - height) / 2
    return left, top, left + width, top + height
