"""A small network of timm with weights of nobody: what it does to photos decides, not how good it is.

timm is imported once here, and each fine-tuned network that is kept is exported by torch; few tests do so.
"""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from sortograph.api.finetuning import check_finetuning, finetuned
from sortograph.api.job import Job, Made
from sortograph.api.judging import judge_and_bundle
from sortograph.bundle.runtime import open_bundle
from sortograph.dataset.halves import halved
from sortograph.errors import DataError, RecipeError
from sortograph.models.head import answer, linear_plan
from sortograph.recipe import make_recipe
from sortograph.records import Backbone, DatasetIndex, PreprocessSpec, silent

SIDE, WIDTH, COUNT = 32, 256, 60
SPEC = PreprocessSpec(size=(SIDE, SIDE))
CLASSES = ("dark", "light", "striped")
SETTINGS = {
    "name": "tiny",
    "pixels": {"size": SIDE},
    "model": {"kind": "backbone"},
    "backbone": {"names": ["test_efficientnet"]},
    "finetune": {"epochs": 3, "learning_rate": 0.01, "batch_norm": "trained", "layer_decay": 1.0},
    "train": {"batch_size": 12, "precision": "float32", "optimiser": "adamw", "threads": 1},
}
# Weights that are no longer those of the seed count as taught.
TAUGHT = Backbone(
    "test_efficientnet.taught", "timm", "test_efficientnet", SPEC, "0" * 64, WIDTH, 0, licence="nobody's"
)
RANDOM = replace(TAUGHT, name="test_efficientnet", weights="random-3")


class Photos:
    """Stands in for PhotoPixels."""

    spec = SPEC

    def __init__(self, labels):
        chance = np.random.default_rng(7)
        photos = chance.integers(0, 120, (len(labels), SIDE, SIDE, 3))
        photos[labels == 1] += 100
        photos[labels == 2, ::4] += 130
        self.photos = photos.astype(np.uint8)

    def training(self, index, rows):
        return self.photos[rows]

    evaluation = training


def make_index(validation=True) -> DatasetIndex:
    splits = (
        "train",
        "train",
        "validation" if validation else "train",
        "validation" if validation else "train",
    )
    return DatasetIndex(
        root=Path("photos"),
        classes=CLASSES,
        paths=tuple(f"{row}.png" for row in range(COUNT)),
        labels=np.arange(COUNT, dtype=np.int64) % 3,
        groups=("",) * COUNT,
        splits=tuple("test" if row % 10 == 9 else splits[row % 4] for row in range(COUNT)),
        sha256=tuple(f"{row:064x}" for row in range(COUNT)),
        sizes=np.full((COUNT, 2), SIDE, dtype=np.int32),
    )


@pytest.fixture(scope="module")
def network():
    """The network without a head, and its embeddings of all photos, (N, D)."""
    import torch

    from sortograph.models.backbone import build_backbone

    built = build_backbone(RANDOM)
    photos = Photos(make_index().labels).photos
    with torch.inference_mode():
        made = built(torch.from_numpy(photos).permute(0, 3, 1, 2)).numpy()
    return built, made


@pytest.fixture(autouse=True)
def _taught_weights(monkeypatch):
    """Those of seed 3 stand for weights that somebody has taught."""
    from sortograph.models import backbone

    true = backbone.build_backbone
    monkeypatch.setattr(
        backbone,
        "build_backbone",
        lambda one: true(replace(one, weights="random-3", name="test_efficientnet")),
    )


@pytest.fixture
def tune(tmp_path, network):
    """`tune({"finetune": {…}})`: the frozen model, and what became of it."""

    def start(changes=None, *, good=False, folder="run", backbone=TAUGHT, checkpoint=None, **more):
        given = changes or {}
        data = {
            key: {**value, **given.get(key, {})} if isinstance(value, dict) else value
            for key, value in {**{key: {} for key in given}, **SETTINGS}.items()
        }
        recipe = make_recipe(data, "test")
        index, kind = more.pop("index", make_index()), more.pop("kind", "logistic")
        job = Job(
            recipe, index, Photos(index.labels), tmp_path / folder, time.monotonic(), silent, tmp_path, **more
        )
        job.folder.mkdir(exist_ok=True)
        made, chosen = frozen(job, network[1], good)
        chosen.kind = kind
        opened = SimpleNamespace(backbone=backbone, graph=b"")
        return job, made, finetuned(job, made, opened, chosen, checkpoint)

    return start


