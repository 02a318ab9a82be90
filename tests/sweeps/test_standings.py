from __future__ import annotations

import csv
from dataclasses import replace

import pytest

from sortograph.errors import RunError
from sortograph.evaluation import wilson
from sortograph.records.sweeps import RunOutcome
from sortograph.sweeps.plan import grid
from sortograph.sweeps.standings import ranked, score, standing, write_table


def test_means_over_seeds(make, record):
    space = make()
    runs = {1: record((90, 14, 40)), 2: record((80, 16, 44), seconds=8.0)}
    found = standing(space, grid(space)[0], runs, ("finished", ""), wilson)
    assert found.score == pytest.approx(0.75)
    assert found.spread == pytest.approx(0.0707, abs=1e-4)
    assert (found.test.value, found.test.n) == (pytest.approx(0.84), 50)
    assert (found.test.low, found.test.high) == (wilson(42, 50).low, wilson(42, 50).high)
    assert found.gap == pytest.approx(0.85 - 0.75)
    assert (found.seconds, found.seeds) == (6.0, (1, 2))


def test_without_runs_there_is_nothing_to_say(make):
    space = make()
    found = standing(space, grid(space)[0], {}, ("failed", "the loss exploded"), wilson)
    assert (found.score, found.test, found.status, found.reason) == (
        None,
        None,
        "failed",
        "the loss exploded",
    )
    assert standing(space, grid(space)[0], {}, None, wilson).status == "open"


def test_validation_ranks_and_test_has_no_say(make, record):
    space = make()
    a, b = grid(space)
    worse = standing(space, a, {1: record((90, 14, 50))}, ("finished", ""), wilson)
    better = standing(space, b, {1: record((90, 16, 10))}, ("finished", ""), wilson)
    none = standing(space, a, {}, ("pruned", ""), wilson)
    assert [one.score for one in ranked(space, [none, worse, better])] == [0.8, 0.7, None]
    other_test = replace(better, test=None)
    assert ranked(space, [worse, other_test])[0] is other_test


def test_of_a_loss_the_lower_is_better(make, record):
    space = make(metric="validation_log_loss")
    a, b = grid(space)
    low = standing(space, a, {1: record((90, 16, 10))}, ("finished", ""), wilson)
    high = standing(space, b, {1: record((90, 10, 10))}, ("finished", ""), wilson)
    assert [one.configuration.name for one in ranked(space, [high, low])] == ["a", "b"]


def test_a_configuration_with_all_seeds_goes_before_one_with_some(make, record):
    space = make()
    a, b = grid(space)
    whole = standing(space, a, {1: record(), 2: record()}, ("finished", ""), wilson)
    lucky = standing(space, b, {1: record((90, 20, 40))}, None, wilson)
    assert ranked(space, [lucky, whole])[0] is whole


def test_a_run_that_was_not_judged_is_an_error(record):
    with pytest.raises(RunError, match="random weights"):
        score(record(evaluation={}), "validation_accuracy")
    only_test = {split: result for split, result in record().evaluation.items() if split != "validation"}
    with pytest.raises(RunError, match="no validation photos"):
        score(record(evaluation=only_test), "validation_accuracy")


def test_the_table_has_a_line_for_each_run(make, outcome, task, tmp_path):
    space = make()
    outcomes = {
        ("b", 1): RunOutcome(task("b", 1), "failed", 2.0, reason="the loss exploded"),
        ("a", 2): outcome("a", 2),
        ("a", 1): outcome("a", 1),
    }
    write_table(tmp_path, grid(space), outcomes)
    with (tmp_path / "trials.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [(row["trial"], row["seed"], row["status"]) for row in rows] == [
        ("a", "1", "finished"), ("a", "2", "finished"), ("b", "1", "failed"),
    ]  # fmt: skip
    assert float(rows[0]["test_accuracy"]) == 0.8
    assert (rows[0]["test_n"], rows[0]["run"]) == ("50", "runs/a-seed1")
    assert float(rows[0]["test_low"]) < 0.8 < float(rows[0]["test_high"])
    assert rows[2]["reason"] == "the loss exploded"
    assert rows[2]["test_accuracy"] == ""
    assert rows[2]["settings"] == '{"train.optimiser": "sgd"}'
