from __future__ import annotations

import json
import tracemalloc
from dataclasses import replace

import numpy as np
import pytest

from sortograph.errors import DataError
from sortograph.evaluation import difference, judge, with_gaps
from sortograph.records import EvaluationResult, PredictionTable


def make_table(
    labels: list[int] | None, predicted: list[int], classes: int = 3, split: str = "test"
) -> PredictionTable:
    return PredictionTable(
        rows=np.arange(len(predicted)),
        logits=2 * np.eye(classes, dtype=np.float32)[np.array(predicted, dtype=np.int64)],
        labels=None if labels is None else np.array(labels, dtype=np.int64),
        classes=tuple("abcdefgh"[:classes]),
        split=split,
    )


def test_a_small_table_by_hand() -> None:
    result = judge(make_table([0, 0, 0, 1, 1, 2], [0, 0, 1, 1, 1, 0]))
    assert result.confusion.tolist() == [[2, 1, 0], [0, 2, 0], [1, 0, 0]]
    assert result.confusion.dtype == np.int64
    assert result.metrics["accuracy"].value == pytest.approx(4 / 6)
    assert result.metrics["balanced_accuracy"].value == pytest.approx((2 / 3 + 1 + 0) / 3)
    assert result.metrics["macro_f1"].value == pytest.approx((2 / 3 + 0.8 + 0) / 3)
    right, wrong = np.log(1 + 2 * np.exp(-2)), np.log(1 + 2 * np.exp(-2)) + 2
    assert result.metrics["log_loss"].value == pytest.approx((4 * right + 2 * wrong) / 6)
    assert (result.split, result.n, result.gaps) == ("test", 6, {})
    assert {estimate.n for estimate in result.metrics.values()} == {6}


def test_a_class_never_predicted_and_one_without_photos() -> None:
    scores = judge(make_table([0, 0, 1], [0, 0, 0])).per_class
    never = scores[1].precision
    assert (never.value, never.low, never.high, never.n, never.method) == (0, 0, 1, 0, "never predicted")
    assert (scores[1].recall.value, scores[1].recall.n, scores[1].support) == (0, 1, 1)
    absent = scores[2]
    assert absent.support == 0
    assert (absent.recall.low, absent.recall.high, absent.recall.n) == (0, 1, 0)
    assert (absent.f1.value, absent.f1.low, absent.f1.high, absent.f1.n) == (0, 0, 1, 0)


def test_macro_averages_leave_out_classes_without_photos() -> None:
    result = judge(make_table([0, 0, 1], [0, 2, 1]))
    assert result.metrics["balanced_accuracy"].value == pytest.approx(0.75)
    assert result.metrics["macro_f1"].value == pytest.approx((2 / 3 + 1) / 2)
    assert [score.support for score in result.per_class] == [2, 1, 0]


def test_all_right_is_not_certain() -> None:
    metrics = judge(make_table([0, 1, 2] * 4, [0, 1, 2] * 4)).metrics
    for name in ("accuracy", "balanced_accuracy", "macro_f1"):
        assert metrics[name].value == metrics[name].high == 1.0
        assert 0.5 < metrics[name].low < 0.95


def test_temperature_bears_on_the_log_loss_alone() -> None:
    table = make_table([0, 1, 2, 0], [0, 1, 1, 0])
    plain, soft = judge(table), judge(table, temperature=4.0)
    right, wrong = np.log(1 + 2 * np.exp(-0.5)), np.log(1 + 2 * np.exp(-0.5)) + 0.5
    assert soft.metrics["log_loss"].value == pytest.approx((3 * right + wrong) / 4)
    assert soft.metrics["accuracy"] == plain.metrics["accuracy"]


def test_a_certain_mistake_has_a_finite_loss() -> None:
    table = replace(make_table([0, 1], [0, 0]), logits=np.array([[9e3, -9e3, 0]] * 2, dtype=np.float32))
    assert judge(table).metrics["log_loss"].value == pytest.approx(9000)


def test_level_widens_every_interval() -> None:
    table = make_table([0, 0, 0, 1, 1, 2], [0, 0, 1, 1, 1, 0])
    narrow, wide = judge(table, level=0.8).metrics, judge(table, level=0.99).metrics
    for name, estimate in narrow.items():
        assert estimate.level == 0.8
        assert wide[name].low <= estimate.low <= estimate.high <= wide[name].high
        # So few photos tell nothing against a calibration error of 0.
        assert wide[name].high - wide[name].low > estimate.high - estimate.low or name == "ece"


def test_one_photo_says_that_its_loss_has_no_interval() -> None:
    loss = judge(make_table([1], [1])).metrics["log_loss"]
    assert loss.low == loss.value == loss.high
    assert loss.method == "one photo, no interval"


def test_json_round_trip_without_numbers_that_json_lacks() -> None:
    results = {s: judge(make_table([0, 1, 2], [0, 0, 2], split=s)) for s in ("train", "test")}
    result = with_gaps(results)["test"]
    data = json.loads(json.dumps(result.to_json(), allow_nan=False))
    again = EvaluationResult.from_json("test", data)
    assert again.to_json() == result.to_json()
    assert again.per_class == result.per_class


@pytest.mark.parametrize(
    ("table", "what"),
    [
        (make_table([], []), "no photos"),
        (make_table(None, [0, 1]), "2 of 2 photos have no label"),
        (make_table([0, -1], [0, 1]), "1 of 2 photos have no label"),
        (make_table([0, 3], [0, 1]), "1 of 2 photos have no label"),
        (
            replace(make_table([0, 1], [0, 1]), logits=np.array([[0, np.nan, 0], [0, 1, 0]], np.float32)),
            "answers to 1 of 2 photos are not finite",
        ),
    ],
)
def test_what_cannot_be_judged_is_refused(table: PredictionTable, what: str) -> None:
    with pytest.raises(DataError, match=what) as caught:
        judge(table)
    assert "'test'" in str(caught.value)


def test_a_hundred_classes_take_little_memory() -> None:
    random = np.random.default_rng(0)
    labels = random.integers(0, 100, 10_000)
    logits = random.normal(size=(10_000, 100)).astype(np.float32)
    table = PredictionTable(np.arange(10_000), logits, labels, tuple(map(str, range(100))), "test")
    tracemalloc.start()
    judge(table)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 50e6


def test_gaps_are_differences_to_every_other_split() -> None:
    results = {
        "train": judge(make_table([0, 1, 2, 0], [0, 1, 2, 0], split="train")),
        "validation": judge(make_table([0, 1], [0, 0], split="validation")),
        "test": judge(make_table([0, 1, 2, 0], [0, 1, 2, 1])),
    }
    found = with_gaps(results)
    assert list(found) == ["train", "validation", "test"]
    assert found["train"].gaps["accuracy: train - test"] == 0.25
    assert found["test"].gaps["accuracy: test - train"] == -0.25
    loss = {split: result.metrics["log_loss"].value for split, result in results.items()}
    assert found["test"].gaps["log_loss: test - validation"] == loss["test"] - loss["validation"]
    assert set(found["validation"].gaps) == {
        f"{name}: validation - {other}" for name in ("accuracy", "log_loss") for other in ("train", "test")
    }
    assert set(found["test"].gap_intervals) == {"accuracy: test - train", "accuracy: test - validation"}
    gap = difference(results["test"].metrics["accuracy"], results["train"].metrics["accuracy"])
    assert found["test"].gap_intervals["accuracy: test - train"] == (gap.low, gap.high)
    assert gap.low < -0.25 < gap.high
    assert results["train"].gaps == {}
    assert with_gaps({"test": results["test"]})["test"].gaps == {}
