"""Backbones and a head as one model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from sortograph.errors import BundleError, MissingExtra, RunError
from sortograph.export.graph import OPSET, Graph, State, check_state, onnx_package, serialized_model
from sortograph.models.head import HeadPlan

PHOTOS, EMBEDDING = "photos", "embedding"


def compose(backbones: Sequence[bytes], plan: HeadPlan, state: State, *, mirror: bool = False) -> bytes:
    """A serialized ModelProto that a bundle may hold: backbones, then the head on what they make of a photo.

    backbones: graphs from `photos` uint8 (n, H, W, 3) to `embedding` float32 (n, D); all see the same photos,
               their embeddings are joined in this order
    state: the arrays that `plan.weights()` names; others are not looked at
    mirror: each embedding is the mean of the photo's and its mirror image's

    Input and outputs are those of `to_onnx`; `embedding` is what the head takes. Names of a backbone's nodes
    begin with "backbone/", or "backbone2/" and so on from the second; notes of its maker are left out.

    Raises RunError when arrays of the head are missing or of another shape, or when backbones see photos of
    different sizes or make other embeddings than the head takes; BundleError for graphs that are no
    backbones; MissingExtra without the package onnx.
    """
    check_state(plan.weights(), state)
    parts = [_Part(graph, "backbone/" if not k else f"backbone{k + 1}/") for k, graph in enumerate(backbones)]
    height, width = _agreed(parts, plan)
    graph = Graph(state)
    photos = _with_mirror_images(graph) if mirror else PHOTOS
    before, graph.nodes = graph.nodes, []
    made = [part.join(photos) for part in parts]
    _head(graph, plan, made, mirror)
    nodes = [*before, *(node for part in parts for node in part.graph.node), *graph.nodes]
    return _serialized(graph, nodes, parts, (height, width, plan))


def _with_mirror_images(graph: Graph) -> str:
    """The photos, then their mirror images: the backbones run once on all of them."""
    # From the last column to before the first, which no index but the most negative one names.
    limits = {"start": -1, "end": np.iinfo(np.int64).min, "axis": 2, "step": -1}
    slices = [graph.constant(f"mirror.{name}", np.array([n], dtype=np.int64)) for name, n in limits.items()]
    mirrored = graph.add("Slice", [PHOTOS, *slices], "mirror_images")
    return graph.add("Concat", [PHOTOS, mirrored], "both", axis=0)


def _head(graph: Graph, plan: HeadPlan, made: list[str], mirror: bool) -> None:
    joined = graph.add("Concat", made, "joined", axis=1) if len(made) > 1 else made[0]
    if mirror:
        pairs = graph.constant("pairs", np.array([2, -1, plan.inputs], dtype=np.int64))
        axis = graph.constant("pair_axis", np.zeros(1, dtype=np.int64))
        apart = graph.add("Reshape", [joined, pairs], "by_image")
        graph.add("ReduceMean", [apart, axis], EMBEDDING, keepdims=0)
    else:
        graph.add("Identity", [joined], EMBEDDING)
    logits = graph.run(plan.layers, EMBEDDING)
    graph.probabilities(graph.add("Identity", [logits], "logits"))


class _Part:
    """One backbone, its names made its own."""

    def __init__(self, data: bytes, prefix: str) -> None:
        onnx, model = onnx_package(), _read(data)
        if any(one.version != OPSET for one in model.opset_import if not one.domain):
            model = onnx.version_converter.convert_version(model, OPSET)
        self.graph = model.graph
        self._prefix = prefix
        self.size, self.width = _shapes(self.graph)

    def join(self, photos: str) -> str:
        """Renames everything, with `photos` for the input; returns the name of the embedding."""
        for node in self.graph.node:
            node.name = self._renamed(node.name, photos)
            node.doc_string = ""
            del node.metadata_props[:]  # exporters write here where in which file of theirs a node was made
            for names in (node.input, node.output):
                names[:] = [self._renamed(name, photos) for name in names]
        for tensor in self.graph.initializer:
            tensor.name = self._renamed(tensor.name, photos)
        return self._prefix + EMBEDDING

    def _renamed(self, name: str, photos: str) -> str:
        # An input that is left out is named "".
        return photos if name == PHOTOS else name and self._prefix + name


def _read(data: bytes) -> Any:
    try:
        return onnx_package().load_from_string(data)
    except MissingExtra:
        raise
    except Exception as error:  # of protobuf, which makes no promise which
        raise BundleError(f"a backbone's graph cannot be read ({error})") from None


def _shapes(graph: Any) -> tuple[tuple[int, int], int]:
    """(height, width) of the photos and D of a backbone's graph. Raises BundleError for other graphs."""
    shapes = {put.name: _dims(put) for put in (*graph.input, *graph.output)}
    photos, embedding = shapes.get(PHOTOS, []), shapes.get(EMBEDDING, [])
    fits = len(photos) == 4 and len(embedding) == 2 and len(shapes) == 2
    if not (fits and min(photos[1:]) > 0 and embedding[1] > 0):
        raise BundleError(
            f"a graph with {', '.join(f'{name} {shape}' for name, shape in shapes.items())}",
            expected="a backbone: from photos (n, H, W, 3) to embedding (n, D)",
        )
    return (photos[1], photos[2]), embedding[1]


def _dims(put: Any) -> list[int]:
    """Sides as numbers; 0 for those that are not fixed."""
    return [int(side.dim_value) for side in put.type.tensor_type.shape.dim]


def _agreed(parts: Sequence[_Part], plan: HeadPlan) -> tuple[int, int]:
    sizes = {part.size for part in parts}
    if len(sizes) != 1 or sum(part.width for part in parts) != plan.inputs:
        told = ", ".join(f"{part.size[0]}×{part.size[1]} photos to {part.width} numbers" for part in parts)
        raise RunError(
            f"backbones from {told} for a head of {plan.inputs} inputs",
            expected="photos of one size, and together as many numbers as the head takes",
            fix="sortograph train PHOTOS",
        )
    return sizes.pop()


def _serialized(
    graph: Graph, nodes: Sequence[Any], parts: Sequence[_Part], form: tuple[int, int, HeadPlan]
) -> bytes:
    onnx = onnx_package()
    helper, tensor, info = onnx.helper, onnx.TensorProto, onnx.helper.make_tensor_value_info
    height, width, plan = form
    widths: Mapping[str, int] = {
        "probabilities": plan.classes,
        "logits": plan.classes,
        EMBEDDING: plan.inputs,
    }
    arrays = [onnx.numpy_helper.from_array(value, name) for name, value in graph.constants.items()]
    made = helper.make_graph(
        nodes,
        "sortograph",
        [info(PHOTOS, tensor.UINT8, ["n", height, width, 3])],
        [info(name, tensor.FLOAT, ["n", size]) for name, size in widths.items()],
        [*(array for part in parts for array in part.graph.initializer), *arrays],
    )
    return serialized_model(made)
