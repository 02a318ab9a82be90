from __future__ import annotations

import json

import numpy as np
import pytest

from sortograph.records import Explanation

PIXELS = np.zeros((4, 8, 3), dtype=np.uint8)


def made(heat: np.ndarray, covered: float | None = None) -> Explanation:
    return Explanation("a/b.jpg", "cat", 0.75, "dog", "occlusion", heat, PIXELS, covered)


def test_the_strongest_place_is_told_in_shares_of_the_photo():
    heat = np.full((4, 8), -1, dtype=np.float32)
    heat[3, 1] = 0.25
    found = made(heat, 0.125)
    assert found.strongest == (1.5 / 8, 3.5 / 4)
    assert json.loads(json.dumps(found.to_json())) == {
        "path": "a/b.jpg",
        "class": "cat",
        "probability": 0.75,
        "predicted": "dog",
        "method": "occlusion",
        "covered": 0.125,
        "strongest": {"x": 0.1875, "y": 0.875},
    }


def test_no_place_is_strongest_where_nothing_speaks_for_the_class():
    assert made(np.full((4, 8), -1, dtype=np.float32)).strongest is None
    assert made(np.zeros((4, 8), dtype=np.float32)).to_json()["strongest"] is None


def test_a_heatmap_is_of_the_size_of_its_photo():
    with pytest.raises(ValueError, match="a heatmap"):
        made(np.zeros((8, 4), dtype=np.float32))
