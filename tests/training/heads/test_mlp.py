from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F

from sortograph.errors import GateError
from sortograph.loading.order import order
from sortograph.models.head import answer, head_plan
from sortograph.recipe import Head, Train
from sortograph.records import EpochDone
from sortograph.training.heads import choose_head, mlp
from sortograph.training.heads.basis import short
from sortograph.training.heads.course import Choice, Course, Lane, balanced_order
from sortograph.training.heads.stack import Optimiser, Stack, Teaching
from sortograph.training.optim import make_optimiser, prepare_step

DENSE = Head(kind="mlp", dense=(8, 6))
FULL = Head(kind="mlp", dense=(8, 6), batch_norm=True, dropout=0.25, activation="silu")
SHORT = Train(epochs=3, batch_size=16, learning_rate=0.01)


def every_photo(copies: int, photos: int, seed: int = 0) -> Teaching:
    return Teaching(torch.ones(copies, photos), seed)


@pytest.mark.parametrize("optimiser", ["sgd", "adam", "adamw"])
@pytest.mark.parametrize("batch_norm", [False, True])
def test_a_stack_learns_as_torch_does(optimiser, batch_norm):
    """Two copies with rates and decays of their own, against one torch module each."""
    # Biases before batch normalisation have gradients of rounding alone; a large epsilon keeps them small.
    own = {"momentum": 0.9} if optimiser == "sgd" else {"epsilon": 1e-3}
    train = Train(optimiser=optimiser, **own)
    plan = head_plan(Head(dense=(5,), batch_norm=batch_norm), 4, 3)
    rates, decays = (0.05, 0.01), (0.1, 0.0)
    stack = Stack(plan, 2, seed=3)
    ours = Optimiser(train, stack, decays)
    modules = [as_module(stack.copy_of(k), batch_norm) for k in range(2)]
    theirs = [
        make_optimiser(train.model_copy(update={"weight_decay": decay}), module)
        for module, decay in zip(modules, decays, strict=True)
    ]
    x = torch.randn(7, 4, generator=torch.Generator().manual_seed(1))
    labels = torch.tensor([0, 1, 2, 0, 1, 2, 2])
    for step in range(5):
        logits = stack(x, every_photo(2, 7))
        sum(F.cross_entropy(one, labels) for one in logits).backward()
        ours.step(rates, step)
        for module, optimiser_, rate in zip(modules, theirs, rates, strict=True):
            prepare_step(optimiser_, train, rate, step)
            optimiser_.zero_grad()
            F.cross_entropy(module(x), labels).backward()
            optimiser_.step()
    with torch.no_grad():
        for k, module in enumerate(modules):
            expected = module.eval()(x).numpy()
            np.testing.assert_allclose(stack(x)[k].numpy(), expected, atol=1e-4)
            np.testing.assert_allclose(answer(plan, stack.copy_of(k), x.numpy()), expected, atol=1e-4)
            np.testing.assert_allclose(stack(x, some=slice(k, k + 1))[0].numpy(), expected, atol=1e-4)


def as_module(arrays: dict[str, np.ndarray], batch_norm: bool) -> nn.Module:
    layers: list[nn.Module] = [nn.Linear(4, 5), nn.ReLU(), nn.Linear(5, 3)]
    if batch_norm:
        layers.insert(1, nn.BatchNorm1d(5, eps=1e-3, momentum=0.01))
    module = nn.Sequential(*layers)
    names = ["dense1", *(["bn1"] if batch_norm else []), "", "output"]
    for name, layer in zip(names, layers, strict=True):
        for part, tensor in layer.state_dict().items():
            if part != "num_batches_tracked":
                tensor.copy_(torch.from_numpy(arrays[f"{name}.{part}"]))
    return module


