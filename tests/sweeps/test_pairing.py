from __future__ import annotations

import numpy as np
import pytest

from sortograph.errors import RunError
from sortograph.sweeps.answers import Answers
from sortograph.sweeps.pairing import difference, holm


def test_a_clear_difference_is_found(answers):
    a, b = answers(0.9), answers(0.6, draw=1)
    found = difference([{"test": a}], [{"test": b}])
    assert found.estimate.value == pytest.approx(a.right.mean() - b.right.mean())
    assert found.estimate.low > 0.2
    assert found.p < 0.001
    assert (found.split, found.seeds, found.estimate.n) == ("test", 3, 200)


def test_the_other_way_round_it_is_the_opposite(answers):
    a, b = [{"test": answers(0.9)}], [{"test": answers(0.6, draw=1)}]
    there, back = difference(a, b).estimate, difference(b, a).estimate
    assert there.value == -back.value
    assert there.low == pytest.approx(-back.high, abs=0.02)


def test_the_same_always_gives_the_same(answers):
    a, b = [{"test": answers(0.8)}], [{"test": answers(0.78, draw=1)}]
    assert difference(a, b) == difference(a, b)


@pytest.mark.parametrize("spread", [0.0, 0.08])
@pytest.mark.parametrize("seeds", [2, 3])
def test_equals_are_seldom_told_apart(seeds, spread):
    """Of 200 pairs of equal configurations, 95 % intervals may leave out 0 in ten, by chance in some more."""
    wrong = 0
    for trial in range(200):
        rng = np.random.default_rng([trial, seeds])
        hard, sides = rng.random(120), []
        for _ in range(2):
            skill = 0.7 + rng.normal(0, spread, (seeds, 1))
            right = (rng.random((seeds, 120)) < 1 / (1 + np.exp(-12 * (skill - hard)))).astype(float)
            sides.append([{"test": Answers(tuple(map(str, range(120))), right)}])
        found = difference(*sides, resamples=400).estimate
        wrong += not found.low <= 0 <= found.high
    assert wrong <= 18


def test_seeds_that_differ_much_widen_the_interval(answers):
    steady = answers(0.8)
    wild = Answers(steady.paths, steady.right.copy())
    wild.right[0], wild.right[1] = 1.0, np.random.default_rng(3).random(200) < 0.4
    other = [{"test": answers(0.7, draw=1)}]
    narrow, wide = (difference([{"test": one}], other).estimate for one in (steady, wild))
    assert wide.high - wide.low > 1.5 * (narrow.high - narrow.low)


def test_pairing_by_photo_makes_the_interval_shorter(answers):
    """The same photos are hard for both: against photos in another order, pairing is what tells."""
    a, b = answers(0.9), answers(0.85, draw=1)
    shuffled = Answers(b.paths, b.right[:, np.random.default_rng(1).permutation(200)])
    paired, unpaired = (difference([{"test": a}], [{"test": one}]).estimate for one in (b, shuffled))
    assert paired.high - paired.low < 0.8 * (unpaired.high - unpaired.low)


def test_the_gap(answers):
    """Below: 98 % of train and 80 % of test; above: 90 % and 85 %: 13 points less."""
    small = {"train": answers(0.90, 400), "test": answers(0.85)}
    large = {"train": answers(0.98, 400, draw=1), "test": answers(0.80, draw=2)}
    found = difference([small], [large], "gap").estimate
    gaps = [one["train"].right.mean() - one["test"].right.mean() for one in (small, large)]
    assert found.value == pytest.approx(gaps[1] - gaps[0])
    assert found.low > 0


def test_training_photos_of_a_gap_may_differ(answers):
    small = {"train": answers(0.9, 100), "test": answers(0.8)}
    large = {"train": answers(0.9, 300), "test": answers(0.8)}
    assert abs(difference([small], [large], "gap").estimate.value) < 0.1


def test_a_side_may_be_the_mean_of_several(answers):
    one, two, other = answers(0.9), answers(0.7, draw=1), answers(0.6, draw=2)
    found = difference([{"test": one}, {"test": two}], [{"test": other}]).estimate
    assert found.value == pytest.approx((one.right.mean() + two.right.mean()) / 2 - other.right.mean())


def test_without_test_photos_validation_judges(answers):
    assert difference([{"validation": answers(0.9)}], [{"validation": answers(0.6)}]).split == "validation"


def test_other_photos_are_refused(answers):
    with pytest.raises(RunError, match="judged on other photos"):
        difference([{"test": answers(0.9)}], [{"test": answers(0.9, 100)}])
    with pytest.raises(RunError, match="judged on other photos"):
        difference([{"test": answers(0.9)}], [{"validation": answers(0.9)}])


def test_no_difference_at_all():
    same = [{"test": Answers(("a", "b"), np.ones((3, 2)))}]
    found = difference(same, same)
    assert (found.estimate.low, found.estimate.high, found.p) == (0.0, 0.0, 1.0)


def test_holm_never_lowers_and_keeps_the_order():
    values = list(np.random.default_rng(5).random(20) ** 3)
    made = holm(values)
    assert all(a >= b for a, b in zip(made, values, strict=True))
    assert np.argsort(values).tolist() == sorted(range(20), key=lambda k: (made[k], values[k]))
    assert max(made) <= 1
    assert holm([]) == []
