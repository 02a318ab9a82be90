"""How long an epoch will take, and that asking leaves nothing behind."""

from __future__ import annotations

import time

import pytest

from sortograph.models import plan
from sortograph.training import pace

SIZE = (8, 8)


def paced(run):
    made = plan(run.recipe.model, SIZE, len(run.index.classes))
    return pace.seconds_per_epoch(run.recipe, made, run.index, run.pixels)


def test_asking_leaves_nothing_behind(make_run, tmp_path):
    run = make_run()
    before = sorted(tmp_path.rglob("*"))
    assert paced(run) > 0
    assert sorted(tmp_path.rglob("*")) == before
    assert run.events == []


@pytest.mark.parametrize(("validation", "steps"), [(False, 7), (True, 5 + 0.4 * 8 / 5)])
def test_it_is_the_time_of_a_step_for_each_batch_and_of_validation(make_run, monkeypatch, validation, steps):
    """By a clock on which each step takes two seconds: 32 photos in 7 batches, or 24 in 5 and 8 validated."""
    ticks = iter(range(0, 1000, 2))

    def steps_of_two_seconds(task, _plan):
        while not task.stop():
            pass

    monkeypatch.setattr(pace, "fit", steps_of_two_seconds)
    monkeypatch.setattr(time, "monotonic", lambda: float(next(ticks)))
    assert paced(make_run(validation=validation)) == pytest.approx(2 * steps)
