"""The report of a run and its model card, as train and report write them."""

from __future__ import annotations

import json
import re
import shutil
from dataclasses import replace

import pytest

import sortograph
from sortograph import runs
from sortograph.errors import UsageError
from sortograph.records import AbstainRow, LikenessRow, Trust
from sortograph.reporting.page import PHOTOS, PLOTS


@pytest.fixture
def copied(run, tmp_path):
    """A run that a test may change."""
    folder = tmp_path / "runs" / run.folder.name
    shutil.copytree(run.folder, folder)
    return folder


def pictures(page: str) -> int:
    return page.count("<img ")


def test_training_writes_what_it_measured(run):
    page = (run.folder / "report.html").read_text("utf-8")
    card = (run.folder / "model-card.md").read_text("utf-8")
    assert {"reliability.png", "confusion.png"} <= {file.name for file in (run.folder / "plots").iterdir()}
    test = run.evaluation["test"]
    for text in (page, card):
        assert f"{100 * test.metrics['accuracy'].value:.1f} %" in text
        assert f"n = {test.n}" in text
        assert "no photos were left to calibrate by" in text, "all that there are chose the epoch"
        assert str(run.folder.parent) not in text
    assert f"{run.evaluation['validation'].chose} of them are for choosing" in page
    assert re.search(r'<span class="mark (good|warn)">[a-z-]+</span>', page), "a verdict on the run"


def test_photos_can_be_left_out(copied):
    before = {file.name for file in (copied / "plots").iterdir()}
    full = pictures((copied / "report.html").read_text("utf-8"))
    page = sortograph.report(copied, with_photos=False).read_text("utf-8")
    plots = sum(f"{name}.png" in before for name in PLOTS)
    assert pictures(page) == plots
    assert full == plots + sum(f"{name}.png" in before for name in PHOTOS)
    assert full > plots
    assert {file.name for file in (copied / "plots").iterdir()} == before, "they can be put in again"
    assert pictures(sortograph.report(copied).read_text("utf-8")) == full


def test_photos_to_be_drawn_and_left_out(copied, photos):
    with pytest.raises(UsageError, match="to be drawn, and to be left out"):
        sortograph.report(copied, photos=photos, with_photos=False)


def test_the_card_is_written_again(copied):
    card = copied / "model-card.md"
    first = card.read_text("utf-8")
    card.unlink()
    sortograph.report(copied)
    assert [line for line in card.read_text("utf-8").splitlines() if not line.startswith("- status")] == [
        line for line in first.splitlines() if not line.startswith("- status")
    ]


def test_a_run_from_before_calibration_still_has_its_report(copied):
    """As older versions wrote it: no trust, and of each split what was measured then."""
    told = json.loads((copied / "run.json").read_text("utf-8"))
    del told["trust"]
    (copied / "run.json").write_text(json.dumps(told), "utf-8")
    found = json.loads((copied / "evaluation.json").read_text("utf-8"))
    for split in found["splits"].values():
        for name in ("reliability", "slices", "chose"):
            del split[name]
        split["metrics"] = {name: split["metrics"][name] for name in ("accuracy", "macro_f1", "log_loss")}
        for row in split["per_class"]:
            del row["auroc"], row["average_precision"]
    (copied / "evaluation.json").write_text(json.dumps(found), "utf-8")
    (copied / "plots" / "reliability.png").unlink()
    assert runs.read_run(copied).trust is None
    page = sortograph.report(copied).read_text("utf-8")
    assert "Nothing is promised" in page
    assert "reliability" not in page
    assert "Nothing is promised" in (copied / "model-card.md").read_text("utf-8")


def test_evaluate_and_report_tell_the_promises_of_the_run(copied, photos):
    rows = (AbstainRow(0.05, 0.8, 0.75, 60, 0),)
    measured = Trust("validation", 70, 60, 1.25, rows, (), LikenessRow(0.4, 0.0164, 60))
    runs.write_run(replace(runs.read_run(copied), trust=measured))
    assert sortograph.evaluate(copied).trust == measured
    assert sortograph.evaluate(copied / "model.onnx", photos).trust is None
    page = sortograph.report(copied).read_text("utf-8")
    for text in (page, (copied / "model-card.md").read_text("utf-8")):
        assert "fitted to 70 validation photos (60 independent ones)" in text
        assert f"sortograph predict {copied.name} PHOTOS --max-error 5%" in text
        assert "Photos less than 0.40 like training are flagged" in text