def frozen(job, embeddings, good) -> tuple[Made, SimpleNamespace]:
    """A head that is right about all photos, or one that says "dark" of all."""
    plan = linear_plan(WIDTH, 3)
    weight = np.zeros((3, WIDTH), dtype=np.float32)
    bias = np.array([0.1, 0, 0], dtype=np.float32)
    if good:
        design = np.concatenate([embeddings, np.ones((COUNT, 1))], axis=1)
        wish = 6 * np.eye(3)[job.index.labels]
        found = np.linalg.lstsq(design, wish, rcond=1e-6)[0].T.astype(np.float32)
        weight, bias = np.ascontiguousarray(found[:, :-1]), found[:, -1].copy()
    state = {"output.weight": weight, "output.bias": bias}

    def known(rows):
        return answer(plan, state, embeddings[rows])

    made = Made(
        recipe=job.recipe,
        graph=b"frozen",
        weights={},
        reference=lambda photos: pytest.fail("the frozen model's answers are known"),
        pixels=job.pixels,
        known=known,
        about={"backbones": [{"name": "test_efficientnet"}]},
        licence="nobody's",
        decisions=("head: linear",),
    )
    return made, SimpleNamespace(kind="logistic", plan=plan, state=state)


def select_of(job):
    return halved(job.index, job.index.rows("validation"), job.recipe.split.seed)[0]


ALL = {
    "finetune": {
        "epochs": 6,
        "policy": "trivial",
        "cutmix": 0.5,
        "ema": 0.5,
        "drop_path": 0.1,
        "first_size": 16,
    },
    "augment": {"horizontal_flip": True, "mixup": 0.2},
    "backbone": {"mirror": True},
}


def test_a_better_network_is_kept_and_is_what_the_graph_answers(tune, monkeypatch):
    monkeypatch.setattr("sortograph.training.finetune._STEP", 16)
    job, made, tuned = tune(ALL)
    select = select_of(job)
    count, dark = len(select), int((job.index.labels[select] == 0).sum())
    assert tuned.decisions[0] == "head: linear"
    told = tuned.decisions[-1]
    assert told.startswith("fine-tuning of all ")
    assert f" of {count} select photos right, frozen head {dark}: kept" in told
    assert len(tuned.history) == 6
    assert 1 <= tuned.best_epoch <= 6
    assert (tuned.licence, tuned.known) == ("nobody's", None)
    assert tuned.about["precision"] == "float32"
    assert tuned.about["backbones"] == made.about["backbones"]
    assert {name.split(".")[0] for name in tuned.weights} == {"backbone", "head"}
    assert tuned.weights["head.output.weight"].shape == (3, WIDTH)

    evaluation = judge_and_bundle(job, tuned).evaluation  # proves the graph against the network
    assert evaluation["validation"].n == len(job.index.rows("validation"))
    photos = job.pixels.photos[:5]
    bundle = open_bundle(job.folder / "model.onnx")
    assert bundle.replay() == 0
    one, mirrored = (bundle.run(images).logits for images in (photos, photos[:, :, ::-1]))
    np.testing.assert_allclose(one, mirrored, atol=1e-3)


def test_a_network_that_is_ruined_is_not_kept_and_the_report_says_so(tune):
    job, made, tuned = tune({"finetune": {"learning_rate": 5.0, "epochs": 2}}, good=True)
    count = len(select_of(job))
    assert tuned.graph is made.graph
    assert tuned.known is made.known
    assert tuned.weights is made.weights
    assert tuned.decisions[-1].endswith(f" of {count} select photos right, frozen head {count}: not kept")
    assert tuned.best_epoch is None
    assert len(tuned.history) == 2


def test_as_many_right_and_a_lower_log_loss_is_better(tune, monkeypatch):
    """A step too small to change any name makes the right names a little surer."""
    export = SimpleNamespace(done=0)

    def exported(job, made, *_):
        export.done += 1
        return made

    monkeypatch.setattr("sortograph.api.finetuning._exported", exported)
    once = {"epochs": 1, "learning_rate": 1e-6, "blocks": 1, "batch_norm": "frozen"}
    tuned = tune({"finetune": once, "train": {"optimiser": "sgd"}}, good=True)[2]
    assert "fine-tuning of the last of " in tuned.decisions[-1]
    assert ", log loss " in tuned.decisions[-1]
    assert tuned.decisions[-1].endswith(" kept")
    assert export.done == 1


