"""Which backbones there are, and weights of the user's own."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path

from sortograph.errors import UsageError, WeightsError
from sortograph.models import registry
from sortograph.models.catalogue import Listed, listed
from sortograph.records import Backbone
from sortograph.records.backbone import Argument

Channels = float | Sequence[float]


def backbones(pattern: str = "") -> list[Listed]:
    """Backbones whose names fit a pattern with * and ?, in natural order: those that were added first.

    Raises MissingExtra without timm or torchvision.
    """
    return listed(pattern)


def weights() -> dict[str, Backbone | WeightsError]:
    """All weights that were added, by name; the reason in the place of what cannot be read."""
    return registry.entries()


def add_weights(
    name: str,
    file: str | os.PathLike[str],
    *,
    mean: Channels | None = None,
    std: Channels | None = None,
    input_size: int | tuple[int, int] | None = None,
    arguments: Mapping[str, Argument] | None = None,
    licence: str = "",
    origin: str = "",
) -> Backbone:
    """Keep weights of your own, for use as the backbone `name` from then on. `file` stays as it is.

    name: a model of timm or torchvision, perhaps with a tag of yours: "mobilenetv2_100.mine"
    file: safetensors, or a .pth of arrays alone; with the classifier or without it
    mean, std: of pixels in 0–1, one for all channels or three; input_size: side, or (height, width)
    arguments: of the library's maker, such as {"pad_type": "same"}

    What is not given is as the library's own configuration of that model says.
    Raises UsageError for names that are taken or unknown and values out of range; WeightsError for files
    without weights, or with those of another network; StorageError; MissingExtra.
    """
    from sortograph.models.adoption import Claims, adopt

    size = (input_size, input_size) if isinstance(input_size, int) else input_size
    claims = Claims(_three("mean", mean), _three("std", std), size, dict(arguments or {}), licence, origin)
    return adopt(name, Path(file), claims)


def _three(what: str, given: Channels | None) -> tuple[float, float, float] | None:
    if given is None:
        return None
    values = (given,) * 3 if isinstance(given, int | float) else tuple(given)
    if len(values) != 3:
        raise UsageError(f"{len(values)} values for the {what}", expected="one, or three for R, G and B")
    red, green, blue = (float(value) for value in values)
    return red, green, blue
