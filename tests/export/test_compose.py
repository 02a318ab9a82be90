from __future__ import annotations

from typing import Any

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from sortograph.bundle.golden import golden_photos
from sortograph.bundle.runtime import Answers, open_bundle
from sortograph.bundle.store import write_bundle
from sortograph.errors import BundleError, MissingExtra, RunError
from sortograph.export import answers_of
from sortograph.export.compose import compose
from sortograph.models.head import HeadPlan, answer, head_plan, linear_plan, neighbours_plan
from sortograph.recipe import Head
from sortograph.records import BundleManifest, PreprocessSpec

SIZE = (5, 4)
PHOTOS = np.random.default_rng(0).integers(0, 256, (6, *SIZE, 3), dtype=np.uint8)
# Pixels on the left count otherwise than those on the right: a mirror image gives another embedding.
COLUMNS = np.linspace(0.5, 2.0, SIZE[1], dtype=np.float32)[:, None]


def backbone(scale: float = 1 / 255, opset: int = 20, size: tuple[int, int] = SIZE) -> bytes:
    """Mean colour after scaling and weighting by column, in float32 (n, 3)."""
    columns = COLUMNS if size == SIZE else np.ones((size[1], 1), dtype=np.float32)
    arrays = {"scale": np.array([scale], dtype=np.float32), "columns": columns, "offset": np.float32([-0.25])}
    nodes = [
        helper.make_node("Cast", ["photos"], ["real"], to=TensorProto.FLOAT, name="cast"),
        helper.make_node("Mul", ["real", "scale"], ["scaled"], name="scaling"),
        helper.make_node("Add", ["scaled", "offset"], ["normal"], name="offsetting"),
        helper.make_node("Mul", ["normal", "columns"], ["weighted"], name="weighting"),
        helper.make_node("Clip", ["weighted", "", ""], ["clipped"], name="clipping"),
        helper.make_node("Transpose", ["clipped"], ["first"], perm=[0, 3, 1, 2], name="transposing"),
        helper.make_node("GlobalAveragePool", ["first"], ["pooled"], name="pooling"),
        helper.make_node("Flatten", ["pooled"], ["embedding"], name="flattening"),
    ]
    nodes[0].metadata_props.add(key="stack", value="/home/someone/file.py")
    info = helper.make_tensor_value_info
    graph = helper.make_graph(
        nodes,
        "small",
        [info("photos", TensorProto.UINT8, ["batch", *size, 3])],
        [info("embedding", TensorProto.FLOAT, ["batch", 3])],
        [numpy_helper.from_array(value, name) for name, value in arrays.items()],
        value_info=[info("scaled", TensorProto.FLOAT, ["batch", *size, 3])],
    )
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=9)
    data: bytes = made.SerializeToString()
    return data


def embedded(photos: NDArray[np.uint8], scale: float = 1 / 255) -> NDArray[np.float32]:
    return ((photos.astype(float) * scale - 0.25) * COLUMNS).mean(axis=(1, 2)).astype(np.float32)


def state_of(plan: HeadPlan) -> dict[str, NDArray[Any]]:
    rng = np.random.default_rng(1)
    made = {name: rng.normal(size=shape).astype(np.float32) for name, shape in plan.weights().items()}
    return {name: np.abs(value) + 0.5 if name.endswith("var") else value for name, value in made.items()}


def remembered(inputs: int, count: int = 9) -> dict[str, NDArray[Any]]:
    features = np.random.default_rng(2).normal(size=(count, inputs)).astype(np.float32)
    return {
        "output.features": features / np.linalg.norm(features, axis=1, keepdims=True),
        "output.labels": np.eye(4, dtype=np.float32)[np.arange(count) % 4],
        "output.centre": np.full(inputs, 0.1, dtype=np.float32),
    }


def through_a_bundle(graph: bytes, folder: Any) -> Answers:
    manifest = BundleManifest(tuple("abcd"), PreprocessSpec(size=SIZE), temperature=1.5)
    write_bundle(folder / "model.onnx", graph, manifest, answers_of(graph, golden_photos(SIZE)).logits)
    bundle = open_bundle(folder / "model.onnx", threads=1)
    assert bundle.replay() < 1e-5
    return bundle.run(PHOTOS)


HEADS = {
    "linear": linear_plan(3, 4),
    "dense": head_plan(Head(dense=(8, 5), batch_norm=True, dropout=0.5, activation="gelu"), 3, 4),
    "silu": head_plan(Head(dense=(8,), activation="silu"), 3, 4),
    "neighbours": neighbours_plan(3, 4, 5, 9),
}


