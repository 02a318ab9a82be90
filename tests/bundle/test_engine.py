from __future__ import annotations

import os
import subprocess
import sys
from types import SimpleNamespace

import numpy as np
import onnxruntime
import pytest

from sortograph.bundle import guard
from sortograph.bundle.engine import onnxruntime as silent_runtime
from sortograph.bundle.engine import open_session
from sortograph.errors import BundleError


@pytest.fixture
def two_faced(small):
    """A whole ONNX model that carries the mark of ONNX Runtime's own format at its fifth byte."""
    model = small.model()
    model.producer_name = "ORTM"
    data = model.SerializeToString()
    assert data[4:8] == b"ORTM"
    return data


def test_the_format_is_never_guessed(small, two_faced):
    # By default ONNX Runtime reads such a file as its other format, of which the guard saw nothing.
    with pytest.raises(Exception, match="ORT"):
        onnxruntime.InferenceSession(two_faced, providers=["CPUExecutionProvider"])
    session = open_session(two_faced, "m")
    photos = np.full((1, *small.size, 3), 9, np.uint8)
    logits = session.run(["logits"], {"photos": photos})[0]
    np.testing.assert_allclose(logits, small.expected(photos)[1], atol=1e-5)


def test_the_guard_refuses_it_all_the_same(two_faced):
    with pytest.raises(BundleError, match="own format"):
        guard.check(two_faced, "m")


def test_threads_are_as_asked(small):
    options = open_session(small.graph(), "m", threads=1).get_session_options()
    assert options.intra_op_num_threads == 1
    assert options.log_severity_level == 3


@pytest.mark.parametrize("planned", [True, False])
def test_memory_is_planned_as_asked(small, planned):
    session = open_session(small.graph(), "m", memory_plan=planned)
    assert session.get_session_options().enable_mem_pattern is planned


def test_a_model_that_onnx_runtime_refuses(small):
    with pytest.raises(BundleError, match="ONNX Runtime cannot open it") as caught:
        open_session(small.graph()[:-5], "folder/m.onnx")
    assert caught.value.where == "folder/m.onnx"
    assert "\n" not in caught.value.what


def test_no_telemetry_and_nothing_left_on_the_disk(model_file, tmp_path):
    home = tmp_path / "home"
    home.mkdir()
    script = (
        "import os\n"
        "from sortograph.bundle.runtime import open_bundle\n"
        f"open_bundle({str(model_file)!r}).replay()\n"
        "assert os.environ['ORT_DISABLE_TELEMETRY'] == '1'\n"
    )
    places = dict.fromkeys(("HOME", "XDG_CACHE_HOME", "XDG_STATE_HOME", "XDG_DATA_HOME", "TMPDIR"), str(home))
    kept = {key: value for key, value in os.environ.items() if key not in ("CI", "ORT_DISABLE_TELEMETRY")}
    subprocess.run([sys.executable, "-c", script], env={**kept, **places}, check=True)
    assert list(home.rglob("*")) == []


@pytest.mark.parametrize(("setting", "calls"), [(None, 1), ("1", 1), ("0", 0)])
def test_who_wants_telemetry_must_say_so(monkeypatch, setting, calls):
    made = []
    fake = SimpleNamespace(disable_telemetry_events=lambda: made.append(1))
    monkeypatch.setitem(sys.modules, "onnxruntime", fake)
    monkeypatch.delenv("ORT_DISABLE_TELEMETRY", raising=False)
    if setting is not None:
        monkeypatch.setenv("ORT_DISABLE_TELEMETRY", setting)
    assert silent_runtime() is fake
    assert len(made) == calls
    assert os.environ["ORT_DISABLE_TELEMETRY"] == (setting or "1")


def test_an_onnx_runtime_without_the_call_will_do(monkeypatch):
    fake = SimpleNamespace()
    monkeypatch.setitem(sys.modules, "onnxruntime", fake)
    assert silent_runtime() is fake
