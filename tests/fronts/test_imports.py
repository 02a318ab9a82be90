"""What an import leaves in sys.modules: import-linter cannot see what a package loads on its own."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest
from PIL import Image, features

HEAVY = frozenset(
    """
    torch torchvision timm accelerate safetensors ray onnx onnxscript google pandas sklearn scipy matplotlib
    pydantic typer rich click fastapi starlette uvicorn jinja2 filelock platformdirs optuna cleanlab
    """.split()  # noqa: SIM905
)


def modules_after(code: str) -> frozenset[str]:
    """Names of all modules after a fresh interpreter has run `code`."""
    script = f"{code}\nimport json, sys\nprint(json.dumps(sorted(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    return frozenset(json.loads(done.stdout.splitlines()[-1]))


def foreign(modules: frozenset[str]) -> set[str]:
    """Packages that are neither ours nor of the standard library nor of the interpreter's start."""
    at_start = {name.partition(".")[0] for name in modules_after("")}
    packages = {name.partition(".")[0] for name in modules} - at_start - set(sys.stdlib_module_names)
    return {name for name in packages if not name.startswith("__")}


def test_the_package_alone_imports_nothing():
    modules = modules_after("import sortograph\nassert sortograph.__version__")
    assert foreign(modules) == {"sortograph"}
    assert {name for name in modules if name.startswith("sortograph")} == {"sortograph", "sortograph.lazy"}


def test_records_and_errors_come_without_the_rooms_that_make_them():
    modules = modules_after("import sortograph\nsortograph.Prediction, sortograph.SortographError")
    assert {name for name in modules if name.startswith("sortograph")} == {
        "sortograph",
        "sortograph.errors",
        "sortograph.lazy",
        "sortograph.records",
        "sortograph.records.predictions",
    }


def test_progress_is_told_without_numpy():
    modules = modules_after("import sortograph\nsortograph.EpochDone, sortograph.Said, sortograph.RunRecord")
    assert foreign(modules) == {"sortograph"}


@pytest.mark.parametrize(
    ("kind", "plugins"),
    [
        ("JPEG", {"Jpeg"}),
        ("PNG", set()),
        ("GIF", set()),
        ("WEBP", {"WebP"}),
        ("TIFF", {"Tiff"}),
        ("AVIF", {"Avif"}),
    ],
)
def test_a_photo_loads_few_plugins(tmp_path, kind, plugins):
    if kind == "AVIF" and not features.check("avif"):
        pytest.skip("this Pillow has no AVIF")
    Image.new("RGB", (8, 8)).save(tmp_path / "photo", kind)
    modules = modules_after(
        "from pathlib import Path\n"
        "from sortograph.images.decode import decode\n"
        f"decode(Path({str(tmp_path / 'photo')!r}).read_bytes(), at_least=(4, 4))\n"
    )
    common = {"Bmp", "Gif", "Jpeg", "Ppm", "Png"} if kind != "JPEG" else set()  # by Image.preinit
    loaded = {name[4:-11] for name in modules if name.startswith("PIL.") and name.endswith("ImagePlugin")}
    assert loaded == common | plugins


def test_predict_imports_numpy_and_pillow_alone():
    modules = modules_after("import sortograph.classify")
    assert foreign(modules) == {"sortograph", "numpy", "PIL"}
    # Loaded by the one who needs them: many photos, opening a bundle, writing one, folders.
    later = {
        "concurrent.futures",
        "multiprocessing",
        "tempfile",
        "csv",
        "sortograph.files",
        "sortograph.dataset",
        "sortograph.records.dataset",
        "sortograph.records.evaluation",
    }
    assert not later & modules


def test_one_prediction_imports_onnxruntime_and_starts_no_threads(model_file):
    code = (
        "import sys, threading, numpy\n"
        "from sortograph.classify import load\n"
        f"answer = load({str(model_file)!r}).predict(numpy.zeros((9, 9, 3), numpy.uint8))\n"
        "assert answer.label is not None and threading.active_count() == 1\n"
    )
    modules = modules_after(code)
    # flatbuffers and the like would come with onnxruntime's tools, which are not loaded either.
    assert foreign(modules) == {"sortograph", "numpy", "PIL", "onnxruntime"}
    assert "concurrent.futures.thread" not in modules


def test_the_list_of_heavy_packages_is_not_empty_talk():
    assert "onnx" in modules_after("import onnx") & HEAVY
    assert not HEAVY & foreign(modules_after("import sortograph.classify, sortograph.bundle.store"))
