"""train: what lies in a run folder, where it comes from, and what does not get into it."""

from __future__ import annotations

import csv
import gc
import hashlib
import json
import tomllib
import unicodedata

import numpy as np
import pytest
from PIL import Image
from safetensors.numpy import load_file

import sortograph
from sortograph import runs
from sortograph.bundle.runtime import open_bundle
from sortograph.dataset.table import INDEX_COLUMNS
from sortograph.errors import DataError, RecipeError, UsageError
from sortograph.models import plan
from sortograph.recipe import load_recipe, make_recipe
from sortograph.records import SPLITS, EpochDone, Said, Step

WEIGHTS = "weights.safetensors"
ALWAYS = {
    "data.json",
    "environment.json",
    "evaluation.json",
    "history.csv",
    "index.csv",
    "log.txt",
    "model-card.md",
    "model.onnx",
    "predictions.csv",
    "recipe.toml",
    "report.html",
    "run.json",
    WEIGHTS,
    "plots/confusion.png",
    "plots/curves.png",
    "plots/per_class.png",
    "plots/lookalikes.png",
    "plots/predictions.png",
    "plots/reliability.png",
    "plots/samples.png",
}
# Which of these there are hangs on what the model got right, and on the time that was left.
BY_ANSWERS = {f"plots/{name}.png" for name in ("confused", "heatmaps", "hits", "mistakes")}


def files(folder):
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}


def rows(path):
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def data(path):
    return json.loads(path.read_text(encoding="utf-8"))


def test_a_run_folder_holds_what_is_promised_and_nothing_else(run):
    assert files(run.folder) - BY_ANSWERS - {"plots/augmented.png"} == ALWAYS
    assert "plots/augmented.png" in files(run.folder), "weather augments"


def test_without_augmentation_there_is_no_picture_of_it(train, photos, tmp_path):
    record = train(photos, tmp_path / "run", recipe="weather-base")
    assert files(record.folder) - BY_ANSWERS == ALWAYS


def test_the_record_is_what_the_folder_says(run):
    read = runs.read_run(run.folder)
    assert read.to_json() == run.to_json()
    assert (read.history, read.environment) == (run.history, run.environment)
    assert (read.status, read.fingerprint, read.recipe) == ("finished", run.fingerprint, run.recipe)
    assert read.seconds > 0


def test_the_recipe_of_a_run_is_complete_and_leads_to_the_same_run(run, train, photos, tmp_path, bare):
    written = run.folder / "recipe.toml"
    assert tomllib.loads(written.read_text(encoding="utf-8")) == run.recipe
    assert load_recipe(str(written)) == make_recipe(run.recipe, "run.json")
    again = train(photos, tmp_path / "again", recipe=str(written), overrides=())
    assert (again.folder / WEIGHTS).read_bytes() == (run.folder / WEIGHTS).read_bytes()


def test_the_index_holds_every_photo_with_its_content(run, photos):
    table = rows(run.folder / "index.csv")
    assert tuple(table[0]) == INDEX_COLUMNS
    on_disk = {path.relative_to(photos).as_posix(): path for path in photos.rglob("*.png")}
    assert {row["path"] for row in table} == set(on_disk)
    for row in table:
        content = hashlib.sha256(on_disk[row["path"]].read_bytes()).hexdigest()
        assert (row["sha256"], row["class"]) == (content, row["path"].split("/")[0])
        assert (row["width"], row["height"]) == ("32", "32")
    assert {row["split"] for row in table} == set(SPLITS)


def test_the_evaluation_counts_the_predictions(run):
    table = rows(run.folder / "predictions.csv")
    written = data(run.folder / "evaluation.json")["splits"]
    assert set(written) == set(SPLITS)
    for split, result in written.items():
        lines = [row for row in table if row["split"] == split]
        right = [row["label"] == row["predicted"] for row in lines]
        assert result["n"] == len(lines) == run.evaluation[split].n
        assert result["metrics"]["accuracy"]["value"] == pytest.approx(np.mean(right))
        assert [row["right"] == "true" for row in lines] == right


def test_the_index_and_the_predictions_agree_about_splits_and_labels(run):
    truth = {row["path"]: (row["split"], row["class"]) for row in rows(run.folder / "index.csv")}
    told = {row["path"]: (row["split"], row["label"]) for row in rows(run.folder / "predictions.csv")}
    assert told == truth


def test_a_tiny_network_learns_three_colours(run):
    assert run.evaluation["test"].metrics["accuracy"].value == 1


def test_history_has_a_line_per_epoch(run):
    assert [row.epoch for row in run.history] == [1, 2]
    assert run.best_epoch in (1, 2)
    assert rows(run.folder / "history.csv")[0]["train_loss"] == str(run.history[0].train_loss)


