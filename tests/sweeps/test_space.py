from __future__ import annotations

import tomllib

import pytest
import tomli_w

from sortograph.errors import UsageError
from sortograph.sweeps.axes import Axis
from sortograph.sweeps.reading import make_space, read_space, read_study

TOML = """
recipe = "weather-base"
method = "tpe"
trials = 5
[set]
train.epochs = 3
[space]
train.learning_rate = {low = 1e-4, high = 0.1, log = true}
"model.dropout" = [0.0, 0.5]
"""


def test_a_file_is_read_and_named_by_its_name(tmp_path):
    (tmp_path / "my space.toml").write_text(TOML)
    space = read_space(tmp_path / "my space.toml")
    assert space.name == "my-space"
    assert space.set == {"train.epochs": 3}
    assert space.space == {
        "train.learning_rate": Axis.of({"low": 1e-4, "high": 0.1, "log": True}),
        "model.dropout": Axis.of([0.0, 0.5]),
    }
    assert space.seeds == (1, 2, 3)


def test_written_and_read_again_it_is_the_same(make):
    claims = [{"text": "t", "better": {"model.dropout": 0.5}, "worse": "a", "measure": "gap"}]
    space = make(
        space={"model.dropout": [0.0, 0.5]},
        claims=claims,
        subset={"per_class": 3},
        quick={"set": {"train.epochs": 1}, "seeds": [4]},
        overrides=["train.batch_size=4"],
    )
    assert make_space(tomllib.loads(tomli_w.dumps(space.to_dict())), "again") == space


def test_everything_that_is_wrong_is_told_at_once():
    with pytest.raises(UsageError) as caught:
        make_space(
            {
                "recipe": "weather-base",
                "metod": "grid",
                "seeds": [1, 1],
                "space": {"model.dropout": []},
                "variant": [{"name": "a/b", "sett": {}}],
                "claims": [{"text": "x", "better": "a"}],
            },
            "mine.toml",
        )
    text = str(caught.value)
    assert "6 mistakes in the space mine.toml" in text
    for part in (
        "metod (did you mean 'method'?)",
        "seeds: a seed twice",
        "space.model.dropout: an empty list",
        "variant.0.name: expected up to 80",
        "sett (did you mean 'set'?)",
        "claims.0.worse",
    ):
        assert part in text


def test_what_only_the_parts_together_tell(make):
    with pytest.raises(UsageError) as caught:
        make(
            reference="c",
            set={"train.lerning_rate": 1, "split.seed": 3},
            recipe="wether-base",
            space={"train.momentum": {"low": 0.0, "high": 0.9}, "dropout": [1]},
            variant=[{"name": "a"}, {"name": "a", "set": {"train.seed": 2}}],
            claims=[{"text": "t", "better": "a", "worse": "d"}],
            overrides=["train.momentum=0.5"],
        )
    text = str(caught.value)
    for part in (
        "train.lerning_rate (did you mean 'train.learning_rate'?)",
        "split.seed must be the same for all",
        "no recipe named 'wether-base'",
        "space.train.momentum: a grid needs",
        "variant a: named 2 times",
        "unknown key dropout (did you mean model.dropout, head.dropout?)",
        "train.seed is what `seeds` is for",
        "reference: no variant named 'c'",
        "claims: no variant named 'd'",
        "--set train.momentum=0.5: the sweep itself varies train.momentum",
    ):
        assert part in text


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"variant": None}, "nothing to vary"),
        ({"recipe": None}, "recipe: name one"),
        ({"method": "tpe"}, "trials: how many"),
        ({"method": "gird"}, "method"),
        ({"seeds": []}, "seeds"),
        ({"overrides": ["train.seed=4"]}, "varies train.seed"),
        ({"overrides": ["subset.per_class=4"]}, "no value of a recipe"),
        ({"quick": {"variants": ["z"]}}, "quick.variants: no variant named 'z'"),
        ({"subset": {"per_class": 3, "sed": 1}}, "unknown key subset.sed"),
    ],
)
def test_single_mistakes(make, changes, reason):
    with pytest.raises(UsageError, match="a mistake") as caught:
        make(**changes)
    assert reason in str(caught.value)


def test_files_that_cannot_be_read(tmp_path):
    with pytest.raises(UsageError, match="cannot read the space"):
        read_space(tmp_path / "none.toml")
    (tmp_path / "bad.toml").write_text("a = [")
    with pytest.raises(UsageError, match="not valid TOML"):
        read_space(tmp_path / "bad.toml")


def test_unknown_studies_get_the_nearest_name():
    with pytest.raises(UsageError, match="did you mean 'weather-overfitting'"):
        read_study("weather-overfiting")


def test_quick_goes_over_the_rest(make):
    quick = {
        "about": "short",
        "set": {"train.epochs": 2},
        "seeds": [7],
        "variants": ["b"],
        "subset": {"per_class": 3},
        "space": {"model.dropout": [0.1]},
    }
    space = make(
        space={"model.dropout": [0.0, 0.5]}, set={"train.epochs": 9, "train.batch_size": 4}, quick=quick
    )
    found = space.quickened()
    assert (found.name, found.about, found.seeds, found.quick) == ("mine-quick", "short", (7,), None)
    assert found.set == {"train.epochs": 2, "train.batch_size": 4}
    assert [one.name for one in found.variant] == ["b"]
    assert found.space["model.dropout"].values() == (0.1,)
    assert found.subset.per_class == 3
