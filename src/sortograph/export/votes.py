"""The nodes of the layer `Neighbours`: the same arithmetic as `models.head` has in NumPy."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from sortograph.models.layers import LEAST_LENGTH, VOTE_FLOOR, VOTE_TEMPERATURE, Neighbours

if TYPE_CHECKING:
    from sortograph.export.graph import Graph


def votes(graph: Graph, layer: Neighbours, x: str) -> str:
    """Adds the nodes from embeddings `x` (n, D) to logits (n, C); returns the name of the logits."""
    add = _Named(graph, layer.name)
    features, labels, centre = layer.weights()
    likeness = add("MatMul", [_unit(add, x, graph.array(centre)), add.transposed(features)], "likeness")
    best, rows = add.two("TopK", [likeness, add.whole("neighbours", layer.neighbours)], ("best", "rows"))
    axis = add.whole("axis", 1)
    behind = add("Sub", [best, add("ReduceMax", [best, axis], "most", keepdims=1)], "behind")
    weights = add(
        "Exp", [add("Div", [behind, add.real("temperature", VOTE_TEMPERATURE)], "scaled")], "weights"
    )
    chosen = add("Gather", [graph.array(labels), rows], "chosen", axis=0)
    sums = add("MatMul", [add("Unsqueeze", [weights, axis], "weights_row"), chosen], "sums_row")
    floored = add("Add", [add("Squeeze", [sums, axis], "sums"), add.real("floor", VOTE_FLOOR)], "floored")
    return graph.add("Log", [floored], layer.name)


def _unit(add: _Named, x: str, centre: str) -> str:
    """Vectors from the centre, of length 1."""
    moved = add("Sub", [x, centre], "moved")
    length = add("ReduceL2", [moved, add.whole("last_axis", 1)], "length", keepdims=1)
    return add("Div", [moved, add("Max", [length, add.real("least", LEAST_LENGTH)], "divisor")], "unit")


class _Named:
    """Adds nodes and constants whose names begin with that of a layer."""

    def __init__(self, graph: Graph, name: str) -> None:
        self._graph, self._name = graph, name

    def __call__(self, kind: str, inputs: list[str], output: str, **attributes: Any) -> str:
        return self._graph.add(kind, inputs, f"{self._name}_{output}", **attributes)

    def two(self, kind: str, inputs: list[str], outputs: tuple[str, str]) -> list[str]:
        return self._graph.add_all(kind, inputs, [f"{self._name}_{output}" for output in outputs])

    def whole(self, name: str, value: int) -> str:
        return self._graph.constant(f"{self._name}.{name}", np.array([value], dtype=np.int64))

    def real(self, name: str, value: float) -> str:
        return self._graph.constant(f"{self._name}.{name}", np.array([value], dtype=np.float32))

    def transposed(self, key: str) -> str:
        array = np.asarray(self._graph.state[key], dtype=np.float32)
        return self._graph.constant(key, np.ascontiguousarray(array.T))
