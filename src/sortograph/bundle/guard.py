"""Is this model what a bundle may be? Asked before ONNX Runtime sees a byte of it.

A bounded walk over the wire format: no code, no second file, no operator beyond those of inference, no
tensor that promises more than it holds. It guards against files that read, run or reach more than a
classifier needs; it cannot foresee how long an unkind graph of allowed operators would compute.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NamedTuple

from sortograph.bundle import schema
from sortograph.bundle.schema import Message
from sortograph.bundle.wire import LENGTH, VARINT, Buffer, fields, signed, varints
from sortograph.errors import BundleError

MAX_BYTES = 2**31 - 1  # protobuf itself ends here
MAX_FIELDS = 2_000_000
MAX_ELEMENTS = 2**31
MAX_TEXT = 2**23
MAX_WIDTH = 2**20
INPUT = "photos"
OUTPUTS = ("probabilities", "logits", "embedding")
LIKENESS = "likeness"  # an output that a bundle may have beside the others
BACKBONE_OUTPUTS = ("embedding",)
TEMPERATURE = "temperature"
_FEW = 16
# Tags on the way from the type of an output to its length: tensor_type, shape; dim; dim_value.
_SHAPE, _DIM, _DIM_VALUE = (1 << 3 | LENGTH, 2 << 3 | LENGTH), 1 << 3 | LENGTH, 1 << 3 | VARINT

Span = tuple[int, int]
Found = dict[str, list[Span]]
Numbers = tuple[float, ...]


class Survey(NamedTuple):
    """What the walk came across; of the temperature, where its four bytes stand."""

    metadata: dict[str, str]
    temperature: int | None
    operators: int


def check(data: Buffer, where: str, *, limit: int = MAX_BYTES) -> dict[str, str]:
    """The metadata of a model that may be opened; `where` names the file.

    Raises BundleError with the reason for every other content.
    """
    return survey(data, where, limit=limit).metadata


def survey(data: Buffer, where: str, *, limit: int = MAX_BYTES) -> Survey:
    """As `check`, with all that the walk came across."""
    with located(where):
        return _surveyed(_Reader(data), limit)


def check_backbone(data: Buffer, where: str, *, limit: int = MAX_BYTES) -> int:
    """The length of the embeddings of a backbone that may be opened: from photos to an embedding alone.

    Raises BundleError with the reason for every other content.
    """
    with located(where, expected="the graph of a backbone, from photos to an embedding"):
        reader = _Reader(data, BACKBONE_OUTPUTS)
        _surveyed(reader, limit)
        return _width(reader)


def _surveyed(reader: _Reader, limit: int) -> Survey:
    if len(reader.data) > limit:
        raise BundleError(f"{len(reader.data) / 1e6:.0f} MB, above the limit of {limit / 1e6:.0f} MB")
    # ONNX Runtime takes a file with this mark for another format, in which nothing was checked.
    if bytes(reader.data[4:8]) == b"ORTM":
        raise BundleError("not an ONNX model but one of ONNX Runtime's own format")
    return _model(reader)


def _width(reader: _Reader) -> int:
    """D of the only output, which is (n, D)."""
    (output,) = reader.outputs_found
    (span,) = output.get("type", [(0, 0)])
    for wanted in _SHAPE:
        inside = [(a, b) for tag, a, b in fields(reader.data, *span) if tag == wanted]
        span = inside[0] if inside else (0, 0)
    dims = [(a, b) for tag, a, b in fields(reader.data, *span) if tag == _DIM]
    values = [a for dim in dims[1:2] for tag, a, _ in fields(reader.data, *dim) if tag == _DIM_VALUE]
    if len(dims) != 2 or len(values) != 1 or not 0 < values[0] <= MAX_WIDTH:
        raise BundleError("embeddings whose length the graph does not tell", expected="an output (n, D)")
    return values[0]


def metadata(data: Buffer, where: str) -> dict[str, str]:
    """The metadata alone, with no judgement of the rest. Raises BundleError when it cannot be read."""
    reader = _Reader(data)
    with located(where):
        spans = ((a, b) for tag, a, b in fields(data, 0, len(data)) if tag == schema.METADATA_TAG)
        return dict(_entry(reader, span) for span in spans)


@contextmanager
def located(where: str, expected: str = "a model.onnx written by sortograph") -> Iterator[None]:
    """Gives every BundleError from inside the name of the file."""
    try:
        yield
    except BundleError as error:
        raise BundleError(
            error.what,
            where=error.where or where,
            expected=error.expected or expected,
            fix=error.fix,
        ) from None


class _Reader:
    """The bytes, how many fields may still be read, and what was met so far."""

    __slots__ = ("constants", "data", "left", "outputs", "outputs_found", "temperature")

    def __init__(self, data: Buffer, outputs: tuple[str, ...] = OUTPUTS) -> None:
        self.data, self.outputs = data, outputs
        self.outputs_found: list[Found] = []
        self.left = MAX_FIELDS
        self.constants: dict[str, Numbers | None] = {}
        self.temperature: int | None = None

    def message(self, span: Span, kind: Message) -> Found:
        """The fields of one message by name. Refuses what `kind` does not list."""
        found: Found = {}
        for tag, a, b in fields(self.data, *span):
            name = kind.allowed.get(tag)
            if name is None:
                raise BundleError(kind.reason(tag))
            if name not in found:
                found[name] = [(a, b)]
            elif name in kind.repeated:
                found[name].append((a, b))
            else:
                raise BundleError(f"two values for the {name} of a {kind.name}")
            self.left -= 1
            if self.left < 0:
                raise BundleError(f"more than {MAX_FIELDS} fields")
        return found

    def text(self, spans: list[Span] | None) -> str:
        """The only string of a field, "" where it is absent."""
        if not spans:
            return ""
        a, b = spans[0]
        try:
            return bytes(self.data[a:b]).decode()
        except UnicodeDecodeError:
            raise BundleError("not an ONNX model, or a damaged one (a name that is no text)") from None


def _model(reader: _Reader) -> Survey:
    model = reader.message((0, len(reader.data)), schema.MODEL)
    if "graph" not in model or "opset_import" not in model:
        raise BundleError("not an ONNX model (without a graph)")
    for span in model["opset_import"]:
        _domain(reader, reader.message(span, schema.OPSET))
    operators = _graph(reader, reader.message(model["graph"][0], schema.GRAPH))
    return Survey(_metadata(reader, model.get("metadata_props", [])), reader.temperature, operators)


def _metadata(reader: _Reader, entries: list[Span]) -> dict[str, str]:
    found: dict[str, str] = {}
    for span in entries:
        key, value = _entry(reader, span)
        if key in found:
            raise BundleError(f"two metadata entries named {key!r}")
        if key == "ort_config":
            raise BundleError("settings for ONNX Runtime in the model")
        found[key] = value
    return found


def _entry(reader: _Reader, span: Span) -> tuple[str, str]:
    entry = reader.message(span, schema.ENTRY)
    a, b = entry.get("value", [(0, 0)])[0]
    if b - a > MAX_TEXT:
        raise BundleError(f"metadata of {(b - a) / 1e6:.0f} MB")
    return reader.text(entry.get("key")), reader.text(entry.get("value"))


def _graph(reader: _Reader, graph: Found) -> int:
    """How many operators it has."""
    inputs = [reader.text(reader.message(s, schema.VALUE).get("name")) for s in graph.get("input", [])]
    reader.outputs_found = [reader.message(span, schema.VALUE) for span in graph.get("output", [])]
    outputs = [reader.text(output.get("name")) for output in reader.outputs_found]
    extra = [LIKENESS] if reader.outputs == OUTPUTS and LIKENESS in outputs else []
    if inputs != [INPUT] or sorted(outputs) != sorted([*reader.outputs, *extra]):
        raise BundleError(
            f"a model from {_named(inputs)} to {_named(outputs)}",
            expected=f"a model from {INPUT} to {', '.join(reader.outputs)}",
        )
    for span in graph.get("initializer", []):
        _initializer(reader, span)
    nodes = [reader.message(span, schema.NODE) for span in graph.get("node", [])]
    sized = [(kind, node) for node in nodes if (kind := _node(reader, node)) in schema.SIZE_INPUTS]
    for kind, node in sized:  # after all constants are known: nodes need not be in order
        _sizes(reader, kind, node.get("input", []))
    return len(nodes)


def _named(names: list[str]) -> str:
    return ", ".join(name[:40] for name in names[:5]) or "nothing"


def _initializer(reader: _Reader, span: Span) -> None:
    tensor = reader.message(span, schema.TENSOR)
    numbers = _tensor(reader, tensor)
    name = reader.text(tensor.get("name"))
    if name in reader.constants or name == INPUT:
        raise BundleError(f"two tensors named {name!r}")
    reader.constants[name] = numbers
    if name == TEMPERATURE:
        reader.temperature = _temperature(tensor)


def _temperature(tensor: Found) -> int | None:
    """Where the four bytes stand, if it is one float32 in raw data."""
    a, b = tensor.get("raw_data", [(0, 0)])[0]
    return a if tensor["data_type"][0][0] == schema.FLOAT and b - a == 4 else None


def _domain(reader: _Reader, message: Found) -> None:
    domain = reader.text(message.get("domain"))
    if domain not in schema.DOMAINS:
        raise BundleError(f"operators of the domain {domain!r}", expected="standard ONNX operators only")


def _node(reader: _Reader, node: Found) -> str:
    kind = reader.text(node.get("op_type"))
    _domain(reader, node)
    if kind not in schema.OPERATORS:
        raise BundleError(f"the operator {kind!r} is not allowed", expected="operators of inference only")
    for span in node.get("attribute", []):
        numbers = _attribute(reader, reader.message(span, schema.ATTRIBUTE))
        if kind == "Constant" and "output" in node:
            reader.constants[reader.text(node["output"][:1])] = numbers
    return kind


def _sizes(reader: _Reader, kind: str, inputs: list[Span]) -> None:
    for place, computed, each, product in schema.SIZE_INPUTS[kind]:
        name = reader.text(inputs[place : place + 1])
        if not name or (computed and name not in reader.constants):
            continue
        numbers = reader.constants.get(name)
        if numbers is None:
            raise BundleError(f"the size that {kind} makes is not written in the model")
        if not all(abs(n) <= each for n in numbers) or abs(math.prod(numbers)) > (product or math.inf):
            raise BundleError(f"{kind} to a size out of range")
    if kind == "Range" and reader.constants.get(reader.text(inputs[2:3])) not in _STEPS:
        raise BundleError("Range in other steps than of 1")


def _attribute(reader: _Reader, attribute: Found) -> Numbers | None:
    """Checks an attribute; returns the few numbers that it holds, as Constant has them."""
    if "t" in attribute:
        return _tensor(reader, reader.message(attribute["t"][0], schema.TENSOR))
    numbers = _numbers_of(reader, attribute)
    name = reader.text(attribute.get("name"))
    if name in schema.SIZE_ATTRIBUTES and not all(abs(n) <= schema.SIZE_LIMIT for n in numbers):
        raise BundleError(f"{name} out of range")
    return numbers


def _numbers_of(reader: _Reader, attribute: Found) -> Numbers:
    whole = [signed(a) for name in ("i", "ints") for a, _ in attribute.get(name, [])]
    for span in attribute.get("ints_packed", []):
        whole += varints(reader.data, *span)
    real = [
        n
        for name in ("f", "floats", "floats_packed")
        for s in attribute.get(name, [])
        for n in _floats(reader, s)
    ]
    return (*whole, *real)


def _floats(reader: _Reader, span: Span) -> Numbers:
    a, b = span
    if (b - a) % 4:
        raise BundleError("not an ONNX model, or a damaged one (half a number)")
    return struct.unpack_from(f"<{(b - a) // 4}f", reader.data, a)


def _tensor(reader: _Reader, tensor: Found) -> Numbers | None:
    """Checks that a tensor holds what it promises; returns its numbers where they are few."""
    if tensor.get("data_location", [(0, 0)])[0][0] != 0:
        raise BundleError(schema.TENSOR.refused[13])
    kind = tensor.get("data_type", [(0, 0)])[0][0]
    if kind not in schema.ELEMENT_BITS:
        raise BundleError(f"a tensor of element type {kind}")
    elements = _elements(reader, tensor)
    held = [(name, *tensor[name][0]) for name in _PAYLOADS if name in tensor]
    if len(held) > 1 or not (held or elements == 0):
        raise BundleError("a tensor without its data, or with two kinds of it")
    for name, a, b in held:
        _check_payload(kind, elements, name, b - a)
    return _values(reader, kind, held[0]) if held and elements <= _FEW else None


_STEPS = ((1,), (-1,))
_PAYLOADS = ("raw_data", "float_data", "int32_data", "int64_data", "double_data", "uint64_data")
_FIXED = {"float_data": 4, "double_data": 8}


def _elements(reader: _Reader, tensor: Found) -> int:
    dims = [signed(a) for a, _ in tensor.get("dims", [])]
    for span in tensor.get("dims_packed", []):
        dims += varints(reader.data, *span)
    if len(dims) > _FEW or not all(0 <= d <= MAX_ELEMENTS for d in dims):
        raise BundleError("a tensor of impossible dimensions")
    elements = math.prod(dims)
    if elements > MAX_ELEMENTS:
        raise BundleError(f"a tensor of {elements} elements")
    return elements


def _check_payload(kind: int, elements: int, name: str, size: int) -> None:
    if name == "raw_data":
        fits = size == (elements * schema.ELEMENT_BITS[kind] + 7) // 8
    elif name in _FIXED:
        fits = size == elements * _FIXED[name]
    else:
        # One varint has 1 to 10 bytes; two four-bit numbers share one.
        least = (elements + 1) // 2 if schema.ELEMENT_BITS[kind] < 8 else elements
        fits = least <= size <= 10 * elements
    if not fits:
        raise BundleError(f"a tensor whose dimensions promise {elements} elements, in {size} bytes")


def _values(reader: _Reader, kind: int, payload: tuple[str, int, int]) -> Numbers | None:
    name, a, b = payload
    if name == "raw_data" and kind in _RAW:
        letter, size = _RAW[kind]
        return struct.unpack_from(f"<{(b - a) // size}{letter}", reader.data, a)
    if name == "float_data":
        return _floats(reader, (a, b))
    if name in ("int32_data", "int64_data"):
        return tuple(varints(reader.data, a, b))
    return None


_RAW = {schema.FLOAT: ("f", 4), schema.INT32: ("i", 4), schema.INT64: ("q", 8)}
