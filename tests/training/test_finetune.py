"""A backbone of three small stages on the photos of the other tests of training."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F
from torch.nn.utils import skip_init

from sortograph.errors import GateError, RecipeError
from sortograph.models.head import answer, head_plan, linear_plan, neighbours_plan
from sortograph.recipe import Head
from sortograph.training import loop
from sortograph.training.checkpoint import read_checkpoint
from sortograph.training.finetune import FinetuneNetwork, finetune, grown, phase_train
from sortograph.training.loop import Phase

WIDTH, CLASSES = 6, 3


class Block(nn.Module):
    """A residual block with a place for stochastic depth, as timm's have it."""

    def __init__(self, generator: torch.Generator) -> None:
        super().__init__()
        self.conv = skip_init(nn.Conv2d, WIDTH, WIDTH, 3, padding=1, bias=False)
        self.norm = nn.BatchNorm2d(WIDTH)
        self.drop_path: nn.Module | None = None
        drawn = torch.empty_like(self.conv.weight).normal_(0, 0.2, generator=generator)
        self.conv.weight = nn.Parameter(drawn)

    def forward(self, x):
        y = F.relu(self.norm(self.conv(x)))
        return x + (y if self.drop_path is None else self.drop_path(y))


class Backbone(nn.Module):
    """Photos of any size → embeddings (N, 6). The offset belongs to no stage."""

    def __init__(self) -> None:
        super().__init__()
        generator = torch.Generator().manual_seed(5)
        self.offset = nn.Parameter(torch.zeros(1, 3, 1, 1))
        self.stem = skip_init(nn.Conv2d, 3, WIDTH, 3, stride=2, padding=1)
        self.stem.weight = nn.Parameter(
            torch.empty_like(self.stem.weight).normal_(0, 0.3, generator=generator)
        )
        self.stem.bias = nn.Parameter(torch.zeros(WIDTH))
        self.blocks = nn.Sequential(Block(generator), Block(generator))
        self.seen: list[torch.Size] = []

    def forward(self, photos):
        self.seen.append(photos.shape)
        return self.blocks(self.stem(photos.float() / 128 - 1 + self.offset)).mean((2, 3))

    def stages(self):
        return [[self.stem], *([block.conv, block.norm] for block in self.blocks)]


LINEAR = linear_plan(WIDTH, CLASSES)
DEEP = head_plan(Head(dense=(5,), batch_norm=True, dropout=0.4), WIDTH, CLASSES)


def state_of(plan) -> dict[str, Any]:
    chance = np.random.default_rng(8)
    state = {name: chance.normal(0, 0.5, shape).astype(np.float32) for name, shape in plan.weights().items()}
    return {name: np.abs(value) if name.endswith("running_var") else value for name, value in state.items()}


def network_of(run, plan=LINEAR, mirror=False) -> FinetuneNetwork:
    return FinetuneNetwork(Backbone(), plan, state_of(plan), run.recipe.finetune, mirror=mirror)


@dataclass
class Tuned:
    fitted: Any
    network: FinetuneNetwork

    @property
    def weights(self):
        return self.fitted.weights

    @property
    def history(self):
        return self.fitted.history


@pytest.fixture
def tune(make_run, monkeypatch):
    """`tune({"finetune": {...}})`: one fine-tuning; `stop_after` and `resume` as in `Run.fit`."""
    monkeypatch.setattr("sortograph.training.finetune._STEP", 4)  # photos of 8 grow from 4

    def task_of(run, stop):
        settings = run.recipe.finetune
        watched = run.index.rows("validation")[::2]
        phase = Phase(phase_train(run.recipe), "finetune", watched, settings.cutmix, settings.ema)
        return replace(run.task(stop), phase=phase)

    def start(changes=None, *, plan=LINEAR, stop_after=math.inf, resume=False, **options):
        given = changes or {}
        own = {"epochs": 3, "learning_rate": 0.01, **given.get("finetune", {})}
        run = make_run({**given, "finetune": own}, **options)
        asked = 0

        def stop():
            nonlocal asked
            asked += 1
            return asked >= stop_after

        network = network_of(run, plan)
        checkpoint = read_checkpoint(run.folder) if resume else None
        fitted, about = finetune(task_of(run, stop), network, checkpoint)
        assert about["precision"] == "float32"
        return Tuned(fitted, network)

    return start


