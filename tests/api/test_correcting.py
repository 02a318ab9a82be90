"""Photos that people have corrected, and training again."""

from __future__ import annotations

import csv
import json
from itertools import count

import numpy as np
import pytest
from PIL import Image

import sortograph
from sortograph.api.placing import run_index
from sortograph.api.reviewing import report
from sortograph.errors import RunError
from sortograph.runs import read_run
from sortograph.serve.corrections import Corrections

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
    return photos, fixes


def correct(fixes, data, label):
    """As the server stores one; its content."""
    return Corrections(fixes).add(data, label, "red", "f" * 64).sha256


def encoded(image, path):
    image.save(path)
    return path.read_bytes()


def rows_of(run):
    with (run / "index.csv").open(newline="") as file:
        return {row["path"]: row for row in csv.DictReader(file)}


def test_twenty_corrections_teach_and_test_stays(folders, tmp_path):
    """What the server has stored, against the index of the run: its photos, their classes and splits."""
    photos, fixes = folders
    old = {
        path.relative_to(tmp_path).as_posix(): [path.parent.name, {"val": "validation"}.get(split, split)]
        for split in ("train", "val", "test")
        for path in (photos / split).rglob("*.png")
    }
    said, wanted = [], dict(old)
    kept = [f"photos/train/{name}/{k}.png" for name in ("red", "blue") for k in range(4)]
    kept += ["photos/val/red/0.png", "photos/val/blue/0.png"]
    for path in [*kept, *(f"photos/test/red/{k}.png" for k in range(3))]:
        other = "blue" if "/red/" in path else "red"
        correct(fixes, (tmp_path / path).read_bytes(), other)
        if path in kept:
            wanted[path] = [other, old[path][1]]
    for k, label in enumerate(("blue", "blue", "blue", "red", "red")):
        data = encoded(photo(900 + k, (0, 0, 130) if label == "blue" else (130, 0, 0)), tmp_path / "n.png")
        wanted[f"fixes/photos/{correct(fixes, data, label)}.png"] = [label, "train"]
    for label in ("blue", "red"):  # a second thought
        correct(fixes, (photos / "train" / "red" / "9.png").read_bytes(), label)
    assert len((fixes / "corrections.csv").read_text().splitlines()) == 1 + 20
    record = sortograph.train(
        photos, recipe="weather-base", overrides=SMALL, corrections=fixes, out=tmp_path / "run",
        progress=lambda event: said.append(getattr(event, "text", "")),
    )  # fmt: skip
    found = rows_of(tmp_path / "run")
    assert {path: [row["class"], row["split"]] for path, row in found.items()} == wanted
    assert all(path.endswith(f"{row['sha256']}.png") for path, row in found.items() if path[0] == "f")
    assert record.evaluation["test"].n == 10
    assert "corrections: 10 photos relabelled, 5 added to train" in said
    assert any("3 corrections are left out" in line and "is to stay as it is" in line for line in said)
    assert read_run(tmp_path / "run").status == "finished"


def test_a_run_with_corrections_is_reported_on_its_photos(folders, tmp_path):
    """They lie below the folder that its paths begin at."""
    photos, fixes = folders
    correct(fixes, encoded(photo(999, (0, 0, 130)), tmp_path / "n.png"), "blue")
    run = tmp_path / "run"
    sortograph.train(photos, recipe="weather-base", overrides=SMALL, corrections=fixes, out=run)
    assert run_index(read_run(run), photos).root == tmp_path.resolve()
    assert report(run, photos=photos).name == "report.html"
    (photos / "train" / "red" / "0.png").unlink()
    with pytest.raises(RunError, match="1 of 43 photos are gone"):
        report(run, photos=photos)


def test_near_duplicates_of_test_photos_are_never_added(folders, tmp_path):
    """Also where the recipe does not look for any."""
    photos, fixes = folders
    with Image.open(photos / "test" / "red" / "0.png") as opened:
        near = opened.convert("RGB")
    near.putpixel((3, 3), (9, 9, 9))
    sha256 = correct(fixes, encoded(near, tmp_path / "n.png"), "blue")
    said = []
    sortograph.train(
        photos, recipe="weather-base", overrides=(*SMALL, "split.near_duplicates=ignored"), corrections=fixes,
        out=tmp_path / "run", progress=lambda event: said.append(getattr(event, "text", "")),
    )  # fmt: skip
    rows = rows_of(tmp_path / "run")
    assert sha256 not in {row["sha256"] for row in rows.values()}
    assert {row["twins"] for row in rows.values()} == {""}
    assert "corrections: 0 photos relabelled, 0 added to train" in said
    assert any("1 correction is left out, since it or a near duplicate is in test" in line for line in said)


def test_a_photo_that_was_changed_since_is_left_out(folders, tmp_path):
    photos, fixes = folders
    sha256 = correct(fixes, encoded(photo(907, (0, 0, 130)), tmp_path / "n.png"), "blue")
    (fixes / "photos" / f"{sha256}.png").write_bytes(encoded(photo(908, (0, 0, 130)), tmp_path / "m.png"))
    wolf = correct(fixes, (photos / "train" / "red" / "0.png").read_bytes(), "wolf")
    other = f"fixes/photos/{wolf}.png"
    said = []
    sortograph.train(
        photos, recipe="weather-base", overrides=SMALL, corrections=fixes, out=tmp_path / "run",
        progress=lambda event: said.append(getattr(event, "text", "")),
    )  # fmt: skip
    assert any("its content is not what the table says" in line for line in said)
    assert f"1 correction is left out, since its label 'wolf' is no class of these photos: {other}" in said
    rejected = json.loads((tmp_path / "run" / "data.json").read_text())["rejected"]
    assert [one["path"] for one in rejected] == [f"fixes/photos/{sha256}.png"]
    assert "corrections: 0 photos relabelled, 0 added to train" in said
