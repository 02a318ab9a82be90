"""Random views of training photos, drawn photo by photo and made batch by batch.

All geometric changes of a photo are one affine map and one bilinear resampling; what lies outside the photo
is its reflection. The draws of an epoch are a table with one row for each photo of the index, so that what a
photo looks like does not depend on the batch that it is in.
"""

from __future__ import annotations

import math

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from sortograph.loading.order import Purpose, generator
from sortograph.recipe import Augment

_COLUMNS = ("flip_x", "flip_y", "turn", "zoom", "shift_x", "shift_y", "brightness", "contrast")


def draws(count: int, seed: int, epoch: int) -> NDArray[np.float32]:
    """Uniform numbers within 0–1 for all photos of an index, float32 (count, 8)."""
    return generator(seed, Purpose.AUGMENT, epoch).random((count, len(_COLUMNS)), dtype=np.float32)


class Augmenter:
    """Makes the views that a recipe asks for.

    settings: what may change; size: (H, W) of the views
    """

    def __init__(self, settings: Augment, size: tuple[int, int]) -> None:
        self.settings, self.size = settings, size
        self._moves = any(
            (
                settings.horizontal_flip,
                settings.vertical_flip,
                settings.rotation,
                settings.zoom,
                settings.width_shift,
                settings.height_shift,
            )
        )
        self._recolours = bool(settings.brightness or settings.contrast)

    def __call__(self, pixels: Tensor, drawn: Tensor) -> Tensor:
        """uint8 (N, h, w, 3) and draws (N, 8) → float32 (N, 3, H, W), 0–255.

        h, w may differ from H, W: views are sampled from photos that are stored somewhat larger.
        """
        photos = pixels.permute(0, 3, 1, 2).float()
        if self._moves or photos.shape[2:] != self.size:
            photos = F.grid_sample(
                photos, self._grid(drawn), mode="bilinear", padding_mode="reflection", align_corners=False
            )
        return self._recoloured(photos, drawn) if self._recolours else photos

    def _grid(self, drawn: Tensor) -> Tensor:
        """Where each output pixel is taken from, (N, H, W, 2) in −1…1 as grid_sample wants it."""
        height, width = self.size
        xs = (torch.arange(width, device=drawn.device) * 2 + 1) / width - 1
        ys = (torch.arange(height, device=drawn.device) * 2 + 1) / height - 1
        maps = self.maps(drawn).view(-1, 2, 3, 1, 1)
        # Sums of a row and a column: torch's affine_grid multiplies matrices and takes six times as long.
        # All x, then all y: grid_sample takes them as they come, and they are written in one go.
        grid = torch.empty((2, len(drawn), height, width), device=drawn.device)
        for axis in (0, 1):
            along = maps[:, axis, 0] * xs.view(1, 1, -1)
            down = maps[:, axis, 1] * ys.view(1, -1, 1) + maps[:, axis, 2]
            torch.add(along, down, out=grid[axis])
        return grid.permute(1, 2, 3, 0)

    def maps(self, drawn: Tensor) -> Tensor:
        """Affine maps from output to input coordinates, both −1…1 along each side; float32 (N, 2, 3).

        Rotation keeps angles as they are on the output: x is stretched by the aspect before and after.
        """
        wish = self.settings
        centred = drawn * 2 - 1
        angle = centred[:, 2] * (wish.rotation * 2 * math.pi)
        scale = 1 + centred[:, 3] * wish.zoom
        flip_x = torch.where(drawn[:, 0] < 0.5, -1.0, 1.0) if wish.horizontal_flip else torch.ones_like(angle)
        flip_y = torch.where(drawn[:, 1] < 0.5, -1.0, 1.0) if wish.vertical_flip else torch.ones_like(angle)
        aspect = self.size[1] / self.size[0]
        cosine, sine = angle.cos() * scale, angle.sin() * scale
        # Shifts are shares of the side, of which −1…1 is two halves.
        shift_x, shift_y = centred[:, 4] * 2 * wish.width_shift, centred[:, 5] * 2 * wish.height_shift
        rows = [cosine * flip_x, -sine / aspect * flip_x, shift_x, sine * aspect * flip_y, cosine * flip_y]
        return torch.stack([*rows, shift_y], dim=1).view(-1, 2, 3)

    def _recoloured(self, photos: Tensor, drawn: Tensor) -> Tensor:
        # In one order of memory, however they were made: it decides the last bit of a mean.
        photos = photos.contiguous(memory_format=torch.channels_last)
        centred = (drawn * 2 - 1).view(len(drawn), -1, 1, 1, 1)
        mean = photos.mean(dim=(1, 2, 3), keepdim=True)
        factor = 1 + centred[:, 7] * self.settings.contrast
        lift = centred[:, 6] * (255 * self.settings.brightness)
        # photo·factor + the rest: one pass over the pixels.
        return torch.addcmul(mean * (1 - factor) + lift, photos, factor).clamp_(0, 255)


def mixed(
    photos: Tensor, targets: Tensor, alpha: float, place: tuple[int, int, int]
) -> tuple[Tensor, Tensor]:
    """MixUp (Zhang et al. 2018, arXiv:1710.09412, p. 3): every photo blended with another of its batch.

    targets: shares (N, C); place: (seed, epoch, step) of the draw. Returns new photos and targets.
    """
    seed, epoch, step = place
    chance = generator(seed, Purpose.MIXUP, epoch, step)
    share = float(chance.beta(alpha, alpha))
    partner = torch.from_numpy(chance.permutation(len(photos))).to(photos.device)
    return torch.lerp(photos[partner], photos, share), torch.lerp(targets[partner], targets, share)
