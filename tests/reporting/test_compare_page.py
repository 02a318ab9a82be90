from __future__ import annotations

import re
import sys
from dataclasses import replace
from html import unescape

import pytest

from sortograph.errors import MissingExtra, StorageError
from sortograph.records import ClassCounts, Compared, Contender, EpochRow, Estimate, Pair
from sortograph.reporting.compare_page import ComparePage, render_comparison, write_compare_page
from sortograph.reporting.overlay import Course

HOSTILE = (
    "<script>alert(1)</script>",
    "\"><img src=x onerror='alert(2)'>",
    "{{ 7 * 7 }} {% raw %}",
    "\u202egnp.exe\u200f",
    "</style></title>",
    "\udcff bytes",
)
HISTORY = (EpochRow(1, 1.0, 0.5, 1.0, 0.5, 0.1, 1.0, 9.0), EpochRow(2, 0.5, 0.8, 0.6, 0.7, 0.1, 1.0, 9.0))


def share(value: float, n: int) -> Estimate:
    return Estimate(value, value - 0.05, min(1.0, value + 0.05), 0.95, n, "wilson")


def contender(name: str, train_photos: int = 700) -> Contender:
    accuracy = {"train": share(0.99, train_photos), "validation": share(0.9, 100), "test": share(0.875, 168)}
    gap = Estimate(0.09, -0.01, 0.2, 0.95, 800, "newcombe score")
    return Contender(f"runs/{name}", name, "weather", 3, 9_012_345, 83.4, 12, accuracy, gap)


def pair(a: str, b: str, value: float, p: float, comparisons: int = 1) -> Pair:
    difference = Estimate(value, value - 0.04, value + 0.02, 0.95, 168, "newcombe paired score")
    return Pair(f"runs/{a}", f"runs/{b}", "mcnemar exact", difference, 8, 3, p / comparisons, p, comparisons)


def compared(a: str = "one", b: str = "two", **changes) -> Compared:
    base = {
        "runs": (contender(a), contender(b)),
        "split": "test",
        "pairs": (pair(a, b, 0.08, 0.01),),
        "classes": (ClassCounts("rain", 40, (39, 30)), ClassCounts("sun", 9, (5, 5))),
        "settings": {"train.epochs": ("3", "40")},
    }
    return Compared(**base | changes)


def page(found: Compared, history: tuple[EpochRow, ...] = HISTORY) -> str:
    return render_comparison(ComparePage(found, tuple(Course(run.name, history, 2) for run in found.runs)))


def words(html: str) -> str:
    body = re.sub(r"<style>.*?</style>", "", html, flags=re.DOTALL)
    return " ".join(unescape(re.sub(r"<[^>]+>", " ", body)).split())


def test_what_was_found_stands_on_it():
    text = words(page(compared()))
    for told in (
        "2 runs on the same 168 test photos",
        "The two differ",
        "one named 8.0 points more of the same 168 photos right than two (95 %: 4.0 to 10.0; p = 0.01).",
        "87.5 %",
        "n = 168",
        "weather , seed 3",
        "9.0 MB",
        "1 min 23 s",
        "Right where the other was wrong: one 8, two 3",
        "train.epochs 3 40",
        "rain 40 39 30",
        "McNemar’s exact one",
    ):
        assert told in text, told
    assert "corrected by Holm" not in text
    assert "this pair alone" not in text.replace("for this pair alone; p is how often", "")


def test_bars_stand_where_the_difference_is():
    """The scale reaches to the farthest end, here 10 points; 50 % of the bar is no difference."""
    html = page(compared())
    assert 'class="span" style="left:70.00%;width:30.00%"' in html
    assert 'class="dot" style="left:90.00%"' in html
    assert "−10" in words(html)
    narrow = page(compared(pairs=(pair("one", "two", 0.0, 1.0),)))
    assert 'class="dot" style="left:50.00%"' in narrow
    assert "+5 points" in words(narrow)


def test_only_the_most_are_bold_where_runs_differ():
    html = page(compared())
    assert "<b>39</b>" in html
    assert "<b>30</b>" not in html
    assert "<b>5</b>" not in html


