from __future__ import annotations

from dataclasses import replace

import pytest

from sortograph.evaluation import wilson
from sortograph.records.sweeps import Claimed, Swept
from sortograph.sweeps.conclusions import compared
from sortograph.sweeps.page import standing_cells, standing_header, write_page
from sortograph.sweeps.plan import grid
from sortograph.sweeps.standings import standing


@pytest.fixture
def swept(make, record, answers, tmp_path):
    space = make(about="what it is about", photos="cats | dogs", space={"train.learning_rate": [0.001]})
    known = {"a-1": {"test": answers(0.6)}, "b-2": {"test": answers(0.9, draw=1)}}
    (pair,) = compared("a-1", ["b-2"], known)
    ranks = tuple(
        standing(space, one, {1: record(), 2: record((80, 15, 40))}, ("finished", ""), wilson)
        for one in grid(space)
    )
    claim = Claimed("b is better", "96 %", "reproduced", pair)
    untried = Claimed("c is better", "", "not tried")
    return space, Swept(
        tmp_path,
        "mine",
        "open",
        space.metric,
        ranks,
        "a-1",
        "a-1",
        (pair,),
        (claim, untried),
        ("b-2, seed 2",),
        "It is so.",
        3.0,
    )


def test_figures_have_their_counts_and_intervals(swept):
    _, found = swept
    header, cells = standing_header(found.standings), standing_cells(found.standings[1])
    row = dict(zip(header, cells, strict=True))
    assert row["settings"] == "optimiser sgd, learning_rate 0.001"
    assert row["validation, n = 20"] == "75.0 %"
    assert row["test, n = 50"] == "80.0 %"
    assert row["95 % interval"] == "67.0 – 88.8"
    assert (row["gap"], row["± seeds"], row["seeds"]) == ("+10.0", "0.0", "2")


def test_what_is_missing_is_a_dash(swept):
    _, found = swept
    empty = replace(
        found.standings[0], status="pruned", seeds=(), test=None, validation=None, spread=None, gap=None
    )
    cells = standing_cells(empty)
    assert cells[2] == "0, pruned"
    assert cells[3:] == ("–",) * 6


def test_the_page_has_it_all(swept):
    space, found = swept
    text = write_page(found, space, "sortograph sweep photos --out here").read_text(encoding="utf-8")
    for part in (
        "# mine",
        "what it is about",
        "sortograph sweep photos --out here",
        "| a-1 |",
        "It is so.",
        "On the same 200 test photos",
        "4,000 resamples",
        "- **reproduced**: b is better (argued: 96 %)",
        "after Holm's correction",
        "- **not tried**: c is better",
        "## Left to do\n\n- b-2, seed 2",
    ):
        assert part in text
    assert text.endswith("\n")


def test_the_half_that_chooses_is_named_with_its_count(swept):
    space, found = swept
    assert "kept out of calibration" not in write_page(found, space, "x").read_text(encoding="utf-8")
    halves = tuple(replace(one, choosing=wilson(6, 10)) for one in found.standings)
    row = dict(zip(standing_header(halves), standing_cells(halves[0]), strict=True))
    assert row["choosing half, n = 10"] == "60.0 %"
    assert not any(name.startswith("validation") for name in row)
    page = write_page(replace(found, standings=halves), space, "x").read_text(encoding="utf-8")
    assert "on the half of the validation photos that is kept out of calibration." in page


def test_json_of_a_sweep(swept):
    import json

    _, found = swept
    data = json.loads(json.dumps(found.to_json()))
    assert (data["name"], data["status"], data["chosen"], data["left"]) == (
        "mine",
        "open",
        "a-1",
        ["b-2, seed 2"],
    )
    assert data["configurations"][1]["settings"]["train.optimiser"] == "sgd"
    assert data["configurations"][0]["test"]["n"] == 50
    assert data["comparisons"][0]["verdict"] == "better"
    assert data["claims"][1] == {
        "text": "c is better",
        "argued": "",
        "verdict": "not tried",
        "compared": None,
    }
