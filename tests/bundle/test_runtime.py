from __future__ import annotations

import dataclasses
import json
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from onnx import TensorProto, helper

from sortograph.bundle import reading, runtime, sealing, store
from sortograph.bundle.golden import golden_photos
from sortograph.bundle.runtime import open_bundle
from sortograph.classify import Classifier
from sortograph.errors import BundleError, DataError, GateError, UsageError
from sortograph.records import PreprocessSpec


def sealed_anyway(graph: bytes, **metadata: str) -> bytes:
    """A file with a valid seal around any content, as someone with bad intent would make it."""
    entries = [sealing.entry(f"sortograph.{key}", value) for key, value in metadata.items()]
    return sealing.sealed(graph + b"".join(entries))


def manifest_with(small, **changes) -> str:
    return json.dumps({**json.loads(small.manifest.to_json()), **changes})


def some_photos(count: int, size=(6, 5)):
    return np.random.default_rng(count).integers(0, 256, (count, *size, 3), dtype=np.uint8)


def test_a_damaged_model_never_reaches_onnx_runtime(model_file, monkeypatch, capfd):
    """Whatever the guard would say of it, it is told as damaged, and nothing is printed."""

    def reached(*_: object) -> None:
        raise AssertionError("it was opened")

    monkeypatch.setattr(runtime, "open_session", reached)
    sealed = model_file.read_bytes()
    for place in range(0, len(sealed) - 120, 7):
        flipped = bytearray(sealed)
        flipped[place] ^= 0x80
        model_file.write_bytes(flipped)
        with pytest.raises(BundleError, match="SHA-256"):
            open_bundle(model_file)
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("failure", [MemoryError(), KeyboardInterrupt()])
def test_what_stops_the_hashing_is_raised(model_file, monkeypatch, failure):
    def fails(*_: object) -> str:
        raise failure

    monkeypatch.setattr(reading, "verify", fails)
    with pytest.raises(type(failure)):
        open_bundle(model_file)


@pytest.mark.parametrize("count", [1, 2, 7])
def test_answers_are_those_of_numpy(small, model_file, count):
    photos = some_photos(count)
    answers = open_bundle(model_file).run(photos)
    probabilities, logits, embedding = small.expected(photos)
    np.testing.assert_allclose(answers.embedding, embedding, atol=1e-6)
    np.testing.assert_allclose(answers.logits, logits, atol=1e-5)
    np.testing.assert_allclose(answers.probabilities, probabilities, atol=1e-6)
    assert {a.dtype for a in (answers.embedding, answers.logits, answers.probabilities)} == {np.dtype("f4")}


def test_many_are_answered_as_together(model_file, monkeypatch):
    monkeypatch.setattr(runtime, "_CALL_PIXELS", 6 * 5)
    bundle, photos = open_bundle(model_file, threads=1), some_photos(7)
    for given, expected in zip(bundle.run_many(photos)[:3], bundle.run(photos)[:3], strict=True):
        np.testing.assert_allclose(given, expected, atol=1e-6)


def test_a_bundle_tells_what_it_is(small, model_file):
    bundle = open_bundle(model_file, threads=1)
    assert bundle.manifest == small.manifest
    assert bundle.path == model_file
    assert bundle.sha256.encode() == model_file.read_bytes()[-64:]


def deepened(model, count):
    """The same answers after `count` operators more."""
    nodes = [helper.make_node("Relu", [f"r{k}"], [f"r{k + 1}"]) for k in range(count)]
    nodes[0].input[0], nodes[-1].output[0] = "real", "deep"
    for node in model.graph.node:
        for place, name in enumerate(node.input):
            node.input[place] = "deep" if name == "real" else name
    for node in reversed(nodes):
        model.graph.node.insert(1, node)
    return model.SerializeToString()


@pytest.mark.parametrize(("more", "largest"), [(58, 16), (59, 8)])
def test_models_of_few_operators_get_larger_calls_and_no_plan_of_memory(
    make_small, tmp_path, monkeypatch, more, largest
):
    small, path = make_small(size=(180, 180)), tmp_path / "model.onnx"
    store.write_bundle(path, deepened(small.model(), more), small.manifest, small.golden)
    bundle = open_bundle(path, threads=1)
    assert bundle.replay() < 1e-4
    assert bundle.shallow is not bundle._session.get_session_options().enable_mem_pattern
    calls, run = [], bundle.run
    monkeypatch.setattr(runtime.Bundle, "run", lambda _, photos: calls.append(len(photos)) or run(photos))
    assert len(list(Classifier(bundle).predict_many(iter(some_photos(100, small.size))))) == 100
    assert max(calls) == largest


