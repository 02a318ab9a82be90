"""What a step may gain, and whether it is worth its time."""

from __future__ import annotations

import pytest

from sortograph.api.gains import Hope, Seen, hoped, weighed, with_more_time


def test_a_step_can_gain_no_more_than_what_is_wrong():
    for error in (0.0, 0.01, 0.5):
        seen = [Seen("backbone", 0.4, 0.0)] * 20
        assert 0 <= hoped("backbone", error, 0.0, seen).gain <= error


def test_what_such_steps_have_gained_in_this_run_counts():
    rule = hoped("joined", 0.2, 0.0, []).gain
    well, badly = (hoped("joined", 0.2, 0.0, [Seen("joined", 0.4, after)]) for after in (0.2, 0.4))
    assert badly.gain == pytest.approx(rule / 2)
    assert well.gain == pytest.approx(0.2 * (0.2 + 0.5) / 2)
    assert "by 1 such step in this run" in well.why
    assert hoped("joined", 0.2, 0.0, [Seen("joined", 0.4, 0.4)] * 3).gain == pytest.approx(rule / 4)


def test_a_step_that_made_it_worse_counts_as_none():
    assert Seen("joined", 0.1, 0.2).removed == 0.0
    assert Seen("joined", 0.0, 0.0).removed == 0.0


def test_steps_of_another_kind_do_not_count():
    assert hoped("mirror", 0.2, 0.0, [Seen("joined", 0.4, 0.1)]) == hoped("mirror", 0.2, 0.0, [])


def test_mirrored_views_do_not_help_where_training_itself_is_wrong():
    assert hoped("mirror", 0.2, 0.2, []).gain == 0.0
    assert hoped("mirror", 0.2, 0.195, []).gain == pytest.approx(0.005)
    assert hoped("mirror", 0.2, 0.0, []).gain == pytest.approx(0.016)
    assert hoped("backbone", 0.2, 0.2, []).gain == pytest.approx(0.04), "a bigger backbone may see more"


@pytest.mark.parametrize(
    ("gain", "count", "seconds", "left", "answer"),
    [
        (0.01, 500, 10.0, 20.0, "go"),
        (0.01, 500, 10.0, float("inf"), "go"),
        (0.01, 500, 21.0, 20.0, "no time"),
        (0.01, 10, 10.0, 20.0, "nothing to gain"),
        (0.0, 500, 100.0, 20.0, "nothing to gain"),
    ],
)
def test_gain_cost_and_time_decide(gain, count, seconds, left, answer):
    verdict = weighed(Hope(gain, "a guess"), count, seconds, left)
    assert verdict.answer == answer
    assert "inf" not in verdict.reason


def test_where_hopes_are_from_is_said_once():
    line = with_more_time([("a", Hope(0.1, "x")), ("b", Hope(0.2, "y")), ("c", Hope(0.1, "x"))])
    assert line == "with more time: a; c (x); b (y)"
