"""The protobuf wire format: a bounded reader, and what it takes to append and drop fields.

Nothing is copied and nothing is descended into unless the caller asks for it, so that a large model
costs no more than its number of fields. Source of the format: https://protobuf.dev/programming-guides/encoding/
"""

from __future__ import annotations

from collections.abc import Iterator

from sortograph.errors import BundleError

VARINT, FIXED64, LENGTH, FIXED32 = 0, 1, 2, 5

Buffer = bytes | bytearray | memoryview
# (tag, a, b). The tag is number · 8 + wire type. Of a varint, a is the value and b where it ends;
# of all others, a and b are where the payload starts and ends.
Field = tuple[int, int, int]

_SIZES = {FIXED64: 8, FIXED32: 4}


def fields(data: Buffer, start: int, end: int) -> Iterator[Field]:
    """The fields of the message that fills data[start:end], in order.

    Raises BundleError on anything that is not a message: lengths that lie, varints without an end,
    group markers, field number 0.
    """
    at = start
    while at < end:
        tag = data[at]
        if tag < 0x80:  # here and below a call is spared, because this loop is what the guard costs
            at += 1
        else:
            tag, at = varint(data, at, end)
        kind = tag & 7
        if not 8 <= tag < 1 << 32:
            raise _damaged("a field number out of range")
        if kind == LENGTH:
            size = data[at] if at < end else 0x80
            if size < 0x80:
                at += 1
            else:
                size, at = varint(data, at, end)
            stop = at + size
        elif kind == VARINT:
            at, stop = varint(data, at, end)
        elif kind in _SIZES:
            stop = at + _SIZES[kind]
        else:
            raise _damaged(f"wire type {kind}")
        if stop > end:
            raise _damaged("a field that runs past its end")
        yield tag, at, stop
        at = stop


def varint(data: Buffer, at: int, end: int) -> tuple[int, int]:
    """The unsigned number that starts at `at`, and where it ends. Raises BundleError.

    >>> varint(bytes([0xAC, 0x02]), 0, 2)
    (300, 2)
    """
    if at < end and data[at] < 0x80:  # most numbers are one byte
        return data[at], at + 1
    value = 0
    for position in range(at, min(end, at + 10)):
        byte = data[position]
        value |= (byte & 0x7F) << 7 * (position - at)
        if byte < 0x80:
            if value >= 1 << 64:
                raise _damaged("a number above 64 bits")
            return value, position + 1
    raise _damaged("a number without an end")


def signed(value: int) -> int:
    """The int64 that an unsigned varint stands for.

    >>> signed(2**64 - 1)
    -1
    """
    return value - (1 << 64) if value >> 63 else value


def varints(data: Buffer, start: int, end: int) -> Iterator[int]:
    """The numbers of a packed field, as int64. Raises BundleError."""
    at = start
    while at < end:
        value, at = varint(data, at, end)
        yield signed(value)


def encoded(value: int) -> bytes:
    """A non-negative number as a varint.

    >>> encoded(300).hex()
    'ac02'
    """
    groups = bytearray()
    while value >= 0x80:
        groups.append(value & 0x7F | 0x80)
        value >>= 7
    groups.append(value)
    return bytes(groups)


def block(number: int, payload: bytes) -> bytes:
    """A length-delimited field: string, bytes or message.

    >>> block(14, b"ab").hex()
    '72026162'
    """
    return encoded(number << 3 | LENGTH) + encoded(len(payload)) + payload


def _damaged(found: str) -> BundleError:
    return BundleError(f"not an ONNX model, or a damaged one ({found})")
