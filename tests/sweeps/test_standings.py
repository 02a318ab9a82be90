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


def halved(made, right, n=10):
    """The same run, of whose validation photos ten choose."""
    result = replace(made.evaluation["validation"], chose=n, choosing={"accuracy": wilson(right, n)})
    return replace(made, evaluation={**made.evaluation, "validation": result})


def test_the_photos_that_choose_rank_alone_where_half_is_kept_for_it(make, record):
    """By all validation photos, it is the other way round."""
    space = make()
    a, b = grid(space)
    good, bad = halved(record((90, 14, 40)), 9), halved(record((90, 18, 40)), 5)
    assert (score(good, space.metric, halved=True), score(good, space.metric)) == (0.9, 0.7)
    runs = ((a, {1: good}), (b, {1: bad}))
    for is_halved, best in ((True, "a"), (False, "b")):
        known = [standing(space, one, some, ("finished", ""), wilson, is_halved) for one, some in runs]
        first = ranked(space, known)[0]
        assert first.configuration.name == best
        assert (first.choosing is not None) == is_halved
    mean = standing(space, a, {1: good, 2: halved(record(), 7)}, ("finished", ""), wilson, True)
    assert (mean.score, mean.choosing.value, mean.choosing.n, mean.validation.n) == (0.8, 0.8, 10, 20)


def test_a_run_without_figures_of_the_half_is_refused(record):
    with pytest.raises(RunError, match="without figures of the validation photos that choose") as refused:
        score(record(), "validation_accuracy", halved=True)
    assert "split.reserve" in refused.value.expected


def test_the_table_of_runs_has_the_half_that_chooses(make, outcome, task, record, tmp_path):
    plain, half = outcome("a", 1), RunOutcome(task("b", 1), "finished", 4.0, halved(record(), 9))
    write_table(tmp_path, grid(make()), {("a", 1): plain, ("b", 1): half})
    with (tmp_path / "trials.csv").open(encoding="utf-8", newline="") as file:
        first, second = csv.DictReader(file)
    assert (first["choosing_accuracy"], first["choosing_n"]) == ("", "")
    assert (second["choosing_accuracy"], second["choosing_n"]) == ("0.9", "10")
    assert first["validation_n"] == second["validation_n"] == "20"
