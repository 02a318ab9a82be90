from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from numpy.typing import NDArray

from sortograph.bundle.golden import golden_photos
from sortograph.bundle.runtime import open_bundle
from sortograph.bundle.store import write_bundle
from sortograph.errors import MissingExtra, RunError
from sortograph.export import answers_of, check_parity, to_onnx
from sortograph.models import Network, build, plan
from sortograph.recipe import Model
from sortograph.records import BundleManifest, PreprocessSpec

SIZE = (13, 10)
SPEC = PreprocessSpec(size=SIZE, mean=(0.5, 0.4, 0.3), std=(0.2, 0.3, 0.4))
PHOTOS = np.random.default_rng(0).integers(0, 256, (5, *SIZE, 3), dtype=np.uint8)

MODELS = {
    "plain": Model(filters=(4, 6), dense=(8,)),
    "two dense, dropout": Model(filters=(4,), dense=(8, 5), dropout=0.5, dense_dropout=0.3),
    "no dense": Model(filters=(4, 6), dense=()),
    "average": Model(filters=(4, 6), dense=(), global_pool="average"),
    "batch norm": Model(filters=(4, 6), convolutions=2, batch_norm=True),
    "even kernel": Model(filters=(4, 6), kernel=4),
    "kernel of one, no pool": Model(filters=(4, 6), kernel=1, pool=1),
    "pool of three": Model(filters=(4, 6), pool=3),
    "residual": Model(kind="residual", filters=(4, 4, 6), batch_norm=True, initialisation="he", stem=2),
    "residual, bare": Model(kind="residual", filters=(4, 6), dense=(), global_pool="average", stem=3),
    "residual, even kernel, stride": Model(kind="residual", filters=(4, 6), kernel=2, stem=2),
    "dense": Model(kind="dense", dense=(8,)),
    "linear": Model(kind="dense", dense=()),
    "silu": Model(filters=(4, 6), activation="silu"),
    "gelu": Model(kind="residual", filters=(4, 6), activation="gelu"),
    "tanh": Model(filters=(4, 6), activation="tanh"),
    "sigmoid": Model(filters=(4, 6), output="sigmoid"),
}


def network(model: Model) -> Network:
    """With random biases and statistics, so that no array can be left out unnoticed."""
    net = build(plan(model, SIZE, 2 if model.output == "sigmoid" else 3), SPEC, "he", 1).eval()
    generator = torch.Generator().manual_seed(2)
    with torch.no_grad():
        for name, array in net.state_dict().items():
            if array.ndim == 1:
                low = 0.5 if name.endswith("running_var") else -0.5
                array.uniform_(low, low + 1, generator=generator)
    return net


def state(net: Network) -> dict[str, NDArray[Any]]:
    return {name: array.numpy() for name, array in net.state_dict().items()}


def graph(net: Network) -> bytes:
    return to_onnx(net.plan, SPEC, state(net))


def answers(net: Network) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    x = torch.from_numpy(PHOTOS).permute(0, 3, 1, 2)
    with torch.no_grad():
        return net(x).numpy(), net.embed(x).numpy()


@pytest.mark.parametrize("name", MODELS)
def test_a_bundle_answers_as_the_network(name, tmp_path):
    net = network(MODELS[name])
    data = graph(net)
    classes = ("a", "b", "c")[: net.plan.classes]
    manifest = BundleManifest(classes=classes, preprocess=SPEC, temperature=1.7)
    write_bundle(tmp_path / "model.onnx", data, manifest, answers_of(data, golden_photos(SIZE)).logits)
    bundle = open_bundle(tmp_path / "model.onnx", threads=1)
    given, (logits, embedding) = bundle.run(PHOTOS), answers(net)
    np.testing.assert_allclose(given.logits, logits, atol=1e-4)
    np.testing.assert_allclose(given.embedding, embedding, atol=1e-4)
    assert check_parity(logits, given, classes, temperature=1.7).difference < 1e-5
    assert bundle.replay() < 1e-5


@pytest.mark.parametrize("name", MODELS)
def test_the_graph_is_valid_and_says_its_shapes(name):
    net = network(MODELS[name])
    model = onnx.load_from_string(graph(net))
    onnx.checker.check_model(model, full_check=True)
    widths = {put.name: put.type.tensor_type.shape.dim[1].dim_value for put in model.graph.output}
    classes = net.plan.classes
    assert widths == {"probabilities": classes, "logits": classes, "embedding": net.plan.embedding}


def test_every_trained_array_stands_in_the_graph_under_its_name():
    net = network(MODELS["batch norm"])
    held = {
        a.name: onnx.numpy_helper.to_array(a) for a in onnx.load_from_string(graph(net)).graph.initializer
    }
    for name in net.plan.weights():
        np.testing.assert_array_equal(held[name], state(net)[name])
    assert held["temperature"] == np.float32([1])


def test_pixels_are_normalised_by_nodes_before_the_first_padding():
    kinds = [node.op_type for node in onnx.load_from_string(graph(network(MODELS["plain"]))).graph.node]
    assert kinds[:5] == ["Transpose", "Cast", "Mul", "Add", "Conv"]


def test_without_a_convolution_they_are_normalised_row_by_row():
    model = onnx.load_from_string(graph(network(MODELS["dense"])))
    assert [node.op_type for node in model.graph.node[:4]] == ["Cast", "Mul", "Add", "Flatten"]
    shapes = {array.name: tuple(array.dims) for array in model.graph.initializer}
    assert shapes["scale"] == shapes["offset"] == (SIZE[1], 3)


def test_weights_of_another_network_are_refused_with_all_that_is_wrong():
    net = network(MODELS["plain"])
    arrays = state(net)
    del arrays["block1_conv1.bias"]
    arrays["output.weight"] = arrays["output.weight"][:2]
    with pytest.raises(RunError) as caught:
        to_onnx(net.plan, SPEC, arrays)
    assert "block1_conv1.bias is missing" in str(caught.value)
    assert "output.weight is (2, 8), not (3, 8)" in str(caught.value)


def test_without_onnx_the_extra_is_named(monkeypatch):
    net = network(MODELS["linear"])
    monkeypatch.setitem(__import__("sys").modules, "onnx", None)
    with pytest.raises(MissingExtra, match="onnx"):
        graph(net)


def test_the_same_weights_give_the_same_bytes(tmp_path: Path):
    assert graph(network(MODELS["residual"])) == graph(network(MODELS["residual"]))
