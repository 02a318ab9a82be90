"""backbones, weights add, weights list; the verbs behind them are stood in for."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pytest

from sortograph import api
from sortograph.errors import UsageError
from sortograph.models import registry
from sortograph.models.aliases import ALIASES
from sortograph.models.catalogue import Listed
from sortograph.records import Backbone, PreprocessSpec

WEIGHTS = b"some weights"
MINE = Backbone(
    name="mobilenetv2_100.mine",
    library="timm",
    architecture="mobilenetv2_100",
    preprocess=PreprocessSpec(
        size=(192, 256), mode="crop", crop_share=0.875, mean=(0.5,) * 3, std=(0.25,) * 3
    ),
    weights=hashlib.sha256(WEIGHTS).hexdigest(),
    features=1280,
    parameters=2_223_872,
    origin="새\x1b[31m.pth",
)
LISTED = [
    Listed(MINE.name, MINE.parameters, (192, 256), "", True),
    Listed(ALIASES["fast"], None, (224, 224), "apache-2.0", False),
]

pytestmark = pytest.mark.usefixtures("home")


def test_backbones(call, stand_in):
    seen = stand_in("backbones", LISTED)
    said = call("backbones", "mob*")
    assert said.code == 0
    assert seen["arguments"] == ("mob*",)
    header, mine, fast = said.out.splitlines()
    assert header.split() == ["backbone", "alias", "parameters", "photos", "licence", "at", "hand"]
    assert mine.split() == ["mobilenetv2_100.mine", "2.2", "M", "256×192", "not", "stated", "yes"]
    assert fast.split() == [ALIASES["fast"], "fast", "–", "224×224", "apache-2.0", "no"]
    assert said.err == "2 backbones, 1 with weights on this machine\n"


def test_backbones_that_are_at_hand_and_as_json(call, stand_in):
    stand_in("backbones", LISTED)
    assert len(call("backbones", "--at-hand", "--quiet").out.splitlines()) == 2
    found = json.loads(call("backbones", "--json").out)
    assert found["aliases"] == dict(ALIASES)
    assert found["backbones"][0] == {
        "name": "mobilenetv2_100.mine",
        "parameters": 2_223_872,
        "input_size": [192, 256],
        "licence": "",
        "at_hand": True,
    }


def test_no_backbone_fits(call, stand_in):
    stand_in("backbones", [])
    said = call("backbones", "nothing*")
    assert (said.code, said.out) == (0, "")
    assert said.err == "no backbone fits 'nothing*'\n"
    assert json.loads(call("backbones", "nothing*", "--json").out)["backbones"] == []


@pytest.fixture
def seen(monkeypatch):
    """What was asked to be added; nothing is."""
    told: dict[str, object] = {}

    def add_weights(name, file, **options):
        told.update(options, name=name, file=file)
        return MINE

    monkeypatch.setattr(api, "add_weights", add_weights, raising=False)
    return told


def test_weights_are_added_as_typed(call, seen):
    said = call(
        "weights", "add", MINE.name, "w.pth", "--mean", "0.5", "--std", "0.2,0.3, 0.4",
        "--input-size", "192,256", "--model-arg", "pad_type=same", "--model-arg", "depth=3",
        "--licence", "mit", "--origin", "here",
    )  # fmt: skip
    assert said.code == 0
    assert seen == {
        "name": MINE.name,
        "file": Path("w.pth"),
        "mean": 0.5,
        "std": (0.2, 0.3, 0.4),
        "input_size": (192, 256),
        "arguments": {"pad_type": "same", "depth": 3},
        "licence": "mit",
        "origin": "here",
    }
    lines = dict(line.split("  ", 1) for line in said.out.splitlines())
    assert lines["sees photos as"] == "256×192 pixels, crop, bilinear"
    assert lines["mean and std"].strip() == "0.5 and 0.25"
    assert lines["licence"].strip() == "not stated"
    assert MINE.weights in lines["weights"]
    assert "train PHOTOS" in lines["next"]
    assert MINE.name in lines["next"]


def test_what_is_not_told_is_left_to_the_library(call, seen):
    found = json.loads(call("weights", "add", MINE.name, "w.pth", "--input-size", "96", "--json").out)
    assert Backbone.from_json(found) == MINE
    assert (seen["mean"], seen["std"], seen["input_size"], seen["arguments"]) == (None, None, (96, 96), {})


@pytest.mark.parametrize(
    "options",
    [
        ("--mean", "0.5,0.5"),
        ("--std", "half"),
        ("--input-size", "big"),
        ("--input-size", "1,2,3"),
        ("--input-size", "1,"),
        ("--model-arg", "pad_type"),
        ("--model-arg", "=same"),
    ],
)
def test_options_that_cannot_be_read(call, seen, options):
    said = call("weights", "add", MINE.name, "w.pth", *options)
    assert said.code == 2
    assert " ".join(options).partition("=")[0].rstrip() in said.err
    assert "expected:" in said.err
    assert seen == {}


def test_refusals_are_told(call, stand_in):
    stand_in("add_weights", raises=UsageError("there are weights of that name already", fix="another tag"))
    said = call("weights", "add", MINE.name, "w.pth")
    assert said.code == 2
    assert "already" in said.err


def test_an_empty_list(call):
    assert call("weights") == call("weights", "list")
    said = call("weights", "list")
    assert (said.code, said.out) == (0, "")
    assert "sortograph weights add NAME FILE" in said.err
    assert json.loads(call("weights", "list", "--json").out) == {
        "weights": [],
        "damaged": {},
        "place": str(registry.folder()),
    }


def test_the_list_with_a_damaged_one(call):
    registry.add(MINE, WEIGHTS)
    place = registry.folder() / "mobilenetv2_100.bad"
    place.mkdir()
    (place / "backbone.json").write_text("{}", "utf-8")
    said = call("weights", "list")
    assert said.code == 0
    header, row, place = said.out.splitlines()
    assert place == f"place  {registry.folder()}"
    assert header.split() == ["backbone", "network", "parameters", "licence", "origin"]
    assert row.split()[:4] == ["mobilenetv2_100.mine", "mobilenetv2_100", "2.2", "M"]
    assert "\\x1b[31m.pth" in row
    assert "warning: the added weights 'mobilenetv2_100.bad' cannot be used" in said.err
    found = json.loads(call("weights", "list", "--json").out)
    assert [Backbone.from_json(one) for one in found["weights"]] == [MINE]
    assert list(found["damaged"]) == ["mobilenetv2_100.bad"]


def test_doctor_names_them(call):
    registry.add(MINE, WEIGHTS)
    assert "added weights  mobilenetv2_100.mine" in call("doctor").out
    assert json.loads(call("doctor", "--json").out)["weights"] == [
        {"name": "mobilenetv2_100.mine", "licence": "", "damaged": None}
    ]
    assert "weights.1.name" in call("doctor", "--verbose").out