def test_gradients_are_shortened_for_each_copy_as_torch_does():
    plan = head_plan(Head(dense=(5,)), 4, 3)
    stack = Stack(plan, 2, seed=3)
    module = as_module(stack.copy_of(0), False)
    x, labels = torch.ones(2, 4), torch.tensor([0, 1])
    for model in (stack, module):
        factors = (1.0, 100.0) if model is stack else (1.0,)
        logits = model(x, every_photo(2, 2)) if model is stack else model(x)[None]
        sum(
            factor * F.cross_entropy(one, labels) for factor, one in zip(factors, logits, strict=True)
        ).backward()
    layers = [module[0], module[2]]
    for layer, norm in zip(layers, stack.norms().values(), strict=True):
        expected = math.sqrt(sum(float(weight.grad.square().sum()) for weight in layer.parameters()))
        assert norm[0] == pytest.approx(expected, rel=1e-4)
        assert norm[1] == pytest.approx(100 * expected, rel=1e-3)
    stack.clip(0.1)
    nn.utils.clip_grad_norm_(module.parameters(), 0.1)
    torch.testing.assert_close(stack.arrays["dense1.weight"].grad[0].T, module[0].weight.grad)
    torch.testing.assert_close(stack.arrays["dense1.weight"].grad[1].T, module[0].weight.grad)
    before = stack.arrays["output.bias"].grad.clone()
    stack.clip(5.0)
    torch.testing.assert_close(stack.arrays["output.bias"].grad, before)


def test_a_recipe_can_clip_gradients(make_clouds, make_task):
    x, labels = make_clouds()
    made = [
        choose_head(
            make_task(
                x, labels, DENSE, train=SHORT.model_copy(update={"clip_norm": norm, "optimiser": "sgd"})
            )
        )
        for norm in (0.0, 1e-4)
    ]
    moved = [np.abs(chosen.state["output.bias"]).max() for chosen in made]
    assert moved[1] < 1e-3 < moved[0]


def test_copies_start_alike_and_by_the_seed():
    plan = head_plan(DENSE, 12, 3)
    stack = Stack(plan, 3, seed=1)
    for name, array in stack.copy_of(0).items():
        np.testing.assert_array_equal(stack.copy_of(2)[name], array)
        assert array.shape == plan.weights()[name]
    weight = stack.copy_of(0)["dense1.weight"]
    assert np.abs(weight).max() <= math.sqrt(6 / 20)
    assert not np.array_equal(Stack(plan, 1, seed=2).copy_of(0)["dense1.weight"], weight)


@pytest.mark.parametrize("head", [DENSE, FULL], ids=["plain", "full"])
def test_photos_that_do_not_count_change_nothing(make_clouds, head):
    """Not by their loss, nor by batch normalisation, nor in its running statistics."""
    x, _ = make_clouds()
    plan = head_plan(head, 12, 3)
    made = []
    for stranger in (0.0, 50.0):
        stack = Stack(plan, 2, seed=1)
        batch = torch.from_numpy(x[:10].copy())
        batch[7:] = stranger
        counts = torch.ones(2, 10)
        counts[0, 7:] = 0
        logits = stack(batch, Teaching(counts, 5))
        (logits[0, :7] ** 2).sum().backward()
        gradient = stack.arrays["dense1.weight"].grad
        assert gradient is not None
        statistics = [stack.arrays[name][0] for name in stack.arrays if "running" in name]
        made.append([logits[0, :7].detach(), gradient[0], *statistics])
    for first, again in zip(*made, strict=True):
        torch.testing.assert_close(again, first, atol=1e-5, rtol=1e-5)


def test_a_batch_of_which_a_copy_sees_nothing_leaves_it_sound(make_clouds):
    x, _ = make_clouds()
    stack = Stack(head_plan(FULL, 12, 3), 1, seed=1)
    before = stack.copy_of(0)
    logits = stack(torch.from_numpy(x[:4]), Teaching(torch.zeros(1, 4), 0))
    assert torch.isfinite(logits).all()
    np.testing.assert_array_equal(stack.copy_of(0)["bn1.running_mean"], before["bn1.running_mean"])


