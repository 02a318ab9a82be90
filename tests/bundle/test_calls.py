"""Many photos, a few in each call, several calls at once."""

from __future__ import annotations

import threading

import numpy as np
import pytest

from sortograph.bundle import runtime
from sortograph.bundle.runtime import Answers, in_calls
from sortograph.errors import BundleError


@pytest.mark.parametrize("count", [1, 3, 4, 5, 11])
@pytest.mark.parametrize("likes", [True, False])
@pytest.mark.parametrize("shallow", [True, False])
def test_answers_are_those_of_one_call(count, likes, shallow, monkeypatch):
    monkeypatch.setattr(runtime, "_CALL_PIXELS", 6 * 5 * 2)
    calls = []

    def run(photos):
        calls.append(len(photos))
        means = photos.reshape(len(photos), -1, 3).mean(axis=1, dtype=np.float32)
        return Answers(means / 255, means, np.repeat(means, 2, axis=1), means[:, 0] if likes else None)

    photos = np.random.default_rng(1).integers(0, 256, (count, 6, 5, 3), dtype=np.uint8)
    found = in_calls(run, shallow=shallow)(photos)
    most = 4 if shallow else 2
    assert sorted(calls, reverse=True) == [most] * (count // most) + [count % most] * bool(count % most)
    for given, expected in zip(found, run(photos), strict=True):
        if expected is None:
            assert given is None
        else:
            assert given.dtype == np.float32
            np.testing.assert_array_equal(given, expected)


def test_large_photos_come_one_by_one():
    calls = []

    def run(photos):
        calls.append(len(photos))
        zeros = np.zeros((len(photos), 2), np.float32)
        return Answers(zeros, zeros, zeros)

    assert len(in_calls(run)(np.zeros((3, 9000, 2000, 3), np.uint8)).logits) == 3
    assert calls == [1, 1, 1]


def test_calls_run_at_once(monkeypatch):
    monkeypatch.setattr(runtime, "_CALL_PIXELS", 6 * 5)
    monkeypatch.setattr(runtime, "cores", lambda: 3)
    together = threading.Barrier(3, timeout=60)

    def run(photos):
        together.wait()
        zeros = np.zeros((len(photos), 2), np.float32)
        return Answers(zeros, zeros, zeros)

    assert len(in_calls(run)(np.zeros((6, 6, 5, 3), np.uint8)).logits) == 6


def test_what_one_call_raises_is_raised(monkeypatch):
    monkeypatch.setattr(runtime, "_CALL_PIXELS", 6 * 5)

    def run(photos):
        raise BundleError("the model failed")

    with pytest.raises(BundleError, match="the model failed"):
        in_calls(run)(np.zeros((3, 6, 5, 3), np.uint8))
