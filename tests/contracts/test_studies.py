"""What every study that comes with sortograph must do."""

from __future__ import annotations

import re
from collections.abc import Mapping
from importlib.resources import files
from pathlib import Path

import pytest

from sortograph.recipe import load_recipe
from sortograph.sweeps.plan import check, grid, resolved
from sortograph.sweeps.reading import read_study, study_names

NAMES = study_names()
SEEDS = ("cats-dogs", "digits", "food-scenes", "sports", "weather")
BOTH = [(name, quick) for name in NAMES for quick in (False, True)]
DOCS = Path(__file__).parents[2] / "docs"


def study(name, quick):
    space = read_study(name)
    return space.quickened() if quick else space


def text_of(name):
    return (files("sortograph") / "studies" / f"{name}.toml").read_text(encoding="utf-8")


def test_each_project_has_one():
    assert {seed for seed in SEEDS if any(name.startswith(seed) for name in NAMES)} == set(SEEDS)


@pytest.mark.parametrize("name", NAMES)
def test_its_head_says_how_it_is_run(name):
    assert text_of(name).splitlines()[:2] == [
        f"# sortograph sweep PHOTOS --study {name}",
        f"# sortograph sweep PHOTOS --study {name} --quick",
    ]
    assert name in (DOCS / "studies" / "README.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("name", NAMES)
def test_its_head_counts_its_runs(name):
    """ "4 variants × 3 seeds = 12" is the number of runs."""
    space = read_study(name)
    told = re.search(r"× \d+ seeds = (\d+)", text_of(name))
    assert int(told[1]) == len(grid(space)) * len(space.seeds)


@pytest.mark.parametrize(("name", "quick"), BOTH)
def test_it_is_named_explained_and_possible(name, quick):
    space = study(name, quick)
    assert space.name == (f"{name}-quick" if quick else name)
    assert space.about
    assert space.photos
    assert space.claims
    assert len(space.seeds) >= 3
    check(space, name)


@pytest.mark.parametrize(("name", "quick"), BOTH)
def test_configurations_differ(name, quick):
    space = study(name, quick)
    made = [
        (resolved(space, one).model_dump_json(exclude={"name", "about"}), one.per_class)
        for one in grid(space)
    ]
    assert len(set(made)) == len(made)


@pytest.mark.parametrize(("name", "quick"), BOTH)
def test_its_claims_are_about_what_it_tries(name, quick):
    space = study(name, quick)
    every = [(one.variant, {**one.settings, "subset.per_class": one.per_class}) for one in grid(space)]
    for claim in space.claims:
        for side in (claim.better, claim.worse):
            if isinstance(side, Mapping):
                assert any(settings.items() >= side.items() for _, settings in every), side
            else:
                assert side in {variant for variant, _ in every}


@pytest.mark.parametrize("name", NAMES)
def test_the_quick_one_has_fewer_photos_and_says_so(name):
    space = study(name, quick=True)
    counts = [one.per_class for one in grid(space)]
    assert None not in counts
    assert all(str(count) in space.about for count in counts if count != 60)  # 60 are all of digits
    full, short = (
        [resolved(one, each).train.epochs for each in grid(one)] for one in (read_study(name), space)
    )
    assert sum(short) <= sum(full)


@pytest.mark.parametrize("name", NAMES)
def test_no_random_weights(name):
    for one in grid(read_study(name)):
        assert resolved(read_study(name), one).backbone.pretrained


def test_the_seeds_own_recipes_are_what_is_compared():
    space = read_study("cats-dogs-choices")
    found = {one.variant: resolved(space, one) for one in grid(space)}
    for variant, recipe in (("base", "cats-dogs"), ("sgd", "cats-dogs-sgd"), ("64px", "cats-dogs-64px")):
        own = load_recipe(recipe)
        assert found[variant].train == own.train
        assert found[variant].model == own.model
        assert found[variant].pixels == own.pixels
