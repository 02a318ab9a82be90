"""The seal of a bundle: the last field of the file, the SHA-256 of the whole of it with the 64 characters of
the seal itself set to "0".

It shows that no byte has changed since; it says nothing of who wrote the file.
"""

from __future__ import annotations

import hashlib

from sortograph.bundle import schema
from sortograph.bundle.wire import Buffer, block, fields
from sortograph.errors import BundleError

SEAL = "sortograph.sha256"
WRITE_AGAIN = "copy the file again from where it came, or train again"

_DIGEST = 64
_BLANK = b"0" * _DIGEST


def entry(key: str, value: str) -> bytes:
    """A field of metadata."""
    return block(schema.METADATA, block(1, key.encode()) + block(2, value.encode()))


_HEAD = entry(SEAL, _BLANK.decode())[:-_DIGEST]


def sealed(*content: Buffer) -> bytes:
    """A model, given in parts, with the seal behind all of its fields."""
    parts = (*content, _HEAD)
    digest = hashlib.sha256()
    for part in (*parts, _BLANK):
        digest.update(part)
    return b"".join((*parts, digest.hexdigest().encode()))


def verify(data: Buffer, where: str) -> str:
    """The SHA-256 that seals a bundle, 64 hexadecimal characters.

    Raises BundleError when the bytes are not a bundle or not those that were sealed.
    """
    body = len(data) - _DIGEST
    start = body - len(_HEAD)
    if start < 0 or bytes(data[start:body]) != _HEAD:
        raise _not_sealed(data, where)
    digest = _digest(data, body)
    if bytes(data[body:]) != digest.encode():
        raise BundleError(
            "damaged or altered after it was written (its SHA-256 differs)", where=where, fix=WRITE_AGAIN
        )
    return digest


def _digest(data: Buffer, body: int) -> str:
    digest = hashlib.sha256(memoryview(data)[:body])
    digest.update(_BLANK)
    return digest.hexdigest()


def key_of(model: Buffer, start: int, end: int) -> bytes:
    """The key of the entry of metadata in model[start:end], b"" where it has none."""
    spans = {schema.ENTRY.allowed.get(tag): (a, b) for tag, a, b in fields(model, start, end)}
    a, b = spans.get("key", (0, 0))
    return bytes(model[a:b])


def _not_sealed(data: Buffer, where: str) -> BundleError:
    """Why bytes without our seal at their end are no bundle: the reason that helps the most."""
    try:
        spans = [(tag, a, b) for tag, a, b in fields(data, 0, len(data))]
        keys = [key_of(data, a, b) for tag, a, b in spans if tag == schema.METADATA_TAG]
    except BundleError as error:
        reason = "not an ONNX model, or one that was cut short"
        return BundleError(f"{reason} ({error.what})", where=where, expected="a model.onnx of sortograph")
    if any(key.startswith(b"sortograph.") for key in keys):
        return BundleError("damaged or altered after it was written", where=where, fix=WRITE_AGAIN)
    if not any(schema.MODEL.allowed.get(tag) == "graph" for tag, _, _ in spans):
        return BundleError("not an ONNX model", where=where, expected="a model.onnx of sortograph")
    return BundleError(
        "an ONNX model, but not a sortograph bundle (it has no manifest)",
        where=where,
        expected="a model.onnx of sortograph",
        fix="sortograph train PHOTOS",
    )
