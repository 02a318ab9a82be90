from __future__ import annotations

import json

import pytest

import sortograph


def test_what_a_person_wants_to_know(call):
    said = call("doctor")
    assert said.code == 0
    assert said.err == ""
    lines = dict(line.split("  ", 1) for line in said.out.splitlines())
    assert lines["sortograph"].strip() == sortograph.__version__
    assert "Python" in lines["runs on"]
    sizes, limit = lines["caches"].strip().split("; together at most ")
    assert sizes == "pixels 0.0 MB, features 0.0 MB, backbones 0.0 MB, scans 0.0 MB"
    assert limit.endswith(" GB")
    assert any("pip install" in line or "installed" in line for line in said.out.splitlines())
    assert "model" not in lines


def test_missing_extras_say_what_to_type(call, stand_in):
    from sortograph import api

    found = api.doctor() | {"extras": {"heic": False, "train": True}}
    stand_in("doctor", found)
    out = call("doctor").out
    assert 'extra heic   not installed: pip install "sortograph[heic]"' in out
    assert "extra train  installed" in out


def test_a_model(call, model_file):
    out = call("doctor", model_file).out
    assert "intact" in out
    assert "cat, dog, 새" in out
    assert "5×6 pixels" in out


def test_a_damaged_model(call, model_file):
    data = bytearray(model_file.read_bytes())
    data[200] ^= 1
    model_file.write_bytes(data)
    said = call("doctor", model_file)
    assert said.code == 3
    assert said.out == ""
    assert "damaged" in said.err


def test_verbose_and_json_tell_the_same_and_all(call, model_file):
    found = json.loads(call("doctor", model_file, "--json").out)
    assert set(found) >= {"version", "extras", "device", "weights", "caches", "model"}
    verbose = call("doctor", model_file, "--verbose").out
    assert "model.sha256 " in verbose
    assert found["model"]["sha256"] in verbose
    for name in found["environment"]["packages"]:
        assert f"environment.packages.{name} " in verbose


@pytest.mark.parametrize("name", ["missing.onnx", "."])
def test_no_model(call, name):
    said = call("doctor", name)
    assert said.code == 3
    assert "  next: sortograph train PHOTOS" in said.err
