from __future__ import annotations

import json
from pathlib import Path

import pytest

from sortograph.records import (
    CurvePoint,
    Diagnosis,
    Estimate,
    LearningCurve,
    Remedy,
    Trial,
    Verdict,
)

DROPOUT = Remedy("dropout", "less by heart", ("model.dropout=0.2",), gain=1.5)
AUTO = Remedy("a backbone", "taught by others", ("split.seed=3",), recipe="auto")


def estimate(value, low, high, n=118):
    return Estimate(value, low, high, 0.95, n, "wilson")


@pytest.fixture
def found():
    verdict = Verdict(
        "overfitting",
        "98 % of train\x1b[2J, 88 % of test",
        0.5,
        {"n": 3},
        (DROPOUT, AUTO, Remedy("photos", "few")),
    )
    return Diagnosis(Path("runs/tiny"), (verdict,), {"unstable": "too short", "leak": "too short"})


def test_verdicts_and_commands(call, stand_in, found):
    seen = stand_in("diagnose", found)
    said = call("diagnose", "runs/tiny")
    assert said.code == 0
    assert seen["arguments"] == (Path("runs/tiny"),)
    assert (seen["photos"], seen["try_remedies"], seen["budget"], seen["out"]) == (None, False, None, None)
    lines = said.out.replace("\\", "/").splitlines()
    assert lines[:2] == ["overfitting (worth a look)", "  98 % of train/x1b[2J, 88 % of test"]
    assert lines[2] == "    → dropout (perhaps +1.5 points, a guess): less by heart"
    assert lines[3] == (
        "      sortograph train PHOTOS --recipe runs/tiny/recipe.toml --set model.dropout=0.2"
    )
    assert lines[5] == "      sortograph train PHOTOS --recipe auto --set split.seed=3"
    assert lines[6] == "    → photos: few"
    assert lines[-1] == "not judged: unstable, leak (too short)"


def test_json(call, stand_in, found):
    stand_in("diagnose", found)
    data = json.loads(call("diagnose", "runs/tiny", "--json").out)
    assert data["verdicts"][0]["name"] == "overfitting"
    assert data["verdicts"][0]["remedies"][0]["overrides"] == ["model.dropout=0.2"]
    assert (data["tried"], data["learning_curve"], data["offered"]) == ([], None, None)
    assert data["skipped"] == {"unstable": "too short", "leak": "too short"}


def test_what_was_tried(call, stand_in, found):
    tried = (
        Trial(Remedy("as it is", ""), "", 9, estimate(0.88, 0.8, 0.93), gap=estimate(0.1, 0.05, 0.15)),
        Trial(
            DROPOUT, "overfitting", 9, estimate(0.9, 0.85, 0.95), estimate(0.02, -0.01, 0.05),
            estimate(0.01, -0.02, 0.03), estimate(-0.09, -0.12, -0.05), helped=True,
        ),
        Trial(AUTO, "overfitting", note="not tried: the budget is used up"),
    )  # fmt: skip
    points = tuple(CurvePoint(s, int(600 * s), 5, estimate(0.8 + s / 10, 0.7, 0.95), {}) for s in (0.1, 1.0))
    curve = LearningCurve(
        "a head", points, 0.3, estimate(0.01, 0.002, 0.02), estimate(0.02, 0.0, 0.03),
        {"shine": estimate(0.05, 0.01, 0.08, 30)}, "twice as many would add 1.0 points",
    )  # fmt: skip
    full = Diagnosis(found.run, found.verdicts, {}, curve, tried, Path("out/recipe.toml"))
    seen = stand_in("diagnose", full)
    said = call("diagnose", "runs/tiny", "--photos", "my photos", "--try", "--budget", "5m", "--out", "out")
    assert (seen["photos"], seen["try_remedies"], seen["budget"]) == (Path("my photos"), True, 300.0)
    out = said.out.replace("\\", "/")
    assert "twice as many photos would do most for shine: +5.0 (+1.0 to +8.0) of recall" in out
    row = next(line for line in out.splitlines() if line.startswith("dropout"))
    assert row.split("  ")[-1].strip() == "closes the gap"
    assert "+2.0 (−1.0 to +5.0)" in row
    assert "a backbone: not tried: the budget is used up" in out
    last = out.splitlines()[-2]
    assert last.startswith("next")
    assert last.endswith("out/recipe.toml")


def test_the_level_of_several_remedies_is_told(call, stand_in, found):
    base = Trial(Remedy("the recipe as it is", ""), "", 9, estimate(0.88, 0.8, 0.93))
    change = Estimate(0.02, -0.02, 0.06, 1 - 0.05 / 5, 118, "newcombe paired score")
    tried = Trial(DROPOUT, "overfitting", 9, estimate(0.9, 0.85, 0.95), change)
    stand_in("diagnose", Diagnosis(found.run, found.verdicts, {}, None, (base, tried)))
    out = call("diagnose", "runs/tiny", "--photos", "p", "--try").out
    assert "intervals of changes are at 99.0 %: 5 remedies together hold at 95 %" in out
    stand_in("diagnose", Diagnosis(found.run, found.verdicts, {}, None, (base,)))
    assert "intervals of changes" not in call("diagnose", "runs/tiny", "--photos", "p", "--try").out


def test_nothing_helped(call, stand_in, found):
    base = Trial(Remedy("the recipe as it is", ""), "", 9, estimate(0.88, 0.8, 0.93))
    stand_in("diagnose", Diagnosis(found.run, found.verdicts, {}, None, (base,)))
    assert "nothing helped beyond chance" in call("diagnose", "runs/tiny", "--photos", "p", "--try").out


def test_usage(call):
    said = call("diagnose", "runs/tiny", "--try")
    assert said.code == 2
    assert "--photos PHOTOS --try" in said.err
    assert call("diagnose", "runs/tiny", "--budget", "5m").code == 2
    assert call("diagnose", "missing").code == 3
