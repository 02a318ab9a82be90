"""A site of `sortograph serve` for tests of its page: models of colours, and what a person does there."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from devtools import Tab
from sortograph.api.serving import Serving, make_server
from sortograph.bundle.golden import golden_photos
from sortograph.bundle.store import write_bundle
from sortograph.records import BundleManifest, PreprocessSpec
from sortograph.serve import assets
from sortograph.serve.limits import Limits

SIZE = (16, 16)
HOSTILE = "<img src=x onerror=\"document.title='run'\">"
FORMULA = '=HYPERLINK("http://example.invalid")'
CLASSES = (HOSTILE, FORMULA, "새")  # told by red, green and blue
MANY = (*(f"kind {number:02}" for number in range(1, 12)), "꽃")
ACCURACY = {"value": 0.9, "low": 0.77, "high": 0.96, "level": 0.95, "n": 40, "method": "wilson"}
COLOURS = {"red.png": (250, 20, 20), "green.png": (20, 250, 20), "blue.png": (20, 20, 250)}
GREY, BLACK = (150, 150, 150), (2, 2, 2)  # no class is likelier than another; unlike anything


@dataclass(frozen=True)
class Site:
    address: str
    corrections: Path | None


def colour_model(small: Any, file: Path, classes: Sequence[str]) -> Path:
    """A bundle that tells classes by how red, green and blue a photo is, and calls dark ones unlike."""
    from onnx import TensorProto, helper, numpy_helper

    model, count = small.model(), len(classes)
    weights = np.array([6 * np.eye(3)[k % 3] * (1 - k / 40) for k in range(count)], np.float32)
    kept = [each for each in model.graph.initializer if each.name not in ("weights", "bias")]
    del model.graph.initializer[:]
    model.graph.initializer.extend(
        [*kept, numpy_helper.from_array(weights.T.copy(), "weights"),
         numpy_helper.from_array(np.zeros(count, np.float32), "bias"),
         numpy_helper.from_array(np.array([1], np.int64), "second")]
    )  # fmt: skip
    for side, length in zip(model.graph.input[0].type.tensor_type.shape.dim[1:3], SIZE, strict=True):
        side.dim_value = length
    for name, output in zip(("probabilities", "logits"), model.graph.output, strict=False):
        assert output.name == name
        output.type.tensor_type.shape.dim[1].dim_value = count
    model.graph.node.append(helper.make_node("ReduceMean", ["embedding", "second"], ["likeness"], keepdims=0))
    model.graph.output.append(helper.make_tensor_value_info("likeness", TensorProto.FLOAT, ["n"]))
    manifest = BundleManifest(
        classes=tuple(classes),
        preprocess=PreprocessSpec(size=SIZE),
        conformal=({"level": 0.95, "threshold": 0.3, "n": 40},),
        likeness={"threshold": 0.05, "share": 0.01, "n": 40},
        evaluation={"test": {"n": 40, "metrics": {"accuracy": ACCURACY}}},
        recipe="cnn",
    )
    means = golden_photos(SIZE).astype(np.float64).mean(axis=(1, 2)) / 255
    write_bundle(file, model.SerializeToString(), manifest, (means @ weights.T).astype(np.float32))
    return file


@contextmanager
def serving(*models: Path, limits: Limits | None = None, **options: Any) -> Iterator[Site]:
    server, address = make_server(
        models, options=Serving(port=0, decoders=1, lanes=1, **options), limits=limits
    )
    ready = threading.Event()
    thread = threading.Thread(target=server.run, args=(ready.set,), daemon=True)
    thread.start()
    assert ready.wait(30)
    try:
        yield Site(address, options.get("corrections"))
    finally:
        server.stop()
        thread.join(30)
        assert not thread.is_alive()


def ready(tab: Tab) -> None:
    tab.wait("!document.getElementById('about-button').disabled")


def add(tab: Tab, files: Sequence[Path]) -> None:
    before = tab.run("document.querySelectorAll('.card').length")
    tab.drop(files)
    tab.wait(f"document.querySelectorAll('.card').length >= {before + len(files)}")
    settled(tab)


def settled(tab: Tab) -> None:
    answered = "!document.querySelector('.card.sent, .card.queued')"
    drawn = "document.getElementById('cards').ariaBusy === 'false'"
    tab.wait(f"{answered} && {drawn} && document.getElementById('progress').hidden")


def focus(tab: Tab, place: int) -> None:
    tab.run(f"document.querySelectorAll('.card')[{place}].focus()")


def choose(tab: Tab, select: str, value: str) -> None:
    """An option of a <select>."""
    where = f"document.querySelector({json.dumps(select)})"
    tab.run(f"{where}.value = {json.dumps(value)}; {where}.dispatchEvent(new Event('change'))")


def words(code: str) -> dict[str, str]:
    return json.loads(assets.read("page", assets.PAGE)[f"{code}.json"].data)


def wait_for(folder: Path, pattern: str) -> Path:
    """The file that a download makes."""
    ends = time.monotonic() + 5
    while not (found := list(folder.glob(pattern))):
        assert time.monotonic() < ends
        time.sleep(0.02)
    return found[0]


def forgive(tab: Tab, count: int) -> None:
    """The browser itself logs each answer that is an error: those that the test made are no complaint."""
    logged = [each for each in tab.browser.events if each["method"] == "Log.entryAdded"]
    mine = [each for each in logged if each.get("sessionId") == tab.session]
    assert len(mine) == count
    for each in mine:
        tab.browser.events.remove(each)
