"""From trained weights to a judged bundle: what is measured is what is shipped."""

from __future__ import annotations

import time
from dataclasses import replace

import numpy as np
import pytest
from safetensors.numpy import load_file
from safetensors.torch import load_file as load_tensors

from sortograph.api.job import Job, Made, Source
from sortograph.api.judging import judge_and_bundle, predict_split
from sortograph.api.networks import watched
from sortograph.bundle.runtime import Answers, open_bundle
from sortograph.dataset import SplitPlan, cut, scan
from sortograph.dataset.halves import halved
from sortograph.errors import GateError
from sortograph.export import to_onnx
from sortograph.loading.pixels import PhotoPixels
from sortograph.models import plan
from sortograph.recipe import make_recipe
from sortograph.records import Said, Step, silent
from sortograph.training.fit import reference


@pytest.fixture
def job(run, photos, tmp_path):
    """The finished run's recipe and photos, once more, in a new folder."""
    recipe = make_recipe(run.recipe, "run.json")
    pixels = PhotoPixels(recipe.pixels.spec(), 1 + recipe.augment.zoom)
    found = scan(photos, keeper=pixels, classes=recipe.data.classes)
    pixels.flush()
    index = cut(found, SplitPlan(recipe.split.seed, recipe.split.validation, recipe.split.test))
    return Job(recipe, index, pixels, tmp_path, time.monotonic(), silent, Source(photos))


@pytest.fixture
def weights(run):
    return load_file(run.folder / "weights.safetensors")


@pytest.fixture
def made(job, run, weights):
    """The finished run's network, with the weights that a test may have changed."""

    def made_of(weights=weights):
        layers = plan(job.recipe.model, job.pixels.spec.size, len(job.index.classes))
        return Made(
            recipe=job.recipe,
            graph=to_onnx(layers, job.pixels.spec, weights),
            weights=weights,
            reference=reference(layers, job.pixels.spec, load_tensors(run.folder / "weights.safetensors")),
            pixels=job.pixels,
            history=run.history,
            best_epoch=run.best_epoch,
            chose=watched(job)[1],
        )

    return made_of


def test_the_weights_of_a_run_lead_to_its_model_again(job, run, made):
    judged = judge_and_bundle(job, made())
    told = {split: result.to_json() for split, result in judged.evaluation.items()}
    assert told == {split: result.to_json() for split, result in run.evaluation.items()}
    assert [table.split for table in judged.tables] == ["train", "validation", "test"]
    assert (job.folder / "model.onnx").read_bytes() == run.bundle.read_bytes()


def test_answers_are_compared_on_photos_that_training_never_saw(job, made, monkeypatch):
    seen = []
    monkeypatch.setattr(
        "sortograph.api.judging.check_parity", lambda logits, *_, **__: seen.append(len(logits))
    )
    judge_and_bundle(job, made())
    held_out = len(job.index.rows("test")) + len(job.index.rows("validation"))
    assert sum(seen) == held_out < len(job.index)


def test_without_held_out_photos_those_of_training_are_compared(job, made, monkeypatch):
    seen = []
    monkeypatch.setattr(
        "sortograph.api.judging.check_parity", lambda logits, *_, **__: seen.append(len(logits))
    )
    alone = replace(job, index=replace(job.index, splits=("train",) * len(job.index)))
    judged = judge_and_bundle(alone, made())
    assert sum(seen) == len(job.index) == judged.evaluation["train"].n
    assert set(judged.evaluation) == {"train"}
    assert judged.trust is None
    assert open_bundle(job.folder / "model.onnx").manifest.abstain == ()


def test_a_single_wrong_weight_is_noticed_and_nothing_is_written(job, made, weights):
    name = next(name for name in weights if name.startswith("output") and name.endswith("bias"))
    weights[name] = weights[name] + np.array([0.5, 0, 0], np.float32)
    with pytest.raises(GateError, match=r"model\.onnx"):
        judge_and_bundle(job, made(weights))
    assert list(job.folder.iterdir()) == []


def test_the_bundle_says_of_each_split_only_what_is_short(job, made):
    evaluation = judge_and_bundle(job, made()).evaluation
    manifest = open_bundle(job.folder / "model.onnx").manifest
    assert set(manifest.evaluation) == set(evaluation)
    assert all(set(result) == {"n", "metrics"} for result in manifest.evaluation.values())


