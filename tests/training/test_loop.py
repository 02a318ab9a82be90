from __future__ import annotations

import dataclasses
import math

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from sortograph.errors import GateError
from sortograph.models import build, plan
from sortograph.records import EpochDone, Step
from sortograph.training import loop
from sortograph.training.fit import reference
from sortograph.training.optim import make_optimiser

AUGMENT = {"horizontal_flip": True, "rotation": 0.2, "mixup": 0.2}


def logits(run, fitted, rows):
    made = plan(run.recipe.model, (8, 8), len(run.index.classes))
    return torch.from_numpy(reference(made, run.pixels.spec, fitted.weights)(run.pixels.photos[rows]))


@pytest.mark.parametrize("changes", [{}, {"augment": AUGMENT, "model": {"dropout": 0.4}}])
def test_the_same_seed_gives_the_same_weights_and_another_seed_does_not(make_run, same, figures, changes):
    one, again = make_run(changes).fit(), make_run(changes).fit()
    assert same(one, again)
    assert figures(one) == figures(again)
    other = make_run({**changes, "train": {"seed": 2}}).fit()
    assert not same(one, other)


@pytest.mark.parametrize(
    "changes",
    [{"augment": {"rotation": 0.1}}, {"model": {"dropout": 0.4}}, {"augment": {"mixup": 0.4}}],
    ids=["augmentation", "dropout", "mixup"],
)
def test_every_source_of_randomness_takes_part(make_run, same, changes):
    assert not same(make_run(changes).fit(), make_run().fit())


def test_it_learns(make_run):
    changes = {"train": {"epochs": 15, "batch_size": 8}, "model": {"filters": [8, 8]}}
    history = make_run(changes, count=100).fit().history
    assert history[-1].train_loss < 0.5 * history[0].train_loss
    assert max(row.validation_accuracy for row in history) > 0.8


@pytest.mark.parametrize("output", ["softmax", "sigmoid"])
def test_int_one_hot_and_binary_labels_give_the_same_training_to_the_bit(make_run, same, figures, output):
    runs = [
        make_run({"train": {"labels": mode}, "model": {"output": output}}, classes=2).fit()
        for mode in ("int", "one-hot", "binary")
    ]
    for other in runs[1:]:
        assert same(other, runs[0])
        assert figures(other) == figures(runs[0])


def test_labels_of_many_classes_as_numbers_and_as_rows_give_the_same_training(make_run, same, figures):
    one, other = (make_run({"train": {"labels": mode}}, classes=4).fit() for mode in ("int", "one-hot"))
    assert same(one, other)
    assert figures(one) == figures(other)


def test_a_single_sigmoid_trains_as_its_two_class_form(make_run):
    """By hand with torch's own loss of one output z, against the run with the logits [0, z]."""
    changes = {
        "train": {"epochs": 1, "optimiser": "sgd", "learning_rate": 0.1},
        "model": {"output": "sigmoid"},
    }
    run = make_run(changes, classes=2)
    fitted = run.fit()
    made = plan(run.recipe.model, (8, 8), 2)
    net = build(made, run.pixels.spec, "keras", 1)
    optimiser = torch.optim.SGD(net.parameters(), lr=0.1)
    from sortograph.loading.order import order

    for rows in np.split(order(run.index.rows("train"), 1, 1), [5, 10, 15, 20]):
        photos = torch.from_numpy(run.pixels.photos[rows]).permute(0, 3, 1, 2).float()
        z = net.get_submodule("output")(net.embed(photos))[:, 0]
        labels = torch.from_numpy(run.index.labels[rows]).float()
        optimiser.zero_grad()
        F.binary_cross_entropy_with_logits(z, labels).backward()
        optimiser.step()
    for name, value in net.state_dict().items():
        torch.testing.assert_close(fitted.weights[name], value, rtol=1e-4, atol=1e-6)


def test_the_figures_of_validation_are_those_of_the_kept_weights(make_run):
    run = make_run({"train": {"keep": "last"}, "model": {"dropout": 0.5}, "augment": AUGMENT})
    fitted = run.fit()
    rows = run.index.rows("validation")
    answers, labels = logits(run, fitted, rows), torch.from_numpy(run.index.labels[rows])
    last = fitted.history[-1]
    assert last.validation_loss == pytest.approx(float(F.cross_entropy(answers, labels)), rel=1e-5)
    assert last.validation_accuracy == pytest.approx(float((answers.argmax(1) == labels).float().mean()))


