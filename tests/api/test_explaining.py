"""explain, and the sheets of photos in a report."""

from __future__ import annotations

import io
import shutil
import sys
import threading
import time
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

import sortograph
from sortograph import runs
from sortograph.api import explain_photos
from sortograph.api.explaining import SHEET_PHOTOS
from sortograph.api.judging import Answered
from sortograph.api.sheets import Shown, photo_sheets
from sortograph.bundle.runtime import Answers, open_bundle
from sortograph.cores import cores
from sortograph.errors import BundleError, DataError, PhotoError, RunError, StorageError, UsageError
from sortograph.records import PredictionTable, Said

SHEETS = {"predictions", "mistakes", "hits", "confused", "lookalikes", "heatmaps"}


@pytest.fixture
def cornered(tmp_path):
    """Noise with a red square at its lower right: what makes the run of `run` say red."""
    pixels = np.random.default_rng(1).integers(60, 100, (32, 32, 3)).astype(np.uint8)
    pixels[18:, 18:] = (255, 0, 0)
    Image.fromarray(pixels).save(tmp_path / "cornered.png")
    return tmp_path / "cornered.png"


@pytest.fixture
def copied(run, tmp_path):
    folder = tmp_path / "runs" / run.folder.name
    shutil.copytree(run.folder, folder)
    return folder


@pytest.mark.parametrize("method", ["auto", "occlusion", "gradcam"])
def test_an_explanation_of_a_run(run, photos, method, watch):
    watch(run.folder)
    found = sortograph.explain(run.folder, photos / "green" / "1.png", method=method)
    answer = sortograph.load(run.folder).predict(photos / "green" / "1.png")
    assert (found.class_name, found.predicted) == ("green", "green")
    assert found.probability == pytest.approx(answer.probability, rel=1e-5)
    assert found.path == str(photos / "green" / "1.png")
    assert found.method == ("layer-cam" if method == "gradcam" else "occlusion")
    assert found.heatmap.shape == (16, 16)
    assert found.heatmap.dtype == np.float32
    assert np.abs(found.heatmap).max() == 1
    assert found.pixels.shape == (16, 16, 3)
    again = sortograph.explain(run.folder, photos / "green" / "1.png", method=method)
    assert (again.heatmap == found.heatmap).all()
    if method == "gradcam":
        assert found.covered is None
    else:
        assert 0 <= found.covered <= found.probability


@pytest.mark.parametrize("method", ["occlusion", "gradcam"])
def test_the_part_that_decides_is_found(run, cornered, method):
    found = sortograph.explain(run.folder, cornered, class_name="red", method=method)
    across, down = found.strongest
    assert across > 0.5
    assert down > 0.5
    assert found.heatmap[9:, 9:].mean() > found.heatmap[:9, :9].mean() + 0.1


def test_a_bare_model_explains_itself_by_any_kind_of_photo(model_file, tmp_path):
    pixels = np.random.default_rng(0).integers(0, 256, (12, 10, 3)).astype(np.uint8)
    Image.fromarray(pixels).save(tmp_path / "one.png")
    given = [pixels, Image.fromarray(pixels), tmp_path / "one.png", (tmp_path / "one.png").read_bytes()]
    heats = [sortograph.explain(model_file, photo, class_name="dog").heatmap for photo in given]
    assert all((heat == heats[0]).all() for heat in heats)


def test_what_cannot_be_explained_is_told(run, model_file, photos, tmp_path):
    photo = photos / "red" / "0.png"
    with pytest.raises(UsageError, match=r"no class 'gren' \(did you mean 'green'\?\)") as told:
        sortograph.explain(run.folder, photo, class_name="gren")
    assert told.value.expected == "one of red, green, blue"
    with pytest.raises(UsageError, match=r"no method 'gradcm' \(did you mean 'gradcam'\?\)"):
        sortograph.explain(run.folder, photo, method="gradcm")
    with pytest.raises(UsageError, match="needs the weights of a run") as told:
        sortograph.explain(model_file, photo, method="gradcam")
    assert told.value.fix.startswith("--method occlusion")
    with pytest.raises(PhotoError, match="not a photo"):
        sortograph.explain(run.folder, b"no photo")
    with pytest.raises(BundleError, match="no such file"):
        sortograph.explain(tmp_path / "gone.onnx", photo)


@pytest.mark.parametrize(
    ("change", "what"),
    [({"kind": "backbone"}, "stands on a backbone"), ({"kind": "dense"}, "has dense layers alone")],
)
def test_gradients_are_for_networks_with_a_map(copied, photos, change, what):
    record = runs.read_run(copied)
    recipe = {**record.recipe, "model": {**record.recipe["model"], **change}}
    recipe["backbone"] = {**record.recipe["backbone"], "names": ["fast"]}
    runs.write_run(replace(record, recipe=recipe))
    with pytest.raises(UsageError, match=what) as told:
        sortograph.explain(copied, photos / "red" / "0.png", method="gradcam")
    assert told.value.fix.startswith("--method occlusion")


