from __future__ import annotations

import json
from pathlib import Path

import pytest

from sortograph.errors import Interrupted
from sortograph.records import Estimate
from sortograph.records.sweeps import Claimed, Configuration, Contrast, Standing, Swept


def share(value, n):
    return Estimate(value, value - 0.05, value + 0.05, 0.95, n, "wilson")


@pytest.fixture
def swept():
    def made(left=(), **settings):
        def standing(name, value):
            one = Configuration(name, name, "r", settings, settings)
            parts = share(0.95, 100), share(value, 20), share(value - 0.02, 50)
            return Standing(one, "finished", (1, 2), value, 0.012, *parts, 0.95 - value, 33.0)

        pair = Contrast("b", "a", "accuracy", share(0.08, 50), 0.01, 0.02, "test", 2)
        claim = Claimed("b is better", "96 %", "reproduced", pair)
        return Swept(
            Path("runs/sweep-x"),
            "x",
            "open" if left else "finished",
            "validation_accuracy",
            (standing("b", 0.9), standing("a", 0.8)),
            "b",
            "a",
            (pair,),
            (claim,),
            left,
            "So it is.",
            9.0,
        )

    return made


def test_the_table_the_claims_the_paragraph_and_the_places(call, stand_in, swept):
    seen = stand_in("sweep", swept())
    said = call("sweep", "photos", "--study", "weather-overfitting", "--quick")
    assert said.code == 0
    assert seen["arguments"] == (Path("photos"),)
    assert (seen["study"], seen["quick"], seen["jobs"], seen["seeds"]) == (
        "weather-overfitting",
        True,
        1,
        None,
    )
    lines = said.out.splitlines()
    assert "validation, n = 20" in lines[1]
    assert lines[2].split()[:3] == ["b", "2", "90.0"]
    assert "83.0 – 93.0" in lines[2]
    assert "settings" not in lines[1]
    assert any(
        line.startswith("reproduced") and "+8.0 points on the same 50 test photos" in line for line in lines
    )
    assert "So it is." in lines
    assert lines[-1].split()[1:] == ["sortograph", "predict", "runs/sweep-x/runs/b-seed1", "PHOTOS"]


def test_settings_are_shown_where_there_are_any(call, stand_in, swept):
    stand_in("sweep", swept(**{"train.learning_rate": 0.00123456, "head.dense": [256, 128]}))
    out = call("sweep", "photos", "--space", "x.toml").out
    assert "learning_rate 0.00123, dense 256-128" in out


def test_more_with_verbose(call, stand_in, swept):
    stand_in("sweep", swept())
    assert "+3.0 to +13.0" not in call("sweep", "photos", "--space", "x.toml").out.partition("reproduced")[0]
    assert (
        "+3.0 to +13.0"
        in call("sweep", "photos", "--space", "x.toml", "--verbose").out.partition("reproduced")[0]
    )


def test_what_is_left_and_how_to_go_on(call, stand_in, swept):
    stand_in("sweep", swept(left=("b, seed 2", "a, seed 2")))
    lines = call("sweep", "photos", "--space", "x.toml", "--budget", "1m").out.splitlines()
    assert lines[-2].split() == ["left", "2", "runs"]
    assert lines[-1].split()[1:] == ["sortograph", "sweep", "photos", "--out", "runs/sweep-x"]


def test_options_reach_the_verb(call, stand_in, swept):
    seen = stand_in("sweep", swept())
    call(
        "sweep",
        "photos",
        "--space",
        "x.toml",
        "--out",
        "o",
        "--trials",
        "4",
        "--budget",
        "2m",
        "--seeds",
        "3, 4",
        "--jobs",
        "2",
        "--set",
        "train.epochs=1",
    )
    assert (seen["space"], seen["out"]) == (Path("x.toml"), Path("o"))
    assert (seen["trials"], seen["budget"], seen["seeds"], seen["jobs"]) == (4, 120.0, [3, 4], 2)
    assert seen["overrides"] == ["train.epochs=1"]


def test_json(call, stand_in, swept):
    stand_in("sweep", swept())
    said = call("sweep", "photos", "--space", "x.toml", "--json", "--quiet")
    data = json.loads(said.out)
    assert (data["sweep"], data["chosen"], data["claims"][0]["verdict"]) == (
        "runs/sweep-x",
        "b",
        "reproduced",
    )
    assert said.err == ""


@pytest.mark.parametrize("seeds", ["", "1,x", "-1", "1,,2", "1.5", "99999999999"])
def test_seeds_are_whole_numbers(call, seeds):
    said = call("sweep", "photos", "--space", "x.toml", f"--seeds={seeds}")
    assert said.code == 2
    assert "next: --seeds 1,2,3" in said.err


def test_interrupted(call, stand_in):
    stand_in(
        "sweep", raises=Interrupted("interrupted with 3 runs left", fix="sortograph sweep photos --out o")
    )
    said = call("sweep", "photos", "--space", "x.toml")
    assert said.code == 130
    assert "next: sortograph sweep photos --out o" in said.err


def test_mistakes_of_a_space_have_no_traceback(call, tmp_path):
    (tmp_path / "x.toml").write_text('recipe = "weathr"\nmetod = 1\n')
    said = call("sweep", "photos", "--space", "x.toml")
    assert said.code == 2
    assert "did you mean 'method'" in said.err
    assert "Traceback" not in said.err