def test_the_training_loss_is_the_mean_over_photos_not_over_batches(make_run):
    """Without learning to speak of, all batches of an epoch are judged by the first weights."""
    run = make_run({"train": {"epochs": 1, "learning_rate": 1e-9, "batch_size": 7, "optimiser": "sgd"}})
    fitted = run.fit()
    rows = run.index.rows("train")
    answers, labels = logits(run, fitted, rows), torch.from_numpy(run.index.labels[rows])
    row = fitted.history[0]
    assert row.train_loss == pytest.approx(float(F.cross_entropy(answers, labels)), rel=1e-5)
    assert row.train_accuracy == pytest.approx(float((answers.argmax(1) == labels).float().mean()))
    assert row.photos_per_second > 0
    assert row.seconds > 0


WILD = {"train": {"epochs": 8, "learning_rate": 0.1, "optimiser": "sgd", "momentum": 0.9}}


@pytest.mark.parametrize("monitor", ["validation_loss", "validation_accuracy"])
def test_the_weights_of_the_best_epoch_are_kept(make_run, same, monitor):
    settings = {**WILD["train"], "monitor": monitor}
    run = make_run({"train": settings})
    fitted = run.fit()
    best = fitted.best_epoch
    assert best is not None
    row = fitted.history[best - 1]
    if monitor == "validation_loss":
        assert row.validation_loss == min(other.validation_loss for other in fitted.history)
    else:
        assert row.validation_accuracy == max(other.validation_accuracy for other in fitted.history)
    assert best < 8
    assert same(fitted, make_run({"train": {**settings, "epochs": best, "keep": "last"}}).fit())
    bests = [event.row.epoch for event in run.events if isinstance(event, EpochDone) and event.best]
    assert bests[-1] == best


def test_keep_last_keeps_the_last(make_run, same):
    last = make_run({"train": {**WILD["train"], "keep": "last"}}).fit()
    best = make_run(WILD).fit()
    assert last.best_epoch != best.best_epoch
    assert not same(last, best)


def test_what_keep_last_says_of_itself(make_run):
    """best_epoch is the epoch whose weights were kept."""
    fitted = make_run({"train": {**WILD["train"], "keep": "last"}}).fit()
    assert fitted.best_epoch == 8


def test_early_stopping_ends_the_run_and_restores_the_best_weights(make_run, same):
    settings = {**WILD["train"], "epochs": 40, "early_stopping": 2, "monitor": "validation_loss"}
    fitted = make_run({"train": settings}).fit()
    assert len(fitted.history) < 40
    assert fitted.best_epoch == len(fitted.history) - 2
    whole = make_run({"train": {**settings, "epochs": fitted.best_epoch, "keep": "last"}}).fit()
    assert same(fitted, whole)


def test_without_validation_the_last_weights_are_kept(make_run):
    run = make_run(validation=False)
    fitted = run.fit()
    assert fitted.best_epoch == 3
    assert all(row.validation_loss is None and row.validation_accuracy is None for row in fitted.history)
    assert not fitted.interrupted


def test_a_stop_keeps_the_best_so_far(make_run, same):
    run = make_run()
    part = run.fit(stop_after=9)
    assert part.interrupted
    assert part.best_epoch == 1
    assert same(part, make_run({"train": {"epochs": 1}}, folder="other").fit())


def test_a_stop_before_the_first_epoch_is_over_keeps_what_there_is(make_run):
    part = make_run().fit(stop_after=1)
    assert part.interrupted
    assert part.best_epoch is None
    assert part.history == ()
    assert all(torch.isfinite(weight).all() for weight in part.weights.values())


def test_a_stop_after_the_last_step_of_all_is_none(make_run, same):
    """Asked when the last epoch is closed, nothing is left to be interrupted."""
    late = make_run().fit(stop_after=18)
    assert not late.interrupted
    assert same(late, make_run().fit())


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_a_loss_that_is_no_number_ends_the_run_and_says_what_to_do(make_run, monkeypatch, bad):
    true = loop.loss_of
    monkeypatch.setattr(loop, "loss_of", lambda *args: true(*args) * bad)
    with pytest.raises(GateError, match=r"the loss is (nan|inf) at epoch 1, step 1") as caught:
        make_run().fit()
    assert "train.learning_rate=0.001" in caught.value.fix
    assert "clip_norm" in caught.value.fix


