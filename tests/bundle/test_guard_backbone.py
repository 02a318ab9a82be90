"""Backbones that are to be opened: from photos to an embedding, and nothing else."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from onnx import TensorProto, helper, numpy_helper

from sortograph.bundle import guard
from sortograph.errors import BundleError


def backbone(shape: Any = ("n", 3), output: str = "embedding", input_: str = "photos") -> Any:
    """An onnx.ModelProto: mean colours."""
    info = helper.make_tensor_value_info
    graph = helper.make_graph(
        [
            helper.make_node("Cast", [input_], ["real"], to=TensorProto.FLOAT),
            helper.make_node("ReduceMean", ["real", "axes"], [output], keepdims=0),
        ],
        "backbone",
        [info(input_, TensorProto.UINT8, ["n", 4, 4, 3])],
        [info(output, TensorProto.FLOAT, shape)],
        [numpy_helper.from_array(np.array([1, 2], dtype=np.int64), "axes")],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=9)


@pytest.mark.parametrize("width", [1, 3, 127, 128, 1280, 1 << 20])
@pytest.mark.parametrize("first", ["n", 7, None])
def test_the_length_of_an_embedding_is_told(width, first):
    assert guard.check_backbone(backbone([first, width]).SerializeToString(), "b") == width


@pytest.mark.parametrize(
    "shape", [["n", "d"], ["n", None], ["n"], [3], [], None, ["n", 3, 1], ["n", 0], ["n", -1], ["n", 1 << 21]]
)
def test_an_embedding_whose_length_nobody_can_tell_is_refused(shape):
    with pytest.raises(BundleError, match="length") as caught:
        guard.check_backbone(backbone(shape).SerializeToString(), "b.onnx")
    assert caught.value.where == "b.onnx"


def test_an_output_without_a_type_is_refused():
    model = backbone()
    model.graph.output[0].ClearField("type")
    with pytest.raises(BundleError, match="length"):
        guard.check_backbone(model.SerializeToString(), "b")


@pytest.mark.parametrize("names", [{"output": "features"}, {"input_": "images"}])
def test_other_names_are_refused(names):
    with pytest.raises(BundleError, match="a model from") as caught:
        guard.check_backbone(backbone(**names).SerializeToString(), "b")
    assert caught.value.expected == "a model from photos to embedding"


def test_a_bundle_is_no_backbone_and_a_backbone_no_bundle(small):
    with pytest.raises(BundleError, match="a model from photos to probabilities"):
        guard.check_backbone(small.graph(), "b")
    with pytest.raises(BundleError, match="a model from photos to embedding"):
        guard.check(backbone().SerializeToString(), "m")


def test_what_no_bundle_may_hold_no_backbone_may():
    model = backbone()
    model.graph.initializer[0].ClearField("raw_data")
    model.graph.initializer[0].data_location = TensorProto.EXTERNAL
    with pytest.raises(BundleError, match="another file"):
        guard.check_backbone(model.SerializeToString(), "b")
    with pytest.raises(BundleError, match="above the limit"):
        guard.check_backbone(backbone().SerializeToString(), "b", limit=10)


PLAIN = backbone().SerializeToString()


@given(place=st.integers(0, len(PLAIN) - 1), value=st.integers(0, 255), cut=st.booleans())
def test_damage_is_refused_or_harmless(place, value, cut):
    data = bytearray(PLAIN)
    data[place] = value
    try:
        width = guard.check_backbone(bytes(data[:place] if cut else data), "b")
    except BundleError:
        return
    assert 0 < width <= guard.MAX_WIDTH
