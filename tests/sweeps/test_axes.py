from __future__ import annotations

import pytest

from sortograph.sweeps.axes import Axis


@pytest.mark.parametrize(
    ("data", "values"),
    [
        ([1, 2], (1, 2)),
        ([[16], [16, 32]], ([16], [16, 32])),
        ({"low": 1, "high": 3}, (1, 2, 3)),
        ({"low": 1, "high": 6, "step": 2}, (1, 3, 5)),
        ({"low": 0.1, "high": 0.5, "step": 0.1}, (0.1, 0.2, 0.3, 0.4, 0.5)),
        ({"low": 1e-4, "high": 0.1, "log": True}, ()),
        ({"low": 0.0, "high": 1.0}, ()),
        ({"low": 1, "high": 8, "log": True}, ()),
        ({"low": 0, "high": 10**9}, ()),
    ],
)
def test_values_for_a_grid(data, values):
    axis = Axis.of(data)
    assert axis.values() == values
    assert Axis.of(axis.plain()) == axis


def test_whole_numbers_stay_whole():
    assert all(type(value) is int for value in Axis.of({"low": 1, "high": 4, "step": 1}).values())
    assert all(type(value) is float for value in Axis.of({"low": 1.0, "high": 4.0, "step": 1.0}).values())


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        ([], "empty"), ([1, 1], "twice"), (5, "a list"), ("abc", "a list"), ({"low": 1}, "low and high"),
        ({"low": 1, "high": 2, "stop": 1}, "not low, high, stop"), ({"low": 2, "high": 1}, "below high"),
        ({"low": 0, "high": 1, "log": True}, "above 0"), ({"low": 1, "high": 2, "step": 0}, "step"),
        ({"low": "a", "high": 2}, "numbers"), ({"low": True, "high": 2}, "numbers"),
        ({"low": 1, "high": 2, "log": 1}, "true or false"),
    ],
)  # fmt: skip
def test_mistakes(data, reason):
    with pytest.raises(ValueError, match=reason):
        Axis.of(data)


def test_ends_are_what_a_recipe_must_take():
    assert Axis.of({"low": 1, "high": 9, "log": True}).ends() == (1, 9)
    assert Axis.of(["a", "b"]).ends() == ("a", "b")
