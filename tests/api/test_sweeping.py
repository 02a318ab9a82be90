"""Sweeps with real runs where that is what matters; elsewhere `train` is stood in for."""

from __future__ import annotations

import csv
import json
import signal
import tomllib
from dataclasses import replace
from pathlib import Path

import pytest

import sortograph
from sortograph import runs
from sortograph.api import sweeping, transfer
from sortograph.api.sweep_folders import kept_run
from sortograph.errors import DataError, GateError, Interrupted, RunError, UsageError, WeightsError
from sortograph.recipe import load_recipe, recipe_text
from sortograph.records.sweeps import RunTask
from swept import SPACE, titles


@pytest.mark.usefixtures("bare")
def test_a_sweep_from_photos_to_its_conclusion(photos, space, tmp_path, watch):
    """Trained for real: one epoch each."""
    said = []
    out = tmp_path / "sweep"
    watch(photos)
    swept = sortograph.sweep(photos, space=space, out=out, seeds=[1], progress=said.append)
    assert (swept.status, swept.left, swept.against) == ("finished", (), "adam")
    assert [one.seeds for one in swept.standings] == [(1,), (1,)]
    assert swept.claims[0].verdict == "not shown"  # one seed
    with swept.table.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert {(row["trial"], row["seed"], row["status"]) for row in rows} == {
        ("adam", "1", "finished"), ("sgd", "1", "finished"),
    }  # fmt: skip
    record = runs.read_run(out / rows[0]["run"])
    assert float(rows[0]["test_accuracy"]) == record.evaluation["test"].metrics["accuracy"].value
    assert (record.recipe["train"]["optimiser"], record.recipe["name"], record.seed) == ("adam", "adam", 1)
    assert tomllib.loads((out / "space.toml").read_text())["found"]["train"] > 0
    assert json.loads((out / "sweep.json").read_text())["status"] == "finished"
    assert swept.conclusion in (out / "conclusion.md").read_text(encoding="utf-8")
    assert any(getattr(event, "text", "").startswith("2 of 2: ") for event in said)


def test_the_same_command_goes_on(photos, space, tmp_path, quickly):
    out = tmp_path / "sweep"
    swept = sortograph.sweep(photos, space=space, out=out, budget=0.001)
    assert swept.status == "open"
    assert titles(quickly) == []
    assert swept.conclusion == "No run has finished: nothing can be concluded."
    sortograph.sweep(photos, space=space, out=out)
    assert titles(quickly) == ["adam-seed1", "sgd-seed1", "adam-seed2", "sgd-seed2"]
    again = sortograph.sweep(photos, out=out)  # nothing else has to be said
    assert len(quickly.calls) == 4
    assert again.status == "finished"


