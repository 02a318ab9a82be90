"""evaluate and report: a run looked at again, and its model on other photos."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace

import numpy as np
import pytest

import sortograph
from sortograph import runs
from sortograph.dataset import write_index
from sortograph.errors import BundleError, DataError, RunError, UsageError
from sortograph.records import SPLITS, Said

PLOTS = {"curves", "confusion", "per_class"}
SHEETS = {"samples", "predictions"}


def numbers(evaluation):
    return {split: result.to_json() for split, result in evaluation.items()}


def named_right(evaluation):
    """What does not depend on the order of the photos, nor on their folders."""
    return {
        split: (found.n, found.confusion.tolist(), found.metrics["accuracy"], found.chose)
        for split, found in evaluation.items()
    }


@pytest.fixture
def copied(run, tmp_path):
    """A run that a test may change, under the name that it has."""
    folder = tmp_path / "runs" / run.folder.name
    shutil.copytree(run.folder, folder)
    return folder


def test_without_photos_it_tells_what_the_run_has_measured(run, watch):
    watch(run.folder)
    told = sortograph.evaluate(run.folder)
    assert numbers(told.evaluation) == numbers(run.evaluation)
    assert (told.run, told.bundle, told.report) == (run.folder, run.bundle, run.report)
    assert (told.recipe, told.seed) == ("weather", run.seed)
    assert told.notes == ("measured when the run ended",)


def test_the_same_photos_give_exactly_the_same_numbers(run, photos, watch):
    watch(run.folder)
    watch(photos)
    told = sortograph.evaluate(run.folder, photos)
    assert numbers(told.evaluation) == numbers(run.evaluation)
    counts = ", ".join(f"{run.evaluation[split].n} {split}" for split in SPLITS)
    assert told.notes == (f"photos by the split that the run had them in: {counts}",)


def test_photos_are_known_by_their_content_not_by_their_name(run, own_photos):
    for photo in sorted(own_photos.rglob("*.png")):
        photo.rename(photo.with_name(f"renamed-{photo.name}"))
    assert numbers(sortograph.evaluate(run.folder, own_photos).evaluation) == numbers(run.evaluation)


def test_new_photos_are_judged_apart(run, paint, own_photos):
    paint(own_photos, ("red", "green", "blue"), count=4, first=50)
    told = sortograph.evaluate(run.folder, own_photos)
    assert set(told.evaluation) == {*SPLITS, "new"}
    assert told.evaluation["new"].n == 12
    assert told.evaluation["new"].metrics["accuracy"].value == 1
    for split in SPLITS:
        now, then = told.evaluation[split], run.evaluation[split]
        assert (now.n, now.metrics) == (then.n, then.metrics)
    assert told.notes[0].endswith("12 new")


def test_some_of_the_classes_will_do(run, paint, tmp_path):
    photos = paint(tmp_path / "photos", ("red", "green"), count=4, first=70)
    shutil.move(photos / "green", photos / "blue")  # what is painted second is green
    told = sortograph.evaluate(run.folder, photos).evaluation["new"]
    assert told.confusion.tolist() == [[4, 0, 0], [0, 0, 0], [0, 4, 0]], "truth in rows, in the model's order"


@pytest.mark.parametrize("count", [1, 2])
def test_few_photos_of_one_class_can_be_judged(run, paint, tmp_path, count):
    told = sortograph.evaluate(run.folder, paint(tmp_path / "photos", ("red",), count=count, first=70))
    assert (told.evaluation["new"].n, told.evaluation["new"].metrics["accuracy"].value) == (count, 1)
    (tmp_path / "photos.csv").write_text("path,label\nphotos/red/70.png,red\n", encoding="utf-8")
    assert sortograph.evaluate(run.folder, tmp_path / "photos.csv").evaluation["new"].n == 1


def test_what_is_left_out_is_told(run, own_photos):
    (own_photos / "red" / "broken.png").write_bytes(b"no photo")
    (own_photos / "red" / "notes.txt").write_text("x")
    (own_photos / "blue" / "album").mkdir()
    (own_photos / "blue" / "0.png").rename(own_photos / "blue" / "album" / "0.png")
    said = []
    told = sortograph.evaluate(run.folder, own_photos, progress=said.append)
    assert named_right(told.evaluation) == named_right(run.evaluation)
    assert [file.path for file in told.rejected] == ["red/broken.png"]
    (warning,) = [event for event in said if isinstance(event, Said)]
    assert warning.warning
    assert warning.text.startswith("1 unreadable photo is left out: red/broken.png (not a photo")
    data = told.to_json()
    assert data["rejected"] == [{"path": "red/broken.png", "reason": told.rejected[0].reason}]
    assert data["ignored"] == 1
    assert data["notes"][0].startswith("counted for their class: 1 photo")
    assert data["notes"][1].startswith("photos by the split")


def test_photos_under_another_label_than_in_the_run_are_counted(run, own_photos):
    for name in ("0.png", "1.png"):
        (own_photos / "red" / name).rename(own_photos / "blue" / f"red-{name}")
    told = sortograph.evaluate(run.folder, own_photos)
    assert told.notes[1:] == ("with another label than in the run: 2 photos, judged by the label given now",)
    assert sum(result.n for result in told.evaluation.values()) == 30
    assert numbers(told.evaluation) != numbers(run.evaluation)


@pytest.mark.parametrize("splits", [("train", "validation"), ("train", "test"), ("validation", "test")])
def test_photos_of_several_splits_count_for_the_one_that_taught_most(copied, own_photos, splits):
    """In either order: red/0.png was in one of the splits, and red/copy.png, the same photo, in the other."""
    record, index = runs.read_run(copied), runs.read_data(copied)
    for path in own_photos.rglob("*.png"):
        if path != own_photos / "red" / "0.png":
            path.unlink()
    for first, second in (splits, splits[::-1]):
        row = index.paths.index("red/0.png")
        changed = replace(
            index,
            paths=(*index.paths, "red/copy.png"),
            labels=np.append(index.labels, index.labels[row]),
            groups=(*index.groups, ""),
            splits=(*(first if k == row else split for k, split in enumerate(index.splits)), second),
            sha256=(*index.sha256, index.sha256[row]),
            sizes=np.vstack([index.sizes, index.sizes[row]]),
            twins=(*index.twins, ""),
        )
        write_index(changed, copied / "index.csv")
        runs.write_run(replace(record, fingerprint=changed.fingerprint))
        told = sortograph.evaluate(copied, own_photos)
        assert set(told.evaluation) == {splits[0]}
        assert told.notes[-1].startswith("in several splits of the run: 1 photo, counted for train before")


@pytest.mark.parametrize("change", ["a split", "a label", "a photo"])
def test_a_run_whose_index_was_altered_is_refused(copied, photos, change):
    lines = (copied / "index.csv").read_text(encoding="utf-8").splitlines()
    k = next(k for k, line in enumerate(lines) if ",red,train," in line)
    changed = {
        "a split": lines[k].replace(",train,", ",test,"),
        "a label": lines[k].replace(",red,", ",blue,"),
        "a photo": "",
    }
    lines[k] = changed[change]
    (copied / "index.csv").write_text("".join(f"{line}\n" for line in lines if line), encoding="utf-8")
    for ask in (lambda: sortograph.evaluate(copied, photos), lambda: sortograph.report(copied)):
        with pytest.raises(RunError, match="not what the run wrote") as refused:
            ask()
        assert refused.value.where == str(copied)


def test_unknown_classes_are_refused_with_the_nearest_name(run, own_photos, watch):
    shutil.move(own_photos / "green", own_photos / "gren")
    shutil.copytree(own_photos / "red", own_photos / "Zebras")
    watch(own_photos)
    with pytest.raises(DataError, match="classes that the model does not know") as refused:
        sortograph.evaluate(run.folder, own_photos)
    assert refused.value.what.endswith("'gren' (did you mean 'green'?), 'Zebras'")
    assert refused.value.expected == "some of red, green, blue"


def test_a_bare_model_does_not_know_what_it_was_trained_on(run, photos):
    told = sortograph.evaluate(run.bundle, photos)
    assert set(told.evaluation) == {"new"}
    assert told.evaluation["new"].n == 30
    assert (told.run, told.report, told.seed, told.recipe) == (None, None, None, "weather")
    assert "give its run folder" in told.notes[0]


def test_a_folder_with_nothing_but_a_model_is_that_model(run, photos, tmp_path):
    (tmp_path / "bare").mkdir()
    shutil.copy(run.bundle, tmp_path / "bare")
    found, expected = sortograph.evaluate(tmp_path / "bare", photos), sortograph.evaluate(run.bundle, photos)
    assert (found.run, found.bundle, found.notes) == (None, tmp_path / "bare" / "model.onnx", expected.notes)
    assert found.to_json()["evaluation"] == expected.to_json()["evaluation"]


def test_a_bare_model_needs_photos(run):
    with pytest.raises(DataError, match="no photos to judge the model on"):
        sortograph.evaluate(run.bundle)


def test_the_json_has_what_programs_rely_on(run, photos):
    told = json.loads(json.dumps(sortograph.evaluate(run.bundle, photos).to_json()))
    assert set(told) == {
        "run", "bundle", "report", "recipe", "seed", "seconds", "evaluation", "leaks", "notes", "rejected",
        "ignored", "trust",
    }  # fmt: skip
    accuracy = told["evaluation"]["new"]["metrics"]["accuracy"]
    assert set(accuracy) == {"value", "low", "high", "level", "n", "method"}


def test_a_judgement_can_be_kept(run, photos, tmp_path):
    told = sortograph.evaluate(run.folder, photos, out=tmp_path / "judged")
    assert {path.name for path in (tmp_path / "judged").iterdir()} == {"evaluation.json", "predictions.csv"}
    assert numbers(runs.read_evaluation(tmp_path / "judged")) == numbers(told.evaluation)
    written = (tmp_path / "judged" / "predictions.csv").read_text(encoding="utf-8").splitlines()
    assert written[0] == (run.folder / "predictions.csv").read_text(encoding="utf-8").splitlines()[0]
    assert len(written) == 31


def test_a_judgement_is_kept_nowhere_where_something_is(run, own_photos, tmp_path, watch):
    (tmp_path / "used").mkdir()
    (tmp_path / "used" / "thesis.txt").write_text("years of work")
    watch(tmp_path / "used")
    watch(own_photos)
    with pytest.raises(RunError, match="not empty"):
        sortograph.evaluate(run.folder, own_photos, out=tmp_path / "used")
    with pytest.raises(UsageError, match="among the photos"):
        sortograph.evaluate(run.folder, own_photos, out=own_photos / "judged")


def test_what_is_neither_run_nor_model(tmp_path, photos):
    with pytest.raises(RunError, match="not a run folder"):
        sortograph.evaluate(tmp_path, photos)
    with pytest.raises(BundleError, match="no such file"):
        sortograph.evaluate(tmp_path / "model.onnx", photos)


def test_a_report_is_written_again(copied):
    before = {path.stem: path.read_bytes() for path in (copied / "plots").iterdir()}
    (copied / "report.html").unlink()
    for name in PLOTS:
        (copied / "plots" / f"{name}.png").unlink()
    assert sortograph.report(copied) == copied / "report.html"
    assert "red" in (copied / "report.html").read_text(encoding="utf-8")
    assert {path.stem: path.read_bytes() for path in (copied / "plots").iterdir()} == before


def test_a_report_written_again_is_the_same_page(copied):
    page = (copied / "report.html").read_bytes()
    sortograph.report(copied)
    first = (copied / "report.html").read_bytes()
    sortograph.report(copied)
    assert (copied / "report.html").read_bytes() == first
    assert abs(len(first) - len(page)) < 100, "all but the seconds that the first page took"


def test_with_the_photos_its_sheets_are_drawn_again(copied, photos, watch, monkeypatch):
    watch(photos)
    monkeypatch.setattr("sortograph.api.reviewing._HEATMAP_SECONDS", 600.0)  # as many as the run had
    before = {path.stem: path.read_bytes() for path in (copied / "plots").iterdir()}
    for name in SHEETS:
        (copied / "plots" / f"{name}.png").unlink()
    sortograph.report(copied)
    assert SHEETS.isdisjoint(path.stem for path in (copied / "plots").iterdir())
    sortograph.report(copied, photos=photos)
    assert {path.stem: path.read_bytes() for path in (copied / "plots").iterdir()} == before


def test_heatmaps_for_which_there_was_no_time_stay_as_the_run_has_them(copied, photos, monkeypatch):
    monkeypatch.setattr("sortograph.api.reviewing._HEATMAP_SECONDS", 0.0)
    before = (copied / "plots" / "heatmaps.png").read_bytes()
    page = (copied / "report.html").read_text(encoding="utf-8")
    sortograph.report(copied, photos=photos)
    assert (copied / "plots" / "heatmaps.png").read_bytes() == before
    again = (copied / "report.html").read_text(encoding="utf-8")
    assert again.count("data:image/") == page.count("data:image/") > 6


@pytest.mark.parametrize("change", ["gone", "another"])
def test_a_report_is_not_drawn_with_other_photos(copied, own_photos, change):
    one = own_photos / "red" / "0.png"
    one.unlink() if change == "gone" else one.write_bytes((own_photos / "red" / "1.png").read_bytes())
    with pytest.raises(RunError, match=r"1 of \d+ photos are gone or changed since the run, such as red/0"):
        sortograph.report(copied, photos=own_photos)


def test_a_run_without_a_judgement_has_no_report(copied):
    (copied / "evaluation.json").unlink()
    with pytest.raises(RunError, match="nothing to report yet"):
        sortograph.report(copied)


def test_what_is_no_run_has_no_report(copied):
    with pytest.raises(RunError, match=f"did you mean '{copied.name}'"):
        sortograph.report(copied.parent / f"{copied.name}s")


def test_a_run_whose_model_was_altered_has_no_report(copied):
    data = bytearray((copied / "model.onnx").read_bytes())
    data[len(data) // 2] ^= 1
    (copied / "model.onnx").write_bytes(bytes(data))
    with pytest.raises(BundleError, match="damaged or altered"):
        sortograph.report(copied)