@pytest.fixture
def ruin(monkeypatch):
    """After so many steps, the weights of one array are no numbers."""

    def when(steps, number=0):
        true = loop.make_optimiser

        def ruining(train, network):
            optimiser = true(train, network)
            step = optimiser.step
            count = 0

            def counted(*args, **named):
                nonlocal count
                count += 1
                step(*args, **named)
                if count == steps:
                    with torch.no_grad():
                        list(network.parameters())[number].fill_(math.nan)

            optimiser.step = counted
            return optimiser

        monkeypatch.setattr(loop, "make_optimiser", ruining)

    return when


def test_weights_ruined_by_the_last_step_of_all_are_refused(make_run, ruin):
    """The loss of a batch is that before the step."""
    ruin(5)
    with pytest.raises(GateError, match="the norm of the weights is nan at epoch 1"):
        make_run({"train": {"epochs": 1}}).fit()


def test_dense_weights_ruined_by_the_last_step_of_all_are_refused(make_run, ruin):
    """Only validation sees what the last step did to them."""
    ruin(5, -2)
    with pytest.raises(GateError, match="the validation loss is nan at epoch 1"):
        make_run({"train": {"epochs": 1}}).fit()


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
@pytest.mark.parametrize("pool", [1, 2])
@pytest.mark.parametrize("validation", [True, False])
def test_filters_ruined_where_the_loss_may_not_tell_are_refused(make_run, ruin, validation, pool, precision):
    """oneDNN's pooling and relu make 0 of what is no number."""
    ruin(2)
    settings = {"train": {"epochs": 1, "batch_size": 1, "precision": precision}, "model": {"pool": pool}}
    with pytest.raises(GateError, match=r"the (norm of the weights|loss) is nan at epoch 1"):
        make_run(settings, validation=validation).fit()


def test_filters_ruined_before_training_is_stopped_are_refused(make_run, ruin):
    """In the middle of an epoch, between two looks at the weights."""
    ruin(2)
    run = make_run({"train": {"epochs": 1, "batch_size": 1}})
    with pytest.raises(GateError, match=r"the (norm of the weights|loss) is nan at epoch 1"):
        run.fit(stop_after=4)


def test_ruined_statistics_are_refused(make_run, monkeypatch):
    """In evaluation they decide what batch normalisation gives."""
    judged = loop.Trainer._close_epoch

    def ruined(trainer):
        named = dict(trainer._plain().named_buffers())
        next(value for name, value in named.items() if name.endswith("running_var")).fill_(math.nan)
        judged(trainer)

    monkeypatch.setattr(loop.Trainer, "_close_epoch", ruined)
    with pytest.raises(GateError, match="the norm of the weights is nan at epoch 1"):
        make_run({"train": {"epochs": 1}, "model": {"batch_norm": True}}).fit()


def test_clipping_limits_the_step_and_not_the_norms_that_are_told(make_run):
    """With SGD a step is at most the rate times the limit; the first norms are those without clipping."""
    settings = {"optimiser": "sgd", "learning_rate": 1.0, "epochs": 1, "batch_size": 24}
    clipped = make_run({"train": {**settings, "clip_norm": 0.01}})
    fitted, free = clipped.fit(), make_run({"train": settings}).fit()
    net = build(plan(clipped.recipe.model, (8, 8), 3), clipped.pixels.spec, "keras", 1)
    before = net.state_dict()

    def length(found) -> float:
        moved = [found.weights[name] - value for name, value in before.items()]
        return math.sqrt(sum(float(part.square().sum()) for part in moved))

    assert length(fitted) == pytest.approx(0.01, rel=1e-3)
    assert length(free) > 0.05
    assert fitted.history[0].gradient_norms == free.history[0].gradient_norms
    whole = math.sqrt(sum(norm**2 for norm in free.history[0].gradient_norms.values()))
    assert whole == pytest.approx(length(free), rel=1e-4)


def test_class_weights_help_the_rare_class(make_run):
    """With no light to learn from, plain training names the frequent class; balanced training does not."""
    shares = {}
    for weights in ("none", "balanced"):
        settings = {"epochs": 60, "batch_size": 24, "class_weights": weights, "keep": "last"}
        run = make_run({"train": settings, "model": {"kind": "dense", "dense": []}})
        run.pixels.photos[:] = 100
        fitted = run.fit()
        shares[weights] = logits(run, fitted, np.arange(1)).softmax(1)[0].numpy()
    counts = np.bincount(make_run().index.labels[make_run().index.rows("train")]) / 24
    np.testing.assert_allclose(shares["none"], counts, atol=0.08)
    np.testing.assert_allclose(shares["balanced"], 1 / 3, atol=0.08)


