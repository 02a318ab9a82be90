"""Many photos, a few in each call."""

from __future__ import annotations

import numpy as np
import pytest

from sortograph.bundle import runtime
from sortograph.bundle.runtime import Answers, in_calls


@pytest.mark.parametrize("count", [1, 3, 4, 5, 11])
@pytest.mark.parametrize("likes", [True, False])
def test_answers_are_those_of_one_call(count, likes, monkeypatch):
    monkeypatch.setattr(runtime, "_CALL_PIXELS", 6 * 5 * 2)
    monkeypatch.setattr(runtime.os, "cpu_count", lambda: 2)
    calls = []

    def run(photos):
        calls.append(len(photos))
        means = photos.reshape(len(photos), -1, 3).mean(axis=1, dtype=np.float32)
        return Answers(means / 255, means, np.repeat(means, 2, axis=1), means[:, 0] if likes else None)

    photos = np.random.default_rng(1).integers(0, 256, (count, 6, 5, 3), dtype=np.uint8)
    found = in_calls(run)(photos)
    assert calls == [4] * (count // 4) + [count % 4] * bool(count % 4)
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
