"""The ONNX graph of a network, written node by node from its plan: milliseconds, and no torch."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sortograph.errors import MissingExtra, RunError, listed
from sortograph.export.votes import votes
from sortograph.models.layers import (
    EPSILON,
    Activation,
    BatchNorm,
    Conv,
    Dense,
    Dropout,
    Flatten,
    GlobalPool,
    HeadLayer,
    Layer,
    Neighbours,
    Pool,
    Residual,
    Weights,
)
from sortograph.models.plan import Plan
from sortograph.records import PreprocessSpec

OPSET = 20  # the first with Gelu; ONNX Runtime knows it since 1.17
IR_VERSION = 9  # that of the ONNX release that brought opset 20
_TO_CHANNELS_FIRST, _TO_CHANNELS_LAST = [0, 3, 1, 2], [0, 2, 3, 1]

State = Mapping[str, NDArray[Any]]


def to_onnx(plan: Plan, preprocess: PreprocessSpec, state: State) -> bytes:
    """A serialized ModelProto that a bundle may hold.

    state: the arrays that `plan.weights()` names, in torch's layouts; others are not looked at

    Input `photos` uint8 (n, H, W, 3) RGB; outputs `probabilities` (n, C), `logits` (n, C) and `embedding`
    (n, D), float32. The initializer `temperature` is 1. Nothing is folded: each layer is to be seen as it
    was trained, dropout left out.

    Raises RunError when arrays are missing or of another shape, MissingExtra without the package onnx.
    """
    check_state(plan.weights(), state)
    graph = Graph(state)
    features = graph.run(plan.layers[:-1], _pixels(graph, plan, preprocess))
    embedding = graph.add("Identity", [features], "embedding")
    logits = _logits(graph, plan, embedding)
    graph.probabilities(logits)
    return _serialized(graph, plan)


def _pixels(graph: Graph, plan: Plan, preprocess: PreprocessSpec) -> str:
    """Normalised before any padding, so that zeros around a photo mean the same as in training."""
    scale, offset = (np.array(values, dtype=np.float32) for values in preprocess.affine())
    if not isinstance(plan.layers[0], Flatten):
        return channels_first(graph, scale.reshape(-1, 1, 1), offset.reshape(-1, 1, 1))
    graph.channels_last = True
    real = graph.add("Cast", ["photos"], "pixels", to=_FLOAT)
    # Numbers for a whole row: ONNX Runtime takes ten times as long for three that repeat.
    row = (plan.size[1], 1)
    return _normalised(graph, real, np.tile(scale, row), np.tile(offset, row))


def channels_first(graph: Graph, scale: NDArray[Any], offset: NDArray[Any]) -> str:
    """Normalised pixels (n, 3, H, W): transposed while they are bytes, a quarter of what they are as numbers.

    scale, offset: (3, 1, 1); for numbers of channels that alternate, ONNX Runtime takes ten times as long
    """
    turned = graph.add("Transpose", ["photos"], "pixels_channels_first", perm=_TO_CHANNELS_FIRST)
    real = graph.add("Cast", [turned], "pixels", to=_FLOAT)
    return _normalised(graph, real, scale, offset)


def _normalised(graph: Graph, real: str, scale: NDArray[Any], offset: NDArray[Any]) -> str:
    scaled = graph.add("Mul", [real, graph.constant("scale", scale)], "pixels_scaled")
    return graph.add("Add", [scaled, graph.constant("offset", offset)], "pixels_normalised")


def _logits(graph: Graph, plan: Plan, embedding: str) -> str:
    if not plan.sigmoid:
        return graph.dense(plan.head, embedding, "logits")
    # Softmax of [0, z] is [1 - sigmoid(z), sigmoid(z)].
    before = graph.constant("zero_before", np.array([0, 1, 0, 0], dtype=np.int64))
    return graph.add("Pad", [graph.dense(plan.head, embedding, plan.head.name), before], "logits")


_FLOAT = 1  # TensorProto.FLOAT
_ACTIVATIONS = {"relu": "Relu", "gelu": "Gelu", "tanh": "Tanh"}


class Graph:
    """Nodes and constants so far. Every method returns the name of the value that it made."""

    def __init__(self, state: State) -> None:
        self.state = state
        self.nodes: list[Any] = []
        self.constants: dict[str, NDArray[Any]] = {}
        self.channels_last = False
        self._counts: dict[str, int] = {}

    def add(self, kind: str, inputs: list[str], output: str, **attributes: Any) -> str:
        return self.add_all(kind, inputs, [output], **attributes)[0]

    def add_all(self, kind: str, inputs: list[str], outputs: list[str], **attributes: Any) -> list[str]:
        """A node with several outputs, named as the first of them."""
        make = onnx_package().helper.make_node
        self.nodes.append(make(kind, inputs, outputs, name=outputs[0], **attributes))
        return outputs

    def constant(self, name: str, value: NDArray[Any]) -> str:
        self.constants[name] = value
        return name

    def number(self, kind: str) -> str:
        """A name for a layer that has none: relu1, relu2, …"""
        self._counts[kind] = self._counts.get(kind, 0) + 1
        return f"{kind}{self._counts[kind]}"

    def run(self, layers: Iterable[HeadLayer], x: str) -> str:
        for layer in layers:
            x = votes(self, layer, x) if isinstance(layer, Neighbours) else self.step(layer, x)
        return x

    def step(self, layer: Layer, x: str) -> str:
        match layer:
            case Conv():
                return self.conv(layer, x)
            case BatchNorm(name=name):
                arrays = [self.array(key) for key in layer.weights()]
                return self.add("BatchNormalization", [x, *arrays], name, epsilon=EPSILON)
            case Activation(kind=kind):
                return self.activation(kind, x)
            case Pool(size=size):
                square = [size, size]
                return self.add("MaxPool", [x], self.number("pool"), kernel_shape=square, strides=square)
            case GlobalPool():
                return self.add("Flatten", [self.add("GlobalAveragePool", [x], "average")], "features")
            case Flatten():
                return self.flatten(x)
            case Dropout():
                return x
            case Dense(name=name):
                return self.dense(layer, x, name)
            case Residual(name=name, body=body, shortcut=shortcut):
                return self.add("Add", [self.run(shortcut, x), self.run(body, x)], name)

    def probabilities(self, logits: str) -> str:
        temperature = self.constant("temperature", np.ones(1, dtype=np.float32))
        scaled = self.add("Div", [logits, temperature], "scaled")
        return self.add("Softmax", [scaled], "probabilities", axis=1)

    def array(self, key: str) -> str:
        return self.constant(key, np.ascontiguousarray(self.state[key], dtype=np.float32))

    def conv(self, layer: Conv, x: str) -> str:
        before, after = layer.padding
        arrays = [self.array(key) for key in layer.weights()]
        return self.add(
            "Conv",
            [x, *arrays],
            layer.name,
            kernel_shape=[layer.kernel] * 2,
            strides=[layer.stride] * 2,
            pads=[before, before, after, after],
        )

    def dense(self, layer: Dense, x: str, output: str) -> str:
        arrays = [self.array(key) for key in layer.weights()]
        return self.add("Gemm", [x, *arrays], output, transB=1)

    def activation(self, kind: str, x: str) -> str:
        name = self.number(kind)
        if kind == "silu":
            return self.add("Mul", [x, self.add("Sigmoid", [x], f"{name}_sigmoid")], name)
        return self.add(_ACTIVATIONS[kind], [x], name)

    def flatten(self, x: str) -> str:
        if not self.channels_last:
            x = self.add("Transpose", [x], "features_channels_last", perm=_TO_CHANNELS_LAST)
        return self.add("Flatten", [x], "features", axis=1)


def _serialized(graph: Graph, plan: Plan) -> bytes:
    onnx = onnx_package()
    helper, tensor, info = onnx.helper, onnx.TensorProto, onnx.helper.make_tensor_value_info
    widths = {"probabilities": plan.classes, "logits": plan.classes, "embedding": plan.embedding}
    made = helper.make_graph(
        graph.nodes,
        "sortograph",
        [info("photos", tensor.UINT8, ["n", *plan.size, 3])],
        [info(name, tensor.FLOAT, ["n", width]) for name, width in widths.items()],
        [onnx.numpy_helper.from_array(value, name) for name, value in graph.constants.items()],
    )
    return serialized_model(made)


def serialized_model(graph: Any) -> bytes:
    """A finished onnx.GraphProto as the bytes of a model."""
    helper = onnx_package().helper
    model = helper.make_model(
        graph,
        opset_imports=[helper.make_opsetid("", OPSET)],
        ir_version=IR_VERSION,
        producer_name="sortograph",
    )
    data: bytes = model.SerializeToString()
    return data


def check_state(weights: Weights, state: State) -> None:
    """Raises RunError for arrays that are missing or of another shape than `weights` says."""
    wrong = []
    for name, shape in weights.items():
        if name not in state:
            wrong.append(f"{name} is missing")
        elif tuple(state[name].shape) != shape:
            wrong.append(f"{name} is {tuple(state[name].shape)}, not {shape}")
    if wrong:
        raise RunError(
            f"weights of another network: {listed(wrong, 5, '; ')}",
            expected="the weights that were trained with this recipe, photo size and number of classes",
            fix="sortograph train PHOTOS --recipe RUN/recipe.toml",
        )


def onnx_package() -> Any:
    try:
        import onnx
    except ImportError:
        raise MissingExtra.of("train", "onnx") from None
    return onnx
