"""S3 in its short form: benchmarks/soak.py for some seconds, on a sound server and on one that leaks."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import pytest

from serve_tools import photo

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"
SECONDS, CLIENTS, MOST = 4.0, 32, 12.0  # megabytes
SERVER = """
import sys
from sortograph.api.serving import Serving, serve
from sortograph.serve.service import Service

LEAK = int(sys.argv[2])
kept, real = [], Service.predict


async def predict(self, *arguments):
    kept.append(b"x" * LEAK)
    return await real(self, *arguments)


Service.predict = predict
serve([sys.argv[1]], options=Serving(port=0), told=lambda address: print(address, flush=True))
"""


@pytest.fixture(scope="module")
def soaking():
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(BENCHMARKS))
        spec = importlib.util.spec_from_file_location("soak", BENCHMARKS / "soak.py")
        module = importlib.util.module_from_spec(spec)
        patch.setitem(sys.modules, "soak", module)
        spec.loader.exec_module(module)
        yield module
        sys.modules.pop("serve", None)


def soaked(soaking, model, leak):
    words = [sys.executable, "-c", SERVER, str(model), str(leak)]
    with subprocess.Popen(words, stdout=subprocess.PIPE, text=True, env=dict(os.environ)) as process:
        try:
            port = int(process.stdout.readline().strip().rstrip("/").rpartition(":")[2])
            requests = [
                soaking.serve.request(photo((k, 2 * k, 90), "JPEG"), "/v1/predict") for k in range(40)
            ]
            soaking.soak(port, process.pid, requests, CLIENTS, 1.0)  # what is filled once
            return soaking.soak(port, process.pid, requests, CLIENTS, SECONDS)
        finally:
            process.terminate()
            process.wait(20)


def test_s03_no_request_fails_and_memory_does_not_grow(soaking, model):
    found = soaked(soaking, model, 0)
    assert found.requests > 200
    assert found.failed == 0
    assert found.growth < MOST


def test_s03_a_leak_is_seen(soaking, model):
    """300 kB of every request are kept: what the test above would not let pass."""
    found = soaked(soaking, model, 300_000)
    assert found.growth > MOST
