from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from sortograph.diagnosis import trials
from sortograph.diagnosis.trials import Outcome
from sortograph.evaluation import judge
from sortograph.records import Diagnosis, PredictionTable, Remedy, Trial, Verdict


def table(split, right):
    """Two classes; `right` tells of each photo whether it is named right."""
    labels = np.arange(len(right)) % 2
    named = np.where(right, labels, 1 - labels)
    logits = np.eye(2, dtype=np.float32)[named] * 4
    return PredictionTable(np.arange(len(right)), logits, labels, ("a", "b"), split)


def outcome(train_right, validation_right, epochs=5):
    tables = {
        "train": table("train", np.arange(400) < train_right),
        "validation": table("validation", np.arange(200) < validation_right),
    }
    return Outcome(tables, {split: judge(one) for split, one in tables.items()}, epochs, 1.234)


def diagnosis(*remedies, name="overfitting"):
    return Diagnosis(path(), (Verdict(name, "because", 0.5, {}, tuple(remedies)),))


def path():
    from pathlib import Path

    return Path("runs/a")


def test_which_are_tried():
    dropout = Remedy("dropout", "", ("model.dropout=0.2",), gain=1.0)
    found = trials.candidates(
        diagnosis(
            dropout,
            Remedy("photos", ""),
            Remedy("auto", "", ("split.seed=3",), recipe="auto"),
            Remedy("another cut", "", ("split.seed=1",)),
            Remedy("epochs", "", ("train.epochs=9",)),
            dropout,
        )
    )
    assert [trial.remedy.text for trial in found] == ["dropout", "auto", "epochs"]
    assert [bool(trial.note) for trial in found] == [False, False, True]
    assert {trial.verdict for trial in found} == {"overfitting"}


def test_a_budget_cuts_the_last_ones():
    wanted = [Trial(Remedy(name, "", (f"{name}=1",))) for name in "abc"]
    assert [bool(trial.note) for trial in trials.cut(wanted, 2)] == [False, False, True]
    assert trials.affordable(20, 5, 10.0, 1.0) == (5, 1)


def test_surely_better():
    base, better = outcome(380, 150), outcome(380, 180)
    done = trials.compared(Trial(Remedy("x", ""), "overfitting"), better, base, 0.5)
    assert done.difference.value == pytest.approx(0.15)
    assert done.difference.low > 0
    assert done.helped
    assert done.accuracy.n == 200
    assert done.gap.value == pytest.approx(0.05)
    assert done.gap_change.value == pytest.approx(-0.15)


def test_a_gap_that_closes_helps_against_overfitting_alone():
    base, closer = outcome(400, 178), outcome(358, 179)
    against = trials.compared(Trial(Remedy("x", ""), "overfitting"), closer, base, 0.5)
    assert against.gap_change.high < 0
    assert against.difference.low < 0
    assert against.helped
    assert not trials.compared(Trial(Remedy("x", ""), "underfitting"), closer, base, 0.5).helped
    worse = outcome(330, 160)
    assert not trials.compared(Trial(Remedy("x", ""), "overfitting"), worse, base, 0.5).helped


def test_noise_does_not_help():
    assert not trials.compared(Trial(Remedy("x", "")), outcome(380, 152), outcome(380, 150), 0.5).helped


def test_of_many_remedies_each_must_be_surer():
    """3 and 12 photos apart: beyond chance for one remedy, not for the luckiest of eight."""
    base, luckier = outcome(380, 150), outcome(380, 150)
    right = np.arange(200) < 150
    right[:3], right[150:162] = False, True
    tables = {**luckier.tables, "validation": table("validation", right)}
    luckier = replace(luckier, tables=tables)
    trial, wanted = Trial(Remedy("x", "")), [Trial(Remedy("x", ""))] * 8
    alone = trials.compared(trial, luckier, base, 0.5)
    of_many = trials.compared(trial, luckier, base, 0.5, trials.level_for(wanted))
    assert (alone.difference.level, of_many.difference.level) == (0.95, 1 - 0.05 / 8)
    assert (alone.helped, of_many.helped) == (True, False)
    assert of_many.gap_change.level == of_many.difference.level
    assert trials.corrected_for([Trial(Remedy("base", "")), of_many]) == 8


def test_photos_that_belong_together_are_one_piece_of_evidence():
    base, better = outcome(380, 150), outcome(380, 160)
    whole = np.maximum(np.arange(200) - 140, 0) // 20  # all that changes lies in one or two groups
    grouped = replace(better, groups={"train": None, "validation": whole})
    assert trials.compared(Trial(Remedy("x", "")), better, base, 0.5).helped
    found = trials.compared(Trial(Remedy("x", "")), grouped, base, 0.5)
    assert "bootstrap" in found.difference.method
    assert not found.helped


def test_a_baseline_that_fails():
    done = trials.compared(Trial(Remedy("x", "")), outcome(380, 150), None, 0.5)
    assert done.helped
    assert done.difference is None
    assert not trials.compared(Trial(Remedy("x", "")), outcome(200, 100), None, 0.5).helped


def test_fewer_epochs_than_the_baseline_compare_nothing():
    done = trials.compared(Trial(Remedy("x", "")), outcome(380, 190, epochs=3), outcome(380, 150), 0.5)
    assert not done.helped
    assert done.note == "ended after 3 epochs, the baseline after 5"


def test_the_best_is_that_with_the_highest_accuracy_then_the_smallest_gap():
    base = outcome(390, 150)
    done = [
        trials.compared(Trial(Remedy(name, "")), result, base, 0.5)
        for name, result in (("a", outcome(395, 180)), ("b", outcome(380, 180)), ("c", outcome(380, 151)))
    ]
    assert trials.best(done).remedy.text == "b"
    assert trials.best(done[2:]) is None


def test_measured_gains_replace_guesses():
    good, bad = Remedy("a", "", ("x=1",), gain=1.0), Remedy("b", "", ("y=1",), gain=2.0)
    base = outcome(390, 150)
    done = [
        trials.compared(Trial(one, "overfitting"), result, base, 0.5)
        for one, result in ((good, outcome(390, 180)), (bad, outcome(390, 140)))
    ]
    (verdict,) = trials.measured(diagnosis(bad, Remedy("photos", "", gain=9.0), good).verdicts, done)
    assert [(one.text, one.gain, one.guess) for one in verdict.remedies] == [
        ("a", 15.0, False),
        ("b", -5.0, False),
        ("photos", 9.0, True),
    ]
