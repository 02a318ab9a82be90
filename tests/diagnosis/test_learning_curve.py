"""The curve on answers whose accuracy is known by formula."""

from __future__ import annotations

import json
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest

from sortograph.diagnosis import photos, verdicts
from sortograph.diagnosis.learning_curve import SEEDS, SHARES, CurveTask, measure, nested
from sortograph.records import Step

CLASSES = ("a", "b", "c")


def task_of(error, photos_=900, judged=600, seen=None, classes=CLASSES, **options):
    """Heads with `error(n)` of their answers wrong, the same photos first; `seen` gets what taught them."""
    labels = np.arange(photos_) % len(classes)
    truth = np.arange(judged) % len(classes)
    rank = np.random.default_rng(0).permutation(judged)

    def answer(places):
        if seen is not None:
            seen.append(places)
        wrong = rank < error(len(places)) * judged
        return np.where(wrong, (truth + 1) % len(classes), truth)

    return CurveTask(labels, truth, classes, answer, "made up", **options)


def test_a_power_law_is_found_again():
    curve = measure(task_of(lambda n: 4.0 * n**-0.5))
    assert curve.exponent == pytest.approx(0.5, abs=0.03)
    expected = 4.0 * 900**-0.5 * (1 - 2**-0.5)
    assert curve.doubling.value == pytest.approx(expected, rel=0.1)
    assert curve.doubling.low < curve.doubling.value < curve.doubling.high
    assert curve.last_step.value == pytest.approx(4 * 360**-0.5 - 4 * 900**-0.5, abs=0.01)
    assert [point.photos for point in curve.points] == [90, 180, 360, 630, 900]
    assert [point.seeds for point in curve.points] == [SEEDS] * 4 + [1]
    assert "twice as many training photos would add about 3." in curve.message
    json.dumps(curve.to_json())


def test_a_flat_curve_promises_nothing():
    curve = measure(task_of(lambda n: 0.1))
    assert curve.doubling.value == pytest.approx(0, abs=0.002)
    assert curve.doubling.low <= 0
    assert "which may be nothing" in curve.message
    assert photos.from_curve(curve) is None


def test_no_error_at_all():
    curve = measure(task_of(lambda n: 0.0, judged=40))
    assert curve.points[-1].accuracy.low < 1.0 == curve.points[-1].accuracy.high
    assert photos.from_curve(curve) is None


def test_what_is_asked_for_is_nested_and_stratified():
    seen, told = [], []
    measure(task_of(lambda n: 0.1, photos_=300, seen=seen, progress=told.append))
    assert len(seen) == len(told) == (len(SHARES) - 1) * SEEDS + 1
    assert told[-1] == Step("learning curve", 21, 21, "heads")
    for place in range(SEEDS):
        shares = [set(seen[k * SEEDS + place].tolist()) for k in range(len(SHARES) - 1)]
        assert all(small < large for small, large in pairwise(shares))
        assert np.bincount(np.array(sorted(shares[0])) % 3).tolist() == [10, 10, 10]


def test_rare_classes_are_kept_in_proportion():
    labels = np.array([0] * 90 + [1] * 10)
    counts = np.bincount(labels[nested(labels, 4)[:20]])
    assert counts.tolist() == [18, 2]


def test_the_class_that_would_gain_most():
    truth = np.arange(300) % 3
    rank = np.random.default_rng(1).permutation(300)

    def answer(places):
        wrong = (truth == 2) & (rank < 3000 / len(places) ** 0.5)
        return np.where(wrong, 0, truth)

    curve = measure(CurveTask(np.arange(900) % 3, truth, CLASSES, answer, "made up"))
    assert next(iter(curve.classes)) == "c"
    assert curve.classes["c"].low > 0.05 > curve.classes["a"].value
    assert curve.points[0].recalls["c"] < curve.points[-1].recalls["c"]


def test_a_curve_decides_whether_photos_are_too_few(make_record, make_history, make_index, loss_curve):
    record = make_record(make_history(loss_curve()), {"train": 0.95, "validation": 0.93, "test": 0.93})
    rising = measure(task_of(lambda n: 4.0 * n**-0.5))
    found = verdicts(record, make_index(), curve=rising)
    verdict = found.of("data-limited")
    assert verdict.message == rising.message
    assert not verdict.remedies[0].guess
    assert found.learning_curve is rising
    flat = verdicts(record, make_index(), curve=measure(task_of(lambda n: 0.1)))
    assert [one.name for one in flat.verdicts] == ["healthy"]
    assert "data-limited" not in flat.skipped


def test_what_more_photos_bring_is_told_by_the_curve(make_record, make_history, make_index, loss_curve):
    record = make_record(make_history(loss_curve()), {"train": 0.99, "validation": 0.9, "test": 0.88})

    def of(curve):
        told = verdicts(record, make_index(), curve=curve).of("overfitting").remedies
        assert [one.gain for one in told] == sorted((one.gain for one in told), reverse=True)
        return [one for one in told if one.text == "twice as many training photos"]

    rising, flat = measure(task_of(lambda n: 4.0 * n**-0.5)), measure(task_of(lambda n: 0.1))
    (more,) = of(rising)
    assert (more.gain, more.guess) == (round(100 * rising.doubling.value, 1), False)
    assert more.why.startswith("by the learning curve; ")
    assert of(flat) == []
    (guessed,) = of(replace(rising, stand_in=True))  # of another network: it may gain otherwise
    assert guessed.guess
    assert "curve" not in guessed.why