def test_many_runs():
    names = ("one", "two", "three")
    pairs = (
        pair("one", "two", 0.08, 0.03, 3),
        pair("one", "three", 0.08, 0.2, 3),
        pair("two", "three", 0, 1, 3),
    )
    found = compared(runs=tuple(contender(name, 700 + k) for k, name in enumerate(names)), pairs=pairs)
    text = words(page(found))
    assert "1 of 3 pairs shows a difference" in text
    assert "p = 0.01 for this pair alone" in text
    assert "corrected by Holm" in text
    assert "No difference shown: one named" in text
    assert all(f"94.0 – 100.0 %, n = {700 + k}" in text for k in range(3))
    none = words(page(replace(found, pairs=pairs[1:])))
    assert "No pair shows a difference" in none


def test_the_choice():
    found = compared(tied=("runs/one", "runs/two"), chosen="runs/two", reason="Tied: both. two is chosen.")
    html = page(found)
    assert '<p class="verdict chosen"><bdi>two</bdi></p>' in html
    assert html.count('<tr class="chosen">') == 1
    text = words(html)
    assert "Tied: both. two is chosen." in text
    assert "one tied weather" in text
    assert "two chosen weather" in text
    assert "not too good for having been chosen" in text
    assert "would spend the test photos" not in text
    assert "would spend the test photos" in words(page(compared()))


def test_photos_that_were_given_and_groups():
    runs = tuple(
        replace(contender(name), accuracy={"train": share(0.9, 700), "photos": share(0.8, 168)}, gap=None)
        for name in ("one", "two")
    )
    grouped = replace(pair("one", "two", 0.08, 0.01), test="exact swaps of groups")
    text = words(page(compared(runs=runs, split="photos", pairs=(grouped,), notes=("left out: 3 photos",))))
    assert "168 photos that were given" in text
    assert "left out: 3 photos" in text
    assert "drawing whole groups again" in text
    assert "McNemar" not in text
    assert "photos n = 168" in text


def test_runs_without_epochs():
    found = compared()
    assert "Learning curves" not in words(page(found, ()))
    courses = (Course("one", HISTORY, 2), Course("two", (), None, share(0.9, 100)))
    text = words(render_comparison(ComparePage(found, courses)))
    assert "runs without epochs reached on validation: two ." in text


@pytest.mark.parametrize("name", HOSTILE)
def test_names_are_text(name):
    found = compared(
        name, "two", classes=(ClassCounts(name, 3, (1, 2)),), settings={name: (name, "x")}, notes=(name,),
        chosen=f"runs/{name}", tied=(f"runs/{name}",), reason=name,
    )  # fmt: skip
    found = replace(found, runs=(replace(found.runs[0], recipe=name), found.runs[1]))
    html = page(found)
    assert html.encode()
    assert "<script" not in html
    assert "<img src=x" not in html
    assert html.count("</style>") == html.count("</title>") == 1
    shown = name.encode("utf-8", "surrogatepass").decode("utf-8", "replace")
    assert words(html).count(" ".join(shown.split())) >= 6


def test_it_loads_nothing_and_runs_nothing():
    html = page(compared())
    assert "default-src 'none'" in html
    assert re.findall(r"""(?:src|href)=["'](?!data:)""", html) == []
    assert "<script" not in html
    assert '<meta name="generator" content="sortograph' in html[:512]


def test_a_course_for_each_run():
    with pytest.raises(ValueError, match="1 courses of 2 runs"):
        ComparePage(compared(), (Course("one", ()),))


def test_it_is_written_whole_or_not_at_all(tmp_path):
    view = ComparePage(compared(), (Course("one", ()), Course("two", ())))
    place = write_compare_page(view, tmp_path / "a" / "b.html")
    assert place.read_text("utf-8") == render_comparison(view)
    (tmp_path / "file").write_text("x")
    with pytest.raises(StorageError):
        write_compare_page(view, tmp_path / "file" / "b.html")


def test_jinja_is_asked_for(monkeypatch):
    monkeypatch.setitem(sys.modules, "jinja2", None)
    with pytest.raises(MissingExtra, match="jinja2"):
        page(compared(), ())
