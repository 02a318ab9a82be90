from __future__ import annotations

import subprocess
import sys

import pytest

from sortograph.errors import RecipeError
from sortograph.models import plan
from sortograph.models.layers import Activation, BatchNorm, Conv, Pool, Residual, flat
from sortograph.recipe import Model, load_recipe

# What the flattened feature map of each recipe has, worked out by hand.
FLATTENED = {
    "weather": 22 * 22 * 64,
    "weather-base": 22 * 22 * 64,
    "cats-dogs": 9 * 9 * 256,
    "cats-dogs-64px": 4 * 4 * 256,
    "cats-dogs-dense": 150 * 150 * 3,
    "food-scenes": 9 * 9 * 128,
    "food-scenes-bn": 9 * 9 * 128,
    "digits": 4 * 4 * 64,
}


def kinds(model: Model, size: tuple[int, int] = (64, 64)) -> list[str]:
    return [type(layer).__name__ for layer in plan(model, size, 2).layers]


@pytest.mark.parametrize("name", FLATTENED)
def test_flattened_features_of_a_recipe(name):
    recipe = load_recipe(name)
    made = plan(recipe.model, recipe.pixels.spec().size, 2)
    shapes = [shape for shape in made.shapes if len(shape) == 1]
    assert shapes[0] == (FLATTENED[name],)
    assert made.shapes[-1] == ((1,) if made.sigmoid else (2,))


def test_shapes_of_each_layer():
    made = plan(Model(filters=(4, 8), dense=(5,)), (13, 10), 3)
    maps = [(4, 13, 10), (4, 6, 5), (4, 6, 5), (8, 6, 5), (8, 3, 2), (8, 3, 2)]
    assert list(made.shapes) == [*maps, (48,), (5,), (5,), (3,)]
    assert made.embedding == 5


def test_parameters_are_counted_by_hand():
    made = plan(Model(filters=(4,), dense=(5,), batch_norm=True), (8, 8), 3)
    by_hand = (27 * 4 + 4) + 2 * 4 + (4 * 4 * 4 * 5 + 5) + (5 * 3 + 3)
    assert made.parameters == by_hand  # running statistics are not trained
    assert made.summary().endswith(f"\n{by_hand} parameters")


def test_the_activation_waits_for_the_pool_where_it_changes_nothing():
    assert kinds(Model(filters=(4,)))[:3] == ["Conv", "Pool", "Activation"]
    assert kinds(Model(filters=(4,), activation="silu"))[:3] == ["Conv", "Activation", "Pool"]
    assert kinds(Model(filters=(4,), activation="gelu"))[:3] == ["Conv", "Activation", "Pool"]


def test_every_convolution_of_a_block_has_its_normalisation_and_activation():
    model = Model(filters=(4,), convolutions=2, batch_norm=True, activation="tanh")
    one = ["Conv", "BatchNorm"]
    assert kinds(model)[:6] == [*one, "Activation", *one, "Pool"]


def test_a_pool_of_one_and_a_dropout_of_zero_are_no_layers():
    assert "Pool" not in kinds(Model(filters=(4,), pool=1))
    assert "Dropout" not in kinds(Model())
    assert kinds(Model(dropout=0.5, dense=(4,), dense_dropout=0.2))[-5:] == [
        "Dropout",
        "Dense",
        "Activation",
        "Dropout",
        "Dense",
    ]


def test_residual_units():
    model = Model(kind="residual", filters=(8, 8, 16), stem=2, batch_norm=True, global_pool="average")
    made = plan(model, (64, 48), 3)
    units = [layer for layer in made.layers if isinstance(layer, Residual)]
    assert [len(unit.shortcut) for unit in units] == [0, 0, 1]
    assert [len(unit.body) for unit in units] == [4, 6, 6]  # the first is entered after an activation
    assert [type(layer) for layer in made.layers[:4]] == [Conv, BatchNorm, Activation, Residual]
    assert [shape for shape in made.shapes if len(shape) == 3][-1] == (16, 8, 6)  # 64 → 32, two pools
    assert sum(isinstance(layer, Pool) for layer in made.layers) == 2


