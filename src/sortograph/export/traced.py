"""The graph of a backbone, written node by node from what happens in its `forward`.

torch.fx follows a photo through the network symbolically; convolutions, normalisation, activations, pooling
and sums are then written as they stand. That takes tenths of a second where torch.onnx.export takes ten, and
most convolutional networks consist of no more. Whatever is not known here is left to torch: `traced_graph`
returns None. Nothing that it writes is to be trusted before it was compared with the network.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor, fx, nn

from sortograph.bundle import guard
from sortograph.export.graph import Graph, channels_first, onnx_package, serialized_model
from sortograph.export.steps import ACTIVATIONS, FUNCTIONS, METHODS, MODULES, PASSED, Unknown, array
from sortograph.models.embedding import EmbeddingNetwork

OUTPUT = "embedding"


def traced_graph(network: EmbeddingNetwork, size: tuple[int, int]) -> bytes | None:
    """A serialized ModelProto from `photos` uint8 (n, H, W, 3) RGB to `embedding` float32 (n, D).

    network: in evaluation mode, on the CPU, in float32; size: (H, W)

    None where the network does what cannot be written here. Raises MissingExtra without the package onnx.
    """
    onnx = onnx_package()
    try:
        writer = Writer(_followed(network.body, size))
        embedding = writer.write(_pixels(writer.graph, network))
    except Exception:  # whatever the code of any network may raise when it is given symbols for numbers
        return None
    writer.graph.add("Identity", [embedding], OUTPUT)
    helper, kind, info = onnx.helper, onnx.TensorProto, onnx.helper.make_tensor_value_info
    made = helper.make_graph(
        writer.graph.nodes,
        "sortograph",
        [info(guard.INPUT, kind.UINT8, ["n", *size, 3])],
        [info(OUTPUT, kind.FLOAT, ["n", writer.width])],
        [onnx.numpy_helper.from_array(value, name) for name, value in writer.graph.constants.items()],
    )
    return serialized_model(made)


def _pixels(graph: Graph, network: EmbeddingNetwork) -> str:
    scale, offset = (array(getattr(network, name)[0]) for name in ("scale", "offset"))
    return channels_first(graph, scale, offset)


class _Tracer(fx.Tracer):
    """Convolutions and batch normalisation stay whole, also those that a library derives from torch's."""

    def is_leaf_module(self, m: nn.Module, module_qualified_name: str) -> bool:
        return isinstance(m, nn.Conv2d | nn.BatchNorm2d) or super().is_leaf_module(m, module_qualified_name)


class _Shapes(fx.Interpreter):
    """Notes the shape of each value."""

    def run_node(self, n: fx.Node) -> Any:
        value = super().run_node(n)
        if isinstance(value, Tensor):
            n.meta["shape"] = tuple(value.shape)
        return value


def _followed(body: nn.Module, size: tuple[int, int]) -> fx.GraphModule:
    """What the network does with one photo, each value with its shape."""
    module = fx.GraphModule(body, _Tracer().trace(body))
    with torch.inference_mode():
        _Shapes(module).run(torch.zeros(1, 3, *size))
    return module


