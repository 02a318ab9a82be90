from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sortograph.bundle import wire
from sortograph.errors import BundleError


@given(st.integers(0, 2**64 - 1), st.binary(max_size=3))
def test_a_number_survives(value, rest):
    data = wire.encoded(value) + rest
    assert wire.varint(data, 0, len(data)) == (value, len(data) - len(rest))


@given(st.integers(-(2**63), 2**63 - 1))
def test_a_signed_number_survives(value):
    assert wire.signed(value % 2**64) == value


@given(st.lists(st.tuples(st.integers(1, 2**29 - 1), st.binary(max_size=200)), max_size=5))
def test_blocks_survive(blocks):
    data = b"".join(wire.block(number, payload) for number, payload in blocks)
    found = [(tag >> 3, data[a:b]) for tag, a, b in wire.fields(data, 0, len(data))]
    assert found == blocks


def test_every_wire_type_is_read():
    data = bytes([1 << 3 | 0, 0x96, 0x01, 2 << 3 | 1, *range(8), 3 << 3 | 2, 1, 7, 4 << 3 | 5, *range(4)])
    found = list(wire.fields(data, 0, len(data)))
    assert found == [(8, 150, 3), (17, 4, 12), (26, 14, 15), (37, 16, 20)]


@pytest.mark.parametrize(
    "data",
    [
        b"\x0a\x05abc",  # five bytes promised, three there
        b"\x0a\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01",  # nearly 2**64 bytes promised
        b"\x08" + b"\xff" * 10,  # a number that does not end
        b"\x08" + b"\xff" * 9 + b"\x7f",  # ten bytes, but above 64 bits
        b"\x08",  # no number at all
        b"\x0b\x0c",  # groups
        b"\x0e",  # a wire type that does not exist
        b"\x00\x00",  # field number 0
        b"\x09\x00",  # half a fixed64
        b"\x0d\x00",  # half a fixed32
        b"\xf8\xff\xff\xff\xff\x01\x00",  # a field number above 2**29
    ],
)
def test_what_is_no_message_is_refused(data):
    with pytest.raises(BundleError, match="not an ONNX model"):
        list(wire.fields(data, 0, len(data)))


@given(st.binary(max_size=300))
def test_random_bytes_end_in_fields_or_refusal(data):
    try:
        found = list(wire.fields(memoryview(data), 0, len(data)))
    except BundleError:
        return
    assert all(0 < stop <= len(data) for _, _, stop in found)
