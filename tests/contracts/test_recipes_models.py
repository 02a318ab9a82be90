"""Every named recipe leads to a network that can be planned, built, run, exported and trusted."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from sortograph.bundle.golden import golden_photos
from sortograph.bundle.runtime import open_bundle
from sortograph.bundle.store import write_bundle
from sortograph.export import answers_of, check_parity, to_onnx
from sortograph.models import build, plan
from sortograph.recipe import load_recipe, recipe_names
from sortograph.records import BundleManifest

CLASSES = ("cat", "dog")
NETWORKS = [name for name in recipe_names() if load_recipe(name).model.kind not in ("backbone", "auto")]
_SIDE = 34  # odd after one pooling


@pytest.mark.parametrize("name", NETWORKS)
def test_the_plan_fits_the_recipe_s_own_size(name):
    recipe = load_recipe(name)
    made = plan(recipe.model, recipe.pixels.spec().size, 2)
    assert made.shapes[-1] == (1 if made.sigmoid else 2,)
    assert f"{made.parameters:,} parameters" in made.summary()


@pytest.mark.parametrize("name", NETWORKS)
def test_network_and_bundle_agree(name, tmp_path):
    recipe = load_recipe(name)
    spec = recipe.pixels.spec()
    spec = replace(spec, size=(min(spec.size[0], _SIDE), min(spec.size[1], _SIDE)))
    made = plan(recipe.model, spec.size, len(CLASSES))
    network = build(made, spec, recipe.model.initialisation, seed=1)
    photos = np.random.default_rng(0).integers(0, 256, (3, *spec.size, 3), dtype=np.uint8)
    pixels = torch.from_numpy(photos).permute(0, 3, 1, 2)
    with torch.no_grad():
        network.train()(pixels)  # moves the running statistics away from where they start
        logits = network.eval()(pixels).numpy()

    graph = to_onnx(made, spec, {key: value.numpy() for key, value in network.state_dict().items()})
    manifest = BundleManifest(classes=CLASSES, preprocess=spec, recipe=recipe.name)
    golden = answers_of(graph, golden_photos(spec.size)).logits
    write_bundle(tmp_path / "model.onnx", graph, manifest, golden)
    answers = open_bundle(tmp_path / "model.onnx", threads=1).run(photos)
    assert check_parity(logits, answers, CLASSES).disagreements == 0
    assert answers.embedding.shape == (3, made.embedding)
