from __future__ import annotations

import numpy as np
import pytest

from sortograph.explaining.neighbours import nearest


def test_as_by_hand_for_every_pair():
    random = np.random.default_rng(2)
    queries, known = (random.normal(size=(n, 5)).astype(np.float32) for n in (300, 40))
    rows, cosines = nearest(queries, known, 3)
    assert rows.shape == cosines.shape == (300, 3)
    wide, far = queries.astype(np.float64), known.astype(np.float64)
    by_hand = (wide @ far.T) / np.outer(np.linalg.norm(wide, axis=1), np.linalg.norm(far, axis=1))
    assert np.allclose(cosines, -np.sort(-by_hand, axis=1)[:, :3], atol=1e-5)
    assert np.allclose(np.take_along_axis(by_hand, rows, axis=1), cosines, atol=1e-5)


def test_length_does_not_count_and_the_photo_itself_comes_first():
    known = np.float32([[1, 0], [0, 3], [5, 5]])
    rows, cosines = nearest(10 * known, known, 1)
    assert rows.ravel().tolist() == [0, 1, 2]
    assert cosines.ravel().tolist() == pytest.approx([1, 1, 1])


def test_equal_ones_come_in_their_order_and_there_may_be_fewer_than_asked_for():
    rows, _ = nearest(np.float32([[1, 1]]), np.float32([[2, 2], [2, 2], [0, 1], [2, 2]]), 9)
    assert rows.tolist() == [[0, 1, 3, 2]]


def test_an_embedding_of_length_zero_is_like_none():
    rows, cosines = nearest(np.zeros((1, 3), np.float32), np.eye(3, dtype=np.float32), 2)
    assert (rows.tolist(), cosines.tolist()) == ([[0, 1]], [[0, 0]])


def test_no_queries():
    rows, cosines = nearest(np.zeros((0, 3), np.float32), np.eye(3, dtype=np.float32), 2)
    assert rows.shape == cosines.shape == (0, 2)
