"""Numbers in a model that decide how much memory it takes."""

from __future__ import annotations

import numpy as np
import pytest
from onnx import TensorProto, helper, numpy_helper

from sortograph.bundle import guard
from sortograph.errors import BundleError


def check(model) -> None:
    guard.check(model.SerializeToString(), "m")


def constant(name: str, numbers, kind=np.int64):
    return helper.make_node("Constant", [], [name], value=numpy_helper.from_array(np.array(numbers, kind)))


ALLOWED = {
    "expand for every photo": ("Expand", ["logits", "computed"], {}),
    "range over the photos": ("Range", ["zero", "computed", "one"], {}),
    "padding": ("Pad", ["logits", "pads"], {}),
    "twice the size": ("Resize", ["logits", "", "scales"], {}),
    "wide kernel": ("AveragePool", ["logits"], {"kernel_shape": [7, 7], "pads": [3, 3, 3, 3]}),
}
REFUSED = {
    "range of many": ("Range", ["zero", "huge", "one"], {}),
    "range in small steps": ("Range", ["zero", "one", "tiny"], {}),
    "range in computed steps": ("Range", ["zero", "one", "computed"], {}),
    "range from afar": ("Range", ["computed", "one", "one"], {}),
    "resize a thousandfold": ("Resize", ["logits", "", "large scales"], {}),
    "resize by nothing known": ("Resize", ["logits", "", "", "computed"], {}),
    "resize by no number": ("Resize", ["logits", "", "not numbers"], {}),
    "tile by computed": ("Tile", ["logits", "computed"], {}),
    "expand to many": ("Expand", ["logits", "many"], {}),
    "pad far": ("Pad", ["logits", "huge"], {}),
    "far strides": ("Conv", ["logits", "weights"], {"strides": [1, 2**62]}),
    "far pads": ("Conv", ["logits", "weights"], {"pads": [0, -(2**40), 0, 0]}),
}


def with_node(small, kind, inputs, attributes):
    model = small.model()
    model.graph.node.extend(
        [
            constant("zero", 0),
            constant("one", 1),
            constant("tiny", 1e-9, np.float32),
            constant("pads", [0, 1, 0, 1]),
            constant("scales", [1, 1, 2, 2], np.float32),
            constant("large scales", [1, 1, 1000, 1], np.float32),
            constant("not numbers", [1, np.nan], np.float32),
            constant("huge", 2**40),
            constant("many", np.ones(17)),
            helper.make_node("Shape", ["photos"], ["computed"]),
            helper.make_node(kind, inputs, ["more"], **attributes),
        ]
    )
    return model


@pytest.mark.parametrize("case", ALLOWED)
def test_what_exporters_write_is_allowed(small, case):
    check(with_node(small, *ALLOWED[case]))


@pytest.mark.parametrize("case", REFUSED)
def test_sizes_out_of_range_are_refused(small, case):
    with pytest.raises(BundleError, match=r"out of range|not written in the model|steps than of 1"):
        check(with_node(small, *REFUSED[case]))


def test_a_constant_counts_wherever_it_stands(small):
    model = small.model()
    model.graph.node.insert(0, helper.make_node("Expand", ["photos", "late"], ["more"]))
    model.graph.node.append(constant("late", [2**23, 2**23]))
    with pytest.raises(BundleError, match="Expand to a size out of range"):
        check(model)


@pytest.mark.parametrize("spelling", ["value_ints", "value_int", "value_floats", "value_float"])
def test_a_constant_counts_however_it_is_written(small, spelling):
    number = 2**23 if "int" in spelling else 2.0**23
    value = [number] * 3 if spelling.endswith("s") else number * 2**10
    model = small.model()
    model.graph.node.append(helper.make_node("Constant", [], ["wide"], **{spelling: value}))
    model.graph.node.append(helper.make_node("Expand", ["photos", "wide"], ["more"]))
    with pytest.raises(BundleError, match="Expand to a size out of range"):
        check(model)


@pytest.mark.parametrize("kind", [TensorProto.INT32, TensorProto.INT64, TensorProto.FLOAT])
def test_numbers_in_typed_fields_count_as_well(small, kind):
    model = small.model()
    model.graph.initializer.append(helper.make_tensor("wide", kind, [2], [2**23, 2**23]))
    model.graph.node.append(helper.make_node("Expand", ["photos", "wide"], ["more"]))
    with pytest.raises(BundleError, match="Expand to a size out of range"):
        check(model)


@pytest.mark.parametrize(
    "tensor",
    [
        helper.make_tensor("temperature", TensorProto.FLOAT, [1], [1.0]),
        numpy_helper.from_array(np.ones(2, np.float32), "temperature"),
        numpy_helper.from_array(np.ones(1, np.float64), "temperature"),
        numpy_helper.from_array(np.ones(1, np.int32), "temperature"),
    ],
    ids=["not raw", "two", "double", "whole"],
)
def test_only_four_raw_bytes_are_a_temperature(small, tensor):
    model = small.model()
    del model.graph.initializer[-1]
    model.graph.initializer.append(tensor)
    assert guard.survey(model.SerializeToString(), "m").temperature is None


@pytest.mark.parametrize(
    ("kind", "numpy_type"), [(TensorProto.FLOAT16, np.float16), (TensorProto.INT8, np.int8), (9, np.bool_)]
)
def test_other_element_types_are_measured(small, kind, numpy_type):
    model = small.model()
    model.graph.initializer.append(numpy_helper.from_array(np.ones((3, 5), numpy_type), "more"))
    check(model)
    model.graph.initializer[-1].raw_data += b"\x00"
    with pytest.raises(BundleError, match="promise 15 elements"):
        check(model)


def test_the_number_of_fields_is_limited(small, monkeypatch):
    monkeypatch.setattr(guard, "MAX_FIELDS", 50)
    with pytest.raises(BundleError, match="more than 50 fields"):
        check(small.model())
