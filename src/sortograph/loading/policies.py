"""RandAugment and TrivialAugment, photo by photo, in front of the changes that [augment] asks for."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from typing import Literal

import torch
from torch import Tensor

from sortograph.loading.batches import Augment

_GREY = [128.0] * 3  # what a shift or a turn leaves empty


class PolicyAugmenter:
    """Changes each photo by a policy, then as `then` does.

    kind: "rand", RandAugment with two changes of magnitude 9 of 30 (Cubuk et al. 2019, arXiv:1909.13719);
        "trivial", TrivialAugment, wide (Müller & Hutter 2021, arXiv:2103.10158)

    What happens to a photo depends on its own draws alone; torch's global generator stays as it is.
    """

    def __init__(self, kind: Literal["rand", "trivial"], then: Augment) -> None:
        self._policy, self._then = _policy(kind), then

    def __call__(self, pixels: Tensor, drawn: Tensor) -> Tensor:
        """uint8 (N, h, w, 3) and draws (N, 8) → what `then` makes of the changed pixels."""
        return self._then(self.changed(pixels, drawn), drawn)

    def changed(self, pixels: Tensor, drawn: Tensor) -> Tensor:
        """uint8 (N, h, w, 3), each photo changed by its own draws."""
        seeds = [_seed(row) for row in drawn.cpu()]
        photos = pixels.permute(0, 3, 1, 2)
        with torch.random.fork_rng(devices=[]):  # the policies draw on the CPU, wherever the photos are
            made = [self._one(photo, seed) for photo, seed in zip(photos, seeds, strict=True)]
        return torch.stack(made).permute(0, 2, 3, 1)

    def _one(self, photo: Tensor, seed: int) -> Tensor:
        torch.default_generator.manual_seed(seed)
        return self._policy(photo)


def _seed(drawn: Tensor) -> int:
    """The draws of a photo as one number that tells nothing of any of them."""
    digest = hashlib.blake2b(drawn.numpy().tobytes(), digest_size=7)
    return int.from_bytes(digest.digest(), "little")


def _policy(kind: Literal["rand", "trivial"]) -> Callable[[Tensor], Tensor]:
    from torchvision.transforms import InterpolationMode, v2

    options = {"interpolation": InterpolationMode.BILINEAR, "fill": _GREY}
    policy: Callable[[Tensor], Tensor] = (
        v2.RandAugment(**options) if kind == "rand" else v2.TrivialAugmentWide(**options)
    )
    return policy
