"""Batches for the training loop, and clean ones for judging."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass
from itertools import pairwise, zip_longest

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from sortograph.loading.augment import draws
from sortograph.loading.order import order

Rows = NDArray[np.int64]
Read = Callable[[Rows], NDArray[np.uint8]]
Augment = Callable[[Tensor, Tensor], Tensor]
Size = tuple[int, int]


@dataclass(frozen=True, slots=True)
class Batch:
    """One step's photos: float32 (N, 3, H, W), 0–255; labels int64 (N,)."""

    step: int
    photos: Tensor
    labels: Tensor


class TrainingBatches:
    """The batches of any epoch from any step on, always the same for the same seed.

    read: rows → uint8 (N, h, w, 3), a new array each time; called by one other thread, a batch ahead
    rows: of the training photos; labels: of the whole index, int64
    augment: such pixels and draws (N, 8) → float32 (N, 3, H, W), 0–255
    """

    def __init__(self, read: Read, rows: Rows, labels: Rows, augment: Augment, plan: BatchPlan) -> None:
        self._read, self._rows, self._labels = read, rows, labels
        self._augment, self._plan = augment, plan

    def __len__(self) -> int:
        """Steps in one epoch. The last batch is smaller; one of a single photo joins the one before it."""
        return len(self._bounds()) - 1

    @property
    def photos(self) -> int:
        """Photos in one epoch."""
        return len(self._rows)

    def __call__(self, epoch: int, first: int = 0) -> Generator[Batch, None, None]:
        rows = order(self._rows, self._plan.seed, epoch)
        table = draws(len(self._labels), self._plan.seed, epoch)
        bounds = self._bounds()
        sides = self._plan.sides and self._plan.sides(epoch)
        parts = [rows[start:end] for start, end in pairwise(bounds[first:])]
        with closing(_ahead(self._read, parts)) as coming:
            for step, (chosen, read) in enumerate(coming, first):
                pixels = torch.from_numpy(read).to(self._plan.device, non_blocking=True)
                drawn = torch.from_numpy(table[chosen]).to(self._plan.device)
                labels = torch.from_numpy(self._labels[chosen]).to(self._plan.device)
                photos = self._augment(pixels, drawn)
                yield Batch(step, photos if sides is None else _resized(photos, sides), labels)

    def _bounds(self) -> list[int]:
        # Batch normalisation has no spread to divide by in a batch of one.
        count, size = len(self._rows), self._plan.size
        bounds = [*range(0, count, size), count]
        if len(bounds) > 2 and bounds[-1] - bounds[-2] == 1:
            del bounds[-2]
        return bounds


def _ahead(read: Read, parts: Sequence[Rows]) -> Generator[tuple[Rows, NDArray[np.uint8]], None, None]:
    """Each part with what is read of it, the next one being read while one is in use."""
    with ThreadPoolExecutor(1, "sortograph-pixels") as reader:
        coming = [reader.submit(read, part) for part in parts[:1]]
        for part, after in zip_longest(parts, parts[1:]):
            made = coming.pop().result()
            if after is not None:
                coming.append(reader.submit(read, after))
            yield part, made


@dataclass(frozen=True, slots=True)
class BatchPlan:
    """size: photos in a batch; seed: of order and augmentation; device: where batches are made.

    sides: epoch → (H, W) that photos are brought to; None leaves them as they are
    """

    size: int
    seed: int
    device: torch.device
    sides: Callable[[int], Size] | None = None


def _resized(photos: Tensor, sides: Size) -> Tensor:
    if photos.shape[2:] == sides:
        return photos
    return F.interpolate(photos, sides, mode="bilinear", antialias=True)


def clean_batches(read: Read, rows: Rows, size: int, device: torch.device) -> Iterator[tuple[Rows, Tensor]]:
    """Rows in their order, with their photos as they are: float32 (N, 3, H, W), 0–255, channels-last."""
    for start in range(0, len(rows), size):
        chosen = rows[start : start + size]
        pixels = torch.from_numpy(read(chosen)).to(device)
        yield chosen, pixels.permute(0, 3, 1, 2).float()
