from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from sortograph.bundle.runtime import Answers
from sortograph.errors import BundleError, GateError
from sortograph.export import answers_of, check_parity

CLASSES = ("cat", "dog", "새")
LOGITS = np.array([[2.0, 0.0, -1.0], [0.0, 0.5, 0.49999]])


def softmax(logits: NDArray[np.float64]) -> NDArray[np.float64]:
    powers = np.exp(logits)
    return powers / powers.sum(axis=1, keepdims=True)


def answers(probabilities: NDArray[np.float64]) -> Answers:
    values = probabilities.astype(np.float32)
    return Answers(probabilities=values, logits=values, embedding=values)


def test_equal_answers_pass():
    parity = check_parity(LOGITS, answers(softmax(LOGITS)), CLASSES)
    assert (parity.n, parity.disagreements) == (2, 0)
    assert parity.difference < 1e-7


def test_the_temperature_is_applied_to_the_reference():
    assert check_parity(LOGITS, answers(softmax(LOGITS / 2)), CLASSES, temperature=2.0).difference < 1e-7
    with pytest.raises(GateError):
        check_parity(LOGITS, answers(softmax(LOGITS / 2)), CLASSES)


def test_a_tie_may_fall_the_other_way_and_is_counted():
    other = softmax(LOGITS[:, [0, 2, 1]])[1]
    parity = check_parity(LOGITS, answers(np.stack([softmax(LOGITS)[0], other])), CLASSES)
    assert parity.disagreements == 1


@pytest.mark.parametrize("shift", [1.5e-4, -1.5e-4, 0.4])
def test_a_difference_is_refused_with_photo_and_class(shift):
    given = softmax(LOGITS)
    given[1, 2] += shift
    with pytest.raises(GateError, match=r"'새', photo 2 of 2") as caught:
        check_parity(LOGITS, answers(given), CLASSES, where="model.onnx")
    assert "model.onnx" in str(caught.value)
    assert caught.value.fix


def test_the_tolerance_is_kept_from_below():
    given = softmax(LOGITS)
    given[0, 0] -= 0.9e-4
    assert check_parity(LOGITS, answers(given), CLASSES).difference == pytest.approx(0.9e-4, rel=1e-2)


@pytest.mark.parametrize("where", ["given", "reference"])
def test_what_is_no_number_is_refused(where):
    given, reference = softmax(LOGITS), LOGITS.copy()
    (given if where == "given" else reference)[0, 1] = np.nan
    with pytest.raises(GateError):
        check_parity(reference, answers(given), CLASSES)


@pytest.mark.parametrize("rows", [0, 1])
def test_other_shapes_are_refused(rows):
    given = softmax(LOGITS)[:rows]
    with pytest.raises(GateError, match="rows of 3"):
        check_parity(LOGITS if rows else LOGITS[:0], answers(given), CLASSES)


def test_a_graph_answers_before_it_is_in_a_bundle(small):
    photos = np.full((2, *small.size, 3), 100, dtype=np.uint8)
    given = answers_of(small.graph(), photos)
    np.testing.assert_allclose(given.logits, small.expected(photos)[1], atol=1e-5)


def test_a_graph_that_no_bundle_may_hold_is_not_run():
    with pytest.raises(BundleError):
        answers_of(b"no graph", np.zeros((1, 4, 4, 3), dtype=np.uint8))
