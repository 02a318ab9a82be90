"""A pretrained network without its classifier."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

from sortograph.records.pixels import PreprocessSpec

Library = Literal["timm", "torchvision"]
Argument = str | int | float | bool


@dataclass(frozen=True, slots=True)
class Backbone:
    """What is known of a backbone before any of its weights is in memory.

    name          as it is typed in a recipe: "efficientnet_b0.ra_in1k", "mobilenetv2_100.mine"
    library       what makes the network, and `architecture` its name there, without a tag
    arguments     of the library's maker, such as {"pad_type": "same"}
    preprocess    of the weights: size, resizing, mean and std
    weights       SHA-256 of the weights, hex; "random-<seed>" for weights that nothing has taught
    features      D, the length of an embedding
    parameters    how many, the classifier not counted
    licence       of the weights; "" where it is not known
    origin        where the weights came from, for people
    """

    name: str
    library: Library
    architecture: str
    preprocess: PreprocessSpec
    weights: str
    features: int
    parameters: int
    arguments: Mapping[str, Argument] = field(default_factory=dict)
    licence: str = ""
    origin: str = ""

    @property
    def pretrained(self) -> bool:
        return not self.weights.startswith("random-")

    def to_json(self) -> dict[str, Any]:
        return {**asdict(self), "preprocess": self.preprocess.to_json(), "arguments": dict(self.arguments)}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Backbone:
        """Raises ValueError or TypeError when fields are missing, unknown or out of range."""
        if not isinstance(data.get("preprocess"), Mapping):
            raise ValueError("a backbone without its preprocess")
        return cls(**{**data, "preprocess": PreprocessSpec.from_json(data["preprocess"])})
