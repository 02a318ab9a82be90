from __future__ import annotations

import dataclasses
import hashlib
import json
import math

import numpy as np
import onnx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sortograph.bundle import guard, sealing, store
from sortograph.errors import BundleError, StorageError
from sortograph.records import BundleManifest


def test_a_sealed_bundle_is_still_an_onnx_model(small, sealed):
    model = onnx.load_from_string(sealed)
    onnx.checker.check_model(model)
    found = {entry.key: entry.value for entry in model.metadata_props}
    assert list(found) == ["sortograph.manifest", "sortograph.golden", "sortograph.sha256"]
    assert BundleManifest.from_json(found["sortograph.manifest"], "m") == small.manifest
    np.testing.assert_array_equal(json.loads(found["sortograph.golden"])["logits"], small.golden)


def test_the_seal_is_the_hash_of_the_file_with_zeros_in_its_place(sealed):
    blank = sealed[:-64] + b"0" * 64
    digest = hashlib.sha256(blank).hexdigest()
    assert sealed[-64:] == digest.encode()
    assert sealing.verify(sealed, "m") == digest


def test_sealing_changes_only_the_temperature_of_the_graph(small, sealed):
    before, after = small.model(), onnx.load_from_string(sealed)
    for model in (before, after):
        tensor = next(t for t in model.graph.initializer if t.name == "temperature")
        tensor.ClearField("raw_data")
    assert before.graph == after.graph


def test_sealing_is_repeatable_and_replaces_what_was_sealed(small, sealed):
    assert small.sealed() == sealed
    assert store.seal(sealed, small.manifest, small.golden) == sealed


def test_metadata_of_others_stays(small):
    model = small.model()
    onnx.helper.set_model_props(model, {"author": "someone"})
    data = store.seal(model.SerializeToString(), small.manifest, small.golden)
    assert guard.check(data, "m")["author"] == "someone"


def test_every_flipped_byte_is_refused(sealed):
    for place in range(len(sealed)):
        flipped = bytearray(sealed)
        flipped[place] ^= 0xFF
        with pytest.raises(BundleError):
            sealing.verify(flipped, "m")


@given(st.data())
def test_every_flipped_bit_is_refused(sealed, data):
    bit = data.draw(st.integers(0, 8 * len(sealed) - 1))
    flipped = bytearray(sealed)
    flipped[bit // 8] ^= 1 << bit % 8
    with pytest.raises(BundleError) as caught:
        sealing.verify(flipped, "m")
    assert caught.value.where == "m"


def test_every_truncation_is_refused(sealed):
    for length in range(len(sealed)):
        with pytest.raises(BundleError):
            sealing.verify(sealed[:length], "m")


@pytest.mark.parametrize("more", [b"\x00", b"\x08\x08", b"0" * 64, b"x" * 1000])
def test_appended_bytes_are_refused(sealed, more):
    with pytest.raises(BundleError):
        sealing.verify(sealed + more, "m")


def test_plain_onnx_is_told_apart_from_damage(small, sealed):
    with pytest.raises(BundleError, match="not a sortograph bundle"):
        sealing.verify(small.graph(), "m")
    with pytest.raises(BundleError, match=r"damaged or altered.*SHA-256"):
        sealing.verify(b"\x08\x07" + sealed[2:], "m")
    with pytest.raises(BundleError, match="not an ONNX model"):
        sealing.verify(b"GIF89a", "m")


def test_reseal_changes_manifest_and_temperature_in_place(small, sealed):
    cooler = dataclasses.replace(small.manifest, temperature=0.625, recipe="another")
    data = store.reseal(sealed, cooler, "m")
    place = guard.survey(data, "m").temperature
    assert np.frombuffer(data, "<f4", 1, place)[0] == np.float32(0.625)
    assert data == store.seal(small.graph(), cooler, small.golden)
    assert store.reseal(data, small.manifest) == sealed


def test_reseal_refuses_damage_and_other_classes(small, sealed):
    with pytest.raises(BundleError, match="damaged or altered"):
        store.reseal(sealed[:-1] + b"!", small.manifest, "m")
    two = dataclasses.replace(small.manifest, classes=("cat", "dog"))
    with pytest.raises(BundleError, match="number of classes"):
        store.reseal(sealed, two, "m")


@pytest.mark.parametrize("shape", [(4, 2), (3, 3), (12,)])
def test_golden_logits_of_another_shape_are_refused(small, shape):
    with pytest.raises(BundleError, match="golden logits"):
        store.seal(small.graph(), small.manifest, np.zeros(shape, np.float32))


def test_what_cannot_be_read_again_is_not_written(small):
    golden = small.golden
    with pytest.raises(BundleError, match="golden logits"):
        store.seal(small.graph(), small.manifest, golden * np.float32(np.nan))
    broken = dataclasses.replace(small.manifest, evaluation={"test": {"n": math.nan}})
    with pytest.raises(BundleError, match="cannot be written as JSON"):
        store.seal(small.graph(), broken, golden)
    cold = dataclasses.replace(small.manifest, temperature=0.0)
    with pytest.raises(BundleError, match="temperature"):
        store.seal(small.graph(), cold, golden)


def test_a_graph_without_temperature_is_refused(small):
    model = small.model()
    next(t for t in model.graph.initializer if t.name == "temperature").name = "t"
    model.graph.node[4].input[1] = "t"
    with pytest.raises(BundleError, match="without a temperature"):
        store.seal(model.SerializeToString(), small.manifest, small.golden)


def test_a_folder_that_is_not_there_is_a_storage_error(small, tmp_path):
    with pytest.raises(StorageError):
        store.write_bundle(tmp_path / "none" / "model.onnx", small.graph(), small.manifest, small.golden)


ROWS = ("[[1], [2], [3]]", "[[1], [2], [3], [4, 5]]", '[["a"],[1],[1],[1]]', "[[NaN],[1],[1],[1]]")
OTHER_PATTERNS = '{"patterns": 2, "logits": [[1],[1],[1],[1]]}'


@pytest.mark.parametrize(
    "text",
    [
        *("", "{", "[]", "{}", '{"patterns": 1}', OTHER_PATTERNS, "[" * 100_000),
        *(f'{{"patterns": 1, "logits": {rows}}}' for rows in ROWS),
    ],
)
def test_golden_answers_that_cannot_be_read(text):
    with pytest.raises(BundleError, match="golden answers"):
        store.golden_logits(text, "m")
