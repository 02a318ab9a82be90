from __future__ import annotations

import time
from dataclasses import replace

import pytest

from sortograph.errors import RunError
from sortograph.evaluation import wilson
from sortograph.records.sweeps import RunOutcome
from sortograph.sweeps.course import Course, Means
from sortograph.sweeps.search import opened


@pytest.fixture
def kept():
    """Folder → record of runs that have finished: what a disk would have."""
    return {}


@pytest.fixture
def start(make, task, kept, tmp_path):
    """A course in this folder; call it again to go on."""
    from contextlib import ExitStack

    with ExitStack() as stack:

        def there(one, _):
            return kept.get(one.folder)

        def begin(deadline=None, halved=False, **data):
            stack.close()
            space = make(**data)
            search = stack.enter_context(opened(space, tmp_path))
            means = Means(lambda one, seed: task(one.name, seed), there, cleared.append, deadline, halved)
            return Course(space, search, means)

        cleared = begin.cleared = []
        yield begin


def go(course, kept, outcome, most=99, right=(90, 15, 40)):
    """Does up to so many runs; their titles."""
    done = []
    tasks = course.tasks()
    while len(done) < most and (one := next(tasks, None)) is not None:
        found = outcome(one.configuration, one.seed, right)
        kept[one.folder] = found.record
        course.take(found)
        done.append(f"{one.configuration}{one.seed}")
    return done


def test_a_grid_goes_seed_by_seed(start, kept, outcome):
    course = start()
    assert go(course, kept, outcome) == ["a1", "b1", "a2", "b2"]
    assert (course.done, course.total, course.left()) == (4, 4, [])
    assert course.search.settled("a") == ("finished", "")


def test_it_goes_on_where_it_stopped(start, kept, outcome):
    assert go(start(), kept, outcome, most=3) == ["a1", "b1", "a2"]
    course = start()
    assert go(course, kept, outcome) == ["b2"]
    assert len(course.outcomes) == 4
    assert go(start(), kept, outcome) == []


def test_a_run_that_vanished_is_done_again(start, kept, outcome):
    go(start(), kept, outcome)
    kept.popitem()
    assert go(start(), kept, outcome) == ["b2"]


def test_what_was_cut_off_is_cleared_before_it_begins_anew(start, kept, outcome, tmp_path):
    go(start(), kept, outcome, most=1)
    assert start.cleared == [tmp_path / "runs" / "a-seed1"]


def test_no_run_begins_that_would_end_too_late(start, kept, outcome):
    """Each takes four seconds."""
    course = start(deadline=time.monotonic() + 3)
    assert go(course, kept, outcome) == ["a1"]
    assert course.is_late
    assert course.left() == ["a, seed 2", "b, seed 1", "b, seed 2"]
    course = start(deadline=time.monotonic() + 60)
    assert go(course, kept, outcome) == ["b1", "a2", "b2"]
    assert not course.is_late


def test_a_failed_configuration_needs_no_more_seeds(start, kept, outcome, task):
    course = start()
    tasks = course.tasks()
    course.take(RunOutcome(next(tasks), "failed", 1.0, reason="the loss exploded"))
    rest = []
    for one in tasks:
        rest.append(one.title())
        course.take(outcome(one.configuration, one.seed))
    assert rest == ["b, seed 1", "b, seed 2"]
    assert course.left() == []
    assert go(start(), kept, outcome) == ["b1", "b2"]  # a stays failed


def test_a_killed_run_is_left(start, kept, outcome):
    course = start()
    for one in course.tasks():
        killed = (one.configuration, one.seed) == ("b", 1)
        found = RunOutcome(one, "killed", 1.0) if killed else outcome(one.configuration, one.seed)
        kept.update({} if killed else {one.folder: found.record})
        course.take(found)
    assert course.left() == ["b, seed 1"]
    assert go(start(), kept, outcome) == ["b1"]


SEARCH = {
    "variant": None,
    "method": "tpe",
    "trials": 3,
    "space": {"model.dropout": {"low": 0.0, "high": 0.5}},
}


def test_a_search_takes_a_configuration_at_a_time(start, kept, outcome):
    course = start(**SEARCH)
    assert course.total == 6
    assert go(course, kept, outcome, most=3) == ["c011", "c012", "c021"]
    course = start(**SEARCH)
    assert course.total == 6
    assert go(course, kept, outcome) == ["c022", "c031", "c032"]
    assert course.left() == []


def test_a_search_asks_for_no_more_than_it_has_time_for(start, kept, outcome):
    course = start(deadline=time.monotonic() + 3, **SEARCH)
    go(course, kept, outcome)
    assert course.is_late
    assert [one.name for one in course.search.known] == ["c01"]
    assert len(course.left()) == 5


def test_only_the_first_seed_of_a_search_is_cut_short(start, kept, outcome, task):
    searched = start(**{**SEARCH, "trials": 9})
    for number, name in enumerate(("c01", "c02", "c03", "c04", "c05"), start=1):
        one = next(searched.tasks())
        assert not searched.is_behind(one, 1, 0.5, number / 10)
        for seed in (1, 2):
            kept[task(name, seed).folder] = outcome(name, seed).record
            searched.take(outcome(name, seed))
    last = next(searched.tasks())
    assert searched.is_behind(last, 1, 0.5, 0.05)
    assert not searched.is_behind(task(last.configuration, 2), 1, 0.5, 0.05)


def test_a_grid_is_never_cut_short(start, task):
    assert not start().is_behind(task(), 1, 9.0, 0.0)


def test_runs_that_judged_nothing_end_it(start, outcome):
    course = start()
    found = outcome(next(course.tasks()).configuration, 1)
    with pytest.raises(RunError, match="random weights"):
        course.take(replace(found, record=replace(found.record, evaluation={})))


@pytest.mark.parametrize(("halved", "value"), [(True, 0.5), (False, 0.75)])
def test_a_search_learns_from_the_photos_that_choose(start, outcome, tmp_path, halved, value):
    import optuna

    course = start(halved=halved, **{**SEARCH, "trials": 1, "seeds": [1]})
    one = next(course.tasks())
    found = outcome(one.configuration, 1).record
    result = replace(found.evaluation["validation"], choosing={"accuracy": wilson(5, 10)})
    record = replace(found, evaluation={**found.evaluation, "validation": result})
    course.take(RunOutcome(one, "finished", 4.0, record))
    study = optuna.load_study(study_name="mine", storage=f"sqlite:///{tmp_path / 'study.db'}")
    assert [trial.value for trial in study.get_trials()] == [value]
