from __future__ import annotations

import pytest

from sortograph.records import Estimate
from sortograph.records.sweeps import Contrast


@pytest.mark.parametrize(
    ("low", "high", "adjusted", "seeds", "verdict"),
    [
        (0.01, 0.09, 0.01, 3, "better"),
        (-0.09, -0.01, 0.01, 3, "worse"),
        (-0.01, 0.09, 0.01, 3, "not shown"),
        (0.01, 0.09, 0.06, 3, "not shown"),
        (0.01, 0.09, 0.01, 1, "not shown"),
        (0.0, 0.09, 0.01, 3, "not shown"),
    ],
)
def test_a_difference_is_shown_by_interval_corrected_p_and_several_seeds(low, high, adjusted, seeds, verdict):
    found = Estimate((low + high) / 2, low, high, 0.95, 100, "t")
    one = Contrast("a", "b", "accuracy", found, 0.01, adjusted, "test", seeds)
    assert one.verdict == verdict
    assert one.to_json()["verdict"] == verdict
    assert one.to_json()["difference"]["n"] == 100