def test_a_run_folder_stands_for_its_model(model_file):
    assert open_bundle(model_file.parent).path == model_file


def test_views_of_larger_arrays_are_photos_too(small, model_file):
    turned = some_photos(3, (5, 6)).transpose(0, 2, 1, 3)
    logits = open_bundle(model_file).run(turned).logits
    np.testing.assert_allclose(logits, small.expected(turned)[1], atol=1e-5)


def test_replay_finds_no_difference_where_it_was_made(model_file):
    assert open_bundle(model_file).replay() < 1e-5


def test_replay_finds_a_difference(small, tmp_path):
    golden = small.golden
    golden[2, 1] += 0.0005
    store.write_bundle(tmp_path / "m.onnx", small.graph(), small.manifest, golden)
    assert open_bundle(tmp_path / "m.onnx").replay() == pytest.approx(0.0005, rel=0.01)


def test_replay_refuses_a_large_difference(small, tmp_path):
    store.write_bundle(tmp_path / "m.onnx", small.graph(), small.manifest, small.golden + np.float32(0.1))
    with pytest.raises(GateError, match=r"a logit differs by 0\.1"):
        open_bundle(tmp_path / "m.onnx").replay()


def test_resealing_changes_the_probabilities_alone(small, model_file):
    photos = some_photos(3)
    before = open_bundle(model_file).run(photos)
    sharper = dataclasses.replace(small.manifest, temperature=0.5)
    model_file.write_bytes(store.reseal(model_file.read_bytes(), sharper))
    after = open_bundle(model_file).run(photos)
    np.testing.assert_array_equal(after.logits, before.logits)
    expected = dataclasses.replace(small, temperature=0.5).expected(photos)[0]
    np.testing.assert_allclose(after.probabilities, expected, atol=1e-6)
    assert np.abs(after.probabilities - before.probabilities).max() > 0.01


def test_threads_get_their_own_answers(small, model_file):
    bundle = open_bundle(model_file)
    batches = [some_photos(count) for count in range(1, 25)]
    with ThreadPoolExecutor(6) as pool:
        answers = list(pool.map(bundle.run, batches))
    for photos, answer in zip(batches, answers, strict=True):
        np.testing.assert_allclose(answer.logits, small.expected(photos)[1], atol=1e-5)


@pytest.mark.parametrize(
    "photos",
    [some_photos(2, (5, 6)), some_photos(2).astype(np.float32), some_photos(1)[0], some_photos(1)[:0]],
    ids=["size", "dtype", "no batch", "empty"],
)
def test_other_arrays_are_refused(model_file, photos):
    with pytest.raises(DataError, match="uint8"):
        open_bundle(model_file).run(photos)


def test_missing_files_and_folders(tmp_path):
    with pytest.raises(BundleError, match="no such file"):
        open_bundle(tmp_path / "none.onnx")
    with pytest.raises(BundleError, match=r"a folder without model\.onnx"):
        open_bundle(tmp_path)
    with pytest.raises(BundleError, match="no such file"):
        open_bundle(tmp_path / ("x" * 5000))


def test_threads_below_one_are_a_usage_error(model_file):
    with pytest.raises(UsageError):
        open_bundle(model_file, threads=0)


@pytest.mark.parametrize(
    "content", [b"", b"<html>", b"\x80\x04\x95pickle.", b"\x89PNG\r\n\x1a\n" + bytes(200)]
)
def test_other_files_are_refused(tmp_path, content):
    file = tmp_path / "model.onnx"
    file.write_bytes(content)
    with pytest.raises(BundleError) as caught:
        open_bundle(file)
    assert caught.value.where == str(file)


def test_plain_onnx_is_named_as_such(small, tmp_path):
    file = tmp_path / "model.onnx"
    file.write_bytes(small.graph())
    with pytest.raises(BundleError, match="an ONNX model, but not a sortograph bundle"):
        open_bundle(file)


