from __future__ import annotations

import json
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from sortograph.cli import compare as command
from sortograph.errors import UsageError
from sortograph.records import ClassCounts, Compared, Contender, Estimate, Pair, Rejected


def share(value: float, n: int) -> Estimate:
    return Estimate(value, max(0.0, value - 0.05), min(1.0, value + 0.05), 0.95, n, "wilson")


def contender(name: str, test: float, train_photos: int = 700) -> Contender:
    accuracy = {"train": share(0.99, train_photos), "validation": share(0.9, 100), "test": share(test, 168)}
    gap = Estimate(0.09, -0.01, 0.2, 0.95, 800, "newcombe score")
    return Contender(f"runs/{name}", name, "weather", 3, 9_012_345, 83.4, 12, accuracy, gap)


def pair(a: str, b: str, p: float, comparisons: int = 1) -> Pair:
    difference = Estimate(0.032, 0.004, 0.061, 0.95, 168, "newcombe paired score")
    return Pair(f"runs/{a}", f"runs/{b}", "mcnemar exact", difference, 8, 3, p / comparisons, p, comparisons)


@pytest.fixture
def found() -> Compared:
    return Compared(
        runs=(contender("one", 0.95), contender("두번째", 0.92)),
        split="test",
        pairs=(pair("one", "두번째", 0.03),),
        classes=(ClassCounts("rain\x1b[2J", 40, (39, 30)),),
        settings={"train.epochs": ("3", "40")},
        notes=("trained on other photos\x1b[2J",),
    )


def test_a_table_a_sentence_and_what_to_type_next(call, stand_in, found):
    seen = stand_in("compare", found)
    said = call("compare", "runs/one", "runs/두번째")
    assert said.code == 0
    assert seen["arguments"] == ([Path("runs/one"), Path("runs/두번째")],)
    assert (seen["choose"], seen["photos"], seen["out"]) == (False, None, None)
    lines = said.out.splitlines()
    assert lines[0].split("  ")[0] == "run"
    headings = (
        "train, n = 700|validation, n = 100|test, n = 168|train − val.|recipe|seed|MB|best epoch|seconds"
    )
    assert all(heading in lines[0] for heading in headings.split("|"))
    assert lines[1].split() == ["one", "99.0", "%", "90.0", "%", "95.0", "%", "+9.0", "weather", "3", "9.0",
                                "12", "83"]  # fmt: skip
    assert lines[2].split("  ")[-1] == "−1.0 to +20.0"
    assert "90.0 – 100.0" in lines[2]
    assert (
        "one named 3.2 points more of the same 168 photos right than 두번째 (95 %: 0.4 to 6.1; p = 0.03)"
        in lines
    )
    assert "note: trained on other photos\\x1b[2J" in lines
    assert lines[-1] == "next  sortograph compare runs/one 'runs/두번째' --out compare.html".replace(
        "/", "\\" if sys.platform == "win32" else "/"
    )
    assert "\x1b" not in said.out


def test_counts_that_differ_stand_with_the_values(call, stand_in, found):
    stand_in("compare", replace(found, runs=(contender("one", 0.95), contender("two", 0.9, 650))))
    lines = call("compare", "runs/one", "runs/two").out.splitlines()
    assert "train, n" not in lines[0]
    assert "99.0 %, n = 700" in lines[1]
    assert "99.0 %, n = 650" in lines[3]


def test_the_choice_and_the_page(call, stand_in, found):
    chosen = replace(
        found,
        tied=("runs/one", "runs/두번째"),
        chosen="runs/one",
        reason="Tied: both. one is chosen.",
        page=Path("compare.html"),
    )
    seen = stand_in("compare", chosen)
    said = call("compare", "runs/one", "runs/두번째", "--choose", "--out", "compare.html", "--photos", "more")
    assert (seen["choose"], seen["photos"], seen["out"]) == (True, Path("more"), Path("compare.html"))
    lines = said.out.replace("\\", "/").splitlines()
    assert "Tied: both. one is chosen." in lines
    assert lines[2].startswith("  chosen")
    assert lines[4].startswith("  tied")
    assert lines[-2:] == ["page  compare.html", "next  sortograph predict runs/one PHOTOS"]
    stand_in("compare", replace(found, page=Path("compare.html")))
    assert call("compare", "a", "b").out.splitlines()[-1] == "next  sortograph compare a b --choose"


def test_photos_that_cannot_be_used_are_told(call, stand_in, found):
    stand_in("compare", replace(found, rejected=(Rejected("x.jpg", "damaged"),), ignored=2))
    out = call("compare", "a", "b", "--photos", "p").out
    assert "  x.jpg: damaged" in out
    assert "no photos, left aside: 2" in out
    assert out.splitlines()[-1] == "next  sortograph compare a b --photos p --out compare.html"


def test_of_many_pairs_the_clearest_are_told(call, stand_in, found):
    runs = tuple(contender(f"r{k}", 0.9) for k in range(6))
    pairs = tuple(pair(f"r{a}", f"r{b}", (10 * a + b) / 100, 15) for a in range(6) for b in range(a + 1, 6))
    stand_in("compare", replace(found, runs=runs, pairs=pairs))
    out = call("compare", *(f"r{k}" for k in range(6))).out
    assert out.count("of the same 168 photos") == 10
    assert "and 5 further pairs, no clearer than these (--verbose lists all)" in out
    assert "r0 named" in out
    assert "r4 named" not in out
    full = call("compare", *(f"r{k}" for k in range(6)), "--verbose").out
    assert full.count("of the same 168 photos") == 15
    assert "further" not in full


def test_verbose_tells_tests_classes_and_settings(call, stand_in, found):
    stand_in("compare", found)
    assert "mcnemar" not in call("compare", "a", "b").out
    lines = [line.split() for line in call("compare", "a", "b", "--verbose").out.splitlines()]
    assert ["one", "−", "두번째", "8", "3", "0.03", "mcnemar", "exact"] in lines
    assert ["rain\\x1b[2J", "40", "39", "30"] in lines
    assert ["train.epochs", "3", "40"] in lines


def test_json(call, stand_in, found):
    stand_in("compare", found)
    said = call("compare", "a", "b", "--json", "--quiet")
    assert json.loads(said.out) == json.loads(json.dumps(found.to_json()))
    assert said.err == ""


def test_errors_are_told_in_our_shape(call, stand_in):
    stand_in("compare", raises=UsageError("1 run to compare", expected="two or more"))
    said = call("compare", "a")
    assert said.code == 2
    assert said.out == ""
    assert said.err == "error: 1 run to compare\n  expected: two or more\n"
    assert call("compare").code == 2


def test_folders_that_are_no_runs(call, tmp_path):
    (tmp_path / "empty").mkdir()
    said = call("compare", "empty", "missing")
    assert said.code == 3
    assert said.err.startswith(
        "error: 2 of 2 runs cannot be compared: empty: not a run folder; missing: no such"
    )


@pytest.mark.parametrize(("columns", "tables"), [(200, 1), (90, 2)])
def test_a_narrow_terminal_gets_two_tables(capsys, monkeypatch, found, columns, tables):
    monkeypatch.setattr(command.streams, "draws", lambda _: True)
    monkeypatch.setenv("COLUMNS", str(columns))
    monkeypatch.setenv("LINES", "40")
    command._show_runs(found)
    out = capsys.readouterr().out
    headings = [line for line in out.splitlines() if line.strip().startswith("run ")]
    assert len(headings) == tables
    assert "recipe" in headings[-1]
    assert "83" in out
