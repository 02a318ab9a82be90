"""Every verdict on a run that has just that fault, and none on one that has not."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from sortograph.diagnosis import VERDICTS, RunLog
from sortograph.evaluation.intervals import wilson
from sortograph.records import Rung


def test_a_healthy_run_has_no_other_verdict(diagnose, names):
    found = diagnose()
    assert names(found) == ["healthy"]
    assert "93.3 % of 240 test photos (95 %: 89.4 to 95.9)" in found.verdicts[0].message
    assert set(found.skipped) == {"data-limited"}


def test_a_gap_of_three_points_on_sixty_photos_is_noise(diagnose, names):
    counts = {"train": (100,) * 4, "validation": (15,) * 4}
    assert names(diagnose(accuracies={"train": 0.96, "validation": 0.93}, counts=counts)) == ["healthy"]


def test_few_healthy_runs_are_called_ill_whatever_the_draw(diagnose, make_history, loss_curve, names):
    """Photos of all splits are drawn with one probability; curves move as 60 photos make them."""
    rng, wrong = np.random.default_rng(3), 0
    for _ in range(100):
        drawn = {
            split: rng.binomial(count, 0.93, 4) / count
            for split, count in (("train", 160), ("validation", 15), ("test", 60))
        }
        history = make_history(
            loss_curve(),
            train_accuracy=rng.binomial(640, 0.93, 20) / 640,
            validation_accuracy=rng.binomial(60, 0.93, 20) / 60,
            validation_loss=0.25 + 0.85 ** np.arange(20) + rng.normal(0, 0.03, 20),
        )
        wrong += names(diagnose(history, drawn)) != ["healthy"]
    assert wrong <= 4


def test_overfitting(diagnose):
    found = diagnose(accuracies={"train": 0.99, "validation": 0.9, "test": 0.88})
    verdict = found.verdicts[0]
    assert verdict.name == "overfitting"
    assert "98.8 % of 640 training photos" in verdict.message
    assert "88.3 % of 240 test photos (95 %: 83.7 to 91.8)" in verdict.message
    assert verdict.figures["gap"]["low"] > 0.02
    texts = {remedy.text: remedy for remedy in verdict.remedies}
    assert texts["augmentation and dropout"].overrides == (
        "augment.horizontal_flip=true",
        "augment.rotation=0.2",
        "augment.zoom=0.2",
        "model.dropout=0.2",
    )
    assert (
        texts["augmentation: horizontal flip, turns, zoom"].overrides
        == texts["augmentation and dropout"].overrides[:3]
    )
    assert texts["dropout"].overrides == ("model.dropout=0.2",)
    assert texts["a pretrained backbone (recipe auto)"].recipe == "auto"
    assert all(remedy.guess for remedy in verdict.remedies)


def test_photos_that_training_has_seen_do_not_hide_a_gap(diagnose, make_result, make_matrix, names):
    test = make_result(
        "test",
        make_matrix((60,) * 4, 0.97),
        ("cloudy", "rain", "shine", "sunrise"),
        metrics={"accuracy_unseen": wilson(70, 90)},
        leaks={"train": 150},
    )
    found = diagnose(accuracies={"train": 0.99, "test": test})
    assert names(found) == ["leak", "overfitting"]
    assert "77.8 % of 90 test photos" in found.of("overfitting").message
    assert "150 of 240 test photos also in train" in found.of("leak").message


def test_a_head_that_cross_validation_chose_is_not_called_overfitted(diagnose, names):
    rungs = (Rung("logistic", {"penalty": 0.01}, 0.967, 0.1, 0.01, 5),)
    found = diagnose(
        (),
        {"train": 1.0, "validation": 0.95, "test": 0.93},
        recipe="weather-transfer",
        rungs=rungs,
    )
    assert names(found) == ["healthy"]
    assert "96.7 %" in found.skipped["overfitting"]
    for name in ("learning-rate", "unstable", "too-many-epochs", "vanishing-gradients"):
        assert "without epochs" in found.skipped[name]


def test_without_cross_validation_it_is(diagnose):
    found = diagnose(
        (), {"train": 1.0, "test": 0.85}, recipe="weather-transfer", rungs=(Rung("logistic", {}),)
    )
    verdict = found.of("overfitting")
    assert any("backbone.views=8" in remedy.overrides for remedy in verdict.remedies)
    assert not any(remedy.recipe for remedy in verdict.remedies)


@pytest.mark.parametrize(
    ("losses", "told", "first"),
    [
        ([1.3 - 0.02 * k for k in range(20)], "is still falling", "train.epochs=40"),
        ([1.0] * 20, "does not fall any more", "model.filters=[32, 64, 128]"),
    ],
)
def test_underfitting(diagnose, make_history, losses, told, first):
    history = make_history(losses, train_accuracy=0.6, validation_accuracy=0.6, validation_loss=1.0)
    found = diagnose(history, {"train": 0.6, "validation": 0.6, "test": 0.58})
    verdict = found.verdicts[0]
    assert verdict.name == "underfitting"
    assert told in verdict.message
    assert verdict.remedies[0].overrides == (first,)


def test_a_rate_that_is_too_low_is_underfitting_with_its_remedy(diagnose, make_history):
    history = make_history(
        [1.38 - 0.004 * k for k in range(10)],
        train_accuracy=0.5,
        validation_accuracy=0.5,
        validation_loss=1.3,
    )
    accuracies = {"train": 0.5, "validation": 0.5, "test": 0.5}
    verdict = diagnose(history, accuracies, sets=["train.learning_rate=0.000001"]).verdicts[0]
    assert verdict.name == "underfitting"
    assert "has hardly moved, from 1.380 to 1.344" in verdict.message
    assert verdict.remedies[0].overrides == ("train.learning_rate=1e-05",)


def test_too_many_epochs_by_a_loss_that_rises(diagnose, make_history, loss_curve):
    losses = [*loss_curve(12, end=0.2), *np.linspace(0.25, 1.6, 28)]
    history = make_history(loss_curve(40, end=0.0), train_accuracy=1.0, validation_loss=losses)
    kept = diagnose(history, best_epoch=12).of("too-many-epochs")
    assert 10 <= kept.figures["best_epoch"] <= 13
    assert "on 60 validation photos was lowest about epoch" in kept.message
    assert "rose at the end" in kept.message
    assert "the weights of epoch 12 were kept" in kept.message
    assert kept.remedies[0].gain is None
    worse = [0.9] * 20 + [0.7] * 20
    last = make_history(
        loss_curve(40, end=0.0), train_accuracy=1.0, validation_loss=losses, validation_accuracy=worse
    )
    lost = diagnose(last, sets=["train.keep=last"]).of("too-many-epochs")
    assert lost.severity > kept.severity
    assert lost.remedies[0].gain == pytest.approx(20, abs=1)
    assert not lost.remedies[0].guess


def test_too_many_epochs_that_bring_nothing(diagnose, make_history, loss_curve, names):
    losses = [*loss_curve(10, end=0.2), *[0.32] * 20]
    long = make_history(loss_curve(30, end=0.0), validation_loss=losses)
    assert "was no better at the end" in diagnose(long).of("too-many-epochs").message
    assert names(diagnose(long[:12])) == ["healthy"]


def test_a_rate_that_learns_nothing(diagnose, make_history):
    dead = [[0.2, 0.2, 0.3, 0.3]] + [[0.0, 0.0, 0.2, 0.2]] * 7
    history = make_history(
        [900.0, *[1.39] * 7], train_accuracy=0.25, validation_accuracy=0.25, validation_loss=1.4, norms=dead
    )
    found = diagnose(
        history, dict.fromkeys(("train", "validation", "test"), 0.25), sets=["train.learning_rate=0.1"]
    )
    assert [verdict.name for verdict in found.verdicts] == ["learning-rate"]
    verdict = found.verdicts[0]
    assert "the training loss ended at 1.390, after 900 in epoch 1" in verdict.message
    assert "class frequencies alone give 1.386" in verdict.message
    assert verdict.remedies[0].overrides == ("train.learning_rate=0.001",)
    assert found.skipped["underfitting"] == "learning-rate explains it"
    assert "died" in found.skipped["vanishing-gradients"]


def test_a_zigzag(diagnose, make_history, names):
    up_and_down = [1.3, 0.9, 1.25, 0.8, 1.2, 0.7, 1.1, 0.7, 1.0, 0.6]
    history = make_history(up_and_down, train_accuracy=0.7, validation_accuracy=0.7)
    found = diagnose(history, sets=["train.optimiser=sgd", "train.learning_rate=0.2"])
    assert "zigzags: it rose in 4 of 10 epochs" in found.of("learning-rate").message
    assert any("train.optimiser=adam" in remedy.overrides for remedy in found.of("learning-rate").remedies)
    small = make_history([0.20, 0.16, 0.19, 0.15, 0.18, 0.14, 0.17, 0.13, 0.16, 0.12])
    assert names(diagnose(small)) == ["healthy"]


def test_unstable(diagnose, make_history, loss_curve):
    jumpy = [0.9, 0.5] * 10
    history = make_history(loss_curve(20), validation_accuracy=jumpy)
    verdict = diagnose(history).of("unstable")
    assert verdict.figures["jumps"] == 13
    assert "60 validation photos moved 13 times" in verdict.message
    assert verdict.remedies[0].overrides == ("train.schedule=cosine",)
    assert diagnose(history[:5]).skipped["unstable"] == "5 epochs are too few to tell"


def test_a_run_that_ended_on_nan(diagnose):
    log = RunLog((), "the loss is nan at epoch 1, step 6", "GateError")
    found = diagnose((), {}, log=log, status="failed", best_epoch=None)
    assert [verdict.name for verdict in found.verdicts] == ["exploding-gradients", "learning-rate"]
    assert all("nan at epoch 1" in verdict.message for verdict in found.verdicts)
    assert found.verdicts[0].remedies[0].overrides == ("train.clip_norm=1.0",)
    other = diagnose((), {}, log=RunLog((), "the disk is full", "StorageError"), status="failed")
    assert other.verdicts == ()
    assert other.skipped["healthy"] == "the run has failed"


def test_exploding_gradients(diagnose, make_history, loss_curve):
    norms = [[1.0] * 4] * 10 + [[1.0, 1.0, 400.0, 1.0]] + [[1.0] * 4] * 9
    verdict = diagnose(make_history(loss_curve(20), norms=norms)).of("exploding-gradients")
    assert "reached 400 in epoch 11; at the start it was 2" in verdict.message
    clipped = diagnose(make_history(loss_curve(20), norms=norms), sets=["train.clip_norm=1.0"])
    assert "clipped to 1" in clipped.of("exploding-gradients").message


def test_vanishing_gradients(diagnose, make_history):
    history = make_history(
        [1.386] * 10,
        train_accuracy=0.25,
        validation_accuracy=0.25,
        validation_loss=1.386,
        norms=(1e-6, 1e-5, 0.01, 0.2),
    )
    found = diagnose(history, dict.fromkeys(("train", "validation", "test"), 0.25))
    assert [verdict.name for verdict in found.verdicts] == ["vanishing-gradients"]
    assert "conv1: its norm is 1.0e-06, that of output 2.0e-01" in found.verdicts[0].message
    assert "model.batch_norm=true" in found.verdicts[0].remedies[1].overrides


def test_a_leak_by_content(diagnose, make_index):
    index = make_index()
    rows = {split: index.rows(split) for split in ("train", "test")}
    contents = list(index.sha256)
    for taught, tested in zip(rows["train"][:48], rows["test"][:48], strict=True):
        contents[tested] = contents[taught]
    verdict = diagnose(index=replace(index, sha256=tuple(contents))).verdicts[0]
    assert verdict.name == "leak"
    assert "48 of 240 test photos also in train" in verdict.message
    assert verdict.figures["shared"] == {"train/test": 48}
    one = replace(
        index, sha256=(*contents[: rows["test"][0]], contents[0], *index.sha256[rows["test"][0] + 1 :])
    )
    assert diagnose(index=one).of("leak").severity < 0.4 < verdict.severity


def test_a_leak_by_group(diagnose, make_index):
    index = make_index()
    groups = [f"w{row % 10}" if row % 2 else "" for row in range(len(index))]
    verdict = diagnose(index=replace(index, groups=tuple(groups))).of("leak")
    assert "30 of 60 validation photos and 120 of 240 test photos are of a group" in verdict.message


def test_sizes_that_tell_the_class_of_photos_named_nearly_all_right(diagnose, make_index, names):
    index = make_index()
    sizes = np.stack([300 + index.labels, np.full(len(index), 200)], axis=1).astype(np.int32)
    telling = replace(index, sizes=sizes)
    good = {"train": 1.0, "validation": 1.0, "test": 1.0}
    verdict = diagnose(accuracies=good, index=telling).of("leak")
    assert "width and height of the file alone tell the class of 100.0 %" in verdict.message
    assert names(diagnose(index=telling)) == ["healthy"]  # errors enough: nothing is too good
    assert names(diagnose(accuracies=good)) == ["healthy"]


def test_splits_that_disagree(diagnose, names):
    counts = {"train": (160,) * 4, "validation": (60,) * 4, "test": (60,) * 4}
    found = diagnose(accuracies={"train": 0.97, "validation": 0.97, "test": 0.8}, counts=counts)
    verdict = found.of("split-disagreement")
    assert verdict.figures["difference"]["level"] == 0.99
    assert "validation also chose the epoch" in verdict.message
    assert names(diagnose(accuracies={"train": 0.95, "validation": 0.95, "test": 0.93}, counts=counts)) == [
        "healthy"
    ]
    easier = diagnose(accuracies={"train": 0.8, "validation": 0.95, "test": 0.95}, counts=counts)
    assert "test photos" in easier.of("split-disagreement").message


def test_a_starved_class(diagnose, names):
    counts = {"train": (160, 12, 160, 160), "validation": (15,) * 4, "test": (60,) * 4}
    found = diagnose(accuracies={"train": 0.96, "test": [0.97, 0.5, 0.97, 0.97]}, counts=counts)
    verdict = found.of("starved-class")
    assert "rain has 12 training photos (median class 160)" in verdict.message
    assert "50.0 % of 60 test photos" in verdict.message
    assert verdict.remedies[0].gain > verdict.remedies[1].gain
    assert verdict.remedies[1].overrides == ("train.class_weights=balanced",)
    good = diagnose(accuracies={"train": 0.96, "test": 0.95}, counts=counts)
    assert "starved-class" not in names(good)
    few = {**counts, "test": (60, 3, 60, 60)}
    assert "rain" in diagnose(accuracies={"train": 0.96, "test": 0.95}, counts=few).skipped["starved-class"]


def test_few_photos_and_a_gap_are_probably_too_few_photos(diagnose):
    counts = {"train": (20,) * 4, "test": (60,) * 4}
    verdict = diagnose(accuracies={"train": 1.0, "test": 0.8}, counts=counts).of("data-limited")
    assert "the median class has 20 photos" in verdict.message
    assert "probably" in verdict.message


def test_what_was_not_judged_is_named(diagnose, names):
    found = diagnose((), {}, status="interrupted")
    assert names(found) == []
    assert {"overfitting", "underfitting", "starved-class", "healthy", "too-many-epochs"} <= set(
        found.skipped
    )
    assert set(found.skipped) <= set(VERDICTS)


def test_the_gravest_comes_first(diagnose):
    found = diagnose(accuracies={"train": 0.99, "validation": 0.99, "test": 0.7})
    severities = [verdict.severity for verdict in found.verdicts]
    assert len(severities) > 1
    assert severities == sorted(severities, reverse=True)
