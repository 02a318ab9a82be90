"""The output `likeness` of a bundle."""

from __future__ import annotations

import numpy as np
import onnx
import pytest

from sortograph.bundle import guard
from sortograph.bundle.engine import open_session
from sortograph.evaluation import likeness_to, prototypes
from sortograph.export import to_onnx, with_likeness
from sortograph.models import build, plan
from sortograph.recipe import Model
from sortograph.records import PreprocessSpec

SPEC = PreprocessSpec(size=(16, 16))


@pytest.fixture(scope="module")
def graph() -> bytes:
    layers = plan(Model(filters=(4,), dense=(6,)), SPEC.size, 3)
    state = {name: value.numpy() for name, value in build(layers, SPEC, "keras", 1).state_dict().items()}
    return to_onnx(layers, SPEC, state)


def test_it_is_the_cosine_to_the_nearest_prototype_and_changes_nothing_else(graph: bytes) -> None:
    photos = np.random.default_rng(0).integers(0, 256, (5, 16, 16, 3), dtype=np.uint8)
    names = list(guard.OUTPUTS)
    before = open_session(graph, "before").run(names, {guard.INPUT: photos})
    centres = prototypes(np.random.default_rng(1).normal(size=(40, before[2].shape[1])).astype(np.float32))
    made = with_likeness(graph, centres)
    guard.check(made, "made")
    *after, likeness = open_session(made, "made").run([*names, guard.LIKENESS], {guard.INPUT: photos})
    assert all(np.array_equal(one, other) for one, other in zip(before, after, strict=True))
    assert likeness == pytest.approx(likeness_to(centres, before[2]), abs=1e-5)


def test_photos_whose_embedding_is_nothing_are_like_nothing(graph: bytes) -> None:
    model = onnx.load_from_string(graph)
    for tensor in model.graph.initializer:
        if tensor.name.startswith(("block", "dense")):
            tensor.CopyFrom(onnx.numpy_helper.from_array(0 * onnx.numpy_helper.to_array(tensor), tensor.name))
    made = with_likeness(model.SerializeToString(), np.eye(6, dtype=np.float32))
    photos = np.zeros((2, 16, 16, 3), dtype=np.uint8)
    (likeness,) = open_session(made, "made").run([guard.LIKENESS], {guard.INPUT: photos})
    assert likeness.tolist() == [0.0, 0.0]
