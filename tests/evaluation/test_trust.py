from __future__ import annotations

from dataclasses import replace

import numpy as np

from sortograph.evaluation import trust
from sortograph.records import BundleManifest, PredictionTable, PreprocessSpec, Trust


def table(labels):
    labels = np.asarray(labels, dtype=np.int64)
    logits = np.eye(3, dtype=np.float32)[labels] * 4
    return PredictionTable(np.arange(len(labels)), logits, labels, ("cat", "dog", "fox"), "validation")


def test_classes_without_a_photo_are_named():
    assert trust(table([0, 1, 2] * 20)).lacking == ()
    assert trust(table([1] * 30)).lacking == ("cat", "fox")


def test_it_is_read_as_it_was_written():
    measured = trust(table([0, 0, 1] * 20))
    assert Trust.from_json(measured.to_json()) == measured
    older = {key: value for key, value in measured.to_json().items() if key != "lacking"}
    assert Trust.from_json(older).lacking == ()


def manifest(measured, **changes):
    """As a run writes it, through JSON."""
    told = measured.to_json()
    known = {name: told[name] for name in ("split", "n", "groups", "lacking")}
    made = BundleManifest(
        classes=("cat", "dog", "fox"),
        preprocess=PreprocessSpec((8, 8)),
        temperature=measured.temperature,
        abstain=tuple(told["abstain"]),
        conformal=tuple(told["conformal"]),
        calibrated=known,
    )
    return BundleManifest.from_json(replace(made, **changes).to_json(), "model.onnx")


def test_a_model_alone_tells_what_was_measured():
    measured = trust(table([0, 0, 1] * 20))
    assert manifest(measured).trust == measured


def test_a_model_that_tells_half_of_it_promises_nothing():
    measured = trust(table([0, 0, 1] * 20))
    assert manifest(measured, calibrated={}).trust is None
    assert manifest(measured, calibrated={"split": "validation", "n": "60", "groups": 60}).trust is None
    assert manifest(measured, abstain=({"error": 0.1, "threshold": 0.5},)).trust is None
