"""Which backbones there are."""

from __future__ import annotations

import fnmatch
from dataclasses import dataclass

from sortograph.models import registry
from sortograph.records import Backbone

_FEW = 20


@dataclass(frozen=True, slots=True)
class Listed:
    """A backbone that may be named in a recipe.

    parameters  the classifier not counted; None where nobody has counted
    input_size  (height, width) of its photos
    licence     of its weights, "" where none is stated
    at_hand     whether its weights lie on this machine
    """

    name: str
    parameters: int | None
    input_size: tuple[int, int]
    licence: str
    at_hand: bool


def listed(pattern: str = "") -> list[Listed]:
    """What fits a pattern with * and ?: first weights that were added, then timm's, then torchvision's.

    Networks are built, without memory, only to count the parameters of few.
    Raises MissingExtra without timm or torchvision.
    """
    mine = [_of(one) for name, one in registry.added().items() if fits(name, pattern)]
    taken = {one.name for one in mine}
    others = [one for one in _offered(pattern) if one.name not in taken]
    return mine + others


def fits(name: str, pattern: str) -> bool:
    """Whether a name fits, with its tag or without it.

    >>> fits("resnet50.a1_in1k", "resnet5?"), fits("resnet50.a1_in1k", "*in1k"), fits("vgg16", "res*")
    (True, True, False)
    """
    names = (name, name.partition(".")[0])
    return not pattern or any(fnmatch.fnmatchcase(one, pattern) for one in names)


def _of(backbone: Backbone) -> Listed:
    size = backbone.preprocess.size
    return Listed(backbone.name, backbone.parameters, size, backbone.licence, at_hand=True)


def _offered(pattern: str) -> list[Listed]:
    from sortograph.models import architectures
    from sortograph.models.backbone import at_hand

    timm = [name for name in architectures.timm_names() if fits(name, pattern)]
    models = {name.partition(".")[0] for name in timm}
    vision = [
        name for name in architectures.torchvision_names() if fits(name, pattern) and name not in models
    ]
    found = [architectures.find(name) for name in (*timm, *vision)]
    counts = architectures.parameters(found) if len(found) <= _FEW else {}
    return [
        Listed(one.full, counts.get(one.full), one.preprocess.size, one.licence, at_hand(one))
        for one in found
    ]
