from __future__ import annotations

import numpy as np
import pytest

from sortograph.recipe import Head
from sortograph.training.heads.balance import balances, is_uneven, log_shares, photo_weights, prior

EVEN, UNEVEN = np.repeat([0, 1], [3, 1]), np.repeat([0, 2], [8, 2])


def test_more_than_three_to_one_is_uneven():
    assert not is_uneven(EVEN, 2)
    assert is_uneven(UNEVEN, 3)
    assert not is_uneven(EVEN, 5)  # classes without photos say nothing
    assert not is_uneven(EVEN[:0], 2)


def test_auto_tries_all_ways_where_classes_are_uneven():
    assert balances(Head(), EVEN, 2) == ("none",)
    assert balances(Head(), UNEVEN, 3) == ("none", "class-weights", "sampling")
    assert balances(Head(balance="sampling"), EVEN, 2) == ("sampling",)
    assert balances(Head(balance="none"), UNEVEN, 3) == ("none",)


@pytest.mark.parametrize("balance", ["class-weights", "sampling"])
def test_weights_make_classes_count_the_same(balance):
    weights = photo_weights(UNEVEN, balance, 3)
    np.testing.assert_allclose(weights, [10 / 16] * 8 + [10 / 4] * 2)
    assert weights.sum() == pytest.approx(len(UNEVEN))


def test_without_balance_all_photos_count_one_and_nothing_is_added():
    assert photo_weights(UNEVEN, "none", 3).tolist() == [1] * 10
    assert prior(UNEVEN, "none", 3).tolist() == [0, 0, 0]


def test_the_prior_turns_equal_shares_into_the_natural_ones():
    """Bayes: p(class | x) ∝ p(x | class) · share; the balanced head knows the first factor alone."""
    likelihood = np.array([0.2, 0.3, 0.7])
    shares = np.array([0.8, 0.05, 0.2])  # half a photo of ten stands for none
    logits = np.log(likelihood / likelihood.sum()) + prior(UNEVEN, "class-weights", 3)
    given = np.exp(logits) / np.exp(logits).sum()
    np.testing.assert_allclose(given, likelihood * shares / (likelihood * shares).sum())


def test_shares_of_classes_without_photos_are_finite():
    np.testing.assert_allclose(np.exp(log_shares(UNEVEN, 4)), [0.8, 0.05, 0.2, 0.05])
