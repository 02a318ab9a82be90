"""train on what cannot be used: the right error, nothing left behind, and the photos as they were."""

from __future__ import annotations

import errno
import json
import os
import shutil
import tempfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from sortograph import runs
from sortograph.api import training
from sortograph.errors import (
    DataError,
    GateError,
    MissingExtra,
    RecipeError,
    RunError,
    StorageError,
    UsageError,
)
from sortograph.records import EpochDone, Said


def refused(train, watch, photos, out, error, *more, **options):
    """Training fails with `error`; the photos stay, and no run folder appears."""
    if photos.exists():
        watch(photos if photos.is_dir() else photos.parent)
    with pytest.raises(error) as raised:
        train(photos, out, *more, **options)
    assert not out.exists()
    return raised.value


def test_a_folder_that_is_not_there(train, watch, tmp_path):
    error = refused(train, watch, tmp_path / "nowhere", tmp_path / "run", DataError)
    assert "no such folder" in error.what
    assert error.where.endswith("nowhere")


def test_a_folder_that_is_not_there_is_told_before_a_backbone_is_looked_up(monkeypatch, tmp_path):
    monkeypatch.setattr(training, "maker_of", lambda *_: pytest.fail("something was made for no photos"))
    with pytest.raises(DataError, match="no such folder or file"):
        training.train(tmp_path / "nowhere", out=tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_a_folder_without_photos(train, watch, tmp_path):
    (tmp_path / "photos" / "cats").mkdir(parents=True)
    (tmp_path / "photos" / "cats" / "list.txt").write_text("no photo")
    assert "no photos" in refused(train, watch, tmp_path / "photos", tmp_path / "run", DataError).what


def test_one_class(train, watch, paint, tmp_path):
    photos = paint(tmp_path / "photos", ("cats",))
    assert "'cats'" in refused(train, watch, photos, tmp_path / "run", DataError).what


def test_a_class_with_two_readable_photos(train, watch, own_photos, tmp_path):
    for photo in sorted((own_photos / "red").iterdir())[2:]:
        photo.write_bytes(b"no photo")
    error = refused(train, watch, own_photos, tmp_path / "run", DataError)
    assert "'red' (2, 8 more unreadable" in error.what
    assert "green" not in error.what


def test_wrong_classes(train, watch, own_photos, tmp_path):
    error = refused(train, watch, own_photos, tmp_path / "run", UsageError, classes=("red", "gren", "blue"))
    assert "'gren' (did you mean 'green'?)" in error.what


def test_every_mistake_of_a_recipe_at_once(train, watch, own_photos, tmp_path):
    wrong = ("train.epoch=5", "pixels.size=1", "modell.dense=[]")
    text = str(refused(train, watch, own_photos, tmp_path / "run", RecipeError, *wrong))
    assert "3 mistakes" in text
    assert "did you mean 'epochs'?" in text
    assert "did you mean 'model'?" in text
    assert "pixels.size" in text


def test_photos_too_small_for_the_network_before_any_is_read(train, watch, tmp_path):
    (tmp_path / "no photos").mkdir()
    with pytest.raises(RecipeError, match="too small"):
        train(tmp_path / "no photos", tmp_path / "run", "model.filters=[4,4,4,4,4,4]")


def test_unreadable_photos_are_left_out_named_and_counted(train, watch, own_photos, tmp_path, bare):
    (own_photos / "red" / "0.png").write_bytes(b"no photo")
    whole = (own_photos / "blue" / "3.png").read_bytes()
    (own_photos / "blue" / "3.png").write_bytes(whole[: len(whole) // 2])
    watch(own_photos)
    told = []
    record = train(own_photos, tmp_path / "run", progress=told.append)
    (warning,) = [event.text for event in told if isinstance(event, Said) and event.warning]
    assert warning.startswith("2 unreadable photos are left out: ")
    assert "red/0.png (" in warning
    assert "blue/3.png (" in warning
    assert sum(result.n for result in record.evaluation.values()) == 28
    written = json.loads((record.folder / "data.json").read_text(encoding="utf-8"))["rejected"]
    assert {bad["path"] for bad in written} == {"red/0.png", "blue/3.png"}
    assert "red/0.png" not in (record.folder / "index.csv").read_text(encoding="utf-8")


def test_of_many_unreadable_photos_three_are_named(train, own_photos, tmp_path, bare):
    for n in range(5):
        (own_photos / "red" / f"{n}.png").write_bytes(b"no photo")
    told = []
    train(own_photos, tmp_path / "run", progress=told.append)
    (warning,) = [event.text for event in told if isinstance(event, Said) and event.warning]
    assert warning.startswith("5 unreadable photos")
    assert warning.count("red/") == 3
    assert warning.endswith("; and 2 more")


@pytest.mark.parametrize("place", [".", "red", "runs/new"])
def test_a_run_folder_among_the_photos(train, watch, own_photos, place):
    watch(own_photos)
    with pytest.raises(UsageError, match="among the photos"):
        train(own_photos, own_photos / place)


def test_the_default_place_among_the_photos(train, watch, own_photos, monkeypatch):
    watch(own_photos)
    monkeypatch.chdir(own_photos / "red")
    with pytest.raises(UsageError, match="--out"):
        train(own_photos, None)


@pytest.mark.skipif(not hasattr(os, "symlink"), reason="no symbolic links here")
def test_a_link_to_the_photos_is_no_way_in(train, watch, own_photos, tmp_path):
    try:
        (tmp_path / "link").symlink_to(own_photos, target_is_directory=True)
    except OSError:
        pytest.skip("this user may not make symbolic links")
    watch(own_photos)
    with pytest.raises(UsageError, match="among the photos"):
        train(own_photos, tmp_path / "link" / "run")


def test_a_run_folder_that_is_not_empty(train, watch, photos, tmp_path):
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "thesis.txt").write_text("years of work")
    watch(tmp_path / "run")
    watch(photos)
    with pytest.raises(RunError, match="not empty"):
        train(photos, tmp_path / "run")


def test_an_earlier_run_is_never_written_over(train, watch, run, photos):
    watch(run.folder)
    with pytest.raises(RunError, match="not empty"):
        train(photos, run.folder)


def test_a_file_in_the_place_of_the_run_folder(train, watch, photos, tmp_path):
    (tmp_path / "run").write_text("a file")
    watch(photos)
    with pytest.raises(RunError, match="a file of this name exists"):
        train(photos, tmp_path / "run")
    assert (tmp_path / "run").read_text() == "a file"


def test_a_place_that_is_read_only(train, watch, photos, tmp_path):
    (tmp_path / "locked").mkdir(mode=0o500)
    if os.access(tmp_path / "locked", os.W_OK):
        pytest.skip("this user may write everywhere")
    watch(photos)
    with pytest.raises(StorageError, match="no permission"):
        train(photos, tmp_path / "locked" / "run")


@pytest.mark.parametrize(
    ("number", "told"), [(errno.EROFS, "the place is read-only"), (errno.EACCES, "no permission")]
)
def test_a_place_where_no_folder_can_be_made(train, watch, photos, tmp_path, monkeypatch, number, told):
    make = Path.mkdir

    def mkdir(self, *args, **options):
        if self == tmp_path / "disk" / "run":
            raise OSError(number, os.strerror(number))
        make(self, *args, **options)

    watch(photos)
    monkeypatch.setattr(Path, "mkdir", mkdir)
    with pytest.raises(StorageError, match=told) as raised:
        train(photos, tmp_path / "disk" / "run")
    assert raised.value.where == str(tmp_path / "disk" / "run")


@pytest.fixture
def full_disk(monkeypatch):
    """`full_disk(".onnx")`: no room for files of this kind, though the disk takes others."""
    make = tempfile.mkstemp

    def fill(suffix):
        def mkstemp(*args, **options):
            if options.get("suffix") == suffix:
                raise OSError(errno.ENOSPC, "No space left on device")
            return make(*args, **options)

        monkeypatch.setattr("sortograph.files.tempfile.mkstemp", mkstemp)

    return fill


@pytest.mark.parametrize(
    ("suffix", "status"),
    [
        (".toml", None),  # the first file of a run: nothing is known of it yet
        (".csv", None),
        (".safetensors", "failed"),
        (".onnx", "failed"),
        (".html", "failed"),
        (".png", "failed"),
    ],
)
def test_a_disk_that_is_full(train, watch, photos, tmp_path, full_disk, suffix, status):
    watch(photos)
    full_disk(suffix)
    with pytest.raises(StorageError, match="the disk is full") as raised:
        train(photos, tmp_path / "run")
    assert raised.value.where.endswith(suffix)
    assert "another place" in raised.value.fix
    left = {path.name for path in (tmp_path / "run").rglob("*")}
    assert not any(name.startswith(".writing-") or name == ".lock" for name in left)
    assert ("run.json" in left) == (status is not None)
    assert status is None or runs.read_run(tmp_path / "run").status == status
    assert ("model.onnx" in left) == (suffix in (".html", ".png")), "what was judged can be used"


def test_a_disk_that_fills_up_while_a_file_is_written(train, watch, photos, tmp_path, monkeypatch):
    def full(_handle):
        raise OSError(errno.ENOSPC, "No space left on device")

    watch(photos)
    monkeypatch.setattr("sortograph.files.os.fsync", full)
    with pytest.raises(StorageError, match="the disk is full"):
        train(photos, tmp_path / "run")
    assert {path.name for path in (tmp_path / "run").iterdir()} == {"log.txt"}


def test_a_loss_that_explodes_ends_the_run_and_says_what_to_change(train, watch, photos, tmp_path):
    watch(photos)
    wild = ("train.optimiser=sgd", "train.learning_rate=10", "train.momentum=0.99", "train.epochs=60")
    with pytest.raises(GateError, match=r"the loss is (nan|inf)|weights have exploded") as raised:
        train(photos, tmp_path / "run", *wild, "pixels.value_range=[0.0,1000000.0]", "train.clip_norm=0")
    assert "--set train.learning_rate=1" in raised.value.fix
    assert runs.read_run(tmp_path / "run").status == "failed"
    assert not (tmp_path / "run" / "model.onnx").exists()


def test_a_model_that_would_answer_otherwise_than_the_network_is_not_written(
    train, watch, photos, tmp_path, monkeypatch
):
    from sortograph import export as room

    export = room.to_onnx

    def wrong(plan, spec, weights):
        return export(plan, spec, {name: -np.asarray(value) for name, value in weights.items()})

    watch(photos)
    monkeypatch.setattr(room, "to_onnx", wrong)
    with pytest.raises(GateError):
        train(photos, tmp_path / "run")
    assert not (tmp_path / "run" / "model.onnx").exists()
    assert runs.read_run(tmp_path / "run").status == "failed"


def test_a_photo_that_changes_during_training_is_noticed_where_it_is_read_again(
    train, own_photos, tmp_path, bare, monkeypatch
):
    monkeypatch.setattr("sortograph.caches.limit", lambda folder: 0)  # nothing can be kept
    monkeypatch.setenv("SORTOGRAPH_CACHE", str(tmp_path / "cache"))

    def swap(event):
        if isinstance(event, EpochDone):
            Image.new("RGB", (32, 32), "white").save(own_photos / "red" / "0.png")

    with pytest.raises(RunError, match="changed since it was indexed") as raised:
        train(own_photos, tmp_path / "run", progress=swap)
    assert raised.value.where == "red/0.png"
    assert runs.read_run(tmp_path / "run").status == "failed"


def test_an_extra_that_is_missing_is_told_before_anything_else(train, tmp_path, monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None if name == "torch" else object())
    with pytest.raises(MissingExtra, match=r'pip install "sortograph\[train\]"'):
        train(tmp_path / "not even there", tmp_path / "run")


def test_a_failed_run_does_not_stand_in_the_way_of_the_next_one(train, photos, tmp_path, bare, full_disk):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("sortograph.api.judging.write_bundle", lambda *_: full())
        with pytest.raises(StorageError):
            train(photos, tmp_path / "run")
    shutil.rmtree(tmp_path / "run")
    assert train(photos, tmp_path / "run").status == "finished"


def full() -> Path:
    raise StorageError("cannot write (the disk is full)")
