"""Operations of networks as nodes of a graph: what `traced` can write, by module, function and method."""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, fx, nn

from sortograph.export.graph import Graph

if TYPE_CHECKING:
    from sortograph.export.traced import Writer

_PLANE = [2, 3]
_LARGEST = float(np.finfo(np.float32).max)


class Unknown(Exception):
    """Something that is left to torch's own exporter."""


def array(values: Tensor) -> NDArray[np.float32]:
    return np.ascontiguousarray(values.detach().float().numpy())


def _plain(kind: str, **attributes: Any) -> Callable[[Graph, str, str, Any], str]:
    """An activation that is one operator."""
    return lambda graph, x, name, _: graph.add(kind, [x], name, **attributes)


def _silu(graph: Graph, x: str, name: str, _module: Any) -> str:
    return graph.add("Mul", [x, graph.add("Sigmoid", [x], f"{name}_sigmoid")], name)


def _clip(graph: Graph, x: str, name: str, low: float, high: float) -> str:
    ends = [
        graph.constant(f"{name}.{end}", np.array(value, dtype=np.float32))
        for end, value in (("low", low), ("high", high))
    ]
    return graph.add("Clip", [x, *ends], name)


def _relu6(graph: Graph, x: str, name: str, _module: Any) -> str:
    return _clip(graph, x, name, 0, 6)


def _gelu(graph: Graph, x: str, name: str, module: nn.GELU) -> str:
    return graph.add("Gelu", [x], name, approximate=module.approximate)


def _leaky(graph: Graph, x: str, name: str, module: nn.LeakyReLU) -> str:
    return graph.add("LeakyRelu", [x], name, alpha=module.negative_slope)


ACTIVATIONS: Mapping[type, Callable[[Graph, str, str, Any], str]] = {
    nn.ReLU: _plain("Relu"),
    nn.ReLU6: _relu6,
    nn.SiLU: _silu,
    nn.Hardswish: _plain("HardSwish"),
    nn.Hardsigmoid: _plain("HardSigmoid", alpha=1 / 6, beta=0.5),
    nn.Sigmoid: _plain("Sigmoid"),
    nn.Tanh: _plain("Tanh"),
    nn.GELU: _gelu,
    nn.LeakyReLU: _leaky,
    nn.ELU: lambda graph, x, name, module: graph.add("Elu", [x], name, alpha=module.alpha),
    nn.Mish: _plain("Mish"),
}
PASSED = frozenset((nn.Identity, nn.Dropout, nn.Dropout2d))


def _max_pool(writer: Writer, step: fx.Node, module: nn.MaxPool2d) -> str:
    if module.return_indices:
        raise Unknown("places of the largest")
    return _pool(writer, step, "MaxPool", module, dilations=_pair(module.dilation))


def _average_pool(writer: Writer, step: fx.Node, module: nn.AvgPool2d) -> str:
    if module.divisor_override is not None:
        raise Unknown("divisor_override")
    return _pool(writer, step, "AveragePool", module, count_include_pad=int(module.count_include_pad))


def _pool(writer: Writer, step: fx.Node, kind: str, module: Any, **attributes: Any) -> str:
    around = _pair(module.padding)
    return writer.graph.add(
        kind,
        [writer.name(step.args[0])],
        step.name,
        kernel_shape=_pair(module.kernel_size),
        strides=_pair(module.stride),
        pads=[*around, *around],
        ceil_mode=int(module.ceil_mode),
        **attributes,
    )


def _pair(value: Any) -> list[int]:
    return [value, value] if isinstance(value, int) else list(value)


def _to_one(writer: Writer, step: fx.Node, size: Any, kind: str) -> str:
    if size not in (1, (1, 1), [1, 1]):
        raise Unknown(f"pooling to {size}")
    return writer.graph.add(kind, [writer.name(step.args[0])], step.name)


def _linear(writer: Writer, step: fx.Node, module: nn.Linear) -> str:
    if len(_shape(step.args[0])) != 2:
        raise Unknown("a dense layer on more than a vector")
    arrays = [writer.graph.constant(f"{step.name}.weight", array(module.weight))]
    if module.bias is not None:
        arrays.append(writer.graph.constant(f"{step.name}.bias", array(module.bias)))
    return writer.graph.add("Gemm", [writer.name(step.args[0]), *arrays], step.name, transB=1)


def _flatten_module(writer: Writer, step: fx.Node, module: nn.Flatten) -> str:
    return _flattened(writer, step, module.start_dim, module.end_dim)


MODULES: Mapping[type, Callable[[Writer, fx.Node, Any], str]] = {
    nn.MaxPool2d: _max_pool,
    nn.AvgPool2d: _average_pool,
    nn.AdaptiveAvgPool2d: lambda w, step, module: _to_one(w, step, module.output_size, "GlobalAveragePool"),
    nn.AdaptiveMaxPool2d: lambda w, step, module: _to_one(w, step, module.output_size, "GlobalMaxPool"),
    nn.Linear: _linear,
    nn.Flatten: _flatten_module,
}


def _shape(value: Any) -> tuple[int, ...]:
    shape: tuple[int, ...] = value.meta["shape"]
    return shape


