"""A further output of a bundle: how like a photo is to those of training."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from sortograph.bundle import guard
from sortograph.export.graph import Graph, onnx_package

_FLOAT = 1  # TensorProto.FLOAT
_TINY = 1e-12


def with_likeness(graph: bytes, prototypes: NDArray[np.floating]) -> bytes:
    """A graph that a bundle may hold, with the output `likeness` float32 (n,), −1–1.

    It is the cosine between the embedding and the nearest of the prototypes, unit vectors (K, D), which are
    kept in half precision.
    """
    onnx = onnx_package()
    model = onnx.load_from_string(graph)
    made = Graph({})
    half = made.constant("prototypes", prototypes.T.astype(np.float16))
    table = made.add("Cast", [half], "prototypes_float", to=_FLOAT)
    axis = made.constant("likeness_axis", np.ones(1, dtype=np.int64))
    tiny = made.constant("likeness_tiny", np.array([_TINY], dtype=np.float32))
    length = made.add("ReduceL2", ["embedding", axis], "embedding_length", keepdims=1)
    some = made.add("Max", [length, tiny], "embedding_length_some")
    unit = made.add("Div", ["embedding", some], "embedding_unit")
    cosines = made.add("MatMul", [unit, table], "cosines")
    made.add("ReduceMax", [cosines, axis], guard.LIKENESS, keepdims=0)
    model.graph.node.extend(made.nodes)
    model.graph.initializer.extend(onnx.numpy_helper.from_array(v, n) for n, v in made.constants.items())
    output = onnx.helper.make_tensor_value_info(guard.LIKENESS, onnx.TensorProto.FLOAT, ["n"])
    model.graph.output.append(output)
    serialized: bytes = model.SerializeToString(deterministic=True)
    return serialized
