"""Writing a bundle: manifest, golden answers and seal are appended to the graph as ONNX metadata."""

from __future__ import annotations

import json
import struct
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from sortograph.bundle import guard, schema
from sortograph.bundle.golden import COUNT
from sortograph.bundle.sealing import WRITE_AGAIN, entry, key_of, sealed, verify
from sortograph.bundle.wire import Buffer, fields
from sortograph.errors import BundleError
from sortograph.records import BundleManifest

MANIFEST = "sortograph.manifest"
GOLDEN = "sortograph.golden"
# Names the patterns of golden.py that the logits belong to.
GOLDEN_PATTERNS = 1


def seal(graph: bytes, manifest: BundleManifest, golden_logits: NDArray[np.float32]) -> bytes:
    """The bytes of a model.onnx: the graph with the manifest's temperature, manifest, golden answers, seal.

    graph: a serialized ModelProto; metadata of ours that it already has is replaced
    golden_logits: float32 (4, C), what the graph answers to `golden_photos`

    Raises BundleError when the graph is not allowed in a bundle, has no float32 initializer named
    "temperature" of shape [1], or when manifest and logits cannot be stored.
    """
    rows = np.asarray(golden_logits)
    if rows.shape != (COUNT, len(manifest.classes)) or not np.isfinite(rows).all():
        raise BundleError(
            f"golden logits of shape {rows.shape}",
            expected=f"finite numbers of shape ({COUNT}, {len(manifest.classes)})",
        )
    golden = json.dumps({"patterns": GOLDEN_PATTERNS, "logits": rows.astype(float).tolist()})
    return _assembled(graph, manifest, golden)


def write_bundle(
    path: Path, graph: bytes, manifest: BundleManifest, golden_logits: NDArray[np.float32]
) -> None:
    """Seal and write in one atomic step. Raises BundleError as `seal` does, and StorageError."""
    from sortograph.files import write_atomic  # only writers need it, and readers count milliseconds

    with guard.located(str(path)):
        data = seal(graph, manifest, golden_logits)
    write_atomic(path, data)


def reseal(data: bytes, manifest: BundleManifest, where: str = "") -> bytes:
    """The same bundle with another manifest; its temperature is set in the graph, too.

    The golden answers stay: they are logits, which the temperature does not touch.
    Raises BundleError when `data` is not an intact bundle, or has another number of classes.
    """
    verify(data, where)
    with guard.located(where):
        golden = guard.check(data, where).get(GOLDEN, "")
        if golden_logits(golden, where).shape[1] != len(manifest.classes):
            raise BundleError("a manifest with another number of classes than the model has")
        return _assembled(data, manifest, golden)


def golden_logits(text: str, where: str) -> NDArray[np.float64]:
    """The golden answers in the text of their metadata entry, float64 (4, C). Raises BundleError."""
    try:
        stored = json.loads(text)
        if stored["patterns"] != GOLDEN_PATTERNS:
            raise ValueError("other patterns")
        rows = np.array(stored["logits"], dtype=np.float64)
        if rows.ndim != 2 or len(rows) != COUNT or not np.isfinite(rows).all():
            raise ValueError("not four rows of numbers")
    except (ValueError, KeyError, TypeError, OverflowError, RecursionError):
        raise BundleError("the golden answers cannot be read", where=where, fix=WRITE_AGAIN) from None
    return rows


def _assembled(model: bytes, manifest: BundleManifest, golden: str) -> bytes:
    place = guard.survey(model, "").temperature
    if place is None:
        raise BundleError(
            "a graph without a temperature",
            expected=f"a float32 initializer {guard.TEMPERATURE!r} of shape [1] with raw data",
        )
    text = _manifest_text(manifest)
    patched = bytearray(model)
    struct.pack_into("<f", patched, place, manifest.temperature)
    parts = [memoryview(patched)[a:b] for a, b in _kept(patched)]  # models may be large: no copy of them
    data = sealed(*parts, entry(MANIFEST, text), entry(GOLDEN, golden))
    if len(data) > guard.MAX_BYTES:
        raise BundleError(f"a model of {len(data) / 1e6:.0f} MB, above what ONNX can hold")
    return data


def _manifest_text(manifest: BundleManifest) -> str:
    try:
        text = manifest.to_json()
    except (TypeError, ValueError) as error:
        raise BundleError(f"the manifest cannot be written as JSON ({error})") from None
    BundleManifest.from_json(text, "")  # what we could not read again is not written
    return text


def _kept(model: Buffer) -> Iterator[tuple[int, int]]:
    """Spans of the fields of a model that stay: all but our own metadata."""
    start = 0
    for tag, a, b in fields(model, 0, len(model)):
        if tag != schema.METADATA_TAG or not key_of(model, a, b).startswith(b"sortograph."):
            yield start, b
        start = b