def test_a_split_is_answered_in_its_own_order_in_batches_and_told(job):
    index = replace(job.index, splits=("test", "train") * (len(job.index) // 2))
    rows = index.rows("test")
    batches, told = [], []

    def pixels(chosen):
        batches.append(chosen.tolist())
        return np.zeros((len(chosen), 2, 2, 3), np.uint8) + chosen.astype(np.uint8)[:, None, None, None]

    def run(photos):
        logits = np.repeat(photos[:, 0, 0, :1].astype(np.float32), 3, axis=1)
        return Answers(logits, logits, logits)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("sortograph.api.judging._BATCH", 4)
        answered = predict_split(index, "test", run, pixels, told.append)
    table = answered.table
    assert np.array_equal(answered.embeddings, table.logits), "the run above answers so"
    assert batches == [rows[start : start + 4].tolist() for start in range(0, 15, 4)]
    assert table.logits[:, 0].tolist() == rows.tolist() == table.rows.tolist()
    assert table.labels.tolist() == index.labels[rows].tolist()
    assert told == [Step("judging test", done, 15) for done in (4, 8, 12, 15)]


NOBODY = np.zeros(0, dtype=np.int64)


def by_recipe(job, **changes):
    """The same job with other settings, "section": {…}."""
    data = job.recipe.to_dict()
    return replace(job, recipe=make_recipe({key: {**data[key], **changes.get(key, {})} if key in changes else
                                            value for key, value in data.items()}, "test"))  # fmt: skip


@pytest.fixture
def wide(job):
    """With validation photos that can be halved: four of each class."""
    splits = ("train", "validation", "validation", "test", "train") * 6
    return replace(job, index=replace(job.index, splits=splits))


def halves(job):
    return halved(job.index, job.index.rows("validation"), job.recipe.split.seed)


def test_the_reserved_half_does_not_calibrate_where_nothing_was_chosen(wide, made):
    said = []
    job = replace(by_recipe(wide, split={"reserve": True}), progress=said.append)
    select, calibrate = halves(job)
    judged = judge_and_bundle(job, replace(made(), recipe=job.recipe, chose=NOBODY))
    result, trust = judged.evaluation["validation"], judged.trust
    assert (trust.n, result.chose, result.n) == (len(calibrate), len(select), len(select) + len(calibrate))
    (table,) = [table for table in judged.tables if table.split == "validation"]
    right = dict(zip(table.rows.tolist(), (table.predicted() == table.labels).tolist(), strict=True))
    assert result.choosing["accuracy"].value == np.mean([right[row] for row in select.tolist()])
    assert result.choosing["accuracy"].n == len(select)
    told = f"validation is halved: {len(select)} photos are kept to choose among runs, {len(calibrate)} are "
    assert any(isinstance(event, Said) and event.text.startswith(told) for event in said)
    assert open_bundle(job.folder / "model.onnx").manifest.calibrated["n"] == len(calibrate)


def test_without_a_reserve_all_photos_that_chose_nothing_calibrate(wide, made):
    judged = judge_and_bundle(wide, replace(made(), chose=NOBODY))
    result = judged.evaluation["validation"]
    assert judged.trust.n == result.n == len(wide.index.rows("validation"))
    assert (result.chose, result.choosing) == (0, {})


def test_photos_that_cannot_be_halved_choose_and_nothing_calibrates(job, made):
    """One of each class."""
    recipe = by_recipe(job, split={"reserve": True}).recipe
    judged = judge_and_bundle(job, replace(made(), recipe=recipe, chose=NOBODY))
    result = judged.evaluation["validation"]
    assert (judged.trust, result.chose, result.choosing["accuracy"].n) == (None, result.n, result.n)


def test_photos_that_chose_the_epoch_are_the_ones_that_are_reserved(wide, made):
    select = halves(wide)[0]
    plain = judge_and_bundle(wide, replace(made(), chose=select)).evaluation["validation"]
    both = replace(made(), chose=select, recipe=by_recipe(wide, split={"reserve": True}).recipe)
    assert judge_and_bundle(wide, both).evaluation["validation"].to_json() == plain.to_json()
    assert plain.choosing["accuracy"].n == plain.chose == len(select)


@pytest.mark.parametrize("keep", ["best", "last"])
@pytest.mark.parametrize("reserve", [False, True])
def test_who_is_looked_at_after_each_epoch(wide, keep, reserve):
    """What cuts a trial of a sweep short are the photos that choose among runs."""
    job = by_recipe(wide, split={"reserve": reserve}, train={"keep": keep})
    seen, chose = watched(job)
    select = halves(job)[0].tolist()
    if reserve or keep == "best":
        assert seen.tolist() == chose.tolist() == select
    else:
        assert (seen.tolist(), chose.tolist()) == (job.index.rows("validation").tolist(), [])