@pytest.mark.parametrize(
    ("batch_norm", "initialisation", "bias"),
    [(True, "he", False), (True, "keras", True), (False, "he", True), (False, "keras", True)],
)
def test_a_bias_is_left_out_only_where_it_would_be_subtracted_again(batch_norm, initialisation, bias):
    for kind in ("cnn", "residual"):
        model = Model(kind=kind, filters=(4, 8), batch_norm=batch_norm, initialisation=initialisation)
        layers = flat(plan(model, (16, 16), 2).layers)
        assert {layer.bias for layer in layers if isinstance(layer, Conv)} == {bias}


def test_names_are_unique():
    for kind in ("cnn", "residual"):
        model = Model(kind=kind, filters=(4, 8, 8), batch_norm=True, dense=(8, 8))
        layers = flat(plan(model, (32, 32), 2).layers)
        names = [layer.name for layer in layers if hasattr(layer, "name")]
        assert len(set(names)) == len(names)


@pytest.mark.parametrize(
    ("model", "size", "told", "least"),
    [
        (Model(filters=(2, 2, 2)), (7, 30), "7×30 → 3×15 → 1×7 → 0×3", 8),
        (Model(filters=(2, 2), pool=3), (8, 9), "8×9 → 2×3 → 0×1", 9),
        (Model(kind="residual", filters=(2, 2, 2), stem=4), (12, 12), "12×12 → 3×3 → 1×1 → 0×0", 13),
    ],
)
def test_too_small_a_photo_is_refused_with_the_smallest_that_works(model, size, told, least):
    with pytest.raises(RecipeError) as caught:
        plan(model, size, 2)
    assert told in str(caught.value)
    assert f"--set pixels.size={least}" in caught.value.fix
    assert plan(model, (least, least), 2).shapes


def test_a_size_that_no_recipe_may_have_is_not_recommended():
    with pytest.raises(RecipeError) as caught:
        plan(Model(filters=(2, 2, 2, 2), pool=8), (512, 512), 2)
    assert "4096" in caught.value.expected
    assert "model.pool" in caught.value.fix


@pytest.mark.parametrize("classes", [1, 3])
def test_a_sigmoid_tells_two_classes(classes):
    with pytest.raises(RecipeError, match=f"there are {classes}"):
        plan(Model(output="sigmoid"), (64, 64), classes)
    assert plan(Model(output="sigmoid"), (64, 64), 2).head.units == 1


def test_a_network_that_no_file_can_hold_is_refused_before_it_is_made():
    with pytest.raises(RecipeError, match=r"dense1\.weight has 512 × 4,194,304"):
        plan(Model(), (2048, 2048), 2)


def test_plans_and_graphs_need_no_torch():
    code = (
        "import sys, numpy\n"
        "from sortograph.models import plan\n"
        "from sortograph.recipe import Model\n"
        "from sortograph.export import to_onnx\n"
        "from sortograph.records import PreprocessSpec\n"
        "made = plan(Model(filters=(4,)), (8, 8), 2)\n"
        "assert 'onnx' not in sys.modules\n"
        "state = {name: numpy.zeros(shape) for name, shape in made.weights().items()}\n"
        "assert to_onnx(made, PreprocessSpec(size=(8, 8)), state)\n"
        "assert 'torch' not in sys.modules\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_without_torch_the_extra_is_named():
    code = (
        "import sys\n"
        "sys.modules['torch'] = None\n"
        "from sortograph.errors import MissingExtra\n"
        "import sortograph.models\n"
        "try:\n"
        "    sortograph.models.build\n"
        "except MissingExtra as error:\n"
        "    print(error.fix)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == 'pip install "sortograph[train]"'


def test_a_name_that_does_not_exist():
    import sortograph.models

    with pytest.raises(AttributeError, match="bild"):
        _ = sortograph.models.bild