def changed(tuned: Tuned, network: FinetuneNetwork) -> set[str]:
    """Names of all that differs from the first state, of weights and statistics."""
    before = network.state_dict()
    return {name for name, value in tuned.weights.items() if not torch.equal(value, before[name])}


RICH = {
    "finetune": {"drop_path": 0.5, "ema": 0.9, "cutmix": 1.0, "batch_norm": "trained", "first_size": 4},
    "augment": {"horizontal_flip": True, "rotation": 0.1, "mixup": 0.4},
    "train": {"optimiser": "adamw", "weight_decay": 0.1, "clip_norm": 1.0, "schedule": "cosine"},
}


def test_the_start_is_the_head_on_the_backbone(make_run):
    run = make_run()
    network = network_of(run, DEEP).eval()
    photos = torch.from_numpy(run.pixels.photos[:9]).permute(0, 3, 1, 2)
    expected = answer(DEEP, state_of(DEEP), Backbone().eval()(photos).detach().numpy())
    np.testing.assert_allclose(network(photos).detach().numpy(), expected, rtol=1e-4, atol=1e-5)


def test_mirrored_embeddings_are_means_in_use_alone(make_run):
    run = make_run()
    plain, mirrored = network_of(run).eval(), network_of(run, mirror=True).eval()
    photos = torch.from_numpy(run.pixels.photos[:9]).permute(0, 3, 1, 2)
    expected = (plain(photos) + plain(photos.flip(3))) / 2
    torch.testing.assert_close(mirrored(photos), expected)
    assert not torch.allclose(plain(photos), expected)
    torch.testing.assert_close(mirrored.train()(photos), plain.train()(photos))


def test_all_stages_are_taught_and_frozen_statistics_stay(tune, make_run):
    names = changed(tune(), network_of(make_run()))
    assert {name.rpartition(".")[0] for name in names} == {
        "backbone",
        "backbone.stem",
        "backbone.blocks.0.conv",
        "backbone.blocks.0.norm",
        "backbone.blocks.1.conv",
        "backbone.blocks.1.norm",
        "head.output",
    }
    assert not {name for name in names if "running" in name or "batches" in name}


def test_trained_statistics_move(tune, make_run):
    names = changed(tune({"finetune": {"batch_norm": "trained"}}), network_of(make_run()))
    assert {f"backbone.blocks.{number}.norm.running_mean" for number in (0, 1)} <= names


@pytest.mark.parametrize("statistics", ["frozen", "trained"])
def test_the_last_stage_alone(tune, make_run, statistics):
    tuned = tune({"finetune": {"blocks": 1, "batch_norm": statistics}})
    names = changed(tuned, network_of(make_run()))
    assert {name for name in names if not name.startswith(("head.", "backbone.blocks.1."))} == set()
    assert {"head.output.weight", "backbone.blocks.1.conv.weight"} <= names
    assert set(tuned.history[0].gradient_norms) == {"stage3", "head"}
    assert (tuned.network.taught, tuned.network.stages) == (1, 3)


def test_no_graph_is_built_through_frozen_stages(make_run):
    network = network_of(make_run({"finetune": {"blocks": 1}})).train()
    entered = []
    network.backbone.blocks[1].register_forward_pre_hook(lambda _, inputs: entered.append(inputs[0]))
    network(torch.zeros(2, 3, 8, 8))
    assert not entered[0].requires_grad
    assert not network.backbone.blocks[0].norm.training
    assert not network.backbone.blocks[0].training
    assert network.head.training


