from __future__ import annotations

import tracemalloc
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from onnx import AttributeProto, TensorProto, defs, helper, numpy_helper

from sortograph.bundle import guard, schema, wire
from sortograph.errors import BundleError


def initializer(model: Any, name: str = "weights") -> Any:
    return next(tensor for tensor in model.graph.initializer if tensor.name == name)


def add_node(model: Any, kind: str, inputs: list[str], **attributes: Any) -> Any:
    model.graph.node.append(helper.make_node(kind, inputs, ["more"], **attributes))
    return model.graph.node[-1]


def add_numbers(model: Any, name: str, numbers: Any) -> str:
    model.graph.initializer.append(numpy_helper.from_array(np.asarray(numbers), name))
    return name


@pytest.mark.parametrize("kind", [bytes, bytearray, memoryview])
def test_a_plain_classifier_passes_with_its_metadata(small, kind):
    model = small.model()
    helper.set_model_props(model, {"author": "someone", "note": "ö"})
    assert guard.check(kind(model.SerializeToString()), "m") == {"author": "someone", "note": "ö"}


def test_the_temperature_is_found(small):
    data = small.graph()
    place = guard.survey(data, "m").temperature
    assert np.frombuffer(data, "<f4", 1, place)[0] == 1.0


def test_operators_are_counted(small):
    assert guard.survey(small.graph(), "m").operators == len(small.model().graph.node)


def test_every_allowed_operator_is_a_standard_one():
    known = {schema_.name for schema_ in defs.get_all_schemas() if schema_.domain == ""}
    newer = {"Attention", "RMSNormalization", "Swish"}
    assert known >= schema.OPERATORS - newer
    control = {"If", "Loop", "Scan", "SequenceMap", "RandomNormal", "OneHot", "StringNormalizer", "Optional"}
    assert not schema.OPERATORS & control


def external(model: Any) -> None:
    tensor = initializer(model)
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value="../secret")


def external_by_entry_alone(model: Any) -> None:
    initializer(model).external_data.add(key="location", value="secret")


def external_in_attribute(model: Any) -> None:
    tensor = numpy_helper.from_array(np.ones(2, np.float32))
    tensor.data_location = TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value="/etc/passwd")
    add_node(model, "Constant", [], value=tensor)


def subgraph(model: Any) -> None:
    node = add_node(model, "Relu", ["logits"])
    body = helper.make_graph([], "body", [], [])
    node.attribute.append(helper.make_attribute("then_branch", body))


def subgraphs(model: Any) -> None:
    node = add_node(model, "Relu", ["logits"])
    node.attribute.append(helper.make_attribute("bodies", [helper.make_graph([], "body", [], [])]))


def function(model: Any) -> None:
    body = [helper.make_node("Relu", ["a"], ["b"])]
    opset = [helper.make_opsetid("", 18)]
    model.functions.append(helper.make_function("ours", "F", ["a"], ["b"], body, opset))


def sparse_initializer(model: Any) -> None:
    values = numpy_helper.from_array(np.ones(1, np.float32), "s")
    indices = numpy_helper.from_array(np.zeros(1, np.int64), "i")
    model.graph.sparse_initializer.append(helper.make_sparse_tensor(values, indices, [3]))


def sparse_attribute(model: Any) -> None:
    values = numpy_helper.from_array(np.ones(1, np.float32), "s")
    indices = numpy_helper.from_array(np.zeros(1, np.int64), "i")
    add_node(model, "Constant", [], sparse_value=helper.make_sparse_tensor(values, indices, [3]))


def reference_attribute(model: Any) -> None:
    node = add_node(model, "Relu", ["logits"])
    node.attribute.append(AttributeProto(name="a", type=AttributeProto.FLOAT, ref_attr_name="b"))


def text_tensor(model: Any) -> None:
    model.graph.initializer.append(helper.make_tensor("t", TensorProto.STRING, [1], [b"x"]))


def two_tensors(model: Any) -> None:
    model.graph.initializer.append(initializer(model))


def set_dims(*dims: int) -> Callable[[Any], None]:
    def edit(model: Any) -> None:
        tensor = initializer(model)
        del tensor.dims[:]
        tensor.dims.extend(dims)

    return edit


def no_data(model: Any) -> None:
    initializer(model).ClearField("raw_data")


def two_kinds_of_data(model: Any) -> None:
    initializer(model).float_data.extend([1.0] * 9)


def few_floats(model: Any) -> None:
    tensor = initializer(model)
    tensor.ClearField("raw_data")
    tensor.float_data.extend([1.0] * 8)


def few_varints(model: Any) -> None:
    model.graph.initializer.append(TensorProto(name="t", data_type=TensorProto.INT64, dims=[1 << 30]))
    model.graph.initializer[-1].int64_data.extend([1, 2])


def huge_pads(model: Any) -> None:
    numbers = add_numbers(model, "sides", np.array([0, 0, 0, 1 << 40], np.int64))
    add_node(model, "Pad", ["logits", numbers])


def computed_constant_shape(model: Any) -> None:
    add_node(model, "ConstantOfShape", ["logits"])


def huge_expand(model: Any) -> None:
    add_node(model, "Expand", ["logits", add_numbers(model, "wide", np.array([1 << 20, 1 << 20], np.int64))])


def tile_in_a_constant_node(model: Any) -> None:
    times = numpy_helper.from_array(np.array([1 << 30, 1], np.int64))
    model.graph.node.append(helper.make_node("Constant", [], ["times"], value=times))
    add_node(model, "Tile", ["logits", "times"])


