from __future__ import annotations

import json
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from sortograph.errors import MissingExtra, RunError
from sortograph.records import EpochDone, EpochRow


def test_options_reach_the_verb(call, stand_in, make_record):
    seen = stand_in("train", make_record())
    options = [
        "--recipe",
        "weather",
        "--set",
        "train.epochs=3",
        "--set",
        "a.b=[1,2]",
        "--seed",
        "4",
        "--out",
        "o",
    ]
    assert call("train", "my photos", *options, "--classes", "b,a").code == 0
    assert seen["arguments"] == (Path("my photos"),)
    assert seen["recipe"] == "weather"
    assert list(seen["overrides"]) == ["train.epochs=3", "a.b=[1,2]"]
    assert (seen["seed"], seen["out"], seen["classes"], seen["resume"]) == (4, Path("o"), ["b", "a"], None)


def test_what_is_not_given_is_left_to_the_verb(call, stand_in, make_record):
    seen = stand_in("train", make_record())
    call("train", "photos")
    assert "recipe" not in seen
    assert seen["seed"] is None
    assert seen["classes"] is None


def test_results_on_stdout_progress_on_stderr(call, stand_in, make_record, monkeypatch):
    def train(_photos, *, progress, **_):
        progress(EpochDone(EpochRow(1, 0.5, 0.75, 0.6, 0.7, 1e-3, 1.5, 80.0), 2, 1.0, True))
        return make_record()

    stand_in("train")
    monkeypatch.setattr("sortograph.api.train", train)
    said = call("train", "photos")
    assert "1/2" in said.err
    assert "1/2" not in said.out
    assert said.out.splitlines()[-1].replace("\\", "/") == "next  sortograph predict runs/tiny PHOTOS"
    assert call("train", "photos", "--quiet").err == ""


def test_json_is_one_object(call, stand_in, make_record):
    stand_in("train", make_record())
    said = call("train", "photos", "--json")
    found = json.loads(said.out)
    assert said.out.count("\n") == 1
    assert set(found) >= {"run", "bundle", "report", "recipe", "seed", "seconds", "evaluation"}
    accuracy = found["evaluation"]["test"]["metrics"]["accuracy"]
    assert set(accuracy) == {"value", "low", "high", "level", "n", "method"}


@pytest.mark.parametrize("json_", [False, True])
def test_an_interrupted_run_says_how_it_goes_on(call, stand_in, make_record, json_):
    stand_in("train", make_record(Path("my run"), "interrupted", epochs=1))
    said = call("train", Path("-photos").absolute(), *["--json"] * json_)
    assert said.code == 130
    assert "interrupted after 1 epoch;" in said.err
    if sys.platform != "win32":
        command = said.err.splitlines()[-1]
        assert command.startswith("  next: sortograph train ")
        assert command.endswith("-photos --resume 'my run'")


@pytest.mark.parametrize("kind", ["auto", "backbone"])
def test_an_interrupted_head_begins_anew(call, stand_in, make_record, kind):
    record = make_record(Path("run"), "interrupted")
    stand_in("train", replace(record, recipe={**record.recipe, "model": {"kind": kind}}))
    last = call("train", "photos").err.splitlines()[-1]
    assert last.replace("\\", "/").endswith(" train photos --recipe run/recipe.toml")


@pytest.mark.skipif(sys.platform == "win32", reason="another shell")
def test_a_folder_is_never_printed_as_an_option(call, stand_in, make_record):
    stand_in("train", make_record(status="interrupted"))
    said = call("train", "--", "-photos")
    assert "  next: sortograph train ./-photos --resume runs/tiny\n" in said.err


def test_places_that_do_not_exist_are_not_named(call, stand_in, make_record, tmp_path):
    stand_in("train", make_record())
    assert "model.onnx" not in call("train", "photos").out
    (tmp_path / "runs" / "tiny").mkdir(parents=True)
    (tmp_path / "runs" / "tiny" / "model.onnx").touch()
    out = call("train", "photos").out
    assert "model.onnx" in out
    assert "report.html" not in out


def test_a_recipe_cannot_change_on_the_way(call, stand_in, make_record):
    seen = stand_in("train", make_record())
    said = call("train", "photos", "--resume", "runs/a", "--recipe", "cnn")
    assert said.code == 2
    assert not seen
    assert said.err.splitlines()[-1].startswith("  next: sortograph train photos --resume")


@pytest.mark.parametrize(
    ("error", "code"),
    [(RunError("used", where="o"), 3), (MissingExtra.of("train", "torch"), 5), (ValueError("x"), 1)],
)
def test_errors_have_their_codes(call, stand_in, error, code, monkeypatch, tmp_path):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    stand_in("train", raises=error)
    said = call("train", "photos")
    assert said.code == code
    assert said.out == ""
    assert said.err.startswith("error: ")


def test_all_mistakes_of_set_at_once(call, photos):
    options = ["train.epohs=3", "foo", "model.kind='tree'", "pixls.size=3", "train.epochs=0"]
    said = call("train", photos, *[word for text in options for word in ("--set", text)])
    assert said.code == 2
    assert said.err.startswith("error: 5 mistakes in the recipe")
    for word in ("epohs", "'epochs'", "foo", "tree", "pixls", "'pixels'", "train.epochs"):
        assert word in said.err


def test_demo_ends_with_a_command_that_runs(call, stand_in, make_record):
    seen = stand_in("demo", make_record(Path("sortograph-demo/digits-1")))
    said = call("demo", "--seed", "2", "--out", "here")
    assert (seen["seed"], seen["out"]) == (2, Path("here"))
    last = said.out.splitlines()[-1].replace("\\", "/")
    assert last == "next  sortograph predict sortograph-demo/digits-1 sortograph-demo/photos"
    assert json.loads(call("demo", "--json").out)["recipe"] == "tiny"
