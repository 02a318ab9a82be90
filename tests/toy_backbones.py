"""Backbones for tests: graphs that average colours, made in a millisecond, without torch or timm."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from sortograph.api.opening import Opened
from sortograph.records import Backbone, PreprocessSpec

SIDE = 16


def colours(
    block: int, name: str = "colours.test", weights: str = "ab" * 32, *, grey: bool = False, **spec: Any
) -> Opened:
    """Embeds a photo as the mean colours of its squares of `block` pixels, or as how bright they are."""
    width = (1 if grey else 3) * (SIDE // block) ** 2
    mix = np.full((1, 3), 1 / 3, np.float32) if grey else np.eye(3, dtype=np.float32)
    nodes = [
        helper.make_node("Cast", ["photos"], ["real"], to=TensorProto.FLOAT),
        helper.make_node("Transpose", ["real"], ["first"], perm=[0, 3, 1, 2]),
        helper.make_node("AveragePool", ["first"], ["means"], kernel_shape=[block] * 2, strides=[block] * 2),
        helper.make_node("Conv", ["means", "mix"], ["mixed"]),
        helper.make_node("Flatten", ["mixed"], ["embedding"]),
    ]
    graph = helper.make_graph(
        nodes,
        name,
        [helper.make_tensor_value_info("photos", TensorProto.UINT8, ["n", SIDE, SIDE, 3])],
        [helper.make_tensor_value_info("embedding", TensorProto.FLOAT, ["n", width])],
        [numpy_helper.from_array(mix[:, :, None, None], "mix")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=9)
    onnx.checker.check_model(model)
    backbone = Backbone(
        name=name,
        library="timm",
        architecture=name,
        preprocess=PreprocessSpec(size=(SIDE, SIDE), **spec),
        weights=weights,
        features=width,
        parameters=0,
        licence="CC0-1.0",
    )
    return Opened(backbone, model.SerializeToString())
