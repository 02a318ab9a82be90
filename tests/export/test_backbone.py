"""Graphs of backbones, against the networks that they were exported from."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from sortograph.bundle import guard, schema
from sortograph.bundle.engine import open_session
from sortograph.errors import BundleError, GateError
from sortograph.export import backbone as exporting
from sortograph.export.backbone import backbone_graph, check_backbone_graph
from sortograph.models.backbone import build_backbone, resolve

NAMES = ("test_efficientnet", "test_vit", "squeezenet1_1")
SIZES = {"test_efficientnet": (48, 64), "test_vit": (96, 96), "squeezenet1_1": (64, 64)}


@pytest.fixture(scope="session", params=NAMES)
def exported(request):
    """A backbone, its network and its graph."""
    backbone = resolve(request.param, size=SIZES[request.param], pretrained=False, offline=True, seed=1)
    network = build_backbone(backbone)
    return backbone, network, backbone_graph(network, backbone)


def test_it_answers_as_the_network_does(exported):
    backbone, network, graph = exported
    photos = np.random.default_rng(0).integers(0, 256, (5, *backbone.preprocess.size, 3), dtype=np.uint8)
    with torch.inference_mode():
        expected = network(torch.from_numpy(photos).permute(0, 3, 1, 2)).numpy()
    session = open_session(graph, "the graph")
    for batch in (photos, photos[:1]):
        (found,) = session.run(None, {"photos": batch})
        assert found.dtype == np.float32
        np.testing.assert_allclose(found, expected[: len(batch)], atol=1e-4 * np.abs(expected).max())
    assert check_backbone_graph(graph, network, backbone) < 1e-4


def test_it_is_in_the_format_of_backbone_graphs(exported):
    import onnx

    backbone, _, graph = exported
    assert guard.check_backbone(graph, "the graph") == backbone.features
    model = onnx.load_from_string(graph)
    onnx.checker.check_model(model, full_check=True)
    assert (model.ir_version, [(entry.domain, entry.version) for entry in model.opset_import]) == (
        9,
        [("", 20)],
    )
    (photos,), (embedding,) = model.graph.input, model.graph.output
    assert photos.type.tensor_type.elem_type == onnx.TensorProto.UINT8
    assert [d.dim_param or d.dim_value for d in photos.type.tensor_type.shape.dim] == [
        "n",
        *backbone.preprocess.size,
        3,
    ]
    assert [d.dim_param or d.dim_value for d in embedding.type.tensor_type.shape.dim] == [
        "n",
        backbone.features,
    ]


def test_nothing_of_training_or_of_this_machine_is_left(exported):
    import onnx

    _, _, graph = exported
    kinds = {node.op_type for node in onnx.load_from_string(graph).graph.node}
    assert not kinds & {"BatchNormalization", "Dropout"}
    for word in (
        b"site-packages",
        b".py",
        b"torch",
        str(Path.home()).encode() + b"/",
        str(Path.cwd()).encode(),
    ):
        assert word not in graph


def test_with_a_head_it_passes_the_guard_of_bundles(exported):
    import onnx
    from onnx import helper, numpy_helper

    backbone, _, graph = exported
    model = onnx.load_from_string(graph)
    weights = np.ones((3, backbone.features), dtype=np.float32)
    model.graph.initializer.append(numpy_helper.from_array(weights, "head.weight"))
    model.graph.initializer.append(numpy_helper.from_array(np.ones(1, dtype=np.float32), "temperature"))
    model.graph.node.extend(
        [
            helper.make_node("Gemm", ["embedding", "head.weight"], ["logits"], transB=1),
            helper.make_node("Div", ["logits", "temperature"], ["scaled"]),
            helper.make_node("Softmax", ["scaled"], ["probabilities"], axis=1),
        ]
    )
    for name in ("logits", "probabilities"):
        model.graph.output.append(helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, ["n", 3]))
    data = model.SerializeToString()
    guard.check(data, "the whole")
    photos = np.zeros((2, *backbone.preprocess.size, 3), dtype=np.uint8)
    probabilities = open_session(data, "the whole").run(["probabilities"], {"photos": photos})[0]
    np.testing.assert_allclose(probabilities, 1 / 3, rtol=1e-5)


def test_a_graph_of_other_weights_is_refused(exported):
    backbone, _, graph = exported
    other = build_backbone(replace(backbone, weights="random-2"))
    with pytest.raises(GateError, match="answers otherwise") as raised:
        check_backbone_graph(graph, other, backbone)
    assert raised.value.where == backbone.name


def test_answers_that_are_no_numbers_are_refused(exported):
    backbone, _, graph = exported
    broken = build_backbone(backbone)
    next(broken.body.parameters()).data.fill_(float("nan"))
    with pytest.raises(GateError, match="answers otherwise"):
        check_backbone_graph(graph, broken, backbone)


def test_operators_that_no_bundle_may_hold_are_refused(exported, monkeypatch):
    import onnx

    backbone, network, graph = exported
    model = onnx.load_from_string(graph)
    monkeypatch.setattr(exporting, "_exported", lambda network, size: model)
    monkeypatch.setattr(schema, "OPERATORS", schema.OPERATORS - {"Conv"})
    with pytest.raises(GateError, match="not what a bundle may hold"):
        backbone_graph(network, backbone)


@pytest.mark.parametrize("fault", ["opening", "running"])
def test_where_the_quick_way_fails_torch_exports(exported, monkeypatch, fault):
    """Whatever ONNX Runtime has against the graph that was written here."""
    backbone, network, graph = exported
    real, opened = exporting.open_session, []

    class Broken:
        def run(self, *_):
            raise RuntimeError("Non-zero status code returned while running Conv node")

    def first_fails(data, name):
        opened.append(data)
        if len(opened) > 1:
            return real(data, name)
        if fault == "opening":
            raise BundleError("cannot be opened", where=name)
        return Broken()

    monkeypatch.setattr(exporting, "open_session", first_fails)
    monkeypatch.setattr(exporting, "traced_graph", lambda *_: b"ours" + graph)
    monkeypatch.setattr(exporting, "_checked", lambda *_: backbone.features)
    monkeypatch.setattr(exporting, "_exported", lambda *_: None)
    monkeypatch.setattr(exporting, "_cleaned", lambda _: graph)
    assert backbone_graph(network, backbone) == graph
    assert opened == [b"ours" + graph, graph]
