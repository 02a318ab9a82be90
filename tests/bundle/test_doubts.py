"""What the tables of a bundle make of an answer."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from sortograph.bundle.doubts import UNLIKE, doubts
from sortograph.errors import UsageError
from sortograph.records import BundleManifest, PreprocessSpec

ROWS = (
    {"error": 0.005, "threshold": None, "reason": "unattainable: 300 photos promise at best 1.5 %"},
    {"error": 0.02, "threshold": 0.9, "reason": ""},
    {"error": 0.1, "threshold": 0.0, "reason": ""},
)


def manifest(**more: Any) -> BundleManifest:
    known = {
        "abstain": ROWS,
        "conformal": ({"level": 0.95, "threshold": 0.2, "n": 300},),
        "likeness": {"threshold": 0.5, "share": 0.01, "n": 300},
        "calibrated": {"split": "validation", "n": 310, "groups": 300},
    }
    return BundleManifest(classes=tuple("abcde"), preprocess=PreprocessSpec(size=(8, 8)), **(known | more))


def asked(
    shares: list[float], likeness: float | None = 0.9, max_error: float | None = None
) -> tuple[bool, str | None]:
    found = doubts(manifest(), max_error, "model.onnx")
    order = np.argsort(shares)[::-1]
    ranked = [("abcde"[k], shares[k]) for k in order]
    return found.of(ranked, found.set_size(np.array(shares)), likeness)


@pytest.mark.parametrize(
    ("shares", "likeness", "reason"),
    [
        ([0.9, 0.1, 0, 0, 0], 0.9, None),
        ([0.9, 0.1, 0, 0, 0], None, None),
        ([0.6, 0.4, 0, 0, 0], 0.9, "could be a or b"),
        ([0.4, 0.35, 0.25, 0, 0], 0.9, "could be a, b or c"),
        ([0.2, 0.2, 0.2, 0.2, 0.2], 0.9, "could be e, d, c or 2 more"),
        ([0.19, 0.19, 0.19, 0.19, 0.19], 0.9, "no class is likely enough"),
        ([1.0, 0, 0, 0, 0], 0.4, UNLIKE),
    ],
)
def test_by_default_nothing_is_withheld_and_reasons_are_advice(shares, likeness, reason):
    assert asked(shares, likeness) == (False, reason)


def test_a_wanted_error_withholds_what_is_less_sure():
    assert asked([0.95, 0.05, 0, 0, 0], max_error=0.02) == (False, None)
    withheld, reason = asked([0.9, 0.1, 0, 0, 0], max_error=0.02)
    assert withheld
    assert reason == "not above 0.9, for at most 2% wrong (by 300 photos)"
    assert asked([1.0, 0, 0, 0, 0], likeness=0.1, max_error=0.02) == (True, UNLIKE)


def test_the_nearest_stricter_row_counts():
    assert doubts(manifest(), 0.05, "m").withhold == 0.9
    assert doubts(manifest(), 0.1, "m").withhold == 0.0
    assert doubts(manifest(), 0.5, "m").withhold == 0.0


def test_what_cannot_be_promised_is_refused_with_what_can():
    with pytest.raises(UsageError, match=r"300 photos promise at best 1.5 %") as caught:
        doubts(manifest(), 0.01, "model.onnx")
    assert caught.value.fix == "--max-error 2%"
    with pytest.raises(UsageError, match=r"nothing below 0.5% was measured"):
        doubts(manifest(), 0.001, "model.onnx")
    with pytest.raises(UsageError, match="no table of errors"):
        doubts(manifest(abstain=()), 0.05, "model.onnx")
    for nonsense in (0.0, 1.0, -3):
        with pytest.raises(UsageError, match="wrong answers"):
            doubts(manifest(), nonsense, "model.onnx")


def test_a_bundle_without_tables_has_no_doubts():
    bare = manifest(abstain=(), conformal=(), likeness={}, calibrated={})
    found = doubts(bare, None, "model.onnx")
    assert found.of([("a", 0.3)], found.set_size(np.full(5, 0.2)), 0.0) == (False, None)