def test_data_json_names_the_folder_but_not_its_place(run, photos):
    written = data(run.folder / "data.json")
    assert (written["photos"], written["classes"]) == (photos.name, ["red", "green", "blue"])
    assert written["rejected"] == []


def test_no_file_of_a_run_tells_where_it_was_made(run, photos):
    places = [str(photos.parent).encode(), str(run.folder.parent).encode()]
    telling = [name for name in files(run.folder) for p in places if p in (run.folder / name).read_bytes()]
    assert telling == []


def test_weights_are_those_of_the_plan(run):
    recipe = make_recipe(run.recipe, "run.json")
    expected = plan(recipe.model, recipe.pixels.spec().size, 3).weights()
    assert {name: value.shape for name, value in load_file(run.folder / WEIGHTS).items()} == expected


def test_the_bundle_says_what_it_is(run):
    bundle = open_bundle(run.bundle)
    manifest = bundle.manifest
    assert manifest.classes == ("red", "green", "blue")
    assert manifest.fingerprint == run.fingerprint
    assert manifest.recipe == "weather"
    assert manifest.made_with == f"sortograph {sortograph.__version__}"
    for split, result in run.evaluation.items():
        assert manifest.evaluation[split]["n"] == result.n
        measured = result.metrics["accuracy"].value
        assert manifest.evaluation[split]["metrics"]["accuracy"]["value"] == measured
    assert bundle.replay() == 0


def test_the_report_shows_the_classes_and_the_score(run):
    page = run.report.read_text(encoding="utf-8")
    assert all(name in page for name in ("red", "green", "blue", "weather"))
    for name in ("samples", "curves", "confusion", "per_class"):
        assert (run.folder / "plots" / f"{name}.png").read_bytes()[:4] == b"\x89PNG"


def test_another_seed_gives_other_weights_of_the_same_splits(run, train, photos, tmp_path, bare):
    other = train(photos, tmp_path / "run", seed=7, classes=("red", "green", "blue"))
    assert other.seed == 7
    assert other.fingerprint == run.fingerprint
    assert (other.folder / WEIGHTS).read_bytes() != (run.folder / WEIGHTS).read_bytes()


def test_a_cold_cache_gives_the_same_weights(run, train, photos, tmp_path, bare, monkeypatch):
    monkeypatch.setenv("SORTOGRAPH_CACHE", str(tmp_path / "cache"))
    again = train(photos, tmp_path / "run", classes=("red", "green", "blue"))
    assert (tmp_path / "cache").is_dir()
    assert (again.folder / WEIGHTS).read_bytes() == (run.folder / WEIGHTS).read_bytes()
    assert (again.folder / "index.csv").read_bytes() == (run.folder / "index.csv").read_bytes()


def test_the_cache_lies_outside_of_the_photos(train, own_photos, tmp_path, watch, monkeypatch):
    watch(own_photos)
    monkeypatch.setenv("SORTOGRAPH_CACHE", str(own_photos / "cache"))
    for options in ({}, {"resume": tmp_path / "run"}):
        with pytest.raises(UsageError, match="among the photos") as raised:
            train(own_photos, tmp_path / "run", **options)
        assert "SORTOGRAPH_CACHE" in raised.value.fix
    assert not (tmp_path / "run").exists()


def test_a_cache_that_cannot_be_used_is_told_and_changes_nothing(
    run, train, photos, tmp_path, bare, monkeypatch
):
    (tmp_path / "file").write_text("in the way")
    monkeypatch.setenv("SORTOGRAPH_CACHE", str(tmp_path / "file" / "cache"))
    told = []
    again = train(photos, tmp_path / "run", classes=("red", "green", "blue"), progress=told.append)
    warnings = [event.text for event in told if isinstance(event, Said) and event.warning]
    assert len(warnings) == 1
    assert "the cache is not used" in warnings[0]
    assert (again.folder / WEIGHTS).read_bytes() == (run.folder / WEIGHTS).read_bytes()
    gc.collect()  # the temporary place of the pixels goes now, with what it says


def test_progress_tells_of_reading_epochs_and_judging(train, photos, tmp_path, bare):
    told = []
    train(photos, tmp_path / "run", progress=told.append)
    tasks = {event.task for event in told if isinstance(event, Step)}
    assert {"reading photos", "judging train", "judging validation", "judging test"} <= tasks
    assert [event.row.epoch for event in told if isinstance(event, EpochDone)] == [1, 2]
    assert any("test: 9 of 30 photos put aside" in event.text for event in told if isinstance(event, Said))


