"""Many photos, a few in each call, several calls at once."""

from __future__ import annotations

import threading
import time

import numpy as np
import pytest

from sortograph.bundle import runtime
from sortograph.bundle.runtime import Answers, in_calls
from sortograph.errors import BundleError


def answers_of(photos):
    means = photos.reshape(len(photos), -1, 3).mean(axis=1, dtype=np.float32)
    return Answers(means / 255, means, np.repeat(means, 2, axis=1), means[:, 0])


@pytest.mark.parametrize(
    ("count", "shallow", "sizes"),
    [
        (1, False, [1]),
        (2, False, [1, 1]),
        (4, False, [2, 2]),
        (5, False, [2, 1, 1, 1]),
        (11, False, [2, 2, 2, 2, 2, 1]),
        (5, True, [3, 2]),
        (8, True, [4, 4]),
        (11, True, [3, 3, 3, 2]),
    ],
)
@pytest.mark.parametrize("likes", [True, False])
def test_answers_are_those_of_one_call(count, shallow, sizes, likes, monkeypatch):
    """On two cores, which get as many calls each, of at most 2 photos or 4; whichever ends first."""
    monkeypatch.setattr(runtime, "_CALL_PIXELS", 6 * 5 * 2)
    monkeypatch.setattr(runtime, "cores", lambda: 2)
    calls = []

    def run(photos):
        calls.append(len(photos))
        if len(calls) == 1:
            time.sleep(0.05)
        found = answers_of(photos)
        return found if likes else found._replace(likeness=None)

    photos = np.random.default_rng(1).integers(0, 256, (count, 6, 5, 3), dtype=np.uint8)
    found = in_calls(run, shallow=shallow)(photos)
    assert sorted(calls, reverse=True) == sizes
    for given, expected in zip(found, answers_of(photos), strict=True):
        if given is None:
            assert not likes
        else:
            assert given.dtype == np.float32
            np.testing.assert_array_equal(given, expected)


@pytest.mark.parametrize(("side", "most"), [(8, 4), (1024, 2), (4096, 1)])
def test_fewer_large_photos_are_in_hand_at_once(side, most, monkeypatch):
    monkeypatch.setattr(runtime, "cores", lambda: 4)
    inside, highest, lock = [0], [0], threading.Lock()

    def run(photos):
        with lock:
            inside[0] += 1
            highest[0] = max(highest[0], inside[0])
        time.sleep(0.02)
        with lock:
            inside[0] -= 1
        zeros = np.zeros((len(photos), 2), np.float32)
        return Answers(zeros, zeros, zeros)

    photos = np.broadcast_to(np.zeros((1, 1, 1, 1), np.uint8), (8, side, side, 3))
    assert len(in_calls(run)(photos).logits) == 8
    assert highest[0] <= most


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
        if photos.any():
            raise BundleError("the model failed")
        return answers_of(photos)

    photos = np.zeros((7, 6, 5, 3), np.uint8)
    photos[-1] = 1
    with pytest.raises(BundleError, match="the model failed"):
        in_calls(run)(photos)
