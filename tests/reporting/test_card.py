from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import pytest

from sortograph.records import Rejected
from sortograph.reporting import ReportView, write_card
from sortograph.reporting.card import FILE, card, text

HOSTILE = ("a|b", "<img src=x>", "# head\n- list", "`code` **bold**", "\udcff\udcfe", "[x](http://y)")


@dataclass(frozen=True)
class Advice:
    lines: tuple[tuple[str, str], ...] = (("leak", "photos lie in two splits"),)
    remedy: str = ""
    command: str = ""


def made(world: Any, **changes: Any) -> str:
    return card(ReportView(replace(world.run, **changes), world.index, {}, Advice()))


def section(words: str, title: str) -> str:
    return words.split(f"## {title}\n")[1].split("\n## ")[0]


def test_every_section_is_there(sure: Any) -> None:
    words = made(sure)
    assert words.startswith("# Model card: cnn on photos\n")
    assert re.findall(r"^## (.*)$", words, re.MULTILINE) == [
        "Data",
        "How it was measured",
        "Results",
        "Calibration and thresholds",
        "Where it is weak",
        "Limits",
        "How to use it",
        "Environment",
    ]


def test_what_it_is_for(sure: Any) -> None:
    backbone = {"name": "net_1", "licence": "apache-2.0", "origin": "the file net.pth"}
    words = made(sure, environment={**sure.run.environment, "backbones": [backbone]})
    assert "which of 3 classes a photo shows" in words
    assert "- classes: 음식, 실내, 실외\n" in words
    assert "- pretrained weights: net_1, licence apache-2.0, from the file net.pth\n" in words
    assert "net_1" not in section(words, "Environment"), "told once"
    assert "- device.threads: 2" in section(words, "Environment")
    assert "- pretrained weights: none\n" in made(sure)
    assert "2026-11-21 07:15, sortograph 0.1.0" in words


def test_counts_by_class_and_split(sure: Any) -> None:
    data = section(made(sure), "Data")
    assert "| 음식 | 70 | 35 | 35 | 140 |" in data
    assert "| **sum** | 210 | 105 | 105 | 420 |" in data
    assert "- left out: 1 photo that could not be used" in data
    assert "f00d" * 16 in data


def test_every_figure_has_its_split_count_and_interval(sure: Any) -> None:
    results = section(made(sure), "Results")
    assert "| figure | train, n = 210 | validation, n = 105 | test, n = 105 |" in results
    (row,) = [line for line in results.splitlines() if line.startswith("| accuracy |")]
    found = sure.run.evaluation["test"].metrics["accuracy"]
    assert row.endswith(f"| {100 * found.value:.1f} % ({100 * found.low:.1f} – {100 * found.high:.1f} %) |")
    assert row.count("(") == 3
    assert "Of 100 new photos like these" in results


def test_how_it_was_measured(sure: Any) -> None:
    test = replace(sure.run.evaluation["test"], leaks={"train": 4})
    recipe = {**sure.run.recipe, "split": {"seed": 7}}
    words = made(sure, evaluation={**sure.run.evaluation, "test": test}, recipe=recipe)
    words = section(words, "How it was measured")
    assert "- seeds: 42 of the training, 7 of splits that were cut here\n" in words
    assert "- train: 210 photos: they taught the model\n" in words
    assert "- validation: 105 photos: 12 of them are for choosing the model\n" in words
    assert "they judged the finished model once; 4 of them, or nearly the same, also in train\n" in words
    assert f"by {test.metrics['accuracy'].method}" in words


def section_of(world: Any) -> str:
    return section(made(world), "Calibration and thresholds")


def test_calibration_and_thresholds(sure: Any) -> None:
    words = section_of(sure)
    assert "Logits are divided by temperature 0.74, fitted to 300 validation photos." in words
    assert re.search(
        r"Calibration error \(test, n = 105\): .* % \(.* %\) before, .* % \(.* %\) after\.", words
    )
    (reason,) = {row.reason for row in sure.run.trust.abstain if row.threshold is None}
    assert words.count(f"| {reason} | – | 300 |") == 3
    (row,) = [line for line in words.splitlines() if line.startswith("| 5 % |")]
    assert row.endswith("| 0 | 300 |")
    assert "Photos less than 0.50 like training are flagged" in words


def test_a_run_without_calibration_says_so(world: Any) -> None:
    assert "Nothing is promised" in section_of(world)
    assert "not flagged" in section(made(world), "Limits")


def test_where_it_is_weak(sure: Any) -> None:
    words = section(made(sure), "Where it is weak")
    assert words.startswith("\n- leak: photos lie in two splits\n")
    worst = sure.run.evaluation["test"].slices[0]
    assert f"- {worst.property}, {worst.name}: {100 * worst.accuracy.value:.1f} % of 35 test photos" in words
    lowest = min(sure.run.evaluation["test"].per_class, key=lambda score: score.f1.value)
    assert f"|---|---|---|---|---|\n| {lowest.name} | {100 * lowest.f1.value:.1f} %" in words


def test_names_are_text(make: Callable[..., Any]) -> None:
    world = make(classes=HOSTILE, n=120)
    index = replace(world.index, rejected=(Rejected("x", "y"),), notes=("<script>",))
    words = made(replace(world, index=index))
    assert words.encode()
    assert r"a\|b" in words
    assert not re.search(r"(?<!\\)<", words)
    assert "\n# head" not in words
    assert r"\[x\](http://y)" in words
    tables = [line for line in words.splitlines() if line.startswith("|")]
    assert all(line.endswith("|") for line in tables)


@pytest.mark.parametrize(
    ("status", "said"),
    [("interrupted", "Interrupted after"), ("failed", "Failed after"), ("running", "Still running")],
)
def test_a_run_without_figures_claims_nothing(world: Any, status: str, said: str) -> None:
    words = made(world, evaluation={}, status=status)
    assert "This run has not been evaluated yet." in words
    assert f"- status: {said}" in words
    assert "Of 100 new photos" not in words


def test_it_is_written_beside_the_model(sure: Any, tmp_path: Any) -> None:
    sure.run.folder.mkdir(parents=True)
    file = write_card(ReportView(sure.run, sure.index, {}))
    assert file == sure.run.folder / FILE
    assert str(tmp_path) not in file.read_text("utf-8")


def test_one_line_stays_one_line() -> None:
    assert text("a\u2028b\r\nc \u202ed") == "a b c d"
