"""Which parts of a photo an answer rests on."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True, eq=False)
class Explanation:
    """Where one photo speaks for a class, to a model.

    path         as it was given; "" for photos without one
    class_name   the class that is explained
    probability  that the model gives it, 0–1
    predicted    the class that the model names
    method       "occlusion", "grad-cam" or "layer-cam"
    heatmap      float32 (H, W), −1…1, of the size that the model takes: above 0 where the photo speaks for
                 the class, below 0 where it speaks against it, which occlusion alone tells. Its largest
                 absolute value is 1, or all is 0.
    pixels       uint8 (H, W, 3), the photo as the model sees it
    covered      probability of the class with the square covered that mattered most; None without occlusion
    """

    path: str
    class_name: str
    probability: float
    predicted: str
    method: str
    heatmap: NDArray[np.float32]
    pixels: NDArray[np.uint8]
    covered: float | None = None

    def __post_init__(self) -> None:
        if self.heatmap.shape != self.pixels.shape[:2]:
            raise ValueError(f"a heatmap {self.heatmap.shape} of a photo {self.pixels.shape}")

    @property
    def strongest(self) -> tuple[float, float] | None:
        """Where the heatmap is highest: shares of the width and of the height, each 0–1; None where it is
        nowhere above 0."""
        height, width = self.heatmap.shape
        row, column = divmod(int(self.heatmap.argmax()), width)
        if not self.heatmap[row, column] > 0:
            return None
        return (column + 0.5) / width, (row + 0.5) / height

    def to_json(self) -> dict[str, Any]:
        at = self.strongest
        return {
            "path": self.path,
            "class": self.class_name,
            "probability": self.probability,
            "predicted": self.predicted,
            "method": self.method,
            "covered": self.covered,
            "strongest": None if at is None else {"x": at[0], "y": at[1]},
        }
