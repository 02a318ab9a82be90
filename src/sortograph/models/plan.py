"""From a recipe's [model] to a list of layers with all their shapes, before any weight exists."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

from sortograph.errors import RecipeError
from sortograph.models.layers import (
    STATISTICS,
    Activation,
    BatchNorm,
    Conv,
    Dense,
    Dropout,
    Flatten,
    GlobalPool,
    Layer,
    Pool,
    Residual,
    Shape,
    Weights,
    weights_of,
)
from sortograph.recipe import Model

OUTPUT = "output"
# The largest of some numbers, then one of these, is one of these, then the largest: they never fall.
_MONOTONE = frozenset(("relu", "tanh"))
# A model.onnx ends at 2 GiB, and each weight has four bytes; the rest of the file is small.
_MOST_WEIGHTS = 530_000_000
_MOST_SIDE = 2048


@dataclass(frozen=True, slots=True)
class Plan:
    """A network for photos of `size` = (height, width) and `classes` classes.

    sigmoid  the last layer has one output z, and the logits are [0, z]: softmax then gives sigmoid(z)
    layers   ends with the Dense named "output", whose input is the embedding
    shapes   what each layer makes of one photo
    """

    size: tuple[int, int]
    classes: int
    sigmoid: bool
    layers: tuple[Layer, ...]
    shapes: tuple[Shape, ...]

    @property
    def embedding(self) -> int:
        """D, the length of the vector from which the logits are computed."""
        return self.head.inputs

    @property
    def head(self) -> Dense:
        last = self.layers[-1]
        assert isinstance(last, Dense)
        return last

    def weights(self) -> Weights:
        """Name → shape of every array of the network, in the order of the layers."""
        return weights_of(self.layers)

    @property
    def parameters(self) -> int:
        """How many numbers training may change."""
        return _trained(self.weights())

    def summary(self) -> str:
        """One line per layer: name, shape of its output, number of its parameters.

        >>> print(plan(Model(filters=(4,), dense=()), size=(8, 8), classes=2).summary())
        photos                 3 × 8 × 8
        block1_conv1           4 × 8 × 8           112
        max pool 2             4 × 4 × 4
        relu                   4 × 4 × 4
        flatten                       64
        output                         2           130
        242 parameters
        """
        rows = [_row("photos", (3, *self.size), 0)]
        for layer, shape in zip(self.layers, self.shapes, strict=True):
            rows.append(_row(_title(layer), shape, _trained(layer.weights())))
        return "\n".join([*rows, f"{self.parameters:,} parameters"])


def plan(model: Model, size: tuple[int, int], classes: int) -> Plan:
    """The layers that a recipe asks for.

    Raises RecipeError when photos of `size` (height, width) are too small for all the poolings, when a
    single sigmoid output shall tell other than two classes, or when a model.onnx could not hold the weights.
    """
    sigmoid = model.output == "sigmoid"
    if sigmoid and classes != 2:
        raise RecipeError(
            f'model.output = "sigmoid" has one output for two classes, and there are {classes}',
            expected='"softmax" for other than two classes',
            fix="sortograph train PHOTOS --set model.output=softmax",
        )
    body = _BODIES[model.kind](model)
    _check_size(body, size)
    top = _top(model, _shape_after(body, size), 1 if sigmoid else classes)
    layers = (*body, *top)
    made = Plan(size, classes, sigmoid, layers, tuple(_shapes(layers, size)))
    _check_weights(made)
    return made


def _cnn(model: Model) -> list[Layer]:
    layers: list[Layer] = []
    channels = 3
    for number, filters in enumerate(model.filters, 1):
        layers += _block(model, f"block{number}", channels, filters)
        channels = filters
    return layers


def _block(model: Model, name: str, channels: int, filters: int) -> list[Layer]:
    layers: list[Layer] = []
    for number in range(1, model.convolutions + 1):
        layers += [_conv(model, f"{name}_conv{number}", channels, filters)]
        layers += [*_norm(model, f"{name}_bn{number}", filters), Activation(model.activation)]
        channels = filters
    pool = _pool(model)
    if model.activation in _MONOTONE:  # the same numbers, and fewer of them to activate
        return [*layers[:-1], *pool, layers[-1]]
    return [*layers, *pool]


def _residual(model: Model) -> list[Layer]:
    """Units with activation before each convolution (He et al. 2016, arXiv:1603.05027, figure 1 b).

    As in its appendix, the first unit is entered after an activation and the last one followed by one.
    """
    channels = model.filters[0]
    layers = [_conv(model, "stem_conv", 3, channels, model.stem), *_activated(model, "stem_bn", channels)]
    for number, filters in enumerate(model.filters, 1):
        layers += [*(_pool(model) if number > 1 else []), _unit(model, number, channels, filters)]
        channels = filters
    return [*layers, *_activated(model, "last_bn", channels)]


def _unit(model: Model, number: int, channels: int, filters: int) -> Residual:
    name = f"unit{number}"
    entry = _activated(model, f"{name}_bn1", channels) if number > 1 else []
    body = (
        *entry,
        _conv(model, f"{name}_conv1", channels, filters),
        *_activated(model, f"{name}_bn2", filters),
        _conv(model, f"{name}_conv2", filters, filters),
    )
    change = Conv(f"{name}_shortcut", channels, filters, kernel=1, bias=_has_bias(model))
    return Residual(name, body, () if channels == filters else (change,))


def _dense(_: Model) -> list[Layer]:
    return []


_BODIES = {"cnn": _cnn, "residual": _residual, "dense": _dense}


def _conv(model: Model, name: str, channels: int, filters: int, stride: int = 1) -> Layer:
    return Conv(name, channels, filters, model.kernel, stride, _has_bias(model))


def _has_bias(model: Model) -> bool:
    # Batch normalisation takes away whatever a bias adds; Keras has one all the same.
    return not (model.batch_norm and model.initialisation == "he")


def _norm(model: Model, name: str, channels: int) -> list[Layer]:
    return [BatchNorm(name, channels, model.batch_norm_momentum)] if model.batch_norm else []


def _activated(model: Model, name: str, channels: int) -> list[Layer]:
    return [*_norm(model, name, channels), Activation(model.activation)]


def _pool(model: Model) -> list[Layer]:
    return [Pool(model.pool)] if model.pool > 1 else []


def _top(model: Model, shape: Shape, outputs: int) -> list[Layer]:
    """From the last feature map to the logits."""
    average = model.global_pool == "average"
    layers: list[Layer] = [GlobalPool() if average else Flatten()]
    layers += _dropout(model.dropout, 1)
    inputs = layers[0].output(shape)[0]
    for number, units in enumerate(model.dense, 1):
        layers += [Dense(f"dense{number}", inputs, units), Activation(model.activation)]
        layers += _dropout(model.dense_dropout, number + 1)
        inputs = units
    return [*layers, Dense(OUTPUT, inputs, outputs)]


def _dropout(rate: float, number: int) -> list[Layer]:
    return [Dropout(rate, number)] if rate > 0 else []


def _shapes(layers: Iterable[Layer], size: tuple[int, int]) -> list[Shape]:
    shape: Shape = (3, *size)
    return [shape := layer.output(shape) for layer in layers]


def _shape_after(layers: list[Layer], size: tuple[int, int]) -> Shape:
    return (_shapes(layers, size) or [(3, *size)])[-1]


def _check_size(layers: list[Layer], size: tuple[int, int]) -> None:
    shrinking = [layer for layer in layers if isinstance(layer, Pool) or _stride(layer) > 1]
    steps = [size, *((h, w) for _, h, w in _shapes(shrinking, size))]
    if min(steps[-1]) >= 1:
        return
    least = _least_side(shrinking)
    told = " → ".join(f"{height}×{width}" for height, width in steps)
    fix = f"sortograph train PHOTOS --set pixels.size={least}"
    raise RecipeError(
        f"photos of {size[0]}×{size[1]} pixels are too small for this network: {told}",
        where="pixels.size",
        expected=f"sides of at least {least} pixels, fewer blocks in model.filters, or a smaller model.pool",
        fix=fix if least <= _MOST_SIDE else "sortograph train PHOTOS --set model.pool=2",
    )


def _stride(layer: Layer) -> int:
    return layer.stride if isinstance(layer, Conv) else 1


def _least_side(layers: list[Layer]) -> int:
    """The smallest side of which something is left after these layers."""
    side = 1
    for layer in reversed(layers):
        side = side * layer.size if isinstance(layer, Pool) else (side - 1) * _stride(layer) + 1
    return side


def _check_weights(made: Plan) -> None:
    count = sum(math.prod(shape) for shape in made.weights().values())
    if count <= _MOST_WEIGHTS:
        return
    name, shape = max(made.weights().items(), key=lambda item: math.prod(item[1]))
    raise RecipeError(
        f"a network of {count:,} weights, of which {name} has {' × '.join(f'{n:,}' for n in shape)}",
        where="model",
        expected=f"at most {_MOST_WEIGHTS:,}, which is what a model.onnx can hold",
        fix="sortograph train PHOTOS --set model.global_pool=average",
    )


def _trained(weights: Weights) -> int:
    return sum(math.prod(shape) for name, shape in weights.items() if not name.endswith(STATISTICS))


def _row(title: str, shape: Shape, count: int) -> str:
    sides = " × ".join(f"{side:,}" for side in shape)
    return f"{title:<14}{sides:>18}{f'{count:,}' if count else '':>14}".rstrip()


def _title(layer: Layer) -> str:
    match layer:
        case Activation(kind=kind):
            return kind
        case Pool(size=size):
            return f"max pool {size}"
        case GlobalPool():
            return "average pool"
        case Flatten():
            return "flatten"
        case Dropout(rate=rate):
            return f"dropout {rate:g}"
    return layer.name