def test_dropout_belongs_to_its_seed_and_keeps_the_mean():
    plan = head_plan(Head(dense=(4000,), dropout=0.25), 1, 2)
    stack, x = Stack(plan, 1, seed=1), torch.ones(1, 1)

    def drawn(seed: int) -> torch.Tensor:
        return stack(x, Teaching(torch.ones(1, 1), seed))

    assert torch.equal(drawn(1), drawn(1))
    assert not torch.equal(drawn(1), drawn(2))
    many = torch.stack([drawn(seed) for seed in range(200)]).mean(dim=0)
    torch.testing.assert_close(many, stack(x), atol=0.05, rtol=0.05)


def test_lanes_side_by_side_learn_as_each_alone(make_clouds, make_task):
    x, labels = make_clouds()
    task = make_task(x, labels, FULL, train=SHORT)
    lanes = [Lane(Choice(0.01, 0.0, "none"), 2), Lane(Choice(0.1, 0.01, "none"), 4)]
    plain, rows = short(x), np.arange(len(x))
    both = Course(task, plain, lanes)
    single = [Course(task, plain, [lane]) for lane in lanes]
    for epoch in (1, 2):
        for course in (both, *single):
            course.epoch(epoch)
    answers = both.logits(x, rows, slice(0, 2))
    for k, course in enumerate(single):
        np.testing.assert_allclose(answers[k], course.logits(x, rows, slice(0, 1))[0], atol=1e-4)
        assert both.histories[k][1].train_loss == pytest.approx(course.histories[0][1].train_loss, rel=1e-4)


def test_the_state_of_a_lane_is_for_embeddings_as_they_are(make_clouds, make_task):
    x, labels = make_clouds()
    course = Course(make_task(x, labels, FULL, train=SHORT), short(x), [Lane(Choice(0.01, 0.0, "none"))])
    course.epoch(1)
    logits = course.logits(x, np.arange(len(x)), slice(0, 1))[0]
    shift = np.array([1.0, 0.0, -2.0])
    np.testing.assert_allclose(answer(course.plan, course.state(0, shift), x), logits + shift, atol=1e-3)


def test_no_photo_has_taught_the_head_that_answers_for_it(make_clouds, make_task):
    x, labels = make_clouds()
    head = FULL.model_copy(update={"learning_rates": (0.01, 0.1)})
    task = make_task(x, labels, head, train=SHORT.model_copy(update={"keep": "last"}))
    own = task.folds == 3
    changed = np.where(own, (labels + 1) % 3, labels)
    for first, again in zip(
        mlp.tries(task, ("none",)), mlp.tries(replace(task, labels=changed), ("none",)), strict=True
    ):
        np.testing.assert_allclose(again.logits[own], first.logits[own], atol=1e-6)
        assert np.abs(again.logits[~own] - first.logits[~own]).max() > 1e-3


def test_all_combinations_are_tried_and_the_best_epoch_is_told(make_clouds, make_task):
    x, labels = make_clouds()
    head = DENSE.model_copy(update={"learning_rates": (0.01, 1e-4), "weight_decays": (0.0, 0.1)})
    chosen = choose_head(make_task(x, labels, head, train=SHORT))
    settings = [rung.settings for rung in chosen.rungs]
    assert {(one["rate"], one["decay"]) for one in settings} == {
        (rate, decay) for rate in (0.01, 1e-4) for decay in (0.0, 0.1)
    }
    assert chosen.kind == "mlp"
    assert settings[0]["rate"] == 0.01  # the other one is far too slow for three epochs
    assert len(chosen.history) == settings[0]["epochs"] == chosen.best_epoch
    assert all(rung.folds == 5 and 0 <= rung.score <= 1 for rung in chosen.rungs)


