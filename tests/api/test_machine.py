"""doctor: what is installed, and whether a model is still what it was."""

from __future__ import annotations

import hashlib
import json
import shutil

import pytest

import sortograph
from sortograph.bundle.store import write_bundle
from sortograph.errors import BundleError, GateError


def test_without_a_model_it_tells_of_the_machine(cache, run):
    found = sortograph.doctor()
    assert set(found) == {"version", "extras", "device", "weights", "caches", "environment"}
    assert found["version"] == sortograph.__version__
    assert found["extras"]["train"] is True
    kept = sum(file.stat().st_size for file in (cache / "pixels").rglob("*") if file.is_file())
    assert found["caches"]["pixels"]["bytes"] == kept > 0
    assert 0 < found["caches"]["pixels"]["limit"] <= 20 * 10**9
    assert json.loads(json.dumps(found)) == found


def test_without_a_cache_it_makes_none(tmp_path, monkeypatch):
    monkeypatch.setenv("SORTOGRAPH_CACHE", str(tmp_path / "cache"))
    assert sortograph.doctor()["caches"]["pixels"]["bytes"] == 0
    assert not (tmp_path / "cache").exists()


@pytest.mark.parametrize("place", ["folder", "bundle"])
def test_a_sound_model(run, watch, place):
    watch(run.folder)
    model = sortograph.doctor(getattr(run, place))["model"]
    assert model["classes"] == ["red", "green", "blue"]
    assert model["size"] == [16, 16]
    assert model["made_with"] == f"sortograph {sortograph.__version__}"
    assert model["largest_difference_of_a_logit"] == 0
    data = run.bundle.read_bytes()
    assert data.endswith(model["sha256"].encode())
    assert hashlib.sha256(data[:-64] + b"0" * 64).hexdigest() == model["sha256"]


@pytest.mark.parametrize("where", [0.1, 0.5, 0.9])
def test_a_model_with_one_altered_bit(run, tmp_path, where):
    data = bytearray(run.bundle.read_bytes())
    data[int(len(data) * where)] ^= 1
    (tmp_path / "model.onnx").write_bytes(bytes(data))
    with pytest.raises(BundleError):
        sortograph.doctor(tmp_path / "model.onnx")


def test_a_model_that_was_cut_short(run, tmp_path):
    (tmp_path / "model.onnx").write_bytes(run.bundle.read_bytes()[:-1000])
    with pytest.raises(BundleError):
        sortograph.doctor(tmp_path)


def test_a_model_that_answers_otherwise_than_where_it_was_made(small, tmp_path):
    """Sealed with other answers: what a machine with other arithmetic would see."""
    write_bundle(tmp_path / "model.onnx", small.graph(), small.manifest, small.golden + 0.01)
    with pytest.raises(GateError, match=r"a logit differs by 0\.01"):
        sortograph.doctor(tmp_path)
    write_bundle(tmp_path / "model.onnx", small.graph(), small.manifest, small.golden)
    assert sortograph.doctor(tmp_path)["model"]["largest_difference_of_a_logit"] < 1e-4


def test_a_model_that_is_not_there(run, tmp_path):
    with pytest.raises(BundleError, match="no such file or folder"):
        sortograph.doctor(tmp_path / "model.onnx")
    shutil.copy(run.folder / "recipe.toml", tmp_path / "model.onnx")
    with pytest.raises(BundleError, match="not an ONNX model"):
        sortograph.doctor(tmp_path / "model.onnx")
