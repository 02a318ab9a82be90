"""load and predict: the same answers as when the model was judged."""

from __future__ import annotations

import csv
import shutil
import types

import numpy as np
import pytest
from PIL import Image

import sortograph
from sortograph.api import prediction_grid
from sortograph.errors import BundleError, DataError, StorageError, UsageError
from sortograph.records import Said


def judged(run):
    with (run.folder / "predictions.csv").open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def test_answers_are_those_that_were_judged(run, photos):
    rows = judged(run)
    answers = sortograph.load(run.folder).predict_many([photos / row["path"] for row in rows])
    count = 0
    for row, answer in zip(rows, answers, strict=True):
        count += 1
        assert answer.label == row["predicted"]
        assert answer.probability == pytest.approx(float(row["probability"]), rel=1e-5)
        for name, share in answer.top_k:
            assert share == pytest.approx(float(row[f"p:{name}"]), rel=1e-4, abs=1e-9)
    assert count == 30


def test_a_run_folder_is_as_good_as_its_model(run, photos):
    photo = photos / "green" / "3.png"
    assert sortograph.load(run.folder).predict(photo) == sortograph.load(run.bundle).predict(photo)


def test_folders_are_walked_in_natural_order(run, photos, watch):
    watch(photos)
    watch(run.folder)
    answers = sortograph.predict(run.folder, photos)
    assert isinstance(answers, types.GeneratorType)
    paths = [answer.path for answer in answers]
    expected = [photos / name / f"{n}.png" for name in ("blue", "green", "red") for n in range(10)]
    assert paths == [str(path) for path in expected]


def test_one_photo_or_several(run, photos):
    red, blue = photos / "red" / "0.png", photos / "blue" / "0.png"
    assert [answer.label for answer in sortograph.predict(run.folder, str(red))] == ["red"]
    assert [answer.label for answer in sortograph.predict(run.folder, [blue, str(red)])] == ["blue", "red"]


def test_top_k(run, photos):
    (answer,) = sortograph.predict(run.folder, photos / "red" / "0.png", top_k=2)
    assert len(answer.top_k) == 2
    assert answer.top_k[0] == (answer.label, answer.probability)


def test_what_cannot_be_read_is_told_and_the_rest_goes_on(run, photos, tmp_path):
    (tmp_path / "a.png").write_bytes(b"no photo")
    shutil.copy(photos / "red" / "0.png", tmp_path / "b.png")
    bad, good = sortograph.predict(run.folder, tmp_path)
    assert (bad.label, bad.probability) == (None, None)
    assert bad.error
    assert (good.label, good.error) == ("red", None)


def test_what_is_not_there_is_told_at_once(run, photos, tmp_path):
    with pytest.raises(DataError, match="2 names do not exist"):
        sortograph.predict(run.folder, [tmp_path / "x.png", photos / "red" / "0.png", tmp_path / "y.png"])


def test_a_folder_without_a_model(photos, tmp_path):
    with pytest.raises(BundleError, match=r"without model\.onnx"):
        sortograph.predict(tmp_path, photos)


def test_a_grid_shows_what_could_be_read(run, photos, tmp_path):
    (tmp_path / "bad.png").write_bytes(b"no photo")
    answers = list(sortograph.predict(run.folder, [photos / "red", tmp_path / "bad.png"]))
    assert answers[-1].error
    whole = prediction_grid(answers, tmp_path / "new" / "all.png")
    without = prediction_grid(answers[:-1], tmp_path / "good.png")
    assert whole.read_bytes() == without.read_bytes()
    with Image.open(whole) as picture:
        assert picture.width >= 160 * 2
        red, _, blue = np.asarray(picture.convert("RGB")).reshape(-1, 3).mean(axis=0)
        assert red > blue


def test_no_grid_of_nothing(run, tmp_path):
    (tmp_path / "bad.png").write_bytes(b"no photo")
    answers = list(sortograph.predict(run.folder, tmp_path / "bad.png"))
    for predictions in (answers, []):
        assert prediction_grid(predictions, tmp_path / "new" / "grid.png") is None
    assert not (tmp_path / "new").exists()


def test_a_grid_has_at_most_200_photos_and_none_is_wasted_on_bad_ones(run, photos, tmp_path, monkeypatch):
    monkeypatch.setattr("sortograph.api.predicting.GRID_PHOTOS", 4)
    (tmp_path / "bad.png").write_bytes(b"no photo")
    answers = list(sortograph.predict(run.folder, [tmp_path / "bad.png", photos / "red"]))
    many, four = (
        prediction_grid(answers, tmp_path / "a.png"),
        prediction_grid(answers[1:5], tmp_path / "b.png"),
    )
    assert many.read_bytes() == four.read_bytes()


def test_what_is_left_out_of_folders_is_told(run, own_photos):
    (own_photos / "red" / "notes.txt").write_text("")
    (own_photos / ".hidden.png").write_bytes(b"")
    told = []
    assert len(list(sortograph.predict(run.folder, own_photos, progress=told.append))) == 30
    assert told == [Said("2 other files were left out: hidden, linked, or not a photo")]


def test_a_photo_that_is_gone_by_then_is_left_out_of_the_grid(run, own_photos, tmp_path):
    answers = list(sortograph.predict(run.folder, own_photos / "red"))
    expected = prediction_grid(answers[1:], tmp_path / "a.png").read_bytes()
    (own_photos / "red" / "0.png").unlink()
    assert prediction_grid(answers, tmp_path / "b.png").read_bytes() == expected


def test_a_grid_is_drawn_over_nothing_but_a_grid(run, photos, tmp_path, watch):
    answers = list(sortograph.predict(run.folder, photos / "red" / "0.png"))
    (tmp_path / "thesis.png").write_text("years of work")
    Image.new("RGB", (8, 8)).save(tmp_path / "photo.jpg")
    watch(tmp_path)
    with pytest.raises(StorageError, match="not a grid of ours"):
        prediction_grid(answers, tmp_path / "thesis.png")
    with pytest.raises(UsageError, match=r"photo\.jpg"):
        prediction_grid(answers, tmp_path / "photo.jpg")