def test_groups_of_choices_answer_as_all_at_once(make_clouds, make_task, monkeypatch):
    x, labels = make_clouds()
    head = DENSE.model_copy(update={"learning_rates": (0.01, 0.03, 0.1)})
    task = make_task(x, labels, head, train=SHORT)
    together = list(mlp.tries(task, ("none",)))
    monkeypatch.setattr(mlp, "_TOGETHER", 1)
    for first, again in zip(together, mlp.tries(task, ("none",)), strict=True):
        np.testing.assert_allclose(again.logits, first.logits, atol=1e-4)


def test_alone_it_is_taught_once_and_the_validation_photos_choose_the_epoch(make_clouds, make_task):
    x, labels = make_clouds((40, 40, 40), apart=0.5)
    events: list[object] = []
    train = Train(epochs=30, batch_size=16, learning_rate=0.03, early_stopping=3, monitor="validation_loss")
    task = make_task(
        x[:60], labels[:60], DENSE, train=train, validation=(x[60:], labels[60:]), progress=events.append
    )
    chosen = choose_head(task)
    rows = [event.row for event in events if isinstance(event, EpochDone)]
    assert tuple(rows) == chosen.history
    losses = [row.validation_loss for row in rows]
    assert chosen.best_epoch == 1 + int(np.argmin(losses)) == len(rows) - 3
    logits = answer(chosen.plan, chosen.state, x[60:])
    exact = F.cross_entropy(torch.from_numpy(logits), torch.from_numpy(labels[60:]))
    assert float(exact) == pytest.approx(min(losses), abs=1e-4)
    (rung,) = chosen.rungs
    assert rung.score is None
    assert chosen.logits is None


def test_it_learns_and_the_history_says_so(make_clouds, make_task):
    x, labels = make_clouds((60, 60, 60), apart=2)
    chosen = choose_head(make_task(x, labels, FULL, train=Train(epochs=20, learning_rate=0.01)))
    assert (answer(chosen.plan, chosen.state, x).argmax(axis=1) == labels).mean() > 0.95
    assert chosen.history[-1].train_loss < 0.5 * chosen.history[0].train_loss
    assert chosen.history[-1].validation_loss is None
    assert chosen.best_epoch == 20
    assert set(chosen.history[0].gradient_norms) == {"dense1", "bn1", "dense2", "bn2", "output"}
    assert all(norm > 0 for norm in chosen.history[0].gradient_norms.values())


def test_the_same_task_gives_the_same_bits_and_another_seed_others(make_clouds, make_task):
    x, labels = make_clouds()
    made = [
        choose_head(make_task(x, labels, FULL, train=SHORT.model_copy(update={"seed": seed})))
        for seed in (1, 1, 2)
    ]
    first, again, other = (chosen.state["output.weight"] for chosen in made)
    np.testing.assert_array_equal(first, again)
    assert not np.array_equal(first, other)


def test_each_epoch_draws_a_view_of_each_photo(make_clouds, make_task):
    x, labels = make_clouds()
    views = np.stack([x, x + 100, x + 200])
    course = Course(make_task(views, labels, DENSE), short(x), [Lane(Choice(0.01, 0.0, "none"))])
    rows = np.arange(len(x))

    def drawn(epoch: int) -> np.ndarray:
        return np.round((course._views(epoch, rows) - x).mean(axis=1) / 100).astype(int)

    assert set(drawn(1)) == {0, 1, 2}
    assert drawn(1).tolist() == drawn(1).tolist() != drawn(2).tolist()
    one = course._views(1, rows[5:8])
    np.testing.assert_array_equal(one, course._views(1, rows)[5:8])


