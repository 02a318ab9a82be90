from __future__ import annotations

import numpy as np
import pytest

from sortograph.errors import RunError
from sortograph.evaluation import mcnemar_exact, paired_difference
from sortograph.evaluation.compare import holm
from sortograph.sweeps import pairing
from sortograph.sweeps.answers import Answers
from sortograph.sweeps.pairing import difference


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


def side(right, seeds=3):
    """A side whose seeds all say the same."""
    right = np.asarray(right, dtype=np.float64)
    return [{"test": Answers(tuple(f"{k:04}" for k in range(len(right))), np.tile(right, (seeds, 1)))}]


def test_all_right_is_no_proof_of_equality():
    """Newcombe's interval of 30 of 30 against 30 of 30, not the bootstrap's of no width."""
    found = difference(side(np.ones(30)), side(np.ones(30)))
    everything = np.ones(30, dtype=bool)
    exact = paired_difference(everything, everything)
    assert (found.estimate.value, found.p) == (0.0, 1.0)
    assert (found.estimate.low, found.estimate.high) == (exact.low, exact.high)
    assert exact.high > 0.08


def test_four_photos_of_twelve_show_nothing():
    worse, better = np.repeat([0.0, 1.0], [4, 8]), np.ones(12)
    found = difference(side(better), side(worse))
    assert found.p == pytest.approx(0.125)  # McNemar: 2 / 2⁴


def test_a_mean_of_several_that_agrees_is_not_hidden_by_votes():
    """Each of three configurations is right where the others are not: most of them are never right."""
    better = side(np.ones(90))
    worse = [one for k in range(3) for one in side(np.arange(90) % 3 == k)]
    assert pairing._vote(worse, "test").mean() < 0.1
    worse_on_few = [one for k in range(3) for one in side(np.arange(90) % 3 != k)]
    assert pairing._vote(worse_on_few, "test").all()
    assert difference(better, worse_on_few).p < 0.01


@pytest.mark.parametrize("count", [3, 8, 30])
def test_p_of_two_runs_is_that_of_mcnemar(count):
    worse, better = np.repeat([0.0, 1.0], [count, 60]), np.repeat([1.0, 1.0, 0.0], [count, 57, 3])
    exact = mcnemar_exact(better > 0.5, worse > 0.5)
    assert difference(side(better), side(worse)).p == pytest.approx(exact, rel=0.3, abs=0.002)


def test_copies_of_photos_are_no_more_photos(answers):
    """Each photo five times, known to belong together: intervals and p as of the photos alone."""
    few = [answers(0.85, 60), answers(0.8, 60, draw=1)]
    copies = [np.repeat(one.right, 5, axis=1) for one in few]
    paths, units = tuple(f"{k:04}" for k in range(300)), tuple(k // 5 for k in range(300))
    once = difference(*([{"test": one}] for one in few))
    known = difference(*([{"test": Answers(paths, right, units)}] for right in copies))
    unknown = difference(*([{"test": Answers(paths, right)}] for right in copies))
    widths = [found.estimate.high - found.estimate.low for found in (once, known, unknown)]
    assert widths[1] == pytest.approx(widths[0], rel=0.25)
    assert widths[2] < 0.8 * widths[1]
    assert unknown.p < known.p == pytest.approx(once.p, rel=0.5)


def test_a_gap_of_different_training_photos_is_left_to_the_bootstrap(answers):
    small = {"train": answers(0.9, 100), "test": answers(0.8)}
    large = {"train": answers(0.9, 300), "test": answers(0.8)}
    assert pairing._flipped([small], [large], {"test": 1.0, "train": -1.0}, 100) == 0.0


def test_equal_seeds_are_no_more_photos():
    """Of equals whose three seeds say the same and differ in 1.2 % of photos, few are told apart."""
    wrong = 0
    for trial in range(60):
        rng = np.random.default_rng([trial, 12])
        base = rng.random(336) < 0.9
        first, second = (np.where(rng.random(336) < 0.006, ~base, base) for _ in range(2))
        found = difference(side(first), side(second), resamples=400)
        wrong += found.p <= 0.05 and not found.estimate.low <= 0 <= found.estimate.high
        assert found.p >= 0.99 * mcnemar_exact(second, first) > 0
    assert wrong <= 1


@pytest.mark.parametrize("measure", ["accuracy", "gap"])
def test_never_surer_than_the_majority_of_seeds(answers, measure):
    a = {split: answers(0.9, draw=k) for k, split in enumerate(("train", "test"))}
    b = {split: answers(0.88, draw=k) for k, split in enumerate(("train", "test"), start=2)}
    found = difference([a], [b], measure).estimate
    votes = [one["test"].right.sum(axis=0) >= 2 for one in (b, a)]
    exact = paired_difference(*votes)
    assert found.value - found.low >= exact.value - exact.low - 1e-12
    assert found.high - found.value >= exact.high - exact.value - 1e-12


def test_the_first_seed_decides_a_draw():
    right = np.array([[1.0, 0.0, 1.0], [0.0, 1.0, 1.0]])
    vote = pairing._vote([{"test": Answers(("a", "b", "c"), right)}], "test")
    assert vote.tolist() == [True, False, True]


def test_holm_never_lowers_and_keeps_the_order():
    values = list(np.random.default_rng(5).random(20) ** 3)
    made = holm(values)
    assert all(a >= b for a, b in zip(made, values, strict=True))
    assert np.argsort(values).tolist() == sorted(range(20), key=lambda k: (made[k], values[k]))
    assert max(made) <= 1
    assert holm([]) == []
