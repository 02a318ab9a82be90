from __future__ import annotations

import os
import subprocess
import sys

import numpy as np
import pytest
from onnx import helper

from sortograph.bundle import guard, sealing, store
from sortograph.bundle.reading import Reading
from sortograph.bundle.runtime import open_bundle
from sortograph.errors import BundleError, GateError


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no named pipes")
def test_a_pipe_is_refused_at_once(tmp_path):
    os.mkfifo(tmp_path / "model.onnx")
    with pytest.raises(BundleError, match="pipe"):
        open_bundle(tmp_path / "model.onnx")
    with pytest.raises(BundleError, match=r"a folder without model\.onnx"):
        open_bundle(tmp_path)


def test_a_link_to_a_bundle_is_a_bundle(model_file, tmp_path):
    link = tmp_path / "latest.onnx"
    try:
        link.symlink_to(model_file)
    except OSError:
        pytest.skip("links are not allowed here")
    assert open_bundle(link).replay() < 1e-5


def test_what_is_too_large_is_not_read(model_file, monkeypatch):
    monkeypatch.setattr(guard, "MAX_BYTES", 100)
    with pytest.raises(BundleError, match="more than an ONNX model can have"):
        open_bundle(model_file)


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="needs a user without all rights")
def test_a_file_without_permission_is_refused(model_file):
    model_file.chmod(0)
    with pytest.raises(BundleError, match="cannot be read"):
        open_bundle(model_file)


def test_a_name_with_a_zero_byte_is_refused(tmp_path):
    with pytest.raises(BundleError, match="no such file"):
        open_bundle(f"{tmp_path}/a\0b.onnx")


@pytest.mark.parametrize("is_folder", [False, True])
def test_what_a_thread_has_read_is_opened(model_file, is_folder):
    reading = Reading(model_file.parent if is_folder else model_file)
    opened = open_bundle(reading)
    assert (opened.path, opened.sha256) == (model_file, reading.sha256())
    assert opened.replay() < 1e-5


def test_what_a_thread_could_not_read_is_told_to_whoever_asks(model_file, tmp_path):
    gone = Reading(tmp_path / "gone.onnx")
    for ask in (gone.file, gone.sha256, lambda: open_bundle(gone)):
        with pytest.raises(BundleError, match="no such file"):
            ask()
    (tmp_path / "empty.onnx").touch()
    with pytest.raises(BundleError, match="not an ONNX model"):
        open_bundle(Reading(tmp_path / "empty.onnx"))
    content = bytearray(model_file.read_bytes())
    content[-1] ^= 1
    (tmp_path / "altered.onnx").write_bytes(content)
    altered = Reading(tmp_path / "altered.onnx")
    assert altered.file()[1] == content
    with pytest.raises(BundleError, match="altered"):
        altered.sha256()


def test_reading_imports_nothing_that_takes_long():
    code = "import sys, sortograph.bundle.reading\nprint(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert not {"numpy", "onnxruntime", "PIL", "json", "dataclasses"} & set(loaded.split())


def test_the_tolerance_is_as_asked(small, tmp_path):
    store.write_bundle(tmp_path / "m.onnx", small.graph(), small.manifest, small.golden + np.float32(0.01))
    with pytest.raises(GateError):
        open_bundle(tmp_path / "m.onnx").replay(tolerance=0.009)
    assert open_bundle(tmp_path / "m.onnx").replay(tolerance=0.1) == pytest.approx(0.01, rel=1e-2)


def test_answers_that_are_no_numbers_fail_the_gate(small, tmp_path):
    model = small.model()
    next(t for t in model.graph.initializer if t.name == "bias").raw_data = np.full(
        3, np.nan, "<f4"
    ).tobytes()
    store.write_bundle(tmp_path / "m.onnx", model.SerializeToString(), small.manifest, small.golden)
    with pytest.raises(GateError):
        open_bundle(tmp_path / "m.onnx").replay()


def test_a_graph_that_mixes_photos_is_found_out(small, tmp_path):
    # Declared photo by photo, but the answers come in twice the number.
    model = small.model()
    model.graph.node[3].output[0] = "once"
    for output in model.graph.output[:2]:
        output.type.tensor_type.shape.dim[0].dim_param = "other"
    model.graph.node.insert(4, helper.make_node("Concat", ["once", "once"], ["logits"], axis=0))
    store.write_bundle(tmp_path / "m.onnx", model.SerializeToString(), small.manifest, small.golden)
    with pytest.raises(BundleError, match="photo by photo"):
        open_bundle(tmp_path / "m.onnx").run(np.zeros((1, *small.size, 3), np.uint8))


def test_a_newer_format_is_named_even_where_its_graph_is_not_allowed(small, tmp_path):
    text = small.manifest.to_json().replace('"format_version": 1', '"format_version": 2')
    model = small.model()
    model.graph.node.append(helper.make_node("OneHot", ["logits"], ["more"]))
    file = tmp_path / "model.onnx"
    file.write_bytes(sealing.sealed(model.SerializeToString() + sealing.entry(store.MANIFEST, text)))
    with pytest.raises(BundleError, match="newer sortograph"):
        open_bundle(file)