def test_without_a_folder_the_unfinished_one_of_the_same_sweep_goes_on(
    photos, space, tmp_path, quickly, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    quickly.fails["sgd-seed1"] = Interrupted("stop")
    with pytest.raises(Interrupted):
        sortograph.sweep(photos, space=space)
    quickly.fails.clear()
    first = sortograph.sweep(photos, space=space)
    assert titles(quickly) == ["adam-seed1", "sgd-seed1", "sgd-seed1", "adam-seed2", "sgd-seed2"]
    second = sortograph.sweep(photos, space=space)  # that one is finished: another begins
    assert first.folder != second.folder
    assert first.folder.parent == second.folder.parent == Path("runs")
    assert first.folder.name.startswith("sweep-tiny-")


def test_interrupted_it_says_how_to_go_on(photos, space, tmp_path, quickly):
    quickly.fails["sgd-seed1"] = KeyboardInterrupt()
    with pytest.raises(Interrupted) as caught:
        sortograph.sweep(photos, space=space, out=tmp_path / "sweep")
    assert caught.value.what == "interrupted with 3 runs left"
    assert caught.value.fix == f"sortograph sweep {photos} --out {tmp_path / 'sweep'}"
    assert (tmp_path / "sweep" / "trials.csv").read_text().count("finished") == 1


@pytest.mark.usefixtures("bare")
def test_ctrl_c_in_the_middle_of_a_run(photos, space, tmp_path, stop):
    """Pressed once while it trains: the run is begun anew the next time."""
    out, before = tmp_path / "sweep", signal.getsignal(signal.SIGINT)  # ignored in jobs of a shell script
    press = stop(lambda event: getattr(event, "task", "") == "adam, seed 1")
    with pytest.raises(Interrupted, match="2 runs left"):
        sortograph.sweep(
            photos, space=space, out=out, seeds=[1], overrides=["train.epochs=5"], progress=press
        )
    assert press.pressed
    assert signal.getsignal(signal.SIGINT) is before
    assert runs.read_run(out / "runs" / "adam-seed1").status == "interrupted"


def test_a_killed_run_is_begun_anew(photos, space, tmp_path, quickly):
    out = tmp_path / "sweep"
    quickly.fails["adam-seed1"] = KeyboardInterrupt()
    with pytest.raises(Interrupted):
        sortograph.sweep(photos, space=space, out=out)
    half = out / "runs" / "adam-seed1"
    half.mkdir(parents=True)
    (half / "log.txt").write_text("half")
    quickly.fails.clear()
    sortograph.sweep(photos, space=space, out=out)
    assert not (half / "log.txt").exists()
    (half / "run.json").unlink()
    with runs.lock(half), pytest.raises(RunError, match="another process"):
        sortograph.sweep(photos, space=space, out=out)


def test_a_finished_run_of_another_recipe_is_trained_anew(photos, space, tmp_path, quickly):
    """The recipe that the space names has changed: what lies in the folders was trained by another."""
    own, split = tmp_path / "own.toml", "[split]\nseed = 123\ntest = 0.3\nvalidation = 0.105\n"
    own.write_text("[train]\nlearning_rate = 0.001\n" + split)
    space.write_text(SPACE.replace('"weather-base"', f"'{own}'"))
    out = tmp_path / "sweep"
    sortograph.sweep(photos, space=space, out=out, seeds=[1])
    sortograph.sweep(photos, space=space, out=out, seeds=[1])
    assert titles(quickly) == ["adam-seed1", "sgd-seed1"]
    (out / "runs" / "sgd-seed1" / "old.txt").write_text("of the other recipe")
    own.write_text("[train]\nlearning_rate = 0.002\n" + split)
    late = sortograph.sweep(photos, space=space, out=out, seeds=[1], budget=1e-9)
    assert (late.status, late.left) == ("open", ("adam, seed 1", "sgd, seed 1"))
    swept = sortograph.sweep(photos, space=space, out=out, seeds=[1])
    assert titles(quickly) == ["adam-seed1", "sgd-seed1"] * 2
    assert swept.status == "finished"
    assert runs.read_run(out / "runs" / "sgd-seed1").recipe["train"]["learning_rate"] == 0.002
    assert not (out / "runs" / "sgd-seed1" / "old.txt").exists()


@pytest.mark.parametrize(
    ("kind", "recorded", "photos_then", "is_kept"),
    [
        ("weather-base", {}, 18, True),
        ("weather-base", {"about": "other words", "train.threads": 2}, 18, True),
        ("weather-base", {"model.dropout": 0.4}, 18, False),
        ("weather-base", {}, 9, False),
        ("weather-transfer", {"pixels.size": [48, 48], "pixels.interpolation": "bicubic"}, 18, True),
        ("weather-transfer", {"pixels.size": [64, 64]}, 18, False),
        ("weather-transfer", {"head.dropout": 0.45}, 18, False),
        ("auto", {"model.kind": "backbone", "backbone.names": ["x.y"], "pixels.size": [48, 48]}, 18, True),
        ("auto", {"model.kind": "backbone", "backbone.names": ["x.y"], "auto.budget": 7.0}, 18, False),
    ],
)
def test_which_finished_runs_are_taken_over(tmp_path, make_record, kind, recorded, photos_then, is_kept):
    asked = tmp_path / "asked.toml"
    asked.write_text(recipe_text(kind))
    overrides = ("pixels.size=48",) if kind == "weather-transfer" else ()
    data = load_recipe(str(asked), overrides, 1).to_dict()
    for key, value in recorded.items():
        section, _, name = key.rpartition(".")
        (data[section] if section else data)[name] = value
    folder = runs.new_run("x", tmp_path / "run")
    record = replace(make_record(folder), recipe=data)
    runs.write_run(record)
    runs.write_evaluation(folder, record.evaluation)
    (folder / "predictions.csv").write_text("path,split,label,predicted,probability,right\n")
    task = RunTask("x", 1, asked, overrides, tmp_path, folder)
    found = kept_run(task, photos_then)
    assert (found is not None) == is_kept


@pytest.mark.parametrize(
    ("asked", "full", "fits"),
    [
        ("fast", "mobilenetv3_large_100.ra_in1k", True),
        ("best", "mobilenetv3_large_100.ra_in1k", False),
        ("fast", "own.weights", True),  # they stand in for those of the alias
        ("resnet18", "resnet18.a1_in1k", True),
        ("resnet18.tv_in1k", "resnet18.a1_in1k", False),
    ],
)
def test_a_run_remembers_the_full_name_of_a_backbone(tmp_path, make_record, asked, full, fits):
    file, folder = tmp_path / "asked.toml", runs.new_run("x", tmp_path / "run")
    file.write_text(f'[model]\nkind = "backbone"\n[backbone]\nnames = ["{asked}"]\n')
    data = load_recipe(str(file), (), 1).to_dict()
    data["backbone"]["names"] = [full]
    record = replace(make_record(folder), recipe=data)
    runs.write_run(record)
    runs.write_evaluation(folder, record.evaluation)
    (folder / "predictions.csv").write_text("path,split,label,predicted,probability,right\n")
    found = kept_run(RunTask("x", 1, file, (), tmp_path, folder), 18)
    assert (found is not None) == fits


def test_without_validation_photos_nothing_is_trained(photos, space, tmp_path, quickly):
    with pytest.raises(DataError, match="no validation photos") as caught:
        sortograph.sweep(photos, space=space, out=tmp_path / "sweep", overrides=["split.validation=0"])
    assert caught.value.fix == f"sortograph sweep {photos} --space {space} --set split.validation=0.15"
    assert not quickly.calls
    assert not (tmp_path / "sweep").exists()


def test_another_space_or_other_photos_are_refused_with_the_difference(
    photos, own_photos, space, tmp_path, quickly
):
    out = tmp_path / "sweep"
    sortograph.sweep(photos, space=space, out=out)
    space.write_text(SPACE.replace('"train.epochs" = 1', '"train.epochs" = 2'))
    with pytest.raises(UsageError, match=r"set\.train\.epochs: was 1, is 2"):
        sortograph.sweep(photos, space=space, out=out)
    (own_photos / "red" / "0.png").unlink()
    with pytest.raises(UsageError, match=r"found\.fingerprint: was"):
        sortograph.sweep(own_photos, out=out)
    assert len(quickly.calls) == 4


def test_claims_may_be_corrected_afterwards(photos, space, tmp_path, quickly):
    out = tmp_path / "sweep"
    sortograph.sweep(photos, space=space, out=out)
    space.write_text(SPACE.replace("Adam is better", "Adam, that is"))
    assert sortograph.sweep(photos, space=space, out=out).claims[0].text == "Adam, that is"
    assert len(quickly.calls) == 4


def test_an_exploding_loss_fails_a_configuration_alone(photos, space, tmp_path, quickly):
    quickly.fails["sgd-seed1"] = GateError("the loss is no number")
    said = []
    swept = sortograph.sweep(photos, space=space, out=tmp_path / "sweep", progress=said.append)
    assert titles(quickly) == ["adam-seed1", "sgd-seed1", "adam-seed2"]
    (failed,) = [one for one in swept.standings if one.status == "failed"]
    assert (failed.configuration.name, failed.reason) == ("sgd", "the loss is no number")
    assert swept.chosen == "adam"
    assert swept.claims[0].verdict == "not tried"
    assert any(getattr(event, "warning", False) and "the loss is no number" in event.text for event in said)


def test_settings_of_the_command_line_go_over_all(photos, space, tmp_path, quickly):
    out = tmp_path / "sweep"
    sortograph.sweep(photos, space=space, out=out, seeds=[5], overrides=["model.dropout=0.25"])
    assert [(call["seed"], call["overrides"]) for call in quickly.calls] == [(5, ("model.dropout=0.25",))] * 2
    kept = tomllib.loads((out / "space.toml").read_text())
    assert (kept["overrides"], kept["seeds"]) == (["model.dropout=0.25"], [5])
    with pytest.raises(UsageError, match=r"the sweep itself varies train\.optimiser"):
        sortograph.sweep(photos, space=space, overrides=["train.optimiser=adamw"])


def test_subsets_share_validation_and_test(photos, space, tmp_path, quickly):
    space.write_text(SPACE.replace('"train.optimiser" = "sgd"', '"subset.per_class" = 3'))
    sortograph.sweep(photos, space=space, out=tmp_path / "sweep", seeds=[1])
    whole, table = (call["photos"] for call in quickly.calls)
    assert whole == photos
    with table.open(encoding="utf-8", newline="") as file:
        splits = [row["split"] for row in csv.DictReader(file)]
    found = tomllib.loads((tmp_path / "sweep" / "space.toml").read_text())["found"]
    assert splits.count("train") == 9
    assert (splits.count("validation"), splits.count("test")) == (found["validation"], found["test"])


@pytest.mark.usefixtures("bare")
def test_a_run_on_a_subset_has_the_same_test_photos(photos, space, tmp_path):
    space.write_text(SPACE.replace('"train.optimiser" = "sgd"', '"subset.per_class" = 3'))
    swept = sortograph.sweep(photos, space=space, out=tmp_path / "sweep", seeds=[1])
    by_name = {one.configuration.name: one for one in swept.standings}
    assert by_name["sgd"].train.n == 9
    assert by_name["sgd"].test.n == by_name["adam"].test.n
    assert swept.comparisons[0].difference.n == by_name["adam"].test.n


def test_a_search_remembers_and_takes_more_trials(photos, tmp_path, quickly):
    file = tmp_path / "search.toml"
    file.write_text(
        'recipe = "weather-base"\nmethod = "random"\ntrials = 2\nseeds = [1]\n'
        'set = {"pixels.size" = 16}\n[space]\n"train.learning_rate" = {low = 1e-4, high = 0.1, log = true}\n'
    )
    out = tmp_path / "sweep"
    first = sortograph.sweep(photos, space=file, out=out)
    assert [one.configuration.name for one in first.standings] == ["c01", "c02"]
    more = sortograph.sweep(photos, space=file, out=out, trials=3)
    assert titles(quickly) == ["c01-seed1", "c02-seed1", "c03-seed1"]
    assert len({one.configuration.settings["train.learning_rate"] for one in more.standings}) == 3


def test_several_jobs_share_the_processor(photos, space, tmp_path, monkeypatch):
    seen = []

    class Runner:
        def __init__(self, jobs, read, watch):
            seen.append(jobs)

        def run(self, tasks):
            yield from ()
            seen.extend(task.threads for task in tasks)

    monkeypatch.setattr(sweeping, "ProcessRunner", Runner)
    monkeypatch.setattr(sweeping, "cores", lambda: 8)
    sortograph.sweep(photos, space=space, out=tmp_path / "sweep", jobs=4)
    assert seen == [4, 2, 2, 2, 2]


def test_missing_weights_are_told_before_anything_is_trained(photos, tmp_path, quickly, monkeypatch):
    monkeypatch.setenv("SORTOGRAPH_OFFLINE", "1")
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")

    def missing(name, **_):
        raise WeightsError("the weights are not at hand", where=name)

    monkeypatch.setattr("sortograph.api.transfer.open_backbone", missing)
    with pytest.raises(WeightsError, match="not at hand"):
        sortograph.sweep(photos, study="sports-efficientnet-resnet50", out=tmp_path / "sweep")
    assert not quickly.calls
    assert not (tmp_path / "sweep").exists()


@pytest.mark.usefixtures("bare", "stock")
def test_random_weights_conclude_nothing(photos, tmp_path, monkeypatch):
    file = tmp_path / "random.toml"
    file.write_text(
        'recipe = "weather-transfer"\nseeds = [1]\n[set]\n"backbone.names" = ["x.test"]\n'
        '"head.kind" = "nearest-mean"\n[[variant]]\nname = "a"\n'
    )
    plain = transfer.TransferMaker.composed
    monkeypatch.setattr(
        transfer.TransferMaker, "composed", lambda *given: replace(plain(*given), scored=False)
    )
    with pytest.raises(RunError, match="random weights: nothing may be concluded"):
        sortograph.sweep(photos, space=file, out=tmp_path / "sweep")
    assert not (tmp_path / "sweep" / "conclusion.md").exists()


@pytest.mark.parametrize(
    ("given", "reason"),
    [
        ({}, "nothing says what to try"),
        ({"study": "weather-overfitting", "space": "x.toml"}, "both a space and a study"),
        ({"study": "weather"}, "no study named"),
        ({"study": "weather-overfitting", "jobs": 0}, "at least 1"),
        ({"study": "weather-overfitting", "overrides": ["train.epochs=x"]}, "train.epochs"),
    ],
)
def test_wrong_usage(photos, tmp_path, given, reason):
    with pytest.raises(UsageError) as caught:
        sortograph.sweep(photos, out=tmp_path / "sweep", **given)
    assert reason in str(caught.value)
    assert not (tmp_path / "sweep").exists()


def test_quick_needs_a_quick(photos, space):
    with pytest.raises(UsageError, match=r"no \[quick\]"):
        sortograph.sweep(photos, space=space, quick=True)


def test_nothing_is_written_among_the_photos(photos, space, watch):
    watch(photos)
    with pytest.raises(UsageError, match="among the photos"):
        sortograph.sweep(photos, space=space, out=photos / "sweep")
