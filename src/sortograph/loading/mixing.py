"""Batches whose photos are put together from two: MixUp and CutMix."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from sortograph.loading.augment import mixed
from sortograph.loading.order import Purpose, generator

Place = tuple[int, int, int]


@dataclass(frozen=True, slots=True)
class Mixing:
    """α of the Beta distributions that shares are drawn from; 0 for none."""

    mixup: float = 0.0
    cutmix: float = 0.0


def blended(photos: Tensor, targets: Tensor, mixing: Mixing, place: Place) -> tuple[Tensor, Tensor]:
    """Photos float32 (N, 3, H, W) and shares (N, C) of one step, put together as `mixing` says.

    Where both are wanted, MixUp and CutMix take turns, batch by batch. place: (seed, epoch, step)
    """
    _, epoch, step = place
    if mixing.cutmix and (not mixing.mixup or (epoch + step) % 2):
        return cut(photos, targets, mixing.cutmix, place)
    if mixing.mixup:
        return mixed(photos, targets, mixing.mixup, place)
    return photos, targets


def cut(photos: Tensor, targets: Tensor, alpha: float, place: Place) -> tuple[Tensor, Tensor]:
    """CutMix (Yun et al. 2019, arXiv:1905.04899, p. 4 and algorithm A1): a box of every photo is that of
    another photo of its batch, and the labels count by area.

    targets: shares (N, C); place: (seed, epoch, step) of the draw. Returns new photos and targets.
    """
    seed, epoch, step = place
    chance = generator(seed, Purpose.CUTMIX, epoch, step)
    height, width = photos.shape[2:]
    part = float(np.sqrt(1 - chance.beta(alpha, alpha)))  # of each side
    top, bottom = _span(chance, height, part)
    left, right = _span(chance, width, part)
    partner = torch.from_numpy(chance.permutation(len(photos))).to(photos.device)
    made = photos.clone()
    made[:, :, top:bottom, left:right] = photos[partner, :, top:bottom, left:right]
    share = 1 - (bottom - top) * (right - left) / (height * width)
    return made, torch.lerp(targets[partner], targets, share)


def _span(chance: np.random.Generator, side: int, part: float) -> tuple[int, int]:
    """Begin and end of a box around a point drawn evenly, cut off at the edges of the photo."""
    centre, half = int(chance.integers(side)), int(side * part) // 2
    return max(0, centre - half), min(side, centre + half)