def huge_attribute(model: Any) -> None:
    add_node(model, "AveragePool", ["logits"], kernel_shape=[1 << 30, 1])


def second_input(model: Any) -> None:
    model.graph.input.append(helper.make_tensor_value_info("key", TensorProto.FLOAT, [1]))


def no_embedding(model: Any) -> None:
    del model.graph.output[2]


def other_name(model: Any) -> None:
    model.graph.input[0].name = "x"


def repeated_output(model: Any) -> None:
    model.graph.output.append(model.graph.output[0])


def node_domain(model: Any) -> None:
    model.graph.node[0].domain = "com.microsoft"


def foreign_opset(model: Any) -> None:
    model.opset_import.append(helper.make_opsetid("ai.onnx.ml", 3))


def ort_config(model: Any) -> None:
    helper.set_model_props(model, {"ort_config": "{}"})


def same_key(model: Any) -> None:
    model.metadata_props.add(key="k", value="1")
    model.metadata_props.add(key="k", value="2")


REFUSED = {
    external: "another file",
    external_by_entry_alone: "another file",
    external_in_attribute: "another file",
    subgraph: "a subgraph",
    subgraphs: "a subgraph",
    function: "functions",
    lambda m: m.training_info.add(): "training",
    sparse_initializer: "sparse",
    sparse_attribute: "sparse",
    reference_attribute: "reference",
    text_tensor: "tensor of text|element type",
    two_tensors: "two tensors",
    set_dims(3, 4): "promise 12 elements",
    set_dims(3, 2): "promise 6 elements",
    set_dims(-1, -9): "impossible dimensions",
    set_dims(1 << 62, 1 << 62): "impossible dimensions",
    set_dims(1 << 30, 1 << 30): "elements",
    set_dims(*[1] * 17): "impossible dimensions",
    no_data: "without its data",
    two_kinds_of_data: "two kinds",
    few_floats: "promise 9 elements",
    few_varints: "promise 1073741824 elements",
    huge_pads: "out of range",
    computed_constant_shape: "not written in the model",
    huge_expand: "out of range",
    tile_in_a_constant_node: "out of range",
    huge_attribute: "out of range",
    second_input: "a model from photos, key",
    no_embedding: "to probabilities, logits",
    other_name: "a model from x",
    repeated_output: "to probabilities, logits, embedding, probabilities",
    node_domain: "com.microsoft",
    foreign_opset: "ai.onnx.ml",
    ort_config: "settings for ONNX Runtime",
    same_key: "two metadata entries",
    lambda m: add_node(m, "If", ["logits"]): "operator 'If' is not allowed",
    lambda m: add_node(m, "MyOp", ["logits"]): "operator 'MyOp' is not allowed",
    lambda m: setattr(m.graph.node[0], "overload", "o"): "overloaded",
    lambda m: m.ClearField("graph"): "without a graph",
    lambda m: m.ClearField("opset_import"): "without a graph",
}


@pytest.mark.parametrize("edit", REFUSED)
def test_what_a_classifier_does_not_need_is_refused(small, edit):
    model = small.model()
    edit(model)
    with pytest.raises(BundleError, match=REFUSED[edit]) as caught:
        guard.check(model.SerializeToString(), "folder/m.onnx")
    assert caught.value.where == "folder/m.onnx"


def test_two_graphs_are_refused(small):
    data = small.graph()
    graph = small.model().graph.SerializeToString()
    with pytest.raises(BundleError, match="two values for the graph"):
        guard.check(data + wire.block(7, graph), "m")


def test_fields_of_a_later_onnx_are_refused(small):
    with pytest.raises(BundleError, match="number 99 of a model"):
        guard.check(small.graph() + wire.block(99, b"x"), "m")


def test_the_other_format_of_onnx_runtime_is_refused():
    with pytest.raises(BundleError, match="own format"):
        guard.check(b"\x00\x00\x00\x00ORTM" + bytes(100), "m")


def test_the_size_is_limited(small):
    with pytest.raises(BundleError, match="above the limit"):
        guard.check(small.graph(), "m", limit=100)


@pytest.mark.parametrize("data", [b"", b"\x00", b"<html>", b"PK\x03\x04zip", b"\x80\x04pickle."])
def test_other_files_are_refused(data):
    with pytest.raises(BundleError, match=r"not an ONNX model|not allowed"):
        guard.check(data, "m")


@given(st.binary(max_size=400))
def test_random_bytes_raise_only_bundle_errors(data):
    with pytest.raises(BundleError):
        guard.check(data, "m")


def test_a_model_cut_short_raises_only_bundle_errors(small):
    data = small.graph()
    for length in range(len(data)):
        try:
            guard.check(data[:length], "m")
        except BundleError:
            continue
        pytest.fail(f"accepted {length} of {len(data)} bytes")


@given(st.lists(st.tuples(st.floats(0, 1, exclude_max=True), st.integers(0, 255)), min_size=1, max_size=4))
def test_a_model_with_changed_bytes_raises_only_bundle_errors(small, changes):
    data = bytearray(small.graph())
    for share, value in changes:
        data[int(share * len(data))] = value
    try:
        guard.check(data, "m")
    except BundleError as error:
        refused = error
    else:
        return
    assert refused.where == "m"


def test_weights_are_neither_copied_nor_read(small):
    model = small.model()
    model.graph.initializer.append(numpy_helper.from_array(np.zeros(5_000_000, np.float32), "large"))
    data = model.SerializeToString()
    tracemalloc.start()
    try:
        guard.check(data, "m")
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert len(data) > 20_000_000
    assert peak < 200_000