class Writer:
    """Writes the nodes that a network's output depends on.

    width: how many numbers the output has; known after `write`
    """

    def __init__(self, module: fx.GraphModule) -> None:
        self.graph = Graph({})
        self.width = 0
        self._module = module
        self._names: dict[fx.Node, str] = {}
        self._folded: set[fx.Node] = set()

    def write(self, pixels: str) -> str:
        """The name of the output, for the name of the input. Raises Unknown."""
        steps = list(self._module.graph.nodes)
        (end,) = (step for step in steps if step.op == "output")
        result = end.args[0]
        if not isinstance(result, fx.Node) or len(result.meta["shape"]) != 2:
            raise Unknown("an output that is no vector for each photo")
        self.width = result.meta["shape"][1]
        needed = _needed(result)
        for step in steps:
            if step in needed:
                self._names[step] = pixels if step.op == "placeholder" else self._step(step)
        return self._names[result]

    def _step(self, step: fx.Node) -> str:
        if step.op == "call_module":
            return self._module_step(step)
        if step.op == "call_function" and step.target in FUNCTIONS:
            return FUNCTIONS[step.target](self, step)
        if step.op == "call_method" and step.target in METHODS:
            return METHODS[step.target](self, step)
        raise Unknown(str(step.target))

    def _module_step(self, step: fx.Node) -> str:
        module = self._module.get_submodule(str(step.target))
        if len(step.args) != 1 or step.kwargs or module.training:
            raise Unknown(str(step.target))
        if isinstance(module, nn.Conv2d):
            return self._conv(step, module)
        if isinstance(module, nn.BatchNorm2d):
            return self._batch_norm(step, module)
        if type(module) in PASSED:
            return self.name(step.args[0])
        if type(module) in ACTIVATIONS:
            return self.activation(step.name, module, self.name(step.args[0]))
        if type(module) in MODULES:
            return MODULES[type(module)](self, step, module)
        raise Unknown(type(module).__name__)

    def name(self, value: Any) -> str:
        """Of a value; a number becomes a constant."""
        if isinstance(value, fx.Node):
            return self._names[value]
        if isinstance(value, int | float):
            return self.graph.constant(self.graph.number("number"), np.array(value, dtype=np.float32))
        raise Unknown(f"{type(value).__name__} in the place of a value")

    def activation(self, name: str, module: nn.Module, x: str) -> str:
        return ACTIVATIONS[type(module)](self.graph, x, name, module)

    def _conv(self, step: fx.Node, module: nn.Conv2d) -> str:
        if module.padding_mode != "zeros":
            raise Unknown(module.padding_mode)
        weight = module.weight.detach().double()
        bias = None if module.bias is None else module.bias.detach().double()
        after = self._folds(step)
        if after is not None:
            weight, bias = _fold(weight, bias, after)
        name = step.name
        arrays = [self.graph.constant(f"{name}.weight", array(weight))]
        if bias is not None:
            arrays.append(self.graph.constant(f"{name}.bias", array(bias)))
        return self.graph.add(
            "Conv",
            [self.name(step.args[0]), *arrays],
            name,
            kernel_shape=list(module.kernel_size),
            strides=list(module.stride),
            dilations=list(module.dilation),
            group=module.groups,
            pads=_pads(module, step.args[0]),
        )

    def _folds(self, step: fx.Node) -> nn.BatchNorm2d | None:
        """The normalisation that follows a convolution, and nothing else: its factors go into the weights."""
        (user, *others) = step.users
        if others or user.op != "call_module":
            return None
        module = self._module.get_submodule(str(user.target))
        if not isinstance(module, nn.BatchNorm2d) or module.running_var is None:
            return None
        self._folded.add(user)
        return module

    def _batch_norm(self, step: fx.Node, module: nn.BatchNorm2d) -> str:
        x = self.name(step.args[0])
        if step not in self._folded:
            factor, offset = _affine(module)
            arrays = [("factor", factor), ("offset", offset)]
            names = [
                self.graph.constant(f"{step.name}.{name}", array(value)[:, None, None])
                for name, value in arrays
            ]
            scaled = self.graph.add("Mul", [x, names[0]], f"{step.name}_scaled")
            x = self.graph.add("Add", [scaled, names[1]], f"{step.name}_shifted")
        return self._after_norm(step, module, x)

    def _after_norm(self, step: fx.Node, module: nn.BatchNorm2d, x: str) -> str:
        """timm has a class that is normalisation, dropout and activation at once."""
        if type(module) is nn.BatchNorm2d:
            return x
        if type(module).__name__ != "BatchNormAct2d":
            raise Unknown(type(module).__name__)
        for part in (module.drop, module.act):
            assert isinstance(part, nn.Module)
            if type(part) in ACTIVATIONS:
                x = self.activation(step.name, part, x)
            elif type(part) not in PASSED:
                raise Unknown(type(part).__name__)
        return x


def _needed(result: fx.Node) -> set[fx.Node]:
    """The output and all that it depends on; not what only checks."""
    needed: set[fx.Node] = set()
    waiting = [result]
    while waiting:
        step = waiting.pop()
        if step not in needed:
            needed.add(step)
            waiting += step.all_input_nodes
    return needed


def _fold(weight: Tensor, bias: Tensor | None, norm: nn.BatchNorm2d) -> tuple[Tensor, Tensor]:
    factor, offset = _affine(norm)
    shifted = offset if bias is None else offset + bias * factor
    return weight * factor[:, None, None, None], shifted


def _affine(norm: nn.BatchNorm2d) -> tuple[Tensor, Tensor]:
    """What it multiplies by and adds, float64 (C,)."""
    if norm.running_mean is None or norm.running_var is None:
        raise Unknown("normalisation by the batch")
    mean, var = norm.running_mean.double(), norm.running_var.double()
    factor = (var + norm.eps).rsqrt()
    if norm.weight is not None:
        factor = factor * norm.weight.detach().double()
    offset = -mean * factor
    return factor, offset if norm.bias is None else offset + norm.bias.detach().double()


def _pads(module: nn.Conv2d, x: Any) -> list[int]:
    """As ONNX has them: above, left, below, right."""
    if type(module).__name__ == "Conv2dSame":  # timm's, which pads as TensorFlow does
        sides = zip(x.meta["shape"][2:], module.kernel_size, module.stride, module.dilation, strict=True)
        around = [max((-(-side // s) - 1) * s + (k - 1) * d + 1 - side, 0) for side, k, s, d in sides]
        return [*(pad // 2 for pad in around), *(pad - pad // 2 for pad in around)]
    if type(module) is not nn.Conv2d or isinstance(module.padding, str):
        raise Unknown(type(module).__name__)
    return [*module.padding, *module.padding]
