"""Which validation photos choose in a sweep, and that all of its runs have the same."""

from __future__ import annotations

import csv
import json
import tomllib

import numpy as np
import pytest

import sortograph
from sortograph import runs
from sortograph.api.placing import run_index
from sortograph.dataset.halves import halved
from sortograph.errors import RunError
from sortograph.recipe import load_recipe
from sortograph.sweeps.conclusions import CAUTION
from swept import titles


@pytest.mark.usefixtures("bare")
def test_half_of_the_validation_photos_choose_and_the_others_calibrate(photos, space, tmp_path):
    """Trained for real, with an epoch that nothing chooses: by itself, such a run calibrates on all."""
    changes = ["split.validation=0.4", "train.keep=last"]
    swept = sortograph.sweep(photos, space=space, out=tmp_path / "sweep", seeds=[1], overrides=changes)
    best = swept.standings[0]
    record = runs.read_run(tmp_path / "sweep" / "runs" / f"{best.configuration.name}-seed1")
    index = run_index(record)
    select, calibrate = halved(index, index.rows("validation"), record.recipe["split"]["seed"])
    assert record.trust.n == len(calibrate) > 1
    with (record.folder / "predictions.csv").open(encoding="utf-8", newline="") as file:
        right = {row["path"]: row["right"] == "true" for row in csv.DictReader(file)}
    by_hand = [right[index.paths[row]] for row in select.tolist()]
    assert best.score == best.choosing.value == pytest.approx(np.mean(by_hand))
    assert (best.choosing.n, best.validation.n) == (len(select), len(select) + len(calibrate))
    assert f"n = {len(select)}), {best.configuration.name} is chosen" in swept.conclusion
    assert tomllib.loads((tmp_path / "sweep" / "space.toml").read_text())["found"]["choosing"] == len(select)


def age(out):
    """The folder as it was written when all validation photos chose."""
    for file in (out / "space.toml", *(out / "recipes").iterdir()):
        lines = file.read_text().splitlines()
        kept = [line for line in lines if not line.startswith(("reserve = ", "choosing = "))]
        assert len(kept) == len(lines) - 1
        file.write_text("\n".join(kept))
    for file in out.glob("runs/*/run.json"):
        data = json.loads(file.read_text())
        del data["recipe"]["split"]["reserve"]
        file.write_text(json.dumps(data))
        file = file.with_name("evaluation.json")
        data = json.loads(file.read_text())
        del data["splits"]["validation"]["choosing"]
        file.write_text(json.dumps(data))


def test_a_sweep_that_began_with_all_photos_choosing_ends_so(photos, space, tmp_path, quickly):
    out = tmp_path / "sweep"
    new = sortograph.sweep(photos, space=space, out=out)
    assert (new.standings[0].score, new.standings[0].choosing.n) == (pytest.approx(0.6), 5)
    assert CAUTION not in new.conclusion
    age(out)
    old = sortograph.sweep(photos, space=space, out=out)
    assert len(quickly.calls) == 4, "its runs are taken over"
    assert (old.standings[0].score, old.standings[0].choosing) == (pytest.approx(0.8), None)
    assert CAUTION in old.conclusion
    assert CAUTION in (out / "conclusion.md").read_text(encoding="utf-8")
    (out / "runs" / "sgd-seed2" / "run.json").unlink()
    sortograph.sweep(photos, out=out)  # what is left is done as the others were
    assert titles(quickly)[4:] == ["sgd-seed2"]
    assert not load_recipe(str(quickly.calls[-1]["recipe"])).split.reserve
    assert load_recipe(str(quickly.calls[-1]["recipe"])).split == load_recipe("weather-base").split
    assert "choosing" not in tomllib.loads((out / "space.toml").read_text())["found"]


def test_an_old_sweep_that_is_unfinished_is_found_without_a_folder(
    photos, space, tmp_path, quickly, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    late = sortograph.sweep(photos, space=space, budget=1e-9)
    age(late.folder)
    assert sortograph.sweep(photos, space=space).folder == late.folder


def test_all_photos_may_choose_where_that_is_wanted(photos, space, tmp_path, quickly):
    out = tmp_path / "sweep"
    swept = sortograph.sweep(photos, space=space, out=out, seeds=[1], overrides=["split.reserve=false"])
    assert (swept.standings[0].score, CAUTION in swept.conclusion) == (pytest.approx(0.8), True)
    assert "choosing" not in tomllib.loads((out / "space.toml").read_text())["found"]


def test_a_run_that_had_no_time_for_all_photos_is_refused(photos, space, tmp_path, quickly, monkeypatch):
    """Figures of runs on other photos cannot be compared."""
    monkeypatch.setattr("sortograph.api.sweeping.is_thinned", lambda _: True)
    with pytest.raises(RunError, match="no time for all photos") as raised:
        sortograph.sweep(photos, space=space, out=tmp_path / "sweep")
    assert "auto.budget" in str(raised.value)
    assert f"--out {tmp_path / 'sweep'}" in raised.value.fix
    assert len(quickly.calls) == 1
