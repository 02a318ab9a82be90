"""Every named recipe: its text is true, and it leads from photos to a model that answers."""

from __future__ import annotations

import math
import re
import tomllib

import numpy as np
import pytest
from PIL import Image

import sortograph
from sortograph.models import plan
from sortograph.models.layers import Dense, Flatten, Pool
from sortograph.recipe import DEFAULT, load_recipe, make_recipe, recipe_names, recipe_text, recipe_toml

NAMES = recipe_names()
COMMANDS = {DEFAULT: "sortograph train PHOTOS", "digits": "sortograph demo"}
NETWORKS = [name for name in NAMES if load_recipe(name).model.kind not in ("backbone", "auto")]


@pytest.mark.parametrize("name", NAMES)
def test_it_has_the_name_of_its_file_and_says_what_it_is_for(name):
    recipe = load_recipe(name)
    assert recipe.name == name
    assert recipe.about
    assert "\n" not in recipe.about


@pytest.mark.parametrize("name", NAMES)
def test_its_first_line_is_the_command_that_runs_it(name):
    command = COMMANDS.get(name, f"sortograph train PHOTOS --recipe {name}")
    assert recipe_text(name).splitlines()[0] == f"# {command}"


@pytest.mark.parametrize("name", NAMES)
def test_resolved_to_toml_and_back_it_is_the_same(name, tmp_path):
    recipe = load_recipe(name)
    resolved = tmp_path / "recipe.toml"
    resolved.write_bytes(recipe_toml(recipe).encode())
    assert load_recipe(str(resolved)) == recipe
    assert make_recipe(recipe.to_dict(), name) == recipe


@pytest.mark.parametrize("name", NAMES)
def test_what_it_sets_is_what_it_gets(name):
    """No key of the file is read as another value than the one that stands there."""
    written, resolved = tomllib.loads(recipe_text(name)), load_recipe(name).to_dict()
    for section, values in written.items():
        for key, value in values.items() if isinstance(values, dict) else ():
            assert resolved[section][key] == value, f"{section}.{key}"


def told_shapes(name):
    """The shapes in the comment beside [model], or None."""
    match = re.search(r"^\[model\] *# (.+)$", recipe_text(name), re.MULTILINE)
    return match and match[1].split(" → ")


def planned_shapes(name):
    """Input, pooled feature maps, the flat vector, dense layers; "classes" where the photos decide."""
    recipe = load_recipe(name)
    named = len(recipe.data.classes)
    made = plan(recipe.model, recipe.pixels.spec().size, named or 2)
    shapes = [(3, *made.size)] if recipe.model.kind != "dense" else []
    shapes += [
        shape
        for layer, shape in zip(made.layers, made.shapes, strict=True)
        if isinstance(layer, Pool | Flatten | Dense)
    ]
    told = ["×".join(f"{side:,}" for side in shape) for shape in shapes]
    return told if made.sigmoid or named else [*told[:-1], "classes"]


@pytest.mark.parametrize("name", NETWORKS)
def test_its_shapes_are_those_of_the_network(name):
    if load_recipe(name).model.kind == "residual":
        assert told_shapes(name) is None, "a line of shapes would not show the shortcuts"
    else:
        assert told_shapes(name) == planned_shapes(name)


@pytest.mark.parametrize("name", NAMES)
def test_its_degrees_are_its_turns(name):
    for turns, degrees in re.findall(r"^rotation = (\S+) *# ±(\d+)°", recipe_text(name), re.MULTILINE):
        assert round(360 * float(turns)) == int(degrees)


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    """`photos(classes)`: a folder with six photos of noise for each class, brighter from class to class."""
    made = {}

    def make(classes):
        if classes not in made:
            made[classes] = folder = tmp_path_factory.mktemp("photos") / "photos"
            for k, name in enumerate(classes):
                (folder / name).mkdir(parents=True)
                for n in range(6):
                    pixels = np.random.default_rng([k, n]).integers(60 * k, 60 * k + 90, (20, 24, 3))
                    Image.fromarray(pixels.astype(np.uint8)).save(folder / name / f"{n}.png")
        return made[classes]

    return make


def shrunk(recipe):
    """The same network with as many layers, of four filters or eight units, on photos of 16 pixels."""
    filters, dense = [4] * len(recipe.model.filters), [8] * len(recipe.model.dense)
    return ["pixels.size=16", f"model.filters={filters}", f"model.dense={dense}", "train.epochs=1"]


@pytest.mark.parametrize("name", NETWORKS)
def test_it_trains_and_its_model_answers(name, photos, tmp_path, tmp_path_factory, monkeypatch):
    monkeypatch.setenv("SORTOGRAPH_CACHE", str(tmp_path_factory.getbasetemp() / "cache-of-recipes"))
    monkeypatch.setattr("sortograph.api.reviewing.draw_report", lambda *_: None)
    recipe = load_recipe(name)
    classes = recipe.data.classes or ("cats", "dogs")
    folder = photos(classes)
    record = sortograph.train(folder, recipe=name, overrides=shrunk(recipe), out=tmp_path / "run")
    assert (record.status, len(record.history)) == ("finished", 1)
    assert math.isfinite(record.history[0].train_loss)
    assert set(record.evaluation) == {"train", "validation", "test"}

    answers(record, classes, folder)


def answers(record, classes, folder):
    """The bundle is sound, and tells of a photo what it should."""
    model = sortograph.doctor(record.folder)["model"]
    assert (model["classes"], model["size"]) == (list(classes), [16, 16])
    assert model["largest_difference_of_a_logit"] < 1e-4
    (answer,) = sortograph.predict(record.folder, folder / classes[-1] / "0.png")
    assert answer.error is None
    assert {label for label, _ in answer.top_k} == set(classes)
    assert sum(share for _, share in answer.top_k) == pytest.approx(1, abs=1e-5)


@pytest.mark.parametrize("name", [name for name in NAMES if name not in NETWORKS])
def test_it_finds_a_head_on_a_backbone_and_its_model_answers(
    name, photos, stock, tmp_path, tmp_path_factory, monkeypatch
):
    """With a toy in the place of its backbone."""
    monkeypatch.setenv("SORTOGRAPH_CACHE", str(tmp_path_factory.getbasetemp() / "cache-of-recipes"))
    monkeypatch.setattr("sortograph.api.reviewing.draw_report", lambda *_: None)
    recipe = load_recipe(name)
    classes = recipe.data.classes or ("cats", "dogs")
    folder = photos(classes)
    shrunk = ["pixels.size=16", "train.epochs=3"] if recipe.head.kind == "mlp" else ["pixels.size=16"]
    record = sortograph.train(folder, recipe=name, overrides=shrunk, out=tmp_path / "run")
    assert record.status == "finished"
    assert set(record.evaluation) == {"train", "validation", "test"}
    assert record.recipe["model"]["kind"] == "backbone"
    answers(record, classes, folder)
    again = load_recipe(str(record.folder / "recipe.toml"))
    assert again.backbone.names == tuple(one["name"] for one in record.environment["backbones"])
