"""compare --choose: what chooses among runs has calibrated none of them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import sortograph
from sortograph.dataset.halves import reserved
from sortograph.records import DatasetIndex
from written_runs import N, index_of, write_run


@pytest.fixture
def made(tmp_path) -> Callable[..., Path]:
    def make(name: str, *wrong: int, index: DatasetIndex | None = None, **options: Any) -> Path:
        """wrong: places of validation photos."""
        photos = index_of() if index is None else index
        return write_run(tmp_path / name, photos, {"validation": wrong}, **options)

    return make


def seats(index: DatasetIndex, seed: int = 0) -> tuple[list[int], list[int]]:
    """Places among the validation photos: of those that choose, and of those that calibrate."""
    rows = index.rows("validation")
    chosen = np.isin(rows, reserved(index, rows, seed))
    return np.flatnonzero(chosen).tolist(), np.flatnonzero(~chosen).tolist()


def test_photos_that_calibrated_have_no_part_in_the_choice(made):
    """By all validation photos the other run would be chosen: it is right about all that calibrate."""
    choose, calibrate = seats(index_of())

    def pair(under: str, calibrated: str):
        wrong = (("choice", [*choose[:1], *calibrate[:27]]), ("other", choose[:12]))
        places = [made(f"{under}/{name}", *some, calibrated=calibrated) for name, some in wrong]
        return sortograph.compare(places, choose=True)

    by_all, by_half = pair("all", "all"), pair("half", "half")
    assert [Path(found.chosen).name for found in (by_all, by_half)] == ["other", "choice"]
    assert by_half.notes == ()
    assert by_half.reason == (
        "choice is chosen: it named the most of the 30 validation photos right, and no other run is tied "
        "with it, since each paired interval of the difference leaves out 0. The other 30, which calibrate, "
        "and the test photos had no part in it."
    )
    (note,) = by_all.notes
    assert note.startswith(
        "all 60 validation photos choose, those too by which choice, other calibrated, so "
    )
    assert "train with --set split.reserve=true" in note
    assert "60 validation photos right" in by_all.reason


def test_the_gap_that_chooses_is_that_to_the_photos_that_choose(made):
    choose, calibrate = seats(index_of())
    places = [
        made("a", *choose[:1], *calibrate[:9], calibrated="half"),
        made("b", *choose[1:4], calibrated="half"),
    ]
    found = sortograph.compare(places, choose=True)
    assert found.runs[0].gap.value > found.runs[1].gap.value  # by all validation photos
    assert "Tied on 30 validation photos: a, b" in found.reason
    assert (
        "a is chosen: it has the smallest gap between the accuracy on train and that on these 30 photos, "
        "+3.3 points."
    ) in found.reason


def test_one_run_that_calibrated_on_all_photos_is_named(made):
    places = [
        made("kept", 0, calibrated="half"), made("spent", 1, calibrated="all"),
        made("never", 2),
    ]  # fmt: skip
    found = sortograph.compare(places, choose=True)
    assert "those too by which spent calibrated" in found.notes[-1]
    assert "Tied on 60 validation photos" in found.reason
    found = sortograph.compare([places[0], places[2]], choose=True)  # one of them did not calibrate at all
    assert found.notes == ()
    assert "Tied on 30 validation photos" in found.reason


def test_halves_that_differ_leave_what_is_in_both(made):
    """Another seed halves otherwise; a photo that calibrated one of the runs does not choose."""
    index = index_of()
    both = set(seats(index)[0]) & set(seats(index, 5)[0])
    places = [
        made("a", 0, calibrated="half"),
        made("b", 1, calibrated="half", recipe={"split": {"seed": 5}}),
    ]
    assert f"Tied on {len(both)} validation photos" in sortograph.compare(places, choose=True).reason
    assert 0 < len(both) < 30


def test_groups_of_the_photos_that_choose_are_kept_whole(made):
    index = index_of(groups=tuple(f"w{row // 24}" for row in range(N)))
    places = [made(name, k, index=index, calibrated="half") for k, name in enumerate("ab")]
    found = sortograph.compare(places, choose=True)
    n = len(seats(index)[0])
    assert 0 < n < 60
    assert f"Tied on {n} validation photos" in found.reason


@pytest.mark.parametrize("worse", [0, 25])
def test_a_choice_that_the_test_photos_speak_against_is_told(tmp_path, worse):
    """The weaker run has no gap at all, and thirty photos cannot tell it from the other."""
    index = index_of()
    choose, train = seats(index)[0], index.rows("train")
    weak = {"validation": choose[:3], "train": range(len(train) // 10), "test": range(worse)}
    places = [
        write_run(tmp_path / "weak", index, weak, calibrated="half"),
        write_run(tmp_path / "strong", index, {"validation": choose[-1:]}, calibrated="half"),
    ]
    found = sortograph.compare(places, choose=True)
    assert Path(found.chosen).name == "weak"
    told = [note for note in found.notes if "could not tell weak" in note]
    assert len(told) == (worse > 0)
    if told:
        assert "strong (by " in told[0]
        assert "--set split.validation=0.3" in told[0]
