"""diagnose on real runs, tiny ones: from records, from a learning curve, and by trying."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pytest

import sortograph
from sortograph.api import curving, trying
from sortograph.errors import GateError, RunError, UsageError
from sortograph.recipe import load_recipe
from sortograph.records import Diagnosis, Remedy, Said, Verdict
from toy_backbones import colours

SLOW = ("train.learning_rate=0.0000001", "augment.rotation=0.0", "augment.zoom=0.0", "model.dropout=0.0")


@pytest.fixture
def at_hand(monkeypatch):
    """A toy backbone in the place of those of this machine."""
    monkeypatch.setattr(curving, "_at_hand", lambda: ["colours.test"])
    monkeypatch.setattr(curving, "open_backbone", lambda name, **_: colours(8, name))


@pytest.fixture
def sick(monkeypatch):
    """Puts a verdict with these remedies in the place of what the records tell."""

    def put(*remedies: Remedy, name: str = "underfitting") -> None:
        def verdicts(record, _index, **_options):
            return Diagnosis(record.folder, (Verdict(name, "because", 0.5, {}, remedies),))

        monkeypatch.setattr("sortograph.api.diagnosing.verdicts", verdicts)

    return put


def test_from_records_alone(run, watch):
    watch(run.folder)
    found = sortograph.diagnose(run.folder)
    assert found.run == run.folder
    assert "--photos" in found.skipped["learning-curve"]
    data = found.to_json()
    assert {"verdicts", "skipped", "tried", "learning_curve", "offered"} <= set(data)
    assert {"name", "message", "figures", "remedies"} <= set(data["verdicts"][0])
    json.dumps(data)


def test_a_run_that_has_failed(bare, train, own_photos, tmp_path):
    # Every step takes ten times the weights away: they grow ninefold.
    sets = ("train.optimiser=adamw", "train.weight_decay=1", "train.learning_rate=10", "train.epochs=30")
    with pytest.raises(GateError):
        train(own_photos, tmp_path / "run", *sets, recipe="weather-base")
    found = sortograph.diagnose(tmp_path / "run")
    assert found.verdicts[0].name == "exploding-gradients"
    assert "because the loss is" in found.verdicts[0].message
    assert found.of("learning-rate") is not None


def test_the_learning_curve_of_a_frozen_run(stock, bare, photos, tmp_path):
    recipe = tmp_path / "frozen.toml"
    recipe.write_text('[model]\nkind = "backbone"\n[backbone]\nnames = ["colours.test"]\n')
    record = sortograph.train(
        photos, recipe=str(recipe), overrides=["split.validation=0.3"], out=tmp_path / "run"
    )
    found = sortograph.diagnose(record.folder, photos=photos)
    curve = found.learning_curve
    assert curve.source == "a logistic head on colours.test"
    assert [point.share for point in curve.points] == [0.1, 0.2, 0.4, 0.7, 1.0]
    assert curve.points[-1].photos == record.evaluation["train"].n
    assert curve.points[-1].accuracy.value == 1.0
    assert "learning-curve" not in found.skipped
    json.dumps(found.to_json())


def test_a_backbone_stands_in_for_a_network(at_hand, bare, train, photos, tmp_path):
    told, run = [], train(photos, tmp_path / "run", "split.validation=0.3", recipe="weather-base")
    found = sortograph.diagnose(run.folder, photos=photos, progress=told.append)
    assert "stands in for the network" in found.learning_curve.source
    assert any(isinstance(event, Said) and "stands in" in event.text for event in told)


def test_too_few_validation_photos_make_no_curve(at_hand, run, photos):
    found = sortograph.diagnose(run.folder, photos=photos)
    assert found.learning_curve is None
    assert "too few" in found.skipped["learning-curve"]


def test_without_a_backbone_there_is_no_curve(monkeypatch, run, photos):
    monkeypatch.setattr(curving, "_at_hand", list)
    found = sortograph.diagnose(run.folder, photos=photos)
    assert found.learning_curve is None
    assert "no backbone is at hand" in found.skipped["learning-curve"]


def test_other_photos_are_refused(monkeypatch, run, own_photos):
    monkeypatch.setattr(curving, "_at_hand", list)
    next(own_photos.glob("*/*.png")).unlink()
    with pytest.raises(RunError, match="not those that the run had"):
        sortograph.diagnose(run.folder, photos=own_photos)


@pytest.mark.parametrize(
    "options",
    [
        {"try_remedies": True},
        {"budget": 5.0},
        {"out": "x"},
        {"photos": "p", "try_remedies": True, "budget": 0.0},
    ],
)
def test_options_that_need_others(run, options):
    with pytest.raises(UsageError):
        sortograph.diagnose(run.folder, **options)


def test_what_helps_becomes_a_recipe(monkeypatch, bare, train, paint, sick, tmp_path, watch):
    monkeypatch.setattr(curving, "_at_hand", list)
    photos = paint(tmp_path / "photos", count=24)
    record = train(photos, tmp_path / "run", *SLOW, recipe="weather-base")
    watch(record.folder)
    sick(
        Remedy("a larger rate", "", ("train.learning_rate=0.01",), gain=5.0),
        Remedy("dropout", "", ("model.dropout=0.2",), gain=1.0),
        Remedy("longer", "", ("train.epochs=4",)),
        Remedy("wrong", "", ("model.filters=[4, 4, 4, 4, 4, 4, 4]",)),
    )
    found = sortograph.diagnose(record.folder, photos=photos, try_remedies=True, out=tmp_path / "out")
    base, rate, dropout, longer, wrong = found.tried
    assert base.difference is None
    assert base.epochs == rate.epochs == 2
    assert rate.difference.low > 0
    assert rate.helped
    assert not dropout.helped
    assert "cannot be seen in short runs" in longer.note
    assert wrong.note.startswith("not tried to its end")
    assert found.verdicts[0].remedies[0].text == "a larger rate"
    assert found.verdicts[0].remedies[0].gain == pytest.approx(100 * rate.difference.value, abs=0.1)
    assert found.offered == tmp_path / "out" / "recipe.toml"
    offered = load_recipe(str(found.offered))
    assert offered.train.learning_rate == 0.01
    assert offered.name == "weather-base-remedied"
    assert offered.train.epochs == record.recipe["train"]["epochs"]
    json.dumps(found.to_json())


def test_test_photos_are_left_alone(monkeypatch, bare, train, photos, sick, tmp_path):
    monkeypatch.setattr(curving, "_at_hand", list)
    record = train(photos, tmp_path / "run", *SLOW, recipe="weather-base")
    sick(Remedy("dropout", "", ("model.dropout=0.2",)))
    found = sortograph.diagnose(record.folder, photos=photos, try_remedies=True, out=tmp_path / "out")
    assert len(found.tried) == 2
    for folder in ("baseline", "1-dropout"):
        place = tmp_path / "out" / folder
        with (place / "predictions.csv").open(encoding="utf-8", newline="") as file:
            assert {row["split"] for row in csv.DictReader(file)} == {"train", "validation"}
        assert set(json.loads((place / "evaluation.json").read_text())["splits"]) == {"train", "validation"}
        assert (place / "history.csv").is_file()
    assert found.offered is None


def test_a_baseline_of_the_same_recipe_repeats_the_run(monkeypatch, bare, train, photos, sick, tmp_path):
    """Same photos, split, seed and epochs: the baseline is the run itself."""
    monkeypatch.setattr(curving, "_at_hand", list)
    record = train(photos, tmp_path / "run", recipe="weather-base")
    sick(Remedy("dropout", "", ("model.dropout=0.2",)))
    found = sortograph.diagnose(record.folder, photos=photos, try_remedies=True, out=tmp_path / "out")
    assert found.tried[0].accuracy.value == record.evaluation["validation"].metrics["accuracy"].value
    history = sortograph.api.diagnosing.runs.read_history(tmp_path / "out" / "baseline")
    assert [row.train_loss for row in history] == [row.train_loss for row in record.history]


def test_without_weights_the_recipe_auto_is_not_tried(monkeypatch, bare, train, photos, sick, tmp_path):
    monkeypatch.setattr(curving, "_at_hand", list)
    monkeypatch.setattr("sortograph.api.opening.at_hand", list)
    record = train(photos, tmp_path / "run", recipe="weather-base")
    sick(Remedy("a backbone", "", recipe="auto"))
    found = sortograph.diagnose(record.folder, photos=photos, try_remedies=True, out=tmp_path / "out")
    assert found.tried[1].note == "not tried to its end: no pretrained weights are at hand"


def test_nothing_to_try(monkeypatch, run, photos, sick, tmp_path):
    monkeypatch.setattr(curving, "_at_hand", list)
    sick(Remedy("more photos", ""))
    told = []
    found = sortograph.diagnose(
        run.folder, photos=photos, try_remedies=True, out=tmp_path / "out", progress=told.append
    )
    assert found.tried == ()
    assert any("nothing to try" in event.text for event in told if isinstance(event, Said))


def test_runs_are_not_written_among_the_photos(run, photos):
    with pytest.raises(UsageError, match="among the photos"):
        sortograph.diagnose(run.folder, photos=photos, try_remedies=True, out=photos / "out")


def test_a_head_on_embeddings_is_tried_too(stock, bare, photos, sick, tmp_path):
    recipe = tmp_path / "mlp.toml"
    recipe.write_text(
        '[model]\nkind = "backbone"\n[backbone]\nnames = ["colours.test"]\n'
        '[head]\nkind = "mlp"\ndense = [8]\n[train]\nepochs = 6\n[split]\nvalidation = 0.3\n'
    )
    record = sortograph.train(photos, recipe=str(recipe), out=tmp_path / "run")
    sick(Remedy("dropout", "", ("head.dropout=0.2",)))
    found = sortograph.diagnose(record.folder, photos=photos, try_remedies=True, out=tmp_path / "out")
    assert [trial.epochs for trial in found.tried] == [6, 6]
    assert found.tried[1].difference is not None


def test_the_maker_of_each_kind(stock):
    kinds = [load_recipe("weather"), load_recipe("weather-transfer"), load_recipe("auto")]
    names = [type(trying.maker_of(recipe, lambda _event: None)).__name__ for recipe in kinds]
    assert names == ["NetworkMaker", "TransferMaker", "_AutoMaker"]


def test_no_run(tmp_path):
    with pytest.raises(RunError, match="no such run folder"):
        sortograph.diagnose(Path(tmp_path) / "nothing")
