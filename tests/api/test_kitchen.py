"""recipes: list, copy, check."""

from __future__ import annotations

import pytest

from sortograph.api import check_recipe, copy_recipe, recipes
from sortograph.errors import RecipeError, StorageError
from sortograph.recipe import load_recipe, recipe_names, recipe_text


def test_every_recipe_says_what_it_is_for():
    listed = recipes()
    assert [name for name, _ in listed] == recipe_names()
    assert all(len(about) > 10 for _, about in listed)
    assert dict(listed)["weather"] == load_recipe("weather").about


def test_a_copy_is_the_recipe_with_its_comments(tmp_path):
    file = copy_recipe("weather", tmp_path / "mine.toml")
    assert file.read_text(encoding="utf-8") == recipe_text("weather")
    assert "±72°" in file.read_text(encoding="utf-8")
    assert load_recipe(str(file)) == load_recipe("weather")


@pytest.mark.parametrize(
    ("name", "written"), [("mine", "mine.toml"), ("a.b", "a.b.toml"), ("c.toml", "c.toml")]
)
def test_a_copy_is_named_as_recipes_are(tmp_path, name, written):
    assert copy_recipe("weather", tmp_path / name) == tmp_path / written
    assert [file.name for file in tmp_path.iterdir()] == [written]
    assert load_recipe(str(tmp_path / written)) == load_recipe("weather")


@pytest.mark.parametrize("place", ["", ".", "mine"])
def test_a_copy_is_no_folder(tmp_path, monkeypatch, place):
    (tmp_path / "mine").mkdir()
    monkeypatch.chdir(tmp_path)
    with pytest.raises(StorageError, match="such a file already"):
        copy_recipe("weather", place)


def test_a_copy_takes_nobody_s_place(tmp_path):
    (tmp_path / "mine.toml").write_text("years of work")
    with pytest.raises(StorageError, match="such a file already"):
        copy_recipe("weather", tmp_path / "mine.toml")
    assert (tmp_path / "mine.toml").read_text() == "years of work"


def test_a_copy_needs_a_folder(tmp_path):
    with pytest.raises(StorageError, match="cannot write"):
        copy_recipe("weather", tmp_path / "nowhere" / "mine.toml")


def test_an_unknown_recipe(tmp_path):
    with pytest.raises(RecipeError, match="did you mean 'weather'"):
        copy_recipe("wether", tmp_path / "mine.toml")
    assert list(tmp_path.iterdir()) == []


def test_a_recipe_is_checked_with_its_shapes():
    lines = check_recipe("weather", classes=4).splitlines()
    assert lines[0].startswith("weather: four kinds of weather")
    assert lines[1].split() == ["photos", "3", "×", "180", "×", "180"]
    assert lines[-2].split() == ["output", "4", "2,052"]
    assert lines[-1] == "15,885,860 parameters"


def test_classes_come_from_the_recipe_or_are_two():
    assert check_recipe("food-scenes").splitlines()[-2].split()[:2] == ["output", "3"]
    assert check_recipe("weather").splitlines()[-2].split()[:2] == ["output", "2"]
    assert check_recipe("food-scenes", classes=5).splitlines()[-2].split()[:2] == ["output", "5"]


def test_overrides_are_checked_too():
    assert "3 × 64 × 64" in check_recipe("weather", ["pixels.size=64"])
    with pytest.raises(RecipeError, match="2 mistakes"):
        check_recipe("weather", ["pixels.size=1", "train.epoch=3"])
    with pytest.raises(RecipeError, match="too small"):
        check_recipe("weather", ["pixels.size=8", "model.filters=[4,4,4,4]"])


def test_a_sigmoid_has_two_classes():
    with pytest.raises(RecipeError, match="there are 3"):
        check_recipe("cats-dogs", classes=3)