def test_more_blocks_than_there_are_is_all(make_run):
    network = network_of(make_run({"finetune": {"blocks": 60}}))
    assert network.taught == 3
    assert network.drops_paths
    assert all(weight.requires_grad for weight in network.parameters())


def test_rates_fall_towards_the_input(make_run):
    network = network_of(make_run({"finetune": {"layer_decay": 0.5}}), DEEP)
    parts = network.parts()
    assert [(part.name, part.factor) for part in parts] == [
        ("stage1", 0.25),
        ("stage2", 0.5),
        ("stage3", 1.0),
        ("head", 1.0),
    ]
    held = [weight for part in parts for weight in part.weights]
    assert len({id(weight) for weight in held}) == len(held) == len(list(network.parameters()))
    assert network.backbone.offset in set(parts[0].weights)


def test_a_step_of_each_stage_is_as_long_as_its_rate(tune, make_run):
    """With SGD a weight moves by rate · factor · gradient."""
    once = {"epochs": 1, "learning_rate": 1e-4}
    train = {"optimiser": "sgd", "batch_size": 24, "keep": "last"}
    before = network_of(make_run()).state_dict()
    moved = {}
    for decay in (1.0, 0.5):
        tuned = tune({"finetune": {**once, "layer_decay": decay}, "train": train})
        moved[decay] = {name: value - before[name] for name, value in tuned.weights.items()}
    for name, factor in (("stem", 0.25), ("blocks.0.conv", 0.5), ("blocks.1.conv", 1.0)):
        whole, part = (moved[decay][f"backbone.{name}.weight"] for decay in (1.0, 0.5))
        torch.testing.assert_close(part, whole * factor, rtol=0.02, atol=2e-8)
        assert whole.abs().max() > 1e-6


def test_it_learns_from_where_the_head_stands(tune):
    history = tune({"finetune": {"epochs": 12}}, plan=DEEP, count=100).history
    assert history[-1].train_loss < 0.7 * history[0].train_loss
    assert max(row.validation_accuracy for row in history) > 0.6


def test_the_watched_photos_choose_the_epoch(tune, make_run):
    """The figures of validation are those of the kept weights on every second validation photo."""
    tuned = tune({"train": {"keep": "last"}})
    run = make_run()
    rows = run.index.rows("validation")[::2]
    network = network_of(run)
    network.load_state_dict(tuned.weights)
    with torch.inference_mode():
        logits = network.eval()(torch.from_numpy(run.pixels.photos[rows]).permute(0, 3, 1, 2))
    loss = F.cross_entropy(logits, torch.from_numpy(run.index.labels[rows]))
    assert tuned.history[-1].validation_loss == pytest.approx(float(loss), rel=1e-5)


@pytest.mark.parametrize(
    "changes",
    [
        {"finetune": {"drop_path": 0.5}},
        {"finetune": {"cutmix": 1.0}},
        {"finetune": {"ema": 0.9}},
        {"finetune": {"first_size": 4}},
        {"finetune": {"layer_decay": 0.5}},
    ],
    ids=lambda changes: next(iter(changes["finetune"])),
)
def test_every_setting_does_something_and_is_repeatable(tune, same, changes):
    one, again, plain = tune(changes), tune(changes), tune({"finetune": {"layer_decay": 0.75}})
    assert same(one, again)
    assert not same(one, plain)


def test_the_callers_random_numbers_neither_change_it_nor_are_changed(tune, same):
    one = tune(RICH, plan=DEEP)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(99)
        before = torch.get_rng_state()
        assert same(tune(RICH, plan=DEEP), one)
        assert torch.equal(torch.get_rng_state(), before)


