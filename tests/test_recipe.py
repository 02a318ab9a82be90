"""Recipes: the schema, overrides, TOML there and back, and mistakes told all at once."""

from __future__ import annotations

import json
import sys

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from sortograph.errors import MissingExtra, RecipeError
from sortograph.recipe import (
    DEFAULT,
    Model,
    Pixels,
    Recipe,
    Train,
    load_recipe,
    make_recipe,
    recipe_names,
    recipe_text,
    recipe_toml,
)
from sortograph.records import PreprocessSpec


def mistakes(*overrides, name="weather", **options):
    """The lines of the message between the first and the last."""
    with pytest.raises(RecipeError) as refused:
        load_recipe(name, overrides, **options)
    lines = str(refused.value).splitlines()
    assert lines[-1] == f"  next: sortograph recipes show {name}"
    count = "a mistake" if len(lines) == 3 else f"{len(lines) - 2} mistakes"
    assert lines[0].startswith(f"{count} in the recipe {name}:")
    return [line.strip() for line in lines[1:-1]]


def test_defaults():
    assert DEFAULT in recipe_names()
    assert load_recipe().name == DEFAULT
    recipe = make_recipe({}, "")
    assert (recipe.train.optimiser, recipe.train.learning_rate, recipe.pixels.size) == ("adam", 1e-3, 180)
    assert (recipe.split.validation, recipe.split.test) == (0.15, 0.15)


def test_a_recipe_does_not_change():
    recipe = load_recipe()
    with pytest.raises(ValidationError):
        recipe.train.epochs = 3
    with pytest.raises(ValidationError):
        recipe.train = Train()


def test_overrides_change_what_they_name_and_nothing_else():
    plain = load_recipe("weather").to_dict()
    changed = load_recipe("weather", ["train.epochs=5", "model.dropout = 0.5", "about=mine"]).to_dict()
    assert (changed["train"]["epochs"], changed["model"]["dropout"], changed["about"]) == (5, 0.5, "mine")
    changed["train"]["epochs"], changed["model"]["dropout"] = 20, 0.2
    changed["about"] = plain["about"]
    assert changed == plain


@pytest.mark.parametrize(
    ("override", "value"),
    [
        ("train.optimiser=sgd", "sgd"),
        ('train.optimiser="sgd"', "sgd"),
        ("train.learning_rate=1e-4", 1e-4),
        ("train.momentum=0", 0.0),
        ("model.batch_norm=true", True),
        ("model.filters=[8, 16]", (8, 16)),
        ("model.dense=[]", ()),
        ("pixels.size=[96, 128]", (96, 128)),
        ("data.classes=['음식', \"실내\"]", ("음식", "실내")),
        ("pixels.mean=[0.5, 0.4, 0]", (0.5, 0.4, 0.0)),
    ],
)
def test_values_are_read_as_toml_and_plain_words_as_text(override, value):
    section, key = override.partition("=")[0].split(".")
    assert getattr(getattr(load_recipe("cnn", [override]), section), key) == value


def test_the_last_override_counts():
    assert load_recipe("weather", ["train.epochs=5", "train.epochs=7"]).train.epochs == 7


def test_a_section_that_the_file_lacks_is_made(tmp_path):
    (tmp_path / "bare.toml").write_text("")
    assert load_recipe(str(tmp_path / "bare.toml"), ["augment.zoom=0.1"]).augment.zoom == 0.1


def test_the_seed_is_that_of_training():
    recipe = load_recipe("weather", seed=5)
    assert (recipe.train.seed, recipe.split.seed) == (5, 123)
    assert load_recipe("weather", ["train.seed=3"], seed=5).train.seed == 5
    assert load_recipe("weather", seed=0).train.seed == 0


@pytest.mark.parametrize("seed", [-1, 2**32])
def test_seeds_out_of_range(seed):
    (line,) = mistakes(seed=seed)
    assert line.startswith("train.seed: ")


