from __future__ import annotations

import math

import pytest

from sortograph.recipe import Train
from sortograph.training.schedule import best_epoch, is_over, learning_rate, plateaus


def rates(train: Train, steps: int) -> list[float]:
    return [learning_rate(train, step, steps, []) for step in range(train.epochs * steps)]


def test_constant_stays():
    assert set(rates(Train(learning_rate=0.3, epochs=4), 5)) == {0.3}


def test_cosine_falls_along_half_a_cosine():
    found = rates(Train(schedule="cosine", learning_rate=0.4, epochs=5), 8)
    expected = [0.4 * (1 + math.cos(math.pi * step / 40)) / 2 for step in range(40)]
    assert found == pytest.approx(expected)
    assert found[0] == 0.4
    assert 0 < found[-1] < 0.001


def test_cosine_warms_up_in_a_straight_line():
    found = rates(Train(schedule="cosine", learning_rate=0.9, epochs=5, warmup_epochs=1), 8)
    assert found[:8] == pytest.approx([0.1 * (step + 1) for step in range(8)])
    assert found[8:] == pytest.approx([0.45 * (1 + math.cos(math.pi * step / 32)) for step in range(32)])


@pytest.mark.parametrize("warmup", [0.25, 1.7, 4.9])
def test_the_largest_rate_is_never_exceeded_however_long_the_warm_up(warmup):
    found = rates(Train(schedule="cosine", learning_rate=1.0, epochs=5, warmup_epochs=warmup), 8)
    assert 0 < min(found) <= max(found) <= 1.0


def test_one_cycle_rises_for_thirty_percent_and_then_falls():
    """71 steps: the 21 intervals of the rise are 30 % of 70."""
    found = rates(Train(schedule="one-cycle", learning_rate=2.0, epochs=1), 71)
    up = [1 + (1 / 25 - 1) * (1 + math.cos(math.pi * k / 21)) / 2 for k in range(22)]
    down = [1e-4 + (1 - 1e-4) * (1 + math.cos(math.pi * k / 49)) / 2 for k in range(50)]
    assert found == pytest.approx([2 * share for share in (*up, *down[1:])])
    assert found[0] == pytest.approx(0.08)
    assert max(found) == found[21] == pytest.approx(2.0)
    assert found[-1] == pytest.approx(2e-4)


def test_one_cycle_of_a_single_step():
    assert learning_rate(Train(schedule="one-cycle", epochs=1), 0, 1, []) > 0


PLATEAU = Train(schedule="plateau", learning_rate=1.0, plateau_patience=2, plateau_factor=0.1)


@pytest.mark.parametrize(
    ("losses", "times"),
    [
        ([], 0),
        ([1.0], 0),
        ([1.0, 1.0], 0),
        ([1.0, 1.0, 1.0], 1),
        ([1.0, 1.1, 0.9, 0.95, 0.9], 1),
        ([1.0, 0.9, 0.8, 0.7], 0),
        ([1.0, 2.0, 2.0, 2.0, 2.0], 2),
        ([1.0, 2.0, 2.0, 0.5, 2.0], 1),
        ([1.0, 0.99995, 0.99991], 1),
        ([1.0, 0.9998, 0.9996], 0),
    ],
)
def test_plateau_lowers_the_rate_after_each_wait_without_a_lower_loss(make_history, losses, times):
    history = make_history(losses)
    assert plateaus(history, 2) == times
    assert learning_rate(PLATEAU, 99, 10, history) == pytest.approx(0.1**times)


def test_plateau_watches_the_training_loss_where_nothing_validates(make_history):
    assert plateaus(make_history([None] * 4), 2) == 1


def test_the_best_epoch_is_the_first_with_the_best_value(make_history):
    by_loss, by_accuracy = Train(monitor="validation_loss"), Train(monitor="validation_accuracy")
    history = make_history([0.9, 0.5, 0.7, 0.5], [0.6, 0.7, 0.8, 0.7])
    assert best_epoch(by_loss, history) == 2
    assert best_epoch(by_accuracy, history) == 3
    assert best_epoch(by_loss, []) is None


def test_of_equal_accuracies_the_lower_loss_decides(make_history):
    train = Train(monitor="validation_accuracy")
    assert best_epoch(train, make_history([0.9, 0.5, 0.4, 0.4], [0.8, 0.8, 0.8, 0.8])) == 3


def test_without_validation_the_last_epoch_is_kept(make_history):
    assert best_epoch(Train(), make_history([None, None, None])) == 3


def test_training_is_over_after_all_epochs(make_history):
    train = Train(epochs=3)
    assert [is_over(train, make_history([1.0] * count)) for count in range(5)] == [
        *(False, False, False),
        *(True, True),
    ]


def test_early_stopping_waits_for_as_many_epochs_as_it_says(make_history):
    train = Train(epochs=99, early_stopping=2, monitor="validation_loss")
    losses = [1.0, 0.8, 0.9, 0.7, 0.7, 0.7]
    over = [is_over(train, make_history(losses[:count])) for count in range(len(losses) + 1)]
    assert over == [False] * 6 + [True]
    never = train.model_copy(update={"early_stopping": 0})
    assert not is_over(never, make_history([0.1] + [1.0] * 50))