# 24 training photos in batches of 5: five steps an epoch; `stop` is asked six times an epoch.
@pytest.mark.parametrize("stop_after", [1, 3, 6, 9])
def test_a_resumed_fine_tuning_ends_as_one_that_was_not_stopped(tune, same, figures, stop_after):
    whole = tune(RICH, plan=DEEP, folder="whole")
    part = tune(RICH, plan=DEEP, stop_after=stop_after)
    assert part.fitted.interrupted
    rest = tune(RICH, plan=DEEP, resume=True)
    assert not rest.fitted.interrupted
    assert same(rest, whole)
    assert figures(rest) == figures(whole)
    assert rest.fitted.best_epoch == whole.fitted.best_epoch


def test_the_kept_weights_are_the_running_mean(tune, make_run):
    """By hand: after n steps the last weights count (1 - d) / (1 - dⁿ)."""
    once = {"epochs": 1, "ema": 0.7}
    seen = []
    true = loop.WeightMean.add

    def noting(self, count):
        seen.append(self._live["head.output.weight"].detach().clone())
        true(self, count)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(loop.WeightMean, "add", noting)
        tuned = tune({"finetune": once})
    shares = [0.7 ** (len(seen) - 1 - number) for number in range(len(seen))]
    expected = sum(share * weight for share, weight in zip(shares, seen, strict=True)) / sum(shares)
    assert len(seen) == 5
    torch.testing.assert_close(tuned.weights["head.output.weight"], expected)


def test_the_running_mean_is_judged(tune):
    """Weights that jump about by a rate that is far too high have a mean that is not theirs."""
    settings = {"epochs": 1, "learning_rate": 0.05}
    plain = tune({"finetune": settings})
    mean = tune({"finetune": {**settings, "ema": 0.9}})
    assert plain.history[0].train_loss == mean.history[0].train_loss, "training itself is the same"
    assert plain.history[0].validation_loss != mean.history[0].validation_loss


def test_photos_grow_in_training_and_are_whole_in_validation(make_run, tune):
    tuned = tune({"finetune": {"first_size": 4}})
    sides = {(shape[0], shape[2]) for shape in tuned.network.backbone.seen}
    assert (5, 8) in sides
    assert (4, 8) in sides, "validation: four of the eight photos"
    assert grown(96, (224, 224), 1, 5) == (96, 96)


def test_sides_grow_evenly_in_steps_of_32():
    assert [grown(128, (256, 384), epoch, 3) for epoch in (1, 2, 3)] == [(128, 192), (192, 288), (256, 384)]
    assert grown(64, (240, 240), 1, 1) == (240, 240)
    assert grown(300, (224, 224), 1, 9) == (224, 224)
    assert grown(10, (224, 224), 1, 9) == (32, 32)


def test_a_backbone_for_one_size_refuses_to_grow(tune, monkeypatch):
    def forward(self, photos):
        assert photos.shape[2:] == (8, 8), "Input height (4) doesn't match model (8)."
        return self.blocks(self.stem(photos.float())).mean((2, 3))

    monkeypatch.setattr(Backbone, "forward", forward)
    with pytest.raises(RecipeError, match=r"cannot see photos of 4 × 4.*doesn't match") as caught:
        tune({"finetune": {"first_size": 4}})
    assert "finetune.first_size=0" in caught.value.fix


def test_neighbours_cannot_be_taught(make_run):
    plan = neighbours_plan(WIDTH, CLASSES, 2, 9)
    with pytest.raises(RecipeError, match="neighbours") as caught:
        FinetuneNetwork(Backbone(), plan, {}, make_run().recipe.finetune)
    assert "head.kind=logistic" in caught.value.fix


def test_an_exploding_loss_names_the_rate_of_fine_tuning(tune, monkeypatch):
    true = loop.loss_of
    monkeypatch.setattr(loop, "loss_of", lambda *args: true(*args) * math.nan)
    with pytest.raises(GateError) as caught:
        tune()
    assert "finetune.learning_rate=0.001" in caught.value.fix
