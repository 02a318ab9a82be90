from __future__ import annotations

import itertools

import numpy as np
import pytest

from sortograph.evaluation import choose_run, compare_pairs, holm, mcnemar_exact, paired_difference, wilson
from sortograph.evaluation.compare import group_numbers, grouped_differences, swap_test


def answers(*wrong: range | list[int], n: int = 100) -> np.ndarray:
    """bool (K, n): model k is wrong on the photos `wrong[k]`."""
    right = np.ones((len(wrong), n), dtype=np.bool_)
    for row, photos in zip(right, wrong, strict=True):
        row[list(photos)] = False
    return right


def test_a_pair_is_tested_photo_by_photo():
    right = answers(range(4), range(2, 18))
    (pair,) = compare_pairs(["a", "b"], right)
    assert (pair.a, pair.b, pair.test, pair.comparisons) == ("a", "b", "mcnemar exact", 1)
    assert (pair.only_a, pair.only_b) == (14, 2)
    assert pair.difference == paired_difference(right[1], right[0])
    assert pair.difference.value == pytest.approx(0.12)
    assert pair.difference.low > 0
    assert pair.p == pair.p_corrected == mcnemar_exact(right[0], right[1]) < 0.01
    assert pair.shown


def test_the_other_way_round_it_is_the_same_pair_mirrored():
    right = answers(range(4), range(2, 18))
    (one,), (other,) = compare_pairs(["a", "b"], right), compare_pairs(["b", "a"], right[::-1])
    assert (one.only_a, one.only_b, one.p) == (other.only_b, other.only_a, other.p)
    ends = (one.difference.value, one.difference.low, one.difference.high)
    assert ends == pytest.approx((-other.difference.value, -other.difference.high, -other.difference.low))


def test_many_pairs_are_corrected():
    right = answers(range(2), range(10), range(11), range(30))
    pairs = compare_pairs(list("abcd"), right)
    assert [pair.a + pair.b for pair in pairs] == ["ab", "ac", "ad", "bc", "bd", "cd"]
    assert [pair.p_corrected for pair in pairs] == holm([pair.p for pair in pairs])
    assert {pair.comparisons for pair in pairs} == {6}
    assert pairs[0].p < 0.05 / 5
    assert not pairs[3].shown


def test_holm():
    assert holm([]) == []
    assert holm([0.2]) == [0.2]
    # Holm (1979): the smallest times K, the next times K − 1, …, never below one before it, never above 1.
    assert holm([0.01, 0.02, 0.03, 0.04]) == pytest.approx([0.04, 0.06, 0.06, 0.06])
    assert holm([0.5, 0.001, 0.9]) == pytest.approx([1.0, 0.003, 1.0])


def test_groups_are_numbered():
    assert group_numbers(["b", "", "a", "", "b"]).tolist() == [0, 1, 2, 3, 0]


def test_swaps_of_single_photos_are_mcnemars_test():
    random = np.random.default_rng(3)
    for _ in range(20):
        a, b = random.random((2, 60)) < random.uniform(0.3, 1, (2, 1))
        assert swap_test(a, b, np.arange(60)) == pytest.approx(mcnemar_exact(a, b))


def test_swaps_of_groups_are_counted_one_by_one():
    random = np.random.default_rng(4)
    units = np.array([0, 0, 0, 1, 1, 2, 3, 3, 3, 3, 4, 5, 5])
    for _ in range(20):
        a, b = random.random((2, len(units))) < np.array([[0.9], [0.5]])
        ahead = np.bincount(units, weights=a.astype(float) - b)
        sums = [abs(sum(s * x for s, x in zip(signs, ahead, strict=True)))
                for signs in itertools.product((-1, 1), repeat=len(ahead))]  # fmt: skip
        expected = sum(total >= abs(ahead.sum()) for total in sums) / len(sums)
        assert swap_test(a, b, units) == pytest.approx(expected)