def test_sampling_draws_each_class_equally_often():
    labels = np.repeat([0, 1, 3], [50, 8, 5])
    rows = balanced_order(labels, seed=1, epoch=1)
    assert len(rows) == len(labels)
    assert np.bincount(labels[rows]).tolist() == [21, 21, 0, 21]
    assert len(set(rows[labels[rows] == 0].tolist())) == 21  # no photo twice where there are enough
    assert set(rows[labels[rows] == 1].tolist()) == set(range(50, 58))
    assert not np.array_equal(rows, balanced_order(labels, seed=1, epoch=2))


def test_batches_are_the_order_of_the_epoch_and_none_is_of_one_photo(make_clouds, make_task):
    x, labels = make_clouds((11, 11, 11))
    course = Course(make_task(x, labels, DENSE, train=SHORT), short(x), [Lane(Choice(0.01, 0.0, "none"))])
    batches = list(course._batches(4))
    assert [len(batch) for batch in batches] == [16, 17]
    assert np.concatenate(batches).tolist() == order(np.arange(33), 1, 4).tolist()


@pytest.mark.parametrize("balance", ["class-weights", "sampling"])
def test_balanced_teaching_tells_natural_shares(make_clouds, make_task, balance):
    x, labels = make_clouds((300, 30), inputs=4, apart=0.3)
    head = Head(kind="mlp", balance=balance)
    chosen = choose_head(make_task(x, labels, head, train=Train(epochs=30, learning_rate=0.01)))
    logits = answer(chosen.plan, chosen.state, x).astype(float)
    shares = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    assert shares[:, 1].mean() == pytest.approx(1 / 11, rel=0.25)
    assert chosen.rungs[0].settings["balance"] == balance


def test_a_loss_that_is_no_number_stops_a_head_alone_and_loses_the_comparison(make_clouds, make_task):
    x, labels = make_clouds()
    wild = Train(epochs=8, batch_size=16, optimiser="sgd", learning_rate=10.0)
    head = Head(kind="mlp", dense=(32, 32, 32))
    with pytest.raises(GateError, match="no number") as caught:
        choose_head(make_task(x * 1e4, labels, head, train=wild.model_copy(update={"learning_rate": 1e6})))
    assert "learning_rate=100000" in str(caught.value)
    both = head.model_copy(update={"learning_rates": (0.01, 1e6)})
    chosen = choose_head(make_task(x, labels, both, train=wild.model_copy(update={"keep": "last"})))
    assert [rung.settings["rate"] for rung in chosen.rungs] == [0.01, 1e6]
    assert chosen.rungs[1].log_loss == pytest.approx(math.log(3), abs=0.5)


def test_a_late_task_ends_after_one_epoch(make_clouds, make_task):
    x, labels = make_clouds()
    alone = choose_head(make_task(x, labels, DENSE, train=SHORT, deadline=0.0))
    assert len(alone.history) == 1
    assert not alone.interrupted
    head = DENSE.model_copy(update={"learning_rates": (0.01, 0.1)})
    several = choose_head(make_task(x, labels, head, train=SHORT, stop=lambda: True))
    assert several.interrupted
    assert several.rungs[0].settings["epochs"] == 1


def test_cross_validation_ends_early_where_nothing_gets_better(make_clouds, make_task):
    x, labels = make_clouds(apart=0.3)
    head = DENSE.model_copy(update={"learning_rates": (0.01, 0.03)})
    train = Train(epochs=200, batch_size=16, early_stopping=2)
    steps: list[int] = []
    task = make_task(
        x, labels, head, train=train, progress=lambda event: steps.append(getattr(event, "done", 0))
    )
    (*_,) = mlp.tries(task, ("none",))
    assert 3 <= max(steps) < 100


def test_threads_are_those_of_the_recipe_or_one_for_little_work(make_clouds, make_task):
    task = make_task(*make_clouds(), DENSE, train=SHORT)
    assert mlp._threads(task, 5) == 1
    assert mlp._threads(replace(task, train=Train(threads=3)), 5) == 3
    large = Head(kind="mlp", dense=(4096, 4096))
    assert mlp._threads(replace(task, settings=large), 5) == 0
