from __future__ import annotations

import hashlib

import numpy as np
import pytest
import torch
from PIL import Image

from sortograph.images.crew import shared_crew
from sortograph.images.preprocess import prepare
from sortograph.loading.pixels import PhotoPixels
from sortograph.models import build, plan
from sortograph.records import PhotoFacts, PreprocessSpec
from sortograph.training import fit as module
from sortograph.training.fit import fit, reference


def test_the_reference_is_the_network_in_evaluation(make_run):
    run = make_run({"model": {"batch_norm": True, "dropout": 0.5}})
    fitted, made = run.fit(), plan(run.recipe.model, (8, 8), 3)
    answers = reference(made, run.pixels.spec, fitted.weights)(run.pixels.photos)
    assert answers.dtype == np.float32
    assert answers.shape == (40, 3)
    net = build(made, run.pixels.spec, "keras", 9).eval()
    net.load_state_dict(fitted.weights)
    with torch.no_grad():
        expected = net(torch.from_numpy(run.pixels.photos).permute(0, 3, 1, 2).float())
    np.testing.assert_array_equal(answers, expected)


def test_where_and_how_is_told(make_run):
    run = make_run({"train": {"epochs": 1}})
    _, about = fit(run.task(), plan(run.recipe.model, (8, 8), 3))
    assert about["precision"] == "float32"
    assert about["threads"] == torch.get_num_threads()
    assert set(about) == {"device", "precision", "threads"}


def test_a_recipe_may_choose_its_threads(make_run):
    run, before = make_run({"train": {"threads": 2, "epochs": 1}}), torch.get_num_threads()
    _, told = fit(run.task(), plan(run.recipe.model, (8, 8), len(run.index.classes)))
    assert (told["threads"], torch.get_num_threads()) == (2, before)


def test_the_first_weights_are_those_of_the_recipes_seed_and_initialisation(make_run, monkeypatch):
    asked = []
    true = module.build
    monkeypatch.setattr(module, "build", lambda *args: asked.append(args[2:]) or true(*args))
    make_run({"train": {"seed": 7, "epochs": 1}, "model": {"initialisation": "he"}}).fit()
    assert asked == [("he", 7)]


def test_only_training_photos_are_learned_and_only_validation_photos_judge(make_run, same):
    """Other test photos change nothing; other validation photos change no weight of the last epoch."""
    last = {"train": {"keep": "last"}}
    usual, run = make_run(last).fit(), make_run(last)
    for split in ("test", "validation"):
        run.pixels.photos[run.index.rows(split)] = 0
    other = run.fit()
    assert same(usual, other)
    assert usual.history[0].train_loss == other.history[0].train_loss
    assert usual.history[0].validation_loss != other.history[0].validation_loss
    run.pixels.photos[run.index.rows("train")[:1]] = 0
    assert not same(usual, run.fit())


@pytest.mark.parametrize("zoom", [0.0, 0.25])
def test_photos_on_disk_train_as_their_pixels_do(make_run, same, figures, tmp_path, monkeypatch, zoom):
    """Through the cache: validation sees the pixels of predict, training those kept larger by the zoom."""
    monkeypatch.setenv("SORTOGRAPH_CACHE", str(tmp_path / "cache"))
    changes = {"train": {"epochs": 2}, "augment": {"zoom": zoom, "horizontal_flip": True}}
    memory = make_run(changes)
    spec: PreprocessSpec = memory.pixels.spec
    facts, chance = [], np.random.default_rng(1)
    for path in memory.index.paths:
        Image.fromarray(chance.integers(0, 256, (21, 17, 3), dtype=np.uint8)).save(tmp_path / path)
        facts.append(PhotoFacts(hashlib.sha256((tmp_path / path).read_bytes()).hexdigest(), 17, 21))
    memory.index = with_files(memory.index, tmp_path, facts)
    memory.pixels.photos = np.stack([prepare((tmp_path / p).read_bytes(), spec) for p in memory.index.paths])
    fitted = []
    for _ in range(2):  # decoded, then from the cache
        disk = make_run(changes)
        disk.index, disk.pixels = memory.index, PhotoPixels(spec, 1 + zoom)
        readings = shared_crew().read(tmp_path, memory.index.paths, disk.pixels.sizes)
        for reading in readings:
            disk.pixels.keep(reading.facts, reading.pixels)
        disk.pixels.flush()
        fitted.append(disk.fit())
    assert same(*fitted)
    assert figures(fitted[0]) == figures(fitted[1])
    expected = memory.fit()
    assert same(fitted[0], expected) == (zoom == 0)
    rows = memory.index.rows("validation")
    made = plan(memory.recipe.model, (8, 8), 3)
    answers = reference(made, spec, fitted[0].weights)(memory.pixels.photos[rows])
    best = fitted[0].history[fitted[0].best_epoch - 1]
    right = (answers.argmax(1) == memory.index.labels[rows]).mean()
    assert best.validation_accuracy == pytest.approx(right)


def with_files(index, root, facts):
    from dataclasses import replace

    return replace(index, root=root, sha256=tuple(fact.sha256 for fact in facts))
