from __future__ import annotations

import json
from pathlib import Path

import pytest

from sortograph.api import Evaluated
from sortograph.errors import RunError
from sortograph.records import Rejected


@pytest.fixture
def evaluated(make_record) -> Evaluated:
    folder = Path("runs/tiny")
    return Evaluated(
        run=folder,
        bundle=folder / "model.onnx",
        report=None,
        recipe="tiny",
        seed=1,
        seconds=0.5,
        evaluation=make_record().evaluation,
        notes=("photos by split: 3 new\x1b[2J",),
        rejected=(Rejected("cats/broken.jpg", "damaged"),),
        ignored=2,
    )


def test_evaluate(call, stand_in, evaluated):
    seen = stand_in("evaluate", evaluated)
    said = call("evaluate", "runs/tiny", "more", "--out", "o")
    assert said.code == 0
    assert seen["arguments"] == (Path("runs/tiny"), Path("more"))
    assert seen["out"] == Path("o")
    lines = said.out.replace("\\", "/").splitlines()
    assert lines[0].startswith("split")
    assert "note: photos by split: 3 new/x1b[2J" in lines
    assert lines[-7:-4] == ["cannot be used: 1", "  cats/broken.jpg: damaged", "no photos, left aside: 2"]
    assert "report" not in said.out
    assert lines[-1].split() == ["next", "sortograph", "predict", "runs/tiny", "PHOTOS"]


def test_evaluate_verbose_and_json(call, stand_in, evaluated):
    stand_in("evaluate", evaluated)
    assert "precision" in call("evaluate", "runs/tiny", "--verbose").out
    found = json.loads(call("evaluate", "runs/tiny", "--json").out)
    assert found["evaluation"]["test"]["metrics"]["accuracy"]["n"] == 10
    assert found["report"] is None
    assert found["rejected"] == [{"path": "cats/broken.jpg", "reason": "damaged"}]
    assert (found["ignored"], found["leaks"]) == (2, {})
    assert found["bundle"] == "runs/tiny/model.onnx"


def test_report(call, stand_in):
    seen = stand_in("report", Path("runs/tiny/report.html"))
    said = call("report", "runs/tiny", "--photos", "moved")
    assert said.out.replace("\\", "/") == "runs/tiny/report.html\n"
    assert seen["arguments"] == (Path("runs/tiny"),)
    assert seen["photos"] == Path("moved")
    assert seen["with_photos"] is True
    call("report", "runs/tiny", "--no-photos")
    assert seen["with_photos"] is False
    found = json.loads(call("report", "runs/tiny", "--json").out)
    assert found == {"run": "runs/tiny", "report": "runs/tiny/report.html"}


def test_folders_that_are_no_runs(call, tmp_path):
    (tmp_path / "empty").mkdir()
    for verb, folder in (
        ("report", "empty"),
        ("evaluate", "empty"),
        ("report", "missing"),
        ("evaluate", "missing"),
    ):
        said = call(verb, folder)
        assert said.code == RunError.exit_code
        assert said.out == ""
        assert folder in said.err.splitlines()[0]
        assert "\n  next: " in said.err