@pytest.mark.parametrize("name", HEADS)
def test_a_bundle_answers_as_backbone_and_head_do(name, tmp_path):
    plan = HEADS[name]
    state = remembered(3) if name == "neighbours" else state_of(plan)
    given = through_a_bundle(compose([backbone()], plan, state), tmp_path)
    logits = answer(plan, state, embedded(PHOTOS))
    np.testing.assert_allclose(given.embedding, embedded(PHOTOS), atol=1e-6)
    np.testing.assert_allclose(given.logits, logits, atol=1e-4)
    powers = np.exp(logits / 1.5)
    np.testing.assert_allclose(given.probabilities, powers / powers.sum(1, keepdims=True), atol=1e-5)


def test_with_mirror_the_embedding_is_the_mean_over_both_images(tmp_path):
    plan = HEADS["linear"]
    given = through_a_bundle(compose([backbone()], plan, state_of(plan), mirror=True), tmp_path)
    there, back = embedded(PHOTOS), embedded(PHOTOS[:, :, ::-1])
    assert np.abs(there - back).max() > 0.01
    np.testing.assert_allclose(given.embedding, (there + back) / 2, atol=1e-6)
    np.testing.assert_allclose(given.logits, answer(plan, state_of(plan), (there + back) / 2), atol=1e-5)


@pytest.mark.parametrize("mirror", [False, True])
def test_embeddings_of_several_backbones_stand_side_by_side(mirror, tmp_path):
    plan = linear_plan(6, 4)
    graph = compose([backbone(), backbone(1 / 100)], plan, state_of(plan), mirror=mirror)
    given = through_a_bundle(graph, tmp_path)
    both = [embedded(PHOTOS), embedded(PHOTOS, 1 / 100)]
    if mirror:
        turned = PHOTOS[:, :, ::-1]
        both = [(a + b) / 2 for a, b in zip(both, (embedded(turned), embedded(turned, 1 / 100)), strict=True)]
    np.testing.assert_allclose(given.embedding, np.concatenate(both, axis=1), atol=1e-6)


def test_the_graph_is_valid_and_keeps_no_note_of_its_maker():
    plan = linear_plan(6, 4)
    data = compose([backbone(), backbone(1 / 100)], plan, state_of(plan), mirror=True)
    model = onnx.load_from_string(data)
    onnx.checker.check_model(model, full_check=True)
    assert model.ir_version == 9
    assert [one.version for one in model.opset_import] == [20]
    names = [node.name for node in model.graph.node]
    assert len(set(names)) == len(names)
    assert {"backbone/cast", "backbone2/cast"} < set(names)
    assert b"someone" not in data
    assert list(model.graph.value_info) == []


def test_one_photo_alone_answers_as_among_others():
    plan = HEADS["linear"]
    graph = compose([backbone()], plan, state_of(plan), mirror=True)
    np.testing.assert_allclose(
        answers_of(graph, PHOTOS[:1]).logits, answers_of(graph, PHOTOS).logits[:1], atol=1e-6
    )


def test_a_graph_of_an_older_opset_is_converted():
    plan = HEADS["linear"]
    graph = compose([backbone(opset=18)], plan, state_of(plan))
    assert onnx.load_from_string(graph).opset_import[0].version == 20
    np.testing.assert_allclose(answers_of(graph, PHOTOS).embedding, embedded(PHOTOS), atol=1e-6)


def test_the_same_parts_give_the_same_bytes():
    plan = HEADS["linear"]
    assert compose([backbone()], plan, state_of(plan)) == compose([backbone()], plan, state_of(plan))


def test_backbones_that_do_not_fit_are_refused():
    plan = linear_plan(6, 4)
    with pytest.raises(RunError, match="5×4 photos to 3 numbers for a head of 6 inputs"):
        compose([backbone()], plan, state_of(plan))
    with pytest.raises(RunError, match="6×4 photos to 3 numbers"):
        compose([backbone(), backbone(size=(6, 4))], plan, state_of(plan))


def test_graphs_that_are_no_backbones_are_refused():
    plan = linear_plan(4, 4)
    finished = compose([backbone()], linear_plan(3, 4), state_of(linear_plan(3, 4)))
    with pytest.raises(BundleError, match="expected: a backbone"):
        compose([finished], plan, state_of(plan))
    with pytest.raises(BundleError, match="cannot be read"):
        compose([b"\x0fnothing of the kind"], plan, state_of(plan))


def test_arrays_of_another_head_are_refused():
    state = state_of(linear_plan(3, 4))
    del state["output.bias"]
    with pytest.raises(RunError, match=r"output\.bias is missing"):
        compose([backbone()], linear_plan(3, 4), state)


def test_without_onnx_the_extra_is_named(monkeypatch):
    data = backbone()
    monkeypatch.setitem(__import__("sys").modules, "onnx", None)
    with pytest.raises(MissingExtra, match="onnx"):
        compose([data], linear_plan(3, 4), state_of(linear_plan(3, 4)))
