"""What a bundle may hold: the fields of ONNX's messages that we know, and the operators of inference.

Field numbers are those of onnx.proto (https://github.com/onnx/onnx/blob/main/onnx/onnx.proto). Whatever is
not listed is refused, so that a later ONNX cannot bring in what nobody has looked at.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import NamedTuple

from sortograph.bundle.wire import FIXED32, LENGTH, VARINT


class Message(NamedTuple):
    """The fields of one kind of message.

    allowed   tag → name
    repeated  names that may come more than once
    refused   field number → why
    """

    name: str
    allowed: Mapping[int, str]
    repeated: frozenset[str] = frozenset()
    refused: Mapping[int, str] = MappingProxyType({})

    def reason(self, tag: int) -> str:
        """Why a tag that is not allowed is refused."""
        number = tag >> 3
        # A model is the first that is read, so that other kinds of files end here.
        doubt = "not an ONNX model, or " if self is MODEL else ""
        return (
            self.refused.get(number)
            or f"{doubt}a field that is not allowed: number {number} of a {self.name}"
        )


def _tags(kind: int, **names: int) -> dict[int, str]:
    return {number << 3 | kind: name for name, number in names.items()}


METADATA = 14
METADATA_TAG = METADATA << 3 | LENGTH
MODEL = Message(
    "model",
    _tags(VARINT, ir_version=1, model_version=5)
    | _tags(LENGTH, producer_name=2, producer_version=3, domain=4, doc_string=6)
    | _tags(LENGTH, graph=7, opset_import=8, metadata_props=METADATA),
    repeated=frozenset(("opset_import", "metadata_props")),
    refused={20: "training steps in the model", 25: "functions defined in the model"},
)
OPSET = Message("opset", _tags(LENGTH, domain=1) | _tags(VARINT, version=2))
ENTRY = Message("metadata entry", _tags(LENGTH, key=1, value=2))
GRAPH = Message(
    "graph",
    _tags(LENGTH, node=1, name=2, initializer=5, doc_string=10, input=11, output=12, value_info=13)
    | _tags(LENGTH, metadata_props=16),
    repeated=frozenset(("node", "initializer", "input", "output", "value_info", "metadata_props")),
    refused={15: "a sparse tensor"},
)
VALUE = Message(
    "value",
    _tags(LENGTH, name=1, type=2, doc_string=3, metadata_props=4),
    repeated=frozenset(("metadata_props",)),
)
NODE = Message(
    "node",
    _tags(
        LENGTH, input=1, output=2, name=3, op_type=4, attribute=5, doc_string=6, domain=7, metadata_props=9
    ),
    repeated=frozenset(("input", "output", "attribute", "metadata_props")),
    refused={8: "an overloaded operator"},
)
ATTRIBUTE = Message(
    "attribute",
    _tags(LENGTH, name=1, s=4, t=5, floats_packed=7, ints_packed=8, doc_string=13)
    | _tags(VARINT, i=3, ints=8, type=20)
    | _tags(FIXED32, f=2, floats=7),
    repeated=frozenset(("floats", "ints")),
    refused={
        6: "a subgraph",
        11: "a subgraph",
        21: "a reference to a function's attribute",
        22: "a sparse tensor",
        23: "a sparse tensor",
    },
)
TENSOR = Message(
    "tensor",
    _tags(VARINT, dims=1, data_type=2, data_location=14)
    | _tags(LENGTH, dims_packed=1, float_data=4, int32_data=5, int64_data=7, name=8, raw_data=9)
    | _tags(LENGTH, double_data=10, uint64_data=11, doc_string=12, metadata_props=16),
    repeated=frozenset(("dims", "metadata_props")),
    refused={3: "a tensor in segments", 6: "a tensor of text", 13: "a tensor kept in another file"},
)

# Bits of one element, by TensorProto.DataType: real numbers, whole numbers and truth values.
ELEMENT_BITS = {1: 32, 2: 8, 3: 8, 4: 16, 5: 16, 6: 32, 7: 64, 9: 8, 10: 16, 11: 64, 12: 32, 13: 64}
ELEMENT_BITS |= {16: 16, 21: 4, 22: 4}
FLOAT, INT32, INT64 = 1, 6, 7

DOMAINS = frozenset(("", "ai.onnx"))

# Operators of the standard domain that image classifiers are made of. Left out: control flow, random
# numbers, sequences, strings, and what makes large tensors out of numbers (OneHot, EyeLike).
_OPERATORS = """
    Conv ConvInteger ConvTranspose Gemm MatMul MatMulInteger QLinearConv QLinearMatMul Einsum Attention
    BatchNormalization InstanceNormalization GroupNormalization LayerNormalization RMSNormalization
    LpNormalization LRN MeanVarianceNormalization
    AveragePool MaxPool LpPool GlobalAveragePool GlobalMaxPool GlobalLpPool
    Relu LeakyRelu PRelu Elu Celu Selu Gelu Erf Sigmoid HardSigmoid HardSwish Swish Mish Tanh
    Softplus Softsign ThresholdedRelu Softmax LogSoftmax Dropout Clip
    Add Sub Mul Div Mod Pow Sqrt Exp Log Abs Neg Sign Reciprocal Floor Ceil Round Sin Cos Min Max Mean Sum
    Equal Greater GreaterOrEqual Less LessOrEqual And Or Not Xor Where IsNaN IsInf
    ReduceMean ReduceSum ReduceMax ReduceMin ReduceProd ReduceL1 ReduceL2 ReduceLogSumExp ReduceSumSquare
    ArgMax ArgMin TopK CumSum
    Flatten Reshape Transpose Concat Slice Split Pad Expand Tile Squeeze Unsqueeze Gather GatherElements
    GatherND DepthToSpace SpaceToDepth Resize Shape Size Identity Cast CastLike Constant ConstantOfShape
    Range Trilu QuantizeLinear DequantizeLinear DynamicQuantizeLinear
"""
OPERATORS = frozenset(_OPERATORS.split())

# Numbers that decide how much memory an operator takes, where they stand in the model: operator →
# (input, whether it may be computed, limit of each number, limit of their product). Expand and Range may
# be computed from the number of photos, as exporters of transformers and of poolings do.
SIZE_INPUTS = {
    "Expand": ((1, True, 1 << 24, 1 << 26),),
    "Range": ((0, False, 1 << 24, None), (1, True, 1 << 24, None)),
    "ConstantOfShape": ((0, False, 1 << 24, 1 << 26),),
    "Tile": ((1, False, 1 << 12, 1 << 16),),
    "Pad": ((1, False, 1 << 12, None),),
    "Resize": ((2, False, 64, 1 << 12), (3, False, 1 << 13, 1 << 26)),
}
SIZE_ATTRIBUTES = frozenset(
    ("pads", "kernel_shape", "strides", "dilations", "output_padding", "output_shape")
)
SIZE_LIMIT = 1 << 12
