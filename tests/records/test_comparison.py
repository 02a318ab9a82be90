from __future__ import annotations

import json
from pathlib import Path

import pytest

from sortograph.records import ClassCounts, Compared, Contender, Estimate, Pair, Rejected

LEVEL = 0.95


def pair(value: float, low: float, high: float, p: float, comparisons: int = 1) -> Pair:
    difference = Estimate(value, low, high, LEVEL, 168, "newcombe paired score")
    return Pair("runs/a", "runs/b", "mcnemar exact", difference, 7, 2, p / comparisons, p, comparisons)


@pytest.mark.parametrize(
    ("found", "words"),
    [
        (
            pair(0.0316, 0.004, 0.0612, 0.0304, 3),
            "A named 3.2 points more of the same 168 photos right than B "
            "(95 %: 0.4 to 6.1; p = 0.03, corrected for 3 comparisons)",
        ),
        (
            pair(-0.0316, -0.0612, -0.004, 0.0304),
            "B named 3.2 points more of the same 168 photos right than A (95 %: 0.4 to 6.1; p = 0.03)",
        ),
        (
            pair(0.018, -0.019, 0.054, 0.4523),
            "no difference shown: A named 1.8 points more of the same 168 photos right than B "
            "(95 %: −1.9 to 5.4; p = 0.45)",
        ),
        (
            pair(0.0, -0.03, 0.03, 1.0),
            "no difference shown: A and B named as many of the same 168 photos right "
            "(95 %: −3.0 to 3.0; p = 1)",
        ),
        (
            pair(0.3, 0.2, 0.4, 1e-9),
            "A named 30.0 points more of the same 168 photos right than B (95 %: 20.0 to 40.0; p < 0.001)",
        ),
    ],
)
def test_a_pair_in_words(found, words):
    assert found.in_words("A", "B") == words


def test_shown_is_what_the_corrected_test_shows():
    assert pair(0.03, 0.001, 0.06, 0.049).shown
    assert not pair(0.03, 0.001, 0.06, 0.05).shown
    many = pair(0.03, 0.001, 0.06, 0.12, 3)
    assert many.p == pytest.approx(0.04)
    assert not many.shown


def compared(**changes) -> Compared:
    share = Estimate(0.9, 0.8, 0.95, LEVEL, 168, "wilson")
    runs = tuple(
        Contender(f"runs/{name}", name, "cnn", 1, 9_000_000, 12.3456, None, {"test": share})
        for name in ("a", "b")
    )
    found = (pair(0.0316, 0.004, 0.0612, 0.0304),)
    return Compared(
        runs, "test", found, (ClassCounts("cat", 5, (3, 4)),), {"train.epochs": ("3", "4")}, **changes
    )


def test_the_json_has_what_programs_rely_on():
    told = json.loads(json.dumps(compared(page=Path("a/b.html"), rejected=(Rejected("x", "y"),)).to_json()))
    assert {"runs", "pairs", "tied", "chosen"} <= set(told)
    assert {"a", "b", "test", "difference", "low", "high", "p"} <= set(told["pairs"][0])
    assert (told["tied"], told["chosen"], told["page"]) == ([], None, "a/b.html")
    assert told["pairs"][0]["difference"] == 0.0316
    assert told["pairs"][0]["words"].startswith("a named 3.2 points")
    first = told["runs"][0]
    assert (first["run"], first["name"], first["bytes"], first["seconds"]) == (
        "runs/a",
        "a",
        9_000_000,
        12.346,
    )
    assert first["evaluation"]["test"] == {
        "n": 168,
        "metrics": {"accuracy": {"value": 0.9, "low": 0.8, "high": 0.95, "level": 0.95, "n": 168,
                                 "method": "wilson"}},
    }  # fmt: skip
    assert first["gap"] is None
    assert told["classes"] == [{"name": "cat", "n": 5, "right": [3, 4]}]
    assert told["settings"] == {"train.epochs": ["3", "4"]}
    assert told["rejected"] == [{"path": "x", "reason": "y"}]


def test_pairs_and_the_choice_name_runs_as_they_were_given():
    found = compared(tied=("runs/a", "runs/b"), chosen="runs/b", reason="since").to_json()
    runs = {run["run"] for run in found["runs"]}
    assert {found["chosen"], *found["tied"], found["pairs"][0]["a"], found["pairs"][0]["b"]} <= runs