MANIFESTS = {
    "newer": ({"format_version": 2}, "newer sortograph"),
    "code": ({"_target_": "os.system"}, "unknown key '_target_'"),
    "module": ({"module:": "evil"}, "unknown key 'module:'"),
    "typo": ({"temprature": 1.0}, "did you mean 'temperature'"),
    "no classes": ({"classes": []}, "classes is out of range"),
    "same classes": ({"classes": ["a", "a", "b"]}, "classes is out of range"),
    "zero": ({"temperature": 0}, "temperature is out of range"),
    "yes": ({"temperature": True}, "temperature is out of range"),
    "preprocess key": ({"preprocess": {"size": [6, 5], "_target_": "x"}}, "preprocess"),
    "preprocess size": ({"preprocess": {"size": [6, 0]}}, "preprocess"),
    "preprocess text": ({"preprocess": "x"}, "preprocess"),
    "other temperature": ({"temperature": 3.0}, "temperature of the graph"),
    "two classes": ({"classes": ["a", "b"]}, "probabilities is"),
    "other size": ({"preprocess": {"size": [7, 5]}}, "photos is"),
}


@pytest.mark.parametrize("case", MANIFESTS)
def test_manifests_that_do_not_fit_are_refused(small, tmp_path, case):
    changes, reason = MANIFESTS[case]
    file = tmp_path / "model.onnx"
    graph = dataclasses.replace(small, temperature=1.0).graph()
    golden = json.dumps({"patterns": 1, "logits": small.golden.tolist()})
    text = manifest_with(dataclasses.replace(small, temperature=1.0), **changes)
    file.write_bytes(sealed_anyway(graph, manifest=text, golden=golden))
    with pytest.raises(BundleError, match=reason) as caught:
        open_bundle(file)
    assert caught.value.where == str(file)


@pytest.mark.parametrize("text", ["", "null", "[]", "{", "[" * 100_000, '{"format_version": 1}'])
def test_text_that_is_no_manifest_is_refused(small, tmp_path, text):
    file = tmp_path / "model.onnx"
    file.write_bytes(sealed_anyway(small.graph(), manifest=text))
    with pytest.raises(BundleError, match="manifest"):
        open_bundle(file)


def test_a_seal_without_manifest_is_refused(small, tmp_path):
    file = tmp_path / "model.onnx"
    file.write_bytes(sealed_anyway(small.graph()))
    with pytest.raises(BundleError, match="without a manifest"):
        open_bundle(file)


def test_a_sealed_model_that_names_another_file_is_not_opened(small, tmp_path, monkeypatch):
    # ONNX Runtime would read the file out of the current folder.
    monkeypatch.chdir(tmp_path)
    (tmp_path / "weights.bin").write_bytes(bytes(36))
    model = dataclasses.replace(small, temperature=1.0).model()
    tensor = next(t for t in model.graph.initializer if t.name == "weights")
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value="weights.bin")
    text = dataclasses.replace(small, temperature=1.0).manifest.to_json()
    (tmp_path / "model.onnx").write_bytes(sealed_anyway(model.SerializeToString(), manifest=text))
    with pytest.raises(BundleError, match="kept in another file"):
        open_bundle("model.onnx")


def test_what_onnx_runtime_refuses_is_a_bundle_error(small, tmp_path):
    model = small.model()
    model.graph.node.append(helper.make_node("Relu", ["nowhere"], ["more"]))
    store.write_bundle(tmp_path / "m.onnx", model.SerializeToString(), small.manifest, small.golden)
    with pytest.raises(BundleError, match="ONNX Runtime cannot open it"):
        open_bundle(tmp_path / "m.onnx")


def test_a_graph_with_a_fixed_number_of_photos_is_refused(small, tmp_path):
    model = small.model()
    model.graph.input[0].type.tensor_type.shape.dim[0].dim_value = 4
    store.write_bundle(tmp_path / "m.onnx", model.SerializeToString(), small.manifest, small.golden)
    with pytest.raises(BundleError, match="any number of photos"):
        open_bundle(tmp_path / "m.onnx")


def test_a_tall_size_is_height_first(make_small, tmp_path):
    tall = make_small(size=(9, 2))
    bundle = open_bundle(tall.write(tmp_path / "m.onnx"))
    assert bundle.manifest.preprocess == PreprocessSpec(size=(9, 2))
    assert bundle.run(golden_photos((9, 2))).logits.shape == (4, 3)
