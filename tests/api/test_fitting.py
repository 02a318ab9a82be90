"""A budget that ends while photos are embedded."""

from __future__ import annotations

import csv
import time
from collections import Counter

import numpy as np
import pytest

import sortograph
from sortograph import runs
from sortograph.api import fitting
from sortograph.api.autopilot import auto_maker
from sortograph.api.fitting import fitted
from sortograph.api.timing import Budget
from sortograph.api.transfer import TransferMaker
from sortograph.dataset import SplitPlan, cut, scan
from sortograph.dataset.thinning import thinning_notes
from sortograph.features import FeatureKeeper, Pace
from sortograph.recipe import load_recipe
from sortograph.records import Said
from toy_backbones import colours


class Kept:
    """Stands for a keeper that embeds `rate` photos a second, by a clock of its own."""

    def __init__(self, rate: float) -> None:
        self.rate, self.now, self.there = rate, 0.0, set()

    def lacking(self, index, rows):
        return [int(row) for row in rows if int(row) not in self.there]

    def embed_until(self, index, rows, until):
        began, made = self.now, 0
        for row in self.lacking(index, rows):
            if until is not None and self.now >= until:
                break
            self.there.add(row)
            self.now, made = self.now + 1 / self.rate, made + 1
        return Pace(made, self.now - began)


@pytest.fixture
def keeper(monkeypatch):
    def make(rate):
        kept = Kept(rate)
        monkeypatch.setattr(fitting.time, "monotonic", lambda: kept.now)
        return kept

    return make


@pytest.fixture(scope="session")
def many(paint, tmp_path_factory):
    """150 photos in three classes, 120 of them to train on."""
    return paint(tmp_path_factory.mktemp("many") / "photos", count=50)


@pytest.fixture(scope="session")
def index(many):
    return cut(scan(many), SplitPlan(0, 0.1, 0.1))


@pytest.fixture(autouse=True)
def _few_taught(monkeypatch):
    monkeypatch.setattr("sortograph.dataset.thinning.TAUGHT_IN_ALL", 12)


@pytest.fixture
def few(monkeypatch):
    """Fewer photos than usual that must judge in any case."""
    monkeypatch.setattr("sortograph.dataset.thinning.JUDGED", 3)


def counts(index):
    return {split: len(index.rows(split)) for split in ("train", "validation", "test")}


def test_all_photos_where_there_is_time(index, keeper):
    found = fitted(index, keeper(8), 60.0, seed=0)
    assert found.index is index
    assert found.lines == ()


def test_training_photos_are_thinned_and_those_that_judge_are_not(index, keeper):
    kept = keeper(8)
    found = fitted(index, kept, 9.0, seed=0)
    assert counts(found.index) == {"train": 42, "validation": 15, "test": 15}
    assert kept.now == pytest.approx(9.0, abs=0.2)
    assert len(set(Counter(found.index.labels[found.index.rows("train")].tolist()).values())) == 1
    assert "trained on 42 of 120 training photos" in found.lines[0]
    assert found.lines[-1].startswith(
        "with more time: the 78 photos without embeddings would take about 10 s more"
    )


def test_photos_that_judge_are_thinned_only_where_they_take_half_of_the_time(index, keeper, few):
    kept = keeper(8)
    found = fitted(index, kept, 4.0, seed=0)
    assert counts(found.index)["test"] < 15
    assert counts(found.index)["train"] >= 12
    assert kept.now == pytest.approx(4.0, abs=0.2)
    (line,) = [line for line in found.lines if line.startswith("judged on ")]
    assert f"{counts(found.index)['test']} of 15 test photos" in line


def test_photos_that_judge_take_the_time_that_training_photos_leave(index, keeper, few):
    train, judged = index.rows("train"), np.concatenate([index.rows("validation"), index.rows("test")])
    small = index[np.sort(np.concatenate([train[::8], judged]))]
    found = fitted(small, keeper(8), 5.0, seed=0)
    assert counts(found.index)["train"] == 15
    assert counts(found.index)["validation"] + counts(found.index)["test"] == 25


def test_a_few_of_each_where_there_is_no_time_at_all(index, keeper, few):
    found = fitted(index, keeper(8), -5.0, seed=0)
    assert counts(found.index) == {"train": 12, "validation": 3, "test": 3}


def test_a_split_whose_embeddings_are_there_is_judged_in_full(index, keeper, few):
    kept = keeper(8)
    kept.there |= set(index.rows("test").tolist())
    found = fitted(index, kept, -5.0, seed=0)
    assert counts(found.index) == {"train": 12, "validation": 3, "test": 15}


def test_what_is_embedded_costs_nothing(index, keeper):
    kept = keeper(8)
    fitted(index, kept, 9.0, seed=0)
    kept.now = 0.0
    assert len(fitted(index, kept, 12.0, seed=0).index) == len(index)
    assert kept.now == pytest.approx(78 / 8)


def test_views_get_half_of_the_time(index, keeper):
    plain, with_views = (
        counts(fitted(index, keeper(8), 9.0, seed=0, views=views).index)["train"] for views in (0, 3)
    )
    assert with_views < plain


