from __future__ import annotations

import sqlite3

import pytest

from sortograph.errors import RunError
from sortograph.sweeps.search import opened

AXES = {"train.learning_rate": {"low": 1e-4, "high": 0.1, "log": True}, "model.dense": [[8], [8, 8]],
        "train.batch_size": {"low": 2, "high": 6, "step": 2}}  # fmt: skip


@pytest.fixture
def searched(make):
    def made(**data):
        return make(**{"variant": None, "method": "tpe", "trials": 4, "space": AXES, **data})

    return made


def test_a_grid_goes_once_through_all_and_remembers(make, tmp_path):
    with opened(make(), tmp_path) as search:
        assert [one.name for one in search.known] == ["a", "b"]
        first = search.next()
        search.tell(first.name, "finished", 0.5)
    with opened(make(), tmp_path) as search:
        assert search.settled("a") == ("finished", "")
        assert search.settled("b") is None
        assert [search.next().name, search.next().name, search.next()] == ["a", "b", None]


def test_a_grid_takes_more_trials(make, tmp_path):
    for trials in (2, 3, 12):
        space = make(variant=None, trials=trials, space={"train.batch_size": list(range(1, 13))})
        with opened(space, tmp_path) as search:
            while (one := search.next()) is not None:
                search.tell(one.name, "finished", 0.5)
            names = [one.name for one in search.known]
            assert all(search.settled(name) == ("finished", "") for name in names)
            assert names == [f"c{number:02}" for number in range(1, trials + 1)]


@pytest.mark.parametrize("method", ["random", "tpe"])
def test_as_many_trials_as_were_asked_for(searched, tmp_path, method):
    with opened(searched(method=method), tmp_path) as search:
        drawn = []
        while (one := search.next()) is not None:
            drawn.append(one)
            search.tell(one.name, "finished", one.settings["train.learning_rate"])
    assert [one.name for one in drawn] == ["c01", "c02", "c03", "c04"]
    assert list(drawn[0].told) == list(AXES)
    for one in drawn:
        assert 1e-4 <= one.settings["train.learning_rate"] <= 0.1
        assert one.settings["model.dense"] in ([8], [8, 8])
        assert one.settings["train.batch_size"] in (2, 4, 6)
        assert type(one.settings["train.batch_size"]) is int


def test_later_calls_draw_other_configurations_and_may_ask_for_more(searched, tmp_path):
    rates = []
    for trials in (1, 2, 4):
        with opened(searched(trials=trials), tmp_path) as search:
            while (one := search.next()) is not None:
                rates.append(one.settings["train.learning_rate"])
                search.tell(one.name, "finished", 0.5)
            assert search.to_come == 0
            assert len(search.known) == trials
    assert len(set(rates)) == 4


def test_what_was_killed_is_asked_for_again_under_its_name(searched, tmp_path):
    with opened(searched(), tmp_path) as search:
        search.tell(search.next().name, "finished", 0.5)
        killed = search.next()
    with opened(searched(), tmp_path) as search:
        assert [one.name for one in search.known] == ["c01"]
        again = search.next()
        assert (again.name, dict(again.settings)) == (killed.name, dict(killed.settings))
        others = {search.next().name, search.next().name}
        assert len(others | {"c01", killed.name}) == 4
        assert search.next() is None


def test_equal_settings_run_once(make, tmp_path):
    """Two points, six trials: each is handed out once, and the search ends."""
    space = make(variant=None, method="random", trials=6, space={"model.dropout": [0.0, 0.5]})
    with opened(space, tmp_path) as search:
        drawn = []
        while (one := search.next()) is not None:
            drawn.append(one.settings["model.dropout"])
            search.tell(one.name, "finished", 0.5)
        known = [one.name for one in search.known]
    assert len(drawn) == len(set(drawn)) == len(known)
    with opened(space, tmp_path) as search:
        assert search.next() is None
        assert [one.name for one in search.known] == known


def test_variants_are_drawn_too(make, tmp_path):
    space = make(method="random", trials=8, space={"model.dropout": {"low": 0.0, "high": 0.5}})
    with opened(space, tmp_path) as search:
        drawn = [search.next() for _ in range(8)]
    assert {one.variant for one in drawn} == {"a", "b"}
    assert all(("train.optimiser" in one.settings) == (one.variant == "b") for one in drawn)


def test_failures_and_pruned_trials_stay_settled(searched, tmp_path):
    with opened(searched(), tmp_path) as search:
        search.tell(search.next().name, "failed", reason="the loss exploded")
        search.tell(search.next().name, "pruned", reason="behind")
    with opened(searched(), tmp_path) as search:
        assert search.settled("c01") == ("failed", "the loss exploded")
        assert search.settled("c02") == ("pruned", "behind")
        assert search.next().name not in ("c01", "c02")


def test_worse_than_the_median_at_the_same_epoch(searched, tmp_path):
    with opened(searched(trials=7), tmp_path) as search:
        for score in (0.5, 0.6, 0.7, 0.8, 0.9):
            name = search.next().name
            assert not search.is_behind(name, 1, score)  # the first five are the measure
            search.tell(name, "finished", score)
        assert search.is_behind(search.next().name, 1, 0.4)
        assert not search.is_behind(search.next().name, 1, 0.85)


def test_of_a_loss_the_lower_is_better(searched, tmp_path):
    with opened(searched(trials=7, metric="validation_log_loss"), tmp_path) as search:
        for score in (0.5, 0.6, 0.7, 0.8, 0.9):
            name = search.next().name
            search.is_behind(name, 1, score)
            search.tell(name, "finished", score)
        assert not search.is_behind(search.next().name, 1, 0.4)
        assert search.is_behind(search.next().name, 1, 0.85)


def test_a_damaged_file_is_told(make, tmp_path):
    (tmp_path / "study.db").write_bytes(b"no database at all" * 100)
    with pytest.raises(RunError, match=r"damaged.*study\.db"), opened(make(), tmp_path):
        pass


def test_any_folder_name_will_do(make, tmp_path):
    folder = tmp_path / "50 % #1 ? 새"
    folder.mkdir()
    with opened(make(), folder) as search:
        search.tell(search.next().name, "finished", 0.5)
    with sqlite3.connect(folder / "study.db") as base:
        assert base.execute("select count(*) from trials").fetchone() == (1,)
    base.close()