def test_interrupted_and_resumed_it_ends_as_one_that_was_not(tune, monkeypatch):
    from sortograph.training.checkpoint import read_checkpoint

    monkeypatch.setattr("sortograph.training.finetune._STEP", 16)
    monkeypatch.setattr(
        "sortograph.api.finetuning._exported",
        lambda job, made, opened, network, fitted: replace(
            made,
            best_epoch=fitted.best_epoch,
            weights={k: v.clone() for k, v in network.state_dict().items()},
        ),
    )
    whole = tune(ALL, folder="whole")[2]
    asked = 0

    def stop():
        nonlocal asked
        asked += 1
        return asked >= 5

    job, made, part = tune(ALL, stop=stop)
    assert part.interrupted
    assert part.graph is made.graph
    assert part.decisions[-1].endswith("until it goes on, the frozen head is kept")
    rest = tune(ALL, checkpoint=read_checkpoint(job.folder / "checkpoints"))[2]
    assert not rest.interrupted
    assert rest.decisions == whole.decisions
    assert rest.best_epoch == whole.best_epoch
    assert rest.weights.keys() == whole.weights.keys()
    assert all(bool((rest.weights[name] == value).all()) for name, value in whole.weights.items())


def test_neighbours_give_way_to_a_logistic_head(tune, monkeypatch):
    """Its features are those of the training photos, and its settings the recipe's but for the kind."""
    asked = []

    class Maker:
        def __init__(self, recipe, progress, opened):
            self.keeper = SimpleNamespace(table=lambda index, rows: ("table", rows))
            assert [one.backbone for one in opened] == [TAUGHT]

        def choose(self, job, table):
            asked.append((job.recipe.head.kind, job.recipe.head.folds, table))
            state = {
                "output.weight": np.zeros((3, WIDTH), np.float32),
                "output.bias": np.zeros(3, np.float32),
            }
            return SimpleNamespace(kind="logistic", plan=linear_plan(WIDTH, 3), state=state)

    monkeypatch.setattr("sortograph.api.transfer.TransferMaker", Maker)
    job, _, tuned = tune({"head": {"folds": 3}}, good=True, deadline=time.monotonic(), kind="neighbours")
    assert [(kind, count) for kind, count, _ in asked] == [("logistic", 3)]
    assert np.array_equal(asked[0][2][1], job.index.rows("train"))
    assert tuned.decisions[1] == "fine-tuning begins with a logistic head: neighbours cannot be taught"


def test_a_setting_that_can_do_nothing_is_told(tune, monkeypatch):
    monkeypatch.setattr("sortograph.training.finetune.set_drop_path", lambda body, rate: 0)
    tuned = tune({"finetune": {"drop_path": 0.1}}, deadline=time.monotonic())[2]
    assert tuned.decisions[1] == (
        "finetune.drop_path does nothing: test_efficientnet.taught has no blocks to leave out"
    )
    assert len(tune(deadline=time.monotonic(), folder="other")[2].decisions) == 2


def test_without_time_the_frozen_model_stays(tune):
    _, made, tuned = tune(deadline=time.monotonic())
    assert tuned.graph is made.graph
    assert not tuned.interrupted
    assert tuned.decisions[-1].endswith("no epoch was over in time; the frozen head is kept")


def test_from_random_weights_nothing_is_compared(tune, monkeypatch):
    monkeypatch.setattr(
        "sortograph.api.finetuning._exported", lambda job, made, *_: replace(made, scored=True)
    )
    tuned = tune({"finetune": {"epochs": 1, "learning_rate": 1e-6}}, good=True, backbone=RANDOM)[2]
    assert tuned.decisions[-1].endswith("from random weights, 1 epoch: kept")
    assert tuned.scored


def test_without_validation_photos_it_says_what_to_do(tune):
    with pytest.raises(DataError, match="half of the validation photos, and there are 0") as caught:
        tune(index=make_index(validation=False))
    assert "split.validation=0.15" in caught.value.fix


def test_all_that_cannot_work_is_told_at_once():
    data = {
        **SETTINGS,
        "backbone": {"names": ["a", "b"]},
        "finetune": {"epochs": 4, "first_size": 64},
        "train": {"schedule": "cosine", "warmup_epochs": 4},
    }
    with pytest.raises(RecipeError) as caught:
        check_finetuning(make_recipe(data, "test"), (64, 64))
    assert "several backbones cannot be fine-tuned together" in caught.value.what
    assert "4 epochs of fine-tuning leave none after the warm-up" in caught.value.what
    assert "photos of 64 × 64 cannot begin smaller with 64" in caught.value.what
    assert caught.value.fix == (
        "--set finetune.epochs=0 --set train.warmup_epochs=1 --set finetune.first_size=0"
    )


def test_what_can_work_passes():
    check_finetuning(make_recipe(SETTINGS, "test"), (SIDE, SIDE))