def test_a_budget_leaves_time_for_the_rest(monkeypatch):
    monkeypatch.setattr("sortograph.api.timing.time.monotonic", lambda: 100.0)
    budget = Budget(400.0)
    assert budget.embedding == pytest.approx(400 - 0.12 * 300 - 0.08 * 300)
    assert budget.reading == pytest.approx((100 + budget.embedding) / 2)
    assert Budget(120.0).embedding == pytest.approx(120 - 8.5 - 3)
    assert (Budget(None).embedding, Budget(None).reading) == (None, None)


def rows_of(folder):
    with (folder / "index.csv").open(encoding="utf-8", newline="") as file:
        return Counter(row["split"] for row in csv.DictReader(file))


@pytest.fixture
def thin_run(stock, bare, few, many, tmp_path, monkeypatch):
    """Recipe → a run whose budget is over when it begins, and what it said."""
    monkeypatch.setenv("SORTOGRAPH_CACHE", str(tmp_path / "cache"))

    def run(recipe, *overrides):
        said = []
        options = {"overrides": overrides, "budget": 0.01, "progress": said.append}
        record = sortograph.train(many, recipe=recipe, out=tmp_path / "thin", **options)
        return record, [event.text for event in said if isinstance(event, Said)]

    return run


def test_a_run_on_fewer_photos_says_so_everywhere(thin_run):
    record, said = thin_run("auto")
    assert rows_of(record.folder)["train"] == 12
    assert record.evaluation["train"].n == 12
    assert record.evaluation["test"].n == rows_of(record.folder)["test"] == 3
    for start in ("trained on 12 of ", "judged on 3 of ", "with more time: the "):
        assert sum(line.startswith(start) for line in record.decisions) == 1
        assert sum(line.startswith(start) for line in said) == 1
    before = runs.read_data(record.folder)
    assert before.fingerprint == record.fingerprint
    assert len(thinning_notes(before)) == 2


def test_the_same_photos_are_found_again(thin_run, many, tmp_path):
    """By what reads all photos of a run again."""
    from sortograph.api.curving import same_photos

    record, _ = thin_run("auto")
    settings = load_recipe(str(record.folder / "recipe.toml"))
    found = same_photos(record, settings, many, lambda _event: None)
    assert found.fingerprint == record.fingerprint
    assert len(found) < 150


def test_the_same_command_goes_further(thin_run, many, stock, tmp_path):
    thin_run("auto")
    again = sortograph.train(many, recipe="auto", budget=600, out=tmp_path / "again")
    assert rows_of(again.folder).total() == 150
    assert not any("since the budget ended" in line for line in again.decisions)


def test_a_frozen_backbone_of_a_recipe_keeps_the_budget_too(thin_run, tmp_path):
    path = tmp_path / "frozen.toml"
    path.write_text('[model]\nkind = "backbone"\n[backbone]\nnames = ["colours.test"]')
    record, _ = thin_run(str(path))
    assert record.evaluation["train"].n == 12
    assert record.decisions[0].startswith("trained on 12 of ")


def test_without_a_budget_a_recipe_takes_all_photos(stock, index):
    recipe = load_recipe("weather-transfer", ['backbone.names=["colours.test"]', "pixels.size=16"])
    maker = TransferMaker(recipe, lambda _event: None)
    assert maker.within(index) is index


@pytest.mark.parametrize(("first", "second", "taken"), [(1.0, 0.1, 48), (1.0, 0.9, 12), (0.01, 0.001, 12)])
def test_a_quicker_backbone_goes_first_where_the_first_has_too_much_to_do(
    stock, index, monkeypatch, tmp_path, first, second, taken
):
    """Seconds that the embedding of a photo takes; the second backbone makes 48 numbers, the first 12."""
    monkeypatch.setenv("SORTOGRAPH_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(
        FeatureKeeper, "pace", lambda self, *_: Pace(1, first if self.width == 12 else second)
    )
    monkeypatch.setattr("sortograph.api.autopilot.TransferMaker.within", lambda _self, index: index)
    said = []
    maker = auto_maker(load_recipe("auto"), said.append, Budget(time.monotonic() + 60))
    assert maker.within(index) is index
    assert maker.keeper.width == taken
    told = [event.text for event in said if isinstance(event, Said)]
    assert any("fine.test goes first: about 15 s" in line for line in told) == (taken == 48)


def test_a_step_that_turns_out_too_slow_is_left_out(stock, bare, photos, tmp_path, monkeypatch):
    """It is kept in the cache as far as it was embedded, and the best so far is judged."""
    stock["colours.test"] = colours(16, grey=True)
    monkeypatch.setenv("SORTOGRAPH_CACHE", str(tmp_path / "cache"))
    real = FeatureKeeper.embed_until

    def late(self, index, rows, until):
        return real(self, index, rows, until if self.width == 1 else time.monotonic() - 1)

    monkeypatch.setattr(FeatureKeeper, "embed_until", late)
    monkeypatch.setattr(FeatureKeeper, "pace", lambda *_: Pace(1, 0.001))
    options = {"overrides": ["head.kind=logistic"], "budget": 500}
    record = sortograph.train(photos, recipe="auto", out=tmp_path / "run", **options)
    assert record.recipe["backbone"]["names"] == ["colours.test"]
    assert "fine.test is given up: no time for 20 of 20 training photos" in record.decisions
    assert record.evaluation["test"].n == 5
