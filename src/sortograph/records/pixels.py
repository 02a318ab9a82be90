"""How a photo becomes the pixels that a model sees."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal

ResizeMode = Literal["squash", "crop", "pad"]
Interpolation = Literal["bilinear", "bicubic", "lanczos", "box", "nearest"]
RESIZE_MODES = ("squash", "crop", "pad")
INTERPOLATIONS = ("bilinear", "bicubic", "lanczos", "box", "nearest")


@dataclass(frozen=True, slots=True)
class PreprocessSpec:
    """The one evaluation transform: resize to `size`, map 0–255 to `value_range`, then (x − mean) / std.

    `size` is (height, width), `mean` and `std` are per channel, R G B. `crop_share` of the sides is what
    "crop" keeps of the largest possible box: 0.875 cuts an eighth of it away, as evaluations on ImageNet do.

    Resizing gives uint8 (H, W, 3) RGB; the arithmetic is part of the model itself, so that whoever
    opens the model cannot forget it.

    >>> PreprocessSpec(size=(180, 180)).affine()
    ((0.00392156862745098, 0.00392156862745098, 0.00392156862745098), (0.0, 0.0, 0.0))
    """

    size: tuple[int, int]
    mode: ResizeMode = "squash"
    interpolation: Interpolation = "bilinear"
    mean: tuple[float, float, float] = (0.0, 0.0, 0.0)
    std: tuple[float, float, float] = (1.0, 1.0, 1.0)
    value_range: tuple[float, float] = (0.0, 1.0)
    crop_share: float = 1.0

    def __post_init__(self) -> None:
        height, width = self.size
        if not (0 < height <= 4096 and 0 < width <= 4096):
            raise ValueError(f"size is (height, width) within 1–4096, not {self.size}")
        if self.mode not in RESIZE_MODES or self.interpolation not in INTERPOLATIONS:
            raise ValueError(f"unknown resize {self.mode!r} / {self.interpolation!r}")
        if len(self.mean) != 3 or len(self.std) != 3 or not all(s > 0 for s in self.std):
            raise ValueError("mean and std need three values each, every std above 0")
        if not 0.1 <= self.crop_share <= 1 or (self.crop_share < 1 and self.mode != "crop"):
            raise ValueError(f"crop_share is within 0.1–1, and 1 without cropping, not {self.crop_share}")

    def affine(self) -> tuple[tuple[float, ...], tuple[float, ...]]:
        """Per channel (scale, offset) such that normalised = pixel · scale + offset, pixel in 0–255."""
        low, high = self.value_range
        scale = tuple((high - low) / 255.0 / s for s in self.std)
        offset = tuple((low - m) / s for m, s in zip(self.mean, self.std, strict=True))
        return scale, offset

    def scaled(self, factor: float = 1.0) -> tuple[int, int]:
        """Height and width at `factor` times the size."""
        height, width = self.size
        return round(height * factor), round(width * factor)

    def decoded(self, factor: float = 1.0) -> tuple[int, int]:
        """The size that a photo must have at the least when it is decoded for `scaled(factor)`."""
        return self.scaled(factor / self.crop_share)

    def resize_key(self, factor: float = 1.0) -> str:
        """Names the uint8 pixels that this spec leads to, at `factor` times its size."""
        height, width = self.scaled(factor)
        share = "" if self.crop_share == 1 else f"-{self.crop_share:g}"
        return f"{height}x{width}-{self.mode}{share}-{self.interpolation}"

    def to_json(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> PreprocessSpec:
        """Raises ValueError or TypeError when fields are missing, unknown or out of range."""
        fields: dict[str, Any] = {
            key: tuple(value) if isinstance(value, list) else value for key, value in data.items()
        }
        return cls(**fields)

    def hash(self) -> str:
        return hashlib.sha256(json.dumps(self.to_json(), sort_keys=True).encode()).hexdigest()[:16]