def test_mistakes_of_all_kinds_are_told_at_once_each_once():
    lines = mistakes(
        "nonsense",
        "train.epoch=5",
        "pixels.size=1",
        "modell.dense=[]",
        "augment.zoom=2",
        "train.optimiser=Adam",
        "model.filters=[0, 4, -1]",
        "epochs=5",
        "train.rotation=0.1",
    )
    assert sorted(lines) == sorted(
        [
            "--set nonsense: expected section.key=value",
            "unknown key train.epoch (did you mean 'epochs'?)",
            "pixels.size: input should be greater than or equal to 8, not 1",
            "unknown key modell (did you mean 'model'?)",
            "augment.zoom: input should be less than or equal to 0.9, not 2",
            "train.optimiser: input should be 'sgd', 'adam' or 'adamw', not 'Adam'",
            "model.filters.0: input should be greater than or equal to 1, not 0",
            "model.filters.2: input should be greater than or equal to 1, not -1",
            "unknown key epochs (did you mean finetune.epochs, train.epochs?)",
            "unknown key train.rotation (did you mean augment.rotation?)",
        ]
    )


@pytest.mark.parametrize(
    ("override", "told"),
    [
        ("x", "--set x: expected section.key=value"),
        ("=3", "--set =3: expected section.key=value"),
        ("train..epochs=3", "--set train..epochs=3: expected section.key=value"),
        ("name.first=3", "--set name.first=3: name is no section"),
        ("train.epochs.first=3", "--set train.epochs.first=3: epochs is no section"),
        ("seed=3", "unknown key seed (did you mean split.seed, train.seed?)"),
        ("qqqq=3", "unknown key qqqq"),
        ("train.epochs=", "not ''"),
        ("train.epochs=2.5", "not 2.5"),
        ("train.epochs=5\nx=3", "train.epochs: input should be a valid integer"),
        ("train.clip_norm=nan", "train.clip_norm: input should be a finite number, not nan"),
        ("train.learning_rate=inf", "finite"),
        ("train.learning_rate=0", "greater than 0"),
        ("pixels.size=9000", "pixels.size: input should be less than or equal to 2048, not 9000"),
        ("pixels.size=[64, 9000]", "pixels.size.1: input should be less than or equal to 2048, not 9000"),
        ("pixels.size=[64]", "pixels.size.1: field required"),
        ("pixels.size=[64, 64, 3]", "at most 2 items"),
        ("pixels.size=large", "pixels.size: input should be a valid integer"),
        ("pixels.std=[0, 1, 1]", "every std above 0"),
        ("pixels.value_range=[1, 1]", "value_range must rise"),
        ("pixels.value_range=[255, 0]", "value_range must rise"),
        ("model.filters=[]", "a convolutional network needs at least one block"),
        ("data.classes=cat", "data.classes: input should be a valid tuple, not 'cat'"),
        ("split.test=0.9", "leave less than 5 % to train on"),
        ("split.test=1", "less than 1"),
        ("about=1979-05-27", "about: input should be a valid string"),
        ("model=3", "model: "),
        ("name=../../x", "name: "),
        ("name=", "name: "),
        ("train.momentum=0.9", "train: momentum has no effect with optimiser = 'adam'"),
        ("train.warmup_epochs=2", "warmup_epochs has no effect with schedule = 'constant'"),
        ("train.plateau_patience=2", "plateau_patience has no effect with schedule = 'constant'"),
        ("model.dense=" + "[" * 9999, "model.dense: "),
    ],
)
def test_one_mistake_is_told_in_one_line(override, told):
    (line,) = mistakes(override) if "\n" not in override else [" ".join(mistakes_text(override))]
    assert told in line


def test_settings_that_do_something_are_taken():
    taken = load_recipe(
        "weather",
        ["train.optimiser=sgd", "train.momentum=0.9", "train.schedule=plateau", "train.plateau_patience=2"],
    ).train
    assert (taken.momentum, taken.plateau_patience) == (0.9, 2)
    with pytest.raises(RecipeError, match="leaves no epoch after it"):
        load_recipe("weather", ["train.schedule=cosine", "train.warmup_epochs=20"])


def test_batches_of_one_cannot_be_normalised():
    with pytest.raises(RecipeError, match=r"batch_norm needs a train\.batch_size of at least 2"):
        load_recipe("cnn", ["train.batch_size=1"])


def mistakes_text(override):
    with pytest.raises(RecipeError) as refused:
        load_recipe("weather", [override])
    return [str(refused.value)]