def table_of(photos, path, change):
    """A CSV file of all photos, a fifth of them test, a fifth validation; `change` maps (n, label, split)."""
    classes = ["blue", "green", "red"]
    lines = ["path,label,split"]
    for k, name in enumerate(classes):
        for n in range(10):
            split = ("test", "validation")[n] if n < 2 else ("test" if n == 2 else "train")
            label = change(n, k, split)
            lines.append(f"photos/{name}/{n}.png,{classes[label]},{split}")
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def test_a_csv_with_splits_is_followed(train, own_photos, tmp_path, bare):
    table = table_of(own_photos, tmp_path / "photos.csv", lambda n, k, split: k)
    record = train(table, tmp_path / "run")
    counts = {split: record.evaluation[split].n for split in SPLITS}
    assert counts == {"train": 21, "validation": 3, "test": 6}
    assert record.evaluation["test"].metrics["accuracy"].value == 1
    assert data(record.folder / "data.json")["notes"] == []


def test_test_labels_and_test_photos_never_touch_the_weights(train, own_photos, tmp_path, bare):
    def turned(n, k, split):
        return (k + 1) % 3 if split == "test" else k

    plain = train(table_of(own_photos, tmp_path / "a.csv", lambda n, k, split: k), tmp_path / "plain")
    table = table_of(own_photos, tmp_path / "b.csv", turned)
    grey = np.random.default_rng(5).integers(0, 255, (32, 32, 3), dtype=np.uint8)
    Image.fromarray(grey).save(own_photos / "red" / "0.png")
    other = train(table, tmp_path / "other")
    assert other.evaluation["test"].metrics["accuracy"].value < 0.5, "the labels were turned"
    assert other.fingerprint != plain.fingerprint
    assert (other.folder / WEIGHTS).read_bytes() == (plain.folder / WEIGHTS).read_bytes()


def test_training_labels_do_touch_the_weights(train, own_photos, tmp_path, bare):
    def one_turned(n, k, split):
        return 0 if (n, k) == (5, 1) else k

    plain = train(table_of(own_photos, tmp_path / "a.csv", lambda n, k, split: k), tmp_path / "plain")
    other = train(table_of(own_photos, tmp_path / "b.csv", one_turned), tmp_path / "other")
    assert (other.folder / WEIGHTS).read_bytes() != (plain.folder / WEIGHTS).read_bytes()


def test_two_classes_and_one_sigmoid(train, paint, tmp_path, bare):
    photos = paint(tmp_path / "photos", ("cats", "dogs"))
    record = train(photos, tmp_path / "run", "train.labels=binary", recipe="cats-dogs-64px")
    assert load_file(record.folder / WEIGHTS)["output.weight"].shape == (1, 16)
    assert record.evaluation["test"].metrics["accuracy"].value == 1
    answer = sortograph.load(record.folder).predict(photos / "dogs" / "3.png")
    assert answer.label == "dogs"
    assert sum(share for _, share in answer.top_k) == pytest.approx(1, abs=1e-6)


@pytest.mark.parametrize(
    ("more", "error"), [("model.output=sigmoid", RecipeError), ("train.labels=binary", DataError)]
)
def test_two_class_settings_with_three_classes_leave_no_run(train, photos, tmp_path, more, error):
    with pytest.raises(error, match="3"):
        train(photos, tmp_path / "run", more)
    assert not (tmp_path / "run").exists()


def test_korean_classes_end_to_end(train, paint, tmp_path):
    names = ("음식", "실내", "실외")
    photos = paint(tmp_path / "사진", names)
    record = train(photos, tmp_path / "결과", classes=names)
    assert open_bundle(record.bundle).manifest.classes == names
    assert {row["class"] for row in rows(record.folder / "index.csv")} == set(names)
    assert all(f"p:{name}" in rows(record.folder / "predictions.csv")[0] for name in names)
    page = record.report.read_text(encoding="utf-8")
    assert all(name in page for name in names)
    answers = sortograph.predict(record.folder, [photos / name / "1.png" for name in names])
    assert tuple(answer.label for answer in answers) == names


def test_decomposed_names_of_classes_become_composed(train, paint, tmp_path, bare):
    names = ("음식", "실내", "실외")
    photos = paint(tmp_path / "photos", [unicodedata.normalize("NFD", name) for name in names])
    record = train(photos, tmp_path / "run", classes=names)
    assert open_bundle(record.bundle).manifest.classes == names
    answer = sortograph.load(record.folder).predict(next(photos.rglob("1.png")))
    assert answer.label in names


def test_without_out_the_run_lies_below_runs(train, photos, tmp_path, bare, monkeypatch):
    monkeypatch.chdir(tmp_path)
    record = train(photos, None)
    assert record.folder.parent.as_posix() == "runs"
    assert record.folder.name.startswith("weather-2")
    assert (tmp_path / record.folder / "model.onnx").is_file()


def test_photos_without_a_share_for_a_split_are_trained_and_judged_without_it(train, photos, tmp_path, bare):
    record = train(photos, tmp_path / "run", "split.validation=0", "split.test=0")
    assert set(record.evaluation) == {"train"}
    assert record.history[0].validation_loss is None