def test_smoothing_keeps_answers_from_certainty(make_run):
    answers = {}
    for smoothing in (0.0, 0.3):
        settings = {"epochs": 15, "learning_rate": 0.02, "label_smoothing": smoothing, "keep": "last"}
        run = make_run({"train": settings, "model": {"filters": [8], "dense": []}})
        answers[smoothing] = logits(run, run.fit(), run.index.rows("train")).softmax(1).amax(1).mean()
    assert answers[0.3] < 0.92 < answers[0.0]


def test_batch_norm_statistics_are_trained_and_kept(make_run):
    fitted = make_run({"model": {"batch_norm": True}, "train": {"keep": "last"}}).fit()
    name = next(name for name in fitted.weights if name.endswith("running_mean"))
    assert fitted.weights[name].abs().sum() > 0
    counted = fitted.weights[name.replace("running_mean", "num_batches_tracked")]
    assert int(counted) == 15  # of all three epochs: judging in between does not end training mode


def test_epochs_and_steps_are_told(make_run, monkeypatch):
    monkeypatch.setattr(loop, "_TOLD_EVERY", 0.0)
    run = make_run()
    fitted = run.fit()
    epochs = [event for event in run.events if isinstance(event, EpochDone)]
    assert tuple(event.row for event in epochs) == fitted.history
    assert epochs[-1].seconds_left == 0
    steps = [event for event in run.events if isinstance(event, Step)]
    assert [event.done for event in steps] == [5, 10, 15, 20] * 3, "the epoch's row tells its end"
    assert {event.total for event in steps} == {24}


def test_the_plateau_schedule_lowers_the_rate_in_the_history(make_run):
    settings = {"schedule": "plateau", "plateau_patience": 1, "plateau_factor": 0.5, "epochs": 6}
    rates = [
        row.learning_rate for row in make_run({"train": {**settings, "learning_rate": 1e-9}}).fit().history
    ]
    assert rates == pytest.approx([1e-9 * 0.5 ** max(0, epoch - 1) for epoch in range(6)])


def test_bfloat16_trains_weights_that_stay_float32(make_run, same):
    changes = {"train": {"precision": "bfloat16", "epochs": 2}}
    one, again = make_run(changes).fit(), make_run(changes).fit()
    assert same(one, again)
    assert {weight.dtype for weight in one.weights.values()} == {torch.float32}
    plain = make_run({"train": {"epochs": 2}}).fit()
    assert not same(one, plain)
    assert one.history[0].train_loss == pytest.approx(plain.history[0].train_loss, rel=0.1)


def test_the_kept_weights_are_no_window_on_those_that_train(make_run):
    """A later epoch must not change what an earlier one was kept with."""
    run = make_run(WILD)
    fitted = run.fit()
    rows = run.index.rows("validation")
    labels = torch.from_numpy(run.index.labels[rows])
    row = fitted.history[fitted.best_epoch - 1]
    found = float((logits(run, fitted, rows).argmax(1) == labels).float().mean())
    assert found == pytest.approx(row.validation_accuracy)


def test_a_checkpoint_is_due_after_a_while(make_run, monkeypatch):
    monkeypatch.setattr(loop, "CHECKPOINT_SECONDS", 0.0)
    run = make_run()
    run.fit()
    names = sorted(path.name for path in run.folder.iterdir())
    assert names == [f"epoch-{place}.safetensors" for place in ("00003-step-0000005", "00004-step-0000000")]


def test_the_network_has_its_optimiser(make_run):
    """All weights are trained: none stays as it was drawn."""
    run = make_run({"train": {"epochs": 1}})
    fitted = run.fit()
    net = build(plan(run.recipe.model, (8, 8), 3), run.pixels.spec, "keras", 1)
    groups = make_optimiser(run.recipe.train, net).param_groups
    assert sum(len(group["params"]) for group in groups) == len(list(net.parameters()))
    for name, value in net.state_dict().items():
        assert not torch.equal(fitted.weights[name], value), name


def test_a_row_can_be_compared_without_its_times(make_run, figures):
    """What the other tests compare leaves out nothing else."""
    fitted = make_run({"train": {"epochs": 1}}).fit()
    fields = {field.name for field in dataclasses.fields(fitted.history[0])}
    assert len(fields) - len(figures(fitted)[0]) == len({"seconds", "photos_per_second"})
