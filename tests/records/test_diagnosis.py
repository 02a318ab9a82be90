from __future__ import annotations

from pathlib import Path

import pytest

from sortograph.records import Diagnosis, Remedy, Verdict


def test_what_to_type_for_a_remedy():
    run = Path("runs/a")
    assert Remedy("more photos", "why").words(run) == ()
    own = Remedy("less", "why", ("train.epochs=5", "train.keep=last"))
    assert own.words(run, "my photos") == (
        "sortograph", "train", "my photos", "--recipe", run / "recipe.toml",
        "--set", "train.epochs=5", "--set", "train.keep=last",
    )  # fmt: skip
    assert Remedy("auto", "why", recipe="auto").words(run) == (
        "sortograph",
        "train",
        "PHOTOS",
        "--recipe",
        "auto",
    )


@pytest.mark.parametrize("severity", [-0.1, 1.1])
def test_severity_lies_within_0_and_1(severity):
    with pytest.raises(ValueError, match="severity"):
        Verdict("x", "y", severity)


def test_json_of_an_empty_one():
    found = Diagnosis(Path("runs/a"), ())
    assert found.to_json() == {
        "run": "runs/a", "verdicts": [], "skipped": {}, "tried": [], "learning_curve": None, "offered": None,
    }  # fmt: skip
    assert found.of("leak") is None
