"""What a network is made of, as plain records: names, numbers and shapes, without any weights.

Shapes are those of one photo: (channels, height, width) for a feature map, (units,) for a vector.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

Shape = tuple[int, ...]
Weights = dict[str, Shape]

# Statistics that training counts but no gradient changes.
STATISTICS = ("running_mean", "running_var")
EPSILON = 1e-3  # what batch normalisation adds to each variance, as Keras does
# Of votes among neighbours: what divides a likeness, what is added to each sum of votes, the least length.
VOTE_TEMPERATURE, VOTE_FLOOR, LEAST_LENGTH = 0.07, 1e-3, 1e-6


@dataclass(frozen=True, slots=True)
class Conv:
    """A convolution with zero padding: sides become ⌈side / stride⌉.

    weight: (channels, channels_in, kernel, kernel)
    """

    name: str
    channels_in: int
    channels: int
    kernel: int
    stride: int = 1
    bias: bool = True

    @property
    def padding(self) -> tuple[int, int]:
        """Rows above and rows below (columns left and right): an even kernel reaches further down.

        >>> Conv("a", 3, 8, kernel=3).padding, Conv("b", 3, 8, kernel=4).padding
        ((1, 1), (1, 2))
        """
        return (self.kernel - 1) // 2, self.kernel // 2

    def output(self, shape: Shape) -> Shape:
        return (self.channels, *(math.ceil(side / self.stride) for side in shape[1:]))

    def weights(self) -> Weights:
        kernel = (self.channels, self.channels_in, self.kernel, self.kernel)
        return {f"{self.name}.weight": kernel} | (
            {f"{self.name}.bias": (self.channels,)} if self.bias else {}
        )


@dataclass(frozen=True, slots=True)
class BatchNorm:
    """Batch normalisation over each channel (Ioffe & Szegedy 2015, arXiv:1502.03167).

    momentum: share of the new batch in the running statistics; Keras calls 0.01 a momentum of 0.99
    """

    name: str
    channels: int
    momentum: float = 0.01

    def output(self, shape: Shape) -> Shape:
        return shape

    def weights(self) -> Weights:
        return {f"{self.name}.{part}": (self.channels,) for part in ("weight", "bias", *STATISTICS)}


@dataclass(frozen=True, slots=True)
class Activation:
    """kind: "relu", "silu", "gelu" (the exact one) or "tanh"."""

    kind: str

    def output(self, shape: Shape) -> Shape:
        return shape

    def weights(self) -> Weights:
        return {}


@dataclass(frozen=True, slots=True)
class Pool:
    """The largest of each `size` × `size` square; rows and columns left over are dropped."""

    size: int

    def output(self, shape: Shape) -> Shape:
        return (shape[0], *(side // self.size for side in shape[1:]))

    def weights(self) -> Weights:
        return {}


@dataclass(frozen=True, slots=True)
class GlobalPool:
    """The mean of each channel."""

    def output(self, shape: Shape) -> Shape:
        return shape[:1]

    def weights(self) -> Weights:
        return {}


@dataclass(frozen=True, slots=True)
class Flatten:
    """A feature map as a vector, in the order height, width, channel."""

    def output(self, shape: Shape) -> Shape:
        return (math.prod(shape),)

    def weights(self) -> Weights:
        return {}


@dataclass(frozen=True, slots=True)
class Dropout:
    """Sets a share `rate` of the values to zero while training; `number` counts a network's dropouts."""

    rate: float
    number: int

    def output(self, shape: Shape) -> Shape:
        return shape

    def weights(self) -> Weights:
        return {}


@dataclass(frozen=True, slots=True)
class Dense:
    """weight: (units, inputs)"""

    name: str
    inputs: int
    units: int

    def output(self, shape: Shape) -> Shape:
        return (*shape[:-1], self.units)

    def weights(self) -> Weights:
        return {f"{self.name}.weight": (self.units, self.inputs), f"{self.name}.bias": (self.units,)}


@dataclass(frozen=True, slots=True)
class Neighbours:
    """Votes of the `neighbours` most alike of `count` remembered vectors, as logits of `classes` classes.

    Likeness is the cosine of the angle between two vectors, both taken from `centre`. A vote weighs
    exp(likeness / 0.07), as in Wu et al. 2018 (arXiv:1805.01978, section 3.4), here as a share of the most
    alike one's; the logit is the natural logarithm of VOTE_FLOOR plus the votes for a class.

    features (count, inputs), each of unit length; labels (count, classes), one-hot; centre (inputs,)
    """

    name: str
    inputs: int
    classes: int
    count: int
    neighbours: int

    def output(self, shape: Shape) -> Shape:
        return (*shape[:-1], self.classes)

    def weights(self) -> Weights:
        return {
            f"{self.name}.features": (self.count, self.inputs),
            f"{self.name}.labels": (self.count, self.classes),
            f"{self.name}.centre": (self.inputs,),
        }


@dataclass(frozen=True, slots=True)
class Residual:
    """The sum of what `body` and `shortcut` make of the same input; an empty shortcut is the input itself."""

    name: str
    body: tuple[Layer, ...]
    shortcut: tuple[Layer, ...] = ()

    def output(self, shape: Shape) -> Shape:
        for layer in self.body:
            shape = layer.output(shape)
        return shape

    def weights(self) -> Weights:
        return weights_of((*self.body, *self.shortcut))


Layer = Conv | BatchNorm | Activation | Pool | GlobalPool | Flatten | Dropout | Dense | Residual
HeadLayer = Layer | Neighbours


def weights_of(layers: Iterable[HeadLayer]) -> Weights:
    """Names and shapes of all arrays of these layers, in their order."""
    return {name: shape for layer in layers for name, shape in layer.weights().items()}


def flat(layers: Iterable[Layer]) -> list[Layer]:
    """The layers with those inside residual units in the place of the units."""
    found: list[Layer] = []
    for layer in layers:
        found += flat((*layer.body, *layer.shortcut)) if isinstance(layer, Residual) else [layer]
    return found
