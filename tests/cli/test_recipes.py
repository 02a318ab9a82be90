from __future__ import annotations

import json
import tomllib

import pytest

from sortograph.recipe import recipe_names, recipe_text


def test_list_is_what_comes_without_a_word(call):
    assert call("recipes") == call("recipes", "list")
    out = call("recipes").out
    assert [line.split()[0] for line in out.splitlines()[1:]] == recipe_names()


def test_list_as_json(call):
    found = json.loads(call("recipes", "list", "--json").out)["recipes"]
    assert [recipe["name"] for recipe in found] == recipe_names()
    assert all(recipe["about"] for recipe in found)


def test_show_is_the_text_itself(call):
    assert call("recipes", "show", "weather").out.strip() == recipe_text("weather").strip()


def test_show_obeys_no_codes_of_a_file(call, tmp_path):
    (tmp_path / "mine.toml").write_text('about = "a\x1b[2J"\n\t# 새\n', encoding="utf-8")
    assert call("recipes", "show", "mine.toml").out == 'about = "a\\x1b[2J"\n\t# 새\n'


def test_copy_check_and_what_to_type_next(call, tmp_path):
    said = call("recipes", "copy", "weather", "my own.toml")
    assert said.code == 0
    assert "--recipe" in said.out.splitlines()[-1]
    assert "my own.toml" in said.out.splitlines()[-1]
    assert tomllib.loads((tmp_path / "my own.toml").read_text("utf-8"))["name"] == "weather"
    assert call("recipes", "check", "my own.toml").code == 0
    again = call("recipes", "copy", "weather", "my own.toml")
    assert again.code == 3
    assert "my own.toml" in again.err


def test_a_copy_can_be_used_as_it_is_told(call, tmp_path):
    said = call("recipes", "copy", "weather", "mine")
    assert said.code == 0
    assert said.out.splitlines()[-1] == "next    sortograph train PHOTOS --recipe mine.toml"
    assert call("recipes", "check", "mine.toml").code == 0


def test_check_shows_the_layers(call):
    out = call("recipes", "check", "cnn", "--set", "pixels.size=64").out
    assert out.startswith("cnn: ")
    assert "64" in out
    assert len(out.splitlines()) > 5


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["show", "wether"], ["'weather'", "sortograph recipes list"]),
        (["check", "wether"], ["'weather'"]),
        (
            ["check", "cnn", "--set", "train.epohs=1", "--set", "model.kernel=99"],
            ["'epochs'", "model.kernel", "2 mistakes"],
        ),
        (["show", "missing.toml"], ["missing.toml"]),
    ],
)
def test_mistakes(call, arguments, words):
    said = call("recipes", *arguments)
    assert said.code == 2
    assert said.out == ""
    assert all(word in said.err for word in words)