def test_weights_of_another_training_are_noticed(copied, photos):
    from safetensors.numpy import load_file, save_file

    weights = load_file(copied / "weights.safetensors")
    save_file({name: -value for name, value in weights.items()}, copied / "weights.safetensors")
    with pytest.raises(RunError, match=r"answers otherwise than model\.onnx"):
        sortograph.explain(copied, photos / "red" / "0.png", method="gradcam")


def test_a_picture_for_each_photo(run, photos, tmp_path, watch):
    watch(photos)
    given = [photos / "red" / "0.png", photos / "blue" / "0.png"]
    found = list(explain_photos(run.folder, given, out=tmp_path / "pictures"))
    assert [one.picture.name for one in found] == ["0.png", "0-2.png"]
    assert [one.explanation.class_name for one in found] == ["red", "blue"]
    for one in found:
        with Image.open(one.picture) as picture:
            assert picture.width > 2 * 224
    again = list(explain_photos(run.folder, given[0], out=tmp_path / "pictures"))
    assert [one.picture.name for one in again] == ["0.png"], "our own pictures are written again"


@pytest.mark.skipif(sys.platform == "win32", reason="such photos cannot be there")
def test_no_picture_has_a_name_that_windows_keeps_for_devices(model_file, tmp_path):
    names = ["CON.jpg", "con_.jpg", "lpt1.a.jpg", "connie.jpg"]
    for name in names:
        Image.new("RGB", (6, 5)).save(tmp_path / name)
    found = explain_photos(model_file, [tmp_path / name for name in names], out=tmp_path / "pictures")
    assert [one.picture.name for one in found] == ["CON_.png", "con_-2.png", "lpt1_.a.png", "connie.png"]


def test_one_sheet_and_what_cannot_be_read(run, photos, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "broken.jpg").write_bytes(b"no photo")
    found = list(explain_photos(run.folder, ["broken.jpg", str(photos / "red" / "0.png")]))
    assert [one.error is None for one in found] == [False, True]
    assert found[0].to_json() == {"path": "broken.jpg", "picture": None, "error": found[0].error}
    assert found[1].to_json()["picture"] == "explained.png"
    assert (tmp_path / "explained.png").is_file()


def test_a_sheet_ends_and_is_written_where_the_work_is_stopped(model_file, tmp_path, monkeypatch):
    Image.new("RGB", (6, 5)).save(tmp_path / "one.png")
    many = [tmp_path / "one.png"] * (SHEET_PHOTOS + 2)
    found = list(explain_photos(model_file, many, out=tmp_path / "all.png"))
    assert [one.picture is None for one in found] == [False] * SHEET_PHOTOS + [True] * 2
    some = explain_photos(model_file, many, out=tmp_path / "some.png")
    next(some)
    some.close()
    with Image.open(tmp_path / "all.png") as all_, Image.open(tmp_path / "some.png") as one:
        assert all_.height > 10 * one.height


def test_pictures_lie_nowhere_among_photos_and_replace_nothing(run, own_photos, tmp_path, watch):
    watch(own_photos)
    for place in (own_photos, own_photos / "red" / "new", own_photos / "red" / "new.png"):
        with pytest.raises(UsageError, match="among the photos"):
            explain_photos(run.folder, own_photos, out=place)
    one = own_photos / "red" / "0.png"
    with pytest.raises(StorageError, match="not a grid of ours"):
        explain_photos(run.folder, one, out=one)
    shutil.copy(one, tmp_path / "0.png")
    with pytest.raises(StorageError, match="not a grid of ours"):
        list(explain_photos(run.folder, one, out=tmp_path))
    with pytest.raises(UsageError, match=r"ends in \.png"):
        explain_photos(run.folder, one, out=tmp_path / "sheet.jpg")
    with pytest.raises(DataError, match="no such file"):
        explain_photos(run.folder, tmp_path / "gone.jpg", out=tmp_path / "new.png")


# The sheets of a report.


@pytest.fixture
def shown(run, photos):
    """A run with two mistakes on its test photos, and time for heatmaps however loaded the machine is."""
    index = replace(runs.read_data(run.folder, photos), root=photos)
    bundle, found = open_bundle(run.bundle), {}
    pixels = np.random.default_rng(3).integers(0, 256, (len(index), 16, 16, 3)).astype(np.uint8)
    for split in ("train", "test"):
        rows = index.rows(split)
        answers = bundle.run(pixels[rows])
        labels = answers.logits.argmax(axis=1).astype(np.int64)
        labels[:2] = (labels[:2] + 1) % 3 if split == "test" else labels[:2]
        table = PredictionTable(rows, answers.logits, labels, index.classes, split)
        found[split] = Answered(table, answers.embedding)
    return Shown(index, found, lambda rows: pixels[rows], bundle.run, 1, seconds=600.0)