def test_a_dense_network_needs_no_filters():
    assert load_recipe("weather", ["model.filters=[]", "model.kind=dense"]).model.filters == ()


def test_a_section_that_is_none(tmp_path):
    (tmp_path / "odd.toml").write_text("train = 3\n")
    lines = mistakes(name=str(tmp_path / "odd.toml"), seed=4)
    assert any("train" in line for line in lines)


def test_sizes_lead_to_the_preprocess_of_the_model():
    pixels = Pixels(
        size=(96, 128), resize="pad", interpolation="bicubic", mean=(0.5, 0.5, 0.5), std=(0.2,) * 3
    )
    assert pixels.spec() == PreprocessSpec(
        size=(96, 128),
        mode="pad",
        interpolation="bicubic",
        mean=(0.5, 0.5, 0.5),
        std=(0.2, 0.2, 0.2),
        value_range=(0.0, 1.0),
    )
    assert Pixels(size=64).spec().size == (64, 64)


def test_an_unknown_name():
    with pytest.raises(RecipeError, match="did you mean 'weather'") as refused:
        load_recipe("wether")
    assert "food-scenes" in refused.value.expected


def test_a_file_of_one_s_own(tmp_path):
    file = tmp_path / "나의 것.toml"
    file.write_text('about = "mine"\n[train]\nepochs = 3\n', encoding="utf-8")
    recipe = load_recipe(str(file))
    assert (recipe.name, recipe.about, recipe.train.epochs) == ("나의-것", "mine", 3)
    assert recipe_text(str(file)) == file.read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b"[train\nepochs = 3", "not valid TOML"),
        (b"x = " + b"[" * 9999, "not valid TOML"),
        (b"name = '\xff'", "not UTF-8 text"),
        (None, "No such file or directory"),
    ],
    ids=["syntax", "depth", "bytes", "missing"],
)
def test_a_file_that_cannot_be_used(tmp_path, content, told):
    file = tmp_path / "mine.toml"
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(RecipeError, match=told) as refused:
        load_recipe(str(file))
    assert refused.value.where == str(file)


def test_without_tomli_w_the_extra_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "tomli_w", None)
    with pytest.raises(MissingExtra, match=r"sortograph\[train\]"):
        recipe_toml(load_recipe())


TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
COUNTS = st.lists(st.integers(1, 65_536), min_size=1, max_size=4)
SIDES = st.integers(8, 2048)
RECIPES = st.fixed_dictionaries(
    {},
    optional={
        "name": st.from_regex(r"[^\W_][\w.+-]{0,79}", fullmatch=True),
        "about": TEXT,
        "data": st.fixed_dictionaries({"classes": st.lists(TEXT, max_size=3)}),
        "split": st.fixed_dictionaries({"test": st.floats(0, 0.4), "seed": st.integers(0, 2**32 - 1)}),
        "pixels": st.fixed_dictionaries({"size": SIDES | st.lists(SIDES, min_size=2, max_size=2)}),
        "model": st.fixed_dictionaries({"filters": COUNTS, "dense": COUNTS, "batch_norm": st.booleans()}),
        "augment": st.fixed_dictionaries({"zoom": st.floats(0, 0.9), "mixup": st.floats(0, 8)}),
        "train": st.fixed_dictionaries(
            {
                "learning_rate": st.floats(0, 10, exclude_min=True),
                "optimiser": st.sampled_from(["sgd", "adam"]),
            }
        ),
    },
)


@settings(max_examples=60, deadline=None)
@given(RECIPES)
def test_toml_and_json_bring_every_recipe_back(tmp_path_factory, data):
    recipe = make_recipe(data, "")
    file = tmp_path_factory.getbasetemp() / "back.toml"
    file.write_bytes(recipe_toml(recipe).encode())
    assert load_recipe(str(file)) == recipe
    assert make_recipe(json.loads(json.dumps(recipe.to_dict())), "") == recipe


def test_what_is_written_is_complete():
    written = load_recipe("weather").to_dict()
    assert set(written) == set(Recipe.model_fields)
    assert set(written["model"]) == set(Model.model_fields)
    assert set(written["train"]) == set(Train.model_fields)
