"""Photos that people have corrected, and training again."""

from __future__ import annotations

import csv
from itertools import count

import numpy as np
import pytest
from PIL import Image

import sortograph
from sortograph.images.inspect import hash_of
from sortograph.runs import read_run

SMALL = ("train.epochs=1", "pixels.size=16", "model.filters=[4]", "model.dense=[]")


def photo(seed, colour):
    rng = np.random.default_rng(seed)
    pixels = (rng.random((24, 24, 3)) * 120 + np.array(colour)).astype(np.uint8)
    return Image.fromarray(pixels)


@pytest.fixture
def folders(tmp_path):
    """Photos of two classes, two of them in the folder of the other one; and a folder of corrections."""
    photos, fixes = tmp_path / "photos", tmp_path / "fixes"
    seeds = count()
    for name, colour in (("blue", (0, 0, 130)), ("red", (130, 0, 0))):
        for split, number in (("train", 12), ("val", 4), ("test", 5)):
            (photos / split / name).mkdir(parents=True)
            for k in range(number):
                photo(next(seeds), colour).save(photos / split / name / f"{k}.png")
    (fixes / "photos").mkdir(parents=True)
    with (fixes / "corrections.csv").open("w", newline="") as file:
        csv.writer(file).writerow(["sha256", "path", "predicted", "label", "time", "model"])
    return photos, fixes


def correct(fixes, data, label):
    sha256 = hash_of(data)
    (fixes / "photos" / f"{sha256}.png").write_bytes(data)
    with (fixes / "corrections.csv").open("a", newline="") as file:
        csv.writer(file).writerow([sha256, f"photos/{sha256}.png", "red", label, "", ""])
    return sha256


def encoded(image, path):
    image.save(path)
    return path.read_bytes()


def test_corrected_photos_teach_and_test_stays(folders, tmp_path):
    photos, fixes = folders
    wrong = [photos / "train" / "red" / f"{k}.png" for k in range(3)]
    relabelled = [correct(fixes, path.read_bytes(), "blue") for path in wrong]
    new = correct(fixes, encoded(photo(999, (0, 0, 130)), tmp_path / "n.png"), "blue")
    judged = correct(fixes, (photos / "test" / "red" / "0.png").read_bytes(), "blue")
    said = []
    record = sortograph.train(
        photos, recipe="weather-base", overrides=SMALL, corrections=fixes, out=tmp_path / "run",
        progress=lambda event: said.append(getattr(event, "text", "")),
    )  # fmt: skip
    with (tmp_path / "run" / "index.csv").open(newline="") as file:
        rows = {row["sha256"]: row for row in csv.DictReader(file)}
    assert {(rows[one]["class"], rows[one]["split"]) for one in relabelled} == {("blue", "train")}
    assert (rows[new]["class"], rows[new]["split"]) == ("blue", "train")
    assert rows[new]["path"] == f"fixes/photos/{new}.png"
    assert (rows[judged]["class"], rows[judged]["split"]) == ("red", "test")
    assert record.evaluation["test"].n == 10
    assert "corrections: 3 photos relabelled, 1 added to train" in said
    assert any("photos/test/red/0.png" in line and "is to stay as it is" in line for line in said)
    assert read_run(tmp_path / "run").status == "finished"


def test_a_photo_that_was_changed_since_is_left_out(folders, tmp_path):
    photos, fixes = folders
    sha256 = correct(fixes, encoded(photo(907, (0, 0, 130)), tmp_path / "n.png"), "blue")
    (fixes / "photos" / f"{sha256}.png").write_bytes(encoded(photo(908, (0, 0, 130)), tmp_path / "m.png"))
    said = []
    sortograph.train(
        photos, recipe="weather-base", overrides=SMALL, corrections=fixes, out=tmp_path / "run",
        progress=lambda event: said.append(getattr(event, "text", "")),
    )  # fmt: skip
    assert any("its content is not what the table says" in line for line in said)
    assert "corrections: 0 photos relabelled, 0 added to train" in said
