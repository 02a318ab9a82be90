"""Thresholds below which answers are withheld: what they promise, and what they refuse to."""

from __future__ import annotations

import numpy as np
import pytest

from sortograph.evaluation.abstain import WANTED, abstain_table, one_of_each


def draw(random: np.random.Generator, n: int) -> tuple[np.ndarray, np.ndarray]:
    """Confidences, and answers that are right as often as those say: 6.7 % are wrong in all."""
    confidence = random.beta(14, 1, size=n)
    return confidence, random.random(n) < confidence


def test_promises_are_kept_in_nineteen_of_twenty_draws() -> None:
    random = np.random.default_rng(3)
    fresh_confidence, fresh_right = draw(random, 400_000)  # the truth, as good as exactly
    broken = dict.fromkeys(WANTED, 0)
    answered = dict.fromkeys(WANTED, 0.0)
    for _ in range(200):
        for row in abstain_table(*draw(random, 600)):
            if row.threshold is not None:
                given = fresh_confidence > row.threshold
                broken[row.error] += bool((~fresh_right[given]).mean() > row.error)
                answered[row.error] += given.mean() / 200
    assert max(broken.values()) <= 14, broken  # 5 % of 200 are 10; 14 and fewer come in 93 % of such trials
    assert answered[0.1] > 0.95
    assert answered[0.05] > 0.3


def test_a_laxer_wish_never_answers_less() -> None:
    rows = abstain_table(*draw(np.random.default_rng(0), 2000))
    covered = [row.coverage for row in rows]
    assert covered == sorted(covered)
    assert [row.error for row in rows] == list(WANTED)


def test_few_photos_promise_nothing_strict_and_say_so() -> None:
    rows = abstain_table(np.full(50, 0.9) + np.arange(50) / 1000, np.ones(50, dtype=np.bool_))
    assert rows[0].threshold is None
    assert rows[0].reason == "unattainable: 50 photos promise at best 8.4 %"
    assert (rows[-1].threshold, rows[-1].coverage, rows[-1].wrong) == (0.0, 1.0, 0)


@pytest.mark.parametrize("errors", [1, 4, 12])
def test_what_is_promised_at_best_is_promised_when_it_is_asked_for(errors: int) -> None:
    confidence, right = np.linspace(0.5, 1, 60), np.ones(60, dtype=np.bool_)
    right[:: 60 // errors] = False
    (row,) = abstain_table(confidence, right, (0.001,))
    best = float(row.reason.rpartition("best ")[2].removesuffix(" %")) / 100
    (given,) = abstain_table(confidence, right, (best,))
    assert given.threshold is not None
    (less,) = abstain_table(confidence, right, (best - 0.01,))
    assert less.threshold is None


def test_answers_that_are_all_wrong_are_never_promised() -> None:
    rows = abstain_table(np.linspace(0.5, 1, 500), np.zeros(500, dtype=np.bool_))
    assert all(row.threshold is None for row in rows)


def test_equal_confidences_are_answered_or_withheld_together() -> None:
    confidence = np.repeat([0.99, 0.6], 400)
    right = np.concatenate([np.ones(400), np.arange(400) % 2]).astype(np.bool_)
    row = next(row for row in abstain_table(confidence, right) if row.error == 0.05)
    assert (row.threshold, row.coverage, row.wrong) == (0.6, 0.5, 0)


def test_no_photos_at_all() -> None:
    rows = abstain_table(np.zeros(0), np.zeros(0, dtype=np.bool_))
    assert {row.threshold for row in rows} == {None}


def test_one_photo_stands_for_each_group() -> None:
    groups = np.array([3, 3, 1, 7, 7, 7, 1])
    places = one_of_each(groups)
    assert sorted(groups[places].tolist()) == [1, 3, 7]
    assert places.tolist() == sorted(places.tolist())
    assert one_of_each(groups).tolist() == places.tolist()


def test_photos_that_are_withheld_in_any_case_are_not_counted_as_answered() -> None:
    confidence, right = np.full(400, 0.9), np.ones(400, dtype=np.bool_)
    confidence[:20] = 0.0
    row = abstain_table(confidence, right)[-1]
    assert (row.threshold, row.coverage) == (0.0, 0.95)
