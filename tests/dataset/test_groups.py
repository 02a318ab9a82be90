from __future__ import annotations

from pathlib import Path

import pytest

from sortograph.dataset import SplitPlan, cut, scan
from sortograph.dataset.groups import no_group_note, with_groups


@pytest.fixture
def houses(tmp_path: Path, photo) -> Path:
    """Two classes of 30 photos from ten houses, and three photos of no house."""
    for label in ("kitchen", "garden"):
        for number in range(30):
            photo(f"{label}/house{number % 10}-{number}.png")
    for number in range(3):
        photo(f"garden/other{number}.png")
    return tmp_path


def test_groups_are_the_first_capture_in_the_path(houses: Path) -> None:
    index = with_groups(scan(houses), r"/(house[0-9]+)-([0-9]+)")
    named = dict(zip(index.paths, index.groups, strict=True))
    assert named["kitchen/house3-13.png"] == "house3"
    assert named["garden/other1.png"] == ""
    assert "10 groups of 60 photos by their paths, and 3 photos of none" in index.notes


def test_no_group_is_on_two_sides(houses: Path) -> None:
    index = cut(with_groups(scan(houses), "(house[0-9]+)-"), SplitPlan(seed=3, validation=0.2, test=0.2))
    sides: dict[str, set[str]] = {}
    for group, split in zip(index.groups, index.splits, strict=True):
        sides.setdefault(group, set()).add(split)
    sides.pop("")
    assert len(sides) == 10
    assert all(len(found) == 1 for found in sides.values())
    assert {split for (split,) in sides.values()} == {"train", "validation", "test"}


def test_no_pattern_changes_nothing(houses: Path) -> None:
    index = scan(houses)
    assert with_groups(index, "") is index


def test_a_pattern_that_finds_nothing_is_told(houses: Path) -> None:
    index = with_groups(scan(houses), "(flat[0-9]+)")
    (note,) = no_group_note(index.notes)
    assert "'(flat[0-9]+)' in paths such as garden/house0-0.png" in note
    assert not any(index.groups)
    assert no_group_note(with_groups(scan(houses), "(house)").notes) == ()


def test_groups_of_a_table_go_before_a_pattern(houses: Path) -> None:
    lines = [f"{label}/house{n}-{n}.png,{label},g{n}" for label in ("kitchen", "garden") for n in range(5)]
    (houses / "table.csv").write_text("\n".join(["path,label,group", *lines]), encoding="utf-8")
    index = with_groups(scan(houses / "table.csv"), "(house)")
    assert set(index.groups) == {f"g{n}" for n in range(5)}
    assert "groups are those of the table; the pattern '(house)' is not used" in index.notes
