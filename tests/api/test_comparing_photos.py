"""compare --photos: all models are asked anew, about photos that none of them was taught."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import sortograph
from sortograph import runs
from sortograph.dataset import write_index
from sortograph.errors import BundleError, DataError, UsageError
from sortograph.evaluation import paired_difference
from sortograph.records import Step
from written_runs import index_of, write_run


def _sha(file: Path) -> str:
    return hashlib.sha256(file.read_bytes()).hexdigest()


@pytest.fixture
def given(tmp_path, make_small) -> tuple[Path, list[Path]]:
    """Photos whose colour the small bundle answers by, and two runs that were trained on some of them."""
    photos = tmp_path / "given"
    noise = np.random.default_rng(2)
    for name, colour in (("cat", (210, 40, 30)), ("dog", (60, 200, 60)), ("새", (120, 120, 30))):
        (photos / name).mkdir(parents=True)
        for k in range(8):
            pixels = np.clip(noise.normal(colour, 70, (14, 12, 3)), 0, 255).astype(np.uint8)
            Image.fromarray(pixels).save(photos / name / f"{k}.png")
    folders = []
    for name, size, taught in (("a", (6, 5), 0), ("b", (9, 9), 1)):
        index = index_of()
        contents = list(index.sha256)
        for k, row in enumerate(index.rows("train")[:3].tolist()):
            contents[row] = _sha(photos / "cat" / f"{k + taught}.png")
        contents[index.rows("validation")[0]] = _sha(photos / "dog" / "7.png")
        folder = write_run(tmp_path / name, replace(index, sha256=tuple(contents)), {})
        (folder / "model.onnx").unlink()
        make_small(size=size).write(folder / "model.onnx")
        folders.append(folder)
    return photos, folders


def test_all_models_are_asked_about_the_photos_that_are_given(given, watch):
    photos, folders = given
    (photos / "cat" / "broken.png").write_bytes(b"no photo")
    (photos / "notes.txt").write_text("x")
    watch(photos)
    events: list[Any] = []
    found = sortograph.compare(folders, photos=photos, progress=events.append)
    fair = [p for p in sorted(photos.rglob("*.png")) if p.name != "broken.png"
            and (p.parent.name, p.name) not in {("cat", f"{k}.png") for k in range(4)}]  # fmt: skip
    models = [sortograph.load(folder) for folder in folders]
    expected = np.array([[m.predict(p).label == p.parent.name for p in fair] for m in models])
    assert 0 < expected.sum() < expected.size
    assert found.split == "photos"
    assert found.pairs[0].difference == paired_difference(expected[1], expected[0])
    assert [run.accuracy["photos"].n for run in found.runs] == [20, 20]
    assert set(found.runs[0].accuracy) == {"train", "validation", "photos"}
    assert "left out, since a run was trained on them or nearly: 4 photos" in found.notes
    assert "validation photos of a run, which may have helped to choose it: 1 photo" in found.notes
    assert [file.path for file in found.rejected] == ["cat/broken.png"]
    assert found.ignored == 1
    assert [event for event in events if isinstance(event, Step)][-1] == Step("asking the models", 20, 20)


def test_near_copies_of_training_photos_are_left_out_too(given):
    photos, (a, b) = given
    record, index = runs.read_run(a), runs.read_data(a)
    twins = list(index.twins)
    twins[index.rows("validation")[0]] = twins[index.rows("train")[9]] = "cat/one.png"
    index = replace(index, twins=tuple(twins))
    write_index(index, a / "index.csv")
    runs.write_run(replace(record, fingerprint=index.fingerprint))
    found = sortograph.compare([a, b], photos=photos)
    assert "left out, since a run was trained on them or nearly: 5 photos" in found.notes


def test_with_photos_runs_need_no_test_photos_and_no_common_splits(given, tmp_path, make_small):
    photos, (a, _) = given
    other = write_run(tmp_path / "c", index_of(60), {}, leave_out=["test"])
    (other / "model.onnx").unlink()
    make_small(size=(9, 9)).write(other / "model.onnx")
    found = sortograph.compare([a, other], photos=photos)
    assert found.pairs[0].difference.n == 21
    with pytest.raises(DataError, match="nothing can be chosen"):
        sortograph.compare([a, other], photos=photos, choose=True)


def test_photos_that_all_were_taught(given):
    photos, folders = given
    for path in photos.rglob("*.png"):
        if (path.parent.name, path.stem) not in {("cat", "1"), ("cat", "2")}:
            path.unlink()
    with pytest.raises(DataError, match="each of the 2 photos is one that a run was trained on"):
        sortograph.compare(folders, photos=photos)


def test_photos_of_unknown_classes_and_models_that_are_broken(given):
    photos, folders = given
    (folders[1] / "model.onnx").write_bytes(b"no model")
    with pytest.raises(BundleError):
        sortograph.compare(folders, photos=photos)
    (photos / "dog").rename(photos / "dgo")
    with pytest.raises(DataError, match="'dgo' \\(did you mean 'dog'"):
        sortograph.compare(folders, photos=photos)


def test_a_page_is_not_written_among_the_photos(given):
    photos, folders = given
    with pytest.raises(UsageError, match="among the photos"):
        sortograph.compare(folders, photos=photos, out=photos / "compare.html")