def test_models_that_agree_are_not_told_apart():
    right = answers(range(7), range(7))
    assert swap_test(right[0], right[1], np.arange(100) // 10) == 1.0
    (pair,) = compare_pairs(["a", "b"], right, groups=[f"g{k // 10}" for k in range(100)])
    assert pair.p == 1.0
    assert pair.difference.low < 0 < pair.difference.high, "resampling alone would give the point 0"


def test_photos_that_stand_three_times_count_once():
    """Groups of three equal photos: as wide as one of each, and as sure; photo by photo it would be surer."""
    once = answers(range(5), range(3, 20), n=80)
    thrice, groups = np.repeat(once, 3, axis=1), [f"g{k // 3}" for k in range(240)]
    (alone,), (naive,) = compare_pairs(["a", "b"], once), compare_pairs(["a", "b"], thrice)
    (grouped,) = compare_pairs(["a", "b"], thrice, groups=groups)
    assert grouped.test == "exact swaps of groups"
    assert grouped.p == pytest.approx(alone.p)
    assert naive.p < grouped.p / 10
    width, expected, narrow = (pair.difference.high - pair.difference.low for pair in (grouped, alone, naive))
    assert width == pytest.approx(expected, rel=0.1)
    assert width > 1.4 * narrow
    assert grouped.difference.value == alone.difference.value


def test_groups_of_one_photo_give_the_interval_without_groups():
    right = answers(range(30), range(20, 80), n=400)
    (found,) = grouped_differences(right, [(0, 1)], np.arange(400))
    expected = paired_difference(right[1], right[0])
    assert (found.low, found.high) == pytest.approx((expected.low, expected.high), abs=0.005)
    assert found.low <= expected.low
    assert found.high >= expected.high


def test_the_same_answers_give_the_same_interval():
    right, units = answers(range(30), range(20, 80)), np.arange(100) // 4
    assert grouped_differences(right, [(0, 1)], units) == grouped_differences(right, [(0, 1)], units)


@pytest.mark.parametrize(
    ("wrong", "train", "sizes", "tied", "chosen", "by"),
    [
        ([range(2), range(40)], (1, 1), (9, 1), (0,), 0, "alone"),
        ([range(10), range(12)], (1.0, 0.93), (1, 9), (0, 1), 1, "gap"),
        ([range(10), range(10)], (0.95, 0.95), (9, 1), (0, 1), 1, "size"),
        ([range(10), range(12)], (0.95, 0.93), (5, 5), (0, 1), 0, "accuracy"),
        ([range(10), range(10)], (0.95, 0.95), (5, 5), (0, 1), 0, "order"),
        ([range(10), range(12)], (0.8, 0.9), (1, 9), (0, 1), 1, "gap"),  # to either side
        ([range(10), range(12), range(60)], (1.0, 0.93, 0.4), (3, 2, 1), (0, 1), 1, "gap"),
        ([range(10)], (1.0,), (1,), (0,), 0, "alone"),
    ],
)
def test_choice(wrong, train, sizes, tied, chosen, by):
    found = choose_run(answers(*wrong), train, sizes)
    assert (found.tied, found.chosen, found.by) == (tied, chosen, by)
    assert found.best in found.tied
    assert len(wrong[found.best]) == min(map(len, wrong))


def test_tied_is_who_has_0_in_the_interval_to_the_best():
    right = answers(range(10), *(range(10, 20 + k) for k in range(0, 30, 3)))
    found = choose_run(right, [1.0] * len(right), [1] * len(right))
    gaps = [paired_difference(row, right[0]).low for row in right]
    assert found.tied == tuple(k for k, low in enumerate(gaps) if low <= 0)
    assert 1 < len(found.tied) < len(right)


def test_the_choice_does_not_depend_on_the_order():
    right, train, sizes = answers(range(10), range(3, 13), range(8)), [0.99, 0.97, 1.0], [3, 1, 2]
    names = {
        (frozenset(order[k] for k in found.tied), order[found.chosen])
        for order in itertools.permutations(range(3))
        for found in [choose_run(right[list(order)], [train[k] for k in order], [sizes[k] for k in order])]
    }
    assert len(names) == 1


def test_groups_widen_who_is_tied():
    right = np.repeat(answers(range(2), range(2, 11), n=40), 4, axis=1)
    groups = [f"g{k // 16}" for k in range(160)]
    assert choose_run(right, (1, 1), (1, 2)).tied == (0,)
    assert choose_run(right, (1, 1), (1, 2), groups=groups).tied == (0, 1)


@pytest.mark.parametrize(
    "call",
    [
        lambda: compare_pairs(["a"], answers(range(1))),
        lambda: compare_pairs(["a", "b"], answers(range(1), range(1), range(1))),
        lambda: compare_pairs(["a", "b"], np.zeros((2, 0), dtype=np.bool_)),
        lambda: compare_pairs(["a", "b"], answers(range(1), range(1)), groups=["g"]),
        lambda: compare_pairs(["a", "b"], answers(range(1), range(1)), level=1.5),
        lambda: choose_run(answers(range(1)), [1.0], []),
        lambda: choose_run(np.zeros((0, 5), dtype=np.bool_), [], []),
        lambda: swap_test(np.ones(2, np.bool_), np.ones(2, np.bool_), np.arange(3)),
        lambda: grouped_differences(answers(range(1)), [], np.arange(100), level=0.0),
    ],
)
def test_what_cannot_be_compared(call):
    with pytest.raises(ValueError, match=r"\S"):
        call()


def test_p_is_right_as_often_as_it_says():
    """Of 400 pairs of equal models with grouped answers, swaps refuse about 5 %, single photos far more."""
    random = np.random.default_rng(11)
    units = np.repeat(np.arange(25), 4)
    refused = {"groups": 0, "photos": 0}
    for _ in range(400):
        hard = random.random((2, 25)) < 0.7  # all photos of a group are right or wrong together
        a, b = hard[:, units]
        refused["groups"] += swap_test(a, b, units) < 0.05
        refused["photos"] += mcnemar_exact(a, b) < 0.05
    assert refused["groups"] <= 30
    assert refused["photos"] >= 80


def test_accuracies_of_a_pair_are_those_of_each():
    right = answers(range(4), range(2, 18))
    (pair,) = compare_pairs(["a", "b"], right)
    shares = [wilson(int(row.sum()), len(row)).value for row in right]
    assert pair.difference.value == pytest.approx(shares[0] - shares[1])
