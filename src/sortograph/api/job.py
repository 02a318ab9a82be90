"""What the steps of one training run share."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from sortograph.loading.pixels import PhotoPixels
from sortograph.models import Plan
from sortograph.recipe import Recipe
from sortograph.records import DatasetIndex, Progress


@dataclass(frozen=True, slots=True)
class Job:
    """One run, once its photos are known.

    began: a reading of time.monotonic, in seconds; photos: what the user gave, a folder or a CSV file
    """

    recipe: Recipe
    index: DatasetIndex
    pixels: PhotoPixels
    plan: Plan
    folder: Path
    began: float
    progress: Progress
    photos: Path
