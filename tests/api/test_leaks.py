"""Photos that lie in several splits: told before training, beside the figures and in the report."""

from __future__ import annotations

import json
import shutil
from unicodedata import normalize

import pytest

import sortograph
from sortograph.bundle.runtime import open_bundle
from sortograph.records import EpochDone, Said

WARNING = "leak: 9 of 12 test photos are in train, too (the same content); scores on test are too good"


@pytest.fixture
def leaky(paint, tmp_path):
    """Of the twelve test photos nine are copies of training photos."""
    root = tmp_path / "leak"
    paint(root / "train", count=8)
    paint(root / "validation", count=3, first=20)
    paint(root / "test", count=1, first=30)
    for name in ("red", "green", "blue"):
        for n in range(3):
            shutil.copy(root / "train" / name / f"{n}.png", root / "test" / name / f"copy-{n}.png")
    return root


def test_a_leak_is_told_wherever_its_figures_are(leaky, train, tmp_path):
    said = []
    run = train(leaky, tmp_path / "run", progress=said.append)
    warnings = [event.text for event in said if isinstance(event, Said) and event.warning]
    assert warnings == [WARNING]
    told = json.loads(json.dumps(run.to_json()))
    assert told["leaks"] == {"train/test": 9}
    test = told["evaluation"]["test"]
    assert [test["n"]] + [test["metrics"][name]["n"] for name in ("accuracy", "accuracy_unseen")] == [
        12,
        12,
        3,
    ]
    page = run.report.read_text(encoding="utf-8")
    assert (
        "Training has seen 9 of these 12 test photos, or nearly the same ones, so this number is too good."
        in page
    )
    assert "n = 12 test photos, 9 of them also in train" in page
    assert WARNING in page
    assert "held out from training" not in page
    short = open_bundle(run.bundle).manifest.evaluation["test"]
    assert short["leaks"] == {"train": 9}
    assert short["metrics"]["accuracy_unseen"]["n"] == 3


def test_an_evaluation_takes_photos_that_were_taught_out_of_the_test(leaky, train, tmp_path, bare):
    run = train(leaky, tmp_path / "run")
    assert sortograph.evaluate(run.folder).to_json()["leaks"] == {"train/test": 9}
    again = sortograph.evaluate(run.folder, leaky)
    assert {split: result.n for split, result in again.evaluation.items()} == {
        "train": 33,
        "validation": 9,
        "test": 3,
    }
    unseen = run.evaluation["test"].metrics["accuracy_unseen"]
    assert again.evaluation["test"].metrics["accuracy"] == unseen
    assert again.to_json()["leaks"] == {}
    assert again.notes[-1].startswith("in several splits of the run: 18 photos")


def test_without_leaks_nothing_is_warned_of(photos, train, tmp_path, bare):
    said = []
    run = train(photos, tmp_path / "run", progress=said.append)
    assert not [event for event in said if isinstance(event, Said) and event.warning]
    assert run.to_json()["leaks"] == {}


def test_a_run_goes_on_with_photos_whose_names_another_system_spells(paint, train, stop, tmp_path, bare):
    """Named in Korean, begun on one system (NFC), copied and resumed on another (NFD)."""
    for form in ("NFC", "NFD"):
        paint(tmp_path / form)
        for k, name in enumerate(("red", "green", "blue")):
            folder = tmp_path / form / name
            for photo in sorted(folder.iterdir()):
                photo.rename(photo.with_name(normalize(form, f"사진é{photo.name}")))
            folder.rename(folder.with_name(normalize(form, f"색{k}é")))
    straight = train(tmp_path / "NFC", tmp_path / "straight")
    ctrl_c = stop(lambda event: isinstance(event, EpochDone))
    cut_short = train(tmp_path / "NFC", tmp_path / "run", progress=ctrl_c)
    assert cut_short.status == "interrupted"
    resumed = sortograph.train(tmp_path / "NFD", resume=tmp_path / "run")
    assert resumed.status == "finished"
    assert resumed.fingerprint == straight.fingerprint
    assert (resumed.folder / "weights.safetensors").read_bytes() == (
        straight.folder / "weights.safetensors"
    ).read_bytes()
    assert set(sortograph.evaluate(resumed.folder, tmp_path / "NFC").evaluation) == set(resumed.evaluation)