def _flattened(writer: Writer, step: fx.Node, first: int = 0, last: int = -1) -> str:
    rank = len(_shape(step.args[0]))
    if first != 1 or last not in (-1, rank - 1):
        raise Unknown("flattened otherwise than photo by photo")
    return writer.graph.add("Flatten", [writer.name(step.args[0])], step.name, axis=1)


def _two(kind: str) -> Callable[[Writer, fx.Node], str]:
    def write(writer: Writer, step: fx.Node) -> str:
        if len(step.args) != 2 or step.kwargs:
            raise Unknown(kind)
        return writer.graph.add(kind, [writer.name(value) for value in step.args], step.name)

    return write


def _active(module: nn.Module) -> Callable[[Writer, fx.Node], str]:
    """The function of an activation; `inplace` and nothing else may be said of it."""

    def write(writer: Writer, step: fx.Node) -> str:
        if len(step.args) != 1 or set(step.kwargs) - {"inplace"}:
            raise Unknown(str(step.target))
        return writer.activation(step.name, module, writer.name(step.args[0]))

    return write


def _asked(step: fx.Node, *names: str) -> dict[str, Any]:
    """The arguments after the first, by their names. Raises Unknown for others."""
    given = dict(zip(names, step.args[1:], strict=False)) | dict(step.kwargs)
    if len(step.args) > 1 + len(names) or set(given) - set(names):
        raise Unknown(f"arguments of {step.target}")
    return given


def _cat(writer: Writer, step: fx.Node) -> str:
    axis = _asked(step, "dim").get("dim", 0)
    parts = step.args[0]
    if not isinstance(parts, list | tuple) or axis == 0:
        raise Unknown("photos joined with each other")
    return writer.graph.add("Concat", [writer.name(part) for part in parts], step.name, axis=axis)


def _mean(writer: Writer, step: fx.Node) -> str:
    asked = _asked(step, "dim", "keepdim")
    rank = len(_shape(step.args[0]))
    axes = asked.get("dim")
    given = [axes] if isinstance(axes, int) else list(axes or ())
    if rank != 4 or sorted(axis % rank for axis in given) != _PLANE:
        raise Unknown("a mean over other than the plane")
    average = writer.graph.add("GlobalAveragePool", [writer.name(step.args[0])], f"{step.name}_plane")
    return average if asked.get("keepdim") else writer.graph.add("Flatten", [average], step.name, axis=1)


def _flatten(writer: Writer, step: fx.Node) -> str:
    asked = _asked(step, "start_dim", "end_dim")
    return _flattened(writer, step, asked.get("start_dim", 0), asked.get("end_dim", -1))


def _adaptive(writer: Writer, step: fx.Node) -> str:
    return _to_one(writer, step, _asked(step, "output_size")["output_size"], "GlobalAveragePool")


def _clamped(writer: Writer, step: fx.Node) -> str:
    asked = _asked(step, "min", "max")
    low, high = asked.get("min"), asked.get("max")
    ends = (-_LARGEST if low is None else low, _LARGEST if high is None else high)
    return _clip(writer.graph, writer.name(step.args[0]), step.name, *ends)


def _same(writer: Writer, step: fx.Node) -> str:
    return writer.name(step.args[0])


def _dropped(writer: Writer, step: fx.Node) -> str:
    if _asked(step, "p", "training", "inplace").get("training", True):
        raise Unknown("dropout that is at work")
    return _same(writer, step)


FUNCTIONS: Mapping[Any, Callable[[Writer, fx.Node], str]] = {
    **dict.fromkeys((operator.add, operator.iadd, torch.add), _two("Add")),
    **dict.fromkeys((operator.sub, torch.sub), _two("Sub")),
    **dict.fromkeys((operator.mul, operator.imul, torch.mul), _two("Mul")),
    **dict.fromkeys((operator.truediv, torch.div), _two("Div")),
    **dict.fromkeys((F.relu, torch.relu), _active(nn.ReLU())),
    **dict.fromkeys((torch.sigmoid, F.sigmoid), _active(nn.Sigmoid())),
    F.relu6: _active(nn.ReLU6()),
    F.silu: _active(nn.SiLU()),
    F.hardswish: _active(nn.Hardswish()),
    F.hardsigmoid: _active(nn.Hardsigmoid()),
    F.gelu: _active(nn.GELU()),
    torch.tanh: _active(nn.Tanh()),
    **dict.fromkeys((torch.cat, torch.concat), _cat),
    torch.flatten: _flatten,
    torch.mean: _mean,
    F.adaptive_avg_pool2d: _adaptive,
    F.dropout: _dropped,
}
METHODS: Mapping[Any, Callable[[Writer, fx.Node], str]] = {
    **dict.fromkeys(("add", "add_"), _two("Add")),
    **dict.fromkeys(("mul", "mul_"), _two("Mul")),
    **dict.fromkeys(("div", "div_"), _two("Div")),
    **dict.fromkeys(("relu", "relu_"), _active(nn.ReLU())),
    **dict.fromkeys(("sigmoid", "sigmoid_"), _active(nn.Sigmoid())),
    **dict.fromkeys(("clamp", "clamp_"), _clamped),
    "flatten": _flatten,
    "mean": _mean,
    "contiguous": _same,
}