def test_a_report_of_a_run_has_all_sheets(shown):
    sheets = photo_sheets(shown)
    assert set(sheets) == SHEETS
    for name, sheet in sheets.items():
        with Image.open(io.BytesIO(sheet)) as picture:
            assert picture.width < 1100, name
    assert photo_sheets(shown) == sheets


def test_lookalikes_are_training_photos_and_the_nearest(shown, monkeypatch):
    seen = []
    monkeypatch.setattr(
        "sortograph.api.sheets.lookalike_sheet", lambda *given, **_: seen.append(given) or b""
    )
    photo_sheets(shown)
    (*_, likes) = seen[0]
    assert likes.rows.shape == (5, 4)
    assert {shown.index.splits[row] for row in likes.rows.ravel()} == {"train"}
    train, test = shown.found["train"], shown.found["test"]
    unit = [v / np.linalg.norm(v, axis=1, keepdims=True) for v in (test.embeddings, train.embeddings)]
    best = (unit[0] @ unit[1].T)[likes.places].argmax(axis=1)
    assert (train.table.rows[best] == likes.rows[:, 0]).all()


def test_heatmaps_are_of_mistakes_first_for_what_was_predicted(shown, monkeypatch):
    seen, asked = [], []
    monkeypatch.setattr("sortograph.api.sheets.heatmap_sheet", lambda *given, **_: seen.append(given) or b"")
    real = shown.run
    photo_sheets(replace(shown, run=lambda some: asked.append(len(some)) or real(some)))
    (_, table, _, (places, heat)) = seen[0]
    count = min(8, len(table.rows))
    assert len(places) == len(heat) == count
    assert (table.labels[places] == table.predicted()[places]).tolist() == [False] * 2 + [True] * (count - 2)
    assert sum(asked) == 2 * max(4, cores()) + count * 147


def test_other_pictures_are_drawn_while_heatmaps_are_computed(shown):
    computed, drawn = threading.Event(), threading.Event()

    def run(photos):
        computed.set()
        assert drawn.wait(60)
        return shown.run(photos)

    def others():
        assert computed.wait(60)
        drawn.set()
        return {"curves": b"png"}

    sheets = photo_sheets(replace(shown, run=run), others)
    assert sheets["curves"] == b"png"
    assert sheets["heatmaps"]
    assert photo_sheets(replace(shown, found={}), lambda: {"curves": b"png"}) == {"curves": b"png"}


@pytest.mark.parametrize("error", [KeyboardInterrupt, MemoryError])
def test_what_stops_the_drawing_stops_the_heatmaps(shown, error):
    calls, stopped = [], threading.Event()

    def run(photos):
        calls.append(len(photos))
        if len(calls) > 2:  # the measurement is over
            assert stopped.wait(60)
        return shown.run(photos)

    def others():
        while len(calls) < 3:
            time.sleep(0.001)
        threading.Timer(0.2, stopped.set).start()
        raise error

    with pytest.raises(error):
        photo_sheets(replace(shown, run=run), others)
    assert len(calls) == 3


@pytest.mark.parametrize("seconds", [0.0, -5.0])
def test_no_time_means_no_heatmaps_which_is_told(shown, seconds):
    said = []

    def run(photos):
        raise AssertionError("nothing is to be computed")

    sheets = photo_sheets(replace(shown, seconds=seconds, run=run, progress=said.append))
    assert sheets["heatmaps"] == b""
    assert all(sheet for name, sheet in sheets.items() if name != "heatmaps")
    assert [event.text[:18] for event in said if isinstance(event, Said)] == ["no heatmaps drawn:"]


def test_a_slow_model_gets_fewer_and_coarser_heatmaps(shown, monkeypatch):
    clock, seen = [0.0], []
    monkeypatch.setattr("sortograph.api.sheets.time.monotonic", lambda: clock[0])
    monkeypatch.setattr(
        "sortograph.api.sheets.heatmap_sheet", lambda *given, **_: seen.append(given[3]) or b""
    )

    def slow(photos: np.ndarray) -> Answers:
        clock[0] += 0.03 * len(photos)
        return shown.run(photos)

    photo_sheets(replace(shown, run=slow, seconds=3.0))
    assert len(seen[0][1]) == 3
    assert clock[0] < 3


def test_only_training_photos_have_no_lookalikes(shown):
    sheets = photo_sheets(replace(shown, found={"train": shown.found["train"]}))
    assert sheets["lookalikes"] == b""
    assert sheets["predictions"]
    assert photo_sheets(replace(shown, found={})) == {}


def test_training_leaves_the_sheets_in_the_run_and_its_report(run):
    assert {"hits", "heatmaps", "lookalikes"} <= {path.stem for path in (run.folder / "plots").iterdir()}
