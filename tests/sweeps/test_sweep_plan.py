from __future__ import annotations

import pytest

from sortograph.errors import UsageError
from sortograph.recipe import load_recipe, make_recipe
from sortograph.sweeps.plan import check, grid, recipe_data, resolved, samples


def test_a_study_of_variants(make):
    found = grid(make())
    assert [(one.name, one.variant, dict(one.told)) for one in found] == [
        ("a", "a", {}),
        ("b", "b", {"train.optimiser": "sgd"}),
    ]


def test_every_combination_has_a_number(make):
    space = make(variant=None, space={"model.dropout": [0.0, 0.5], "train.batch_size": [4, 8, 16]})
    found = grid(space)
    assert [one.name for one in found] == ["c1", "c2", "c3", "c4", "c5", "c6"]
    assert dict(found[1].told) == {"model.dropout": 0.0, "train.batch_size": 8}
    assert len({tuple(one.told.values()) for one in found}) == 6


def test_variants_with_axes_and_a_limit(make):
    space = make(space={"model.dropout": [0.0, 0.5]})
    assert [one.name for one in grid(space)] == ["a-1", "a-2", "b-3", "b-4"]
    assert [one.name for one in grid(make(space={"model.dropout": [0.0, 0.5]}, trials=3))] == [
        "a-1",
        "a-2",
        "b-3",
    ]


def test_more_trials_change_no_name(make):
    rates = {"model.dropout": [0.0, 0.1, 0.2], "train.batch_size": [2, 4, 8, 16]}
    few, many = (grid(make(variant=None, space=rates, trials=count)) for count in (9, 12))
    assert [one.name for one in few] == [one.name for one in many[:9]]
    assert (few[0].name, many[-1].name) == ("c01", "c12")


def test_the_later_goes_over_the_earlier(make):
    space = make(
        set={"train.epochs": 1, "train.batch_size": 2, "model.dropout": 0.1},
        variant=[{"name": "a", "set": {"train.batch_size": 4, "model.dropout": 0.2}}],
        space={"model.dropout": [0.3]},
    )
    (one,) = grid(space)
    recipe = resolved(space, one)
    assert (recipe.train.epochs, recipe.train.batch_size, recipe.model.dropout) == (1, 4, 0.3)
    assert recipe.name == "a-1"


def test_subsets_are_no_part_of_the_recipe(make):
    space = make(
        subset={"per_class": 9}, variant=[{"name": "a"}, {"name": "b", "set": {"subset.per_class": 2}}]
    )
    assert [one.per_class for one in grid(space)] == [9, 2]
    assert all("subset" not in recipe_data(space, one) for one in grid(space))


def test_splits_and_classes_are_those_of_the_space_for_all(make):
    """food-scenes has classes and groups of its own; with weather-base's split, all have the same photos."""
    space = make(variant=[{"name": "a"}, {"name": "b", "recipe": "food-scenes"}])
    a, b = (resolved(space, one) for one in grid(space))
    assert a.split == b.split == load_recipe("weather-base").split
    assert a.data == b.data == load_recipe("weather-base").data
    assert b.model == load_recipe("food-scenes").model


def test_a_half_that_chooses_is_asked_for_beside_what_the_split_has(make):
    space = make()
    one = grid(space)[0]
    plain, half = recipe_data(space, one), recipe_data(space, one, halved=True)
    assert not make_recipe(plain, "a").split.reserve
    assert half["split"] == {**plain["split"], "reserve": True}
    assert {**half, "split": None} == {**plain, "split": None}


def test_only_what_is_set_is_written(make):
    """A backbone asks what of [pixels] was set: a recipe with all values would say everything was."""
    space = make(recipe="weather-transfer", variant=[{"name": "a"}])
    data = recipe_data(space, grid(space)[0])
    assert "pixels" not in data
    assert make_recipe(data, "a").pixels.model_fields_set == set()


def test_values_that_a_recipe_does_not_take_are_told_at_once(make):
    space = make(
        variant=[{"name": "a", "set": {"train.optimiser": "adm"}}, {"name": "b", "set": {"model.kernel": 0}}],
        subset={"per_class": 3},
    )
    with pytest.raises(UsageError) as caught:
        check(space, "mine.toml")
    assert "2 mistakes in the space mine.toml" in str(caught.value)
    assert "variant a: train.optimiser" in str(caught.value)
    assert "variant b: model.kernel" in str(caught.value)


def test_ends_of_a_search_are_checked(make):
    space = make(variant=None, method="tpe", trials=3, space={"model.dropout": {"low": 0.0, "high": 1.5}})
    assert [dict(one.told) for one in samples(space)] == [{"model.dropout": 0.0}, {"model.dropout": 1.5}]
    with pytest.raises(UsageError, match=r"model\.dropout"):
        check(space, "x")


def test_a_subset_must_be_a_number(make):
    space = make(variant=[{"name": "a", "set": {"subset.per_class": "many"}}])
    with pytest.raises(UsageError, match="expected a whole number from 1, not 'many'"):
        check(space, "x")
