"""Every check finds what is planted, and says nothing of photos with which nothing is wrong."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pytest

from sortograph.auditing import CHECKS, AuditView, run_audit
from sortograph.auditing.likely import Likely
from sortograph.records import Rejected
from sortograph.records.looks import CMYK, FORMATS

# Rows of the clean index: cats are 0–59, dogs 60–119, 새 120–179; the rest modulo 5 gives the split, and
# 0–2 is train, 3 validation, 4 test.
CAT, DOG = range(60), range(60, 120)
ROWS = np.arange(180)


@dataclass(frozen=True)
class Lookalikes:
    paths: tuple[str, ...] = ("cats/00.jpg", "cats/01.jpg")
    class_name: str = "cats"
    share: float = 0.3


# check → (columns to change, or a function of the view; the photos of its one finding; words of the message)
PLANTED: dict[str, tuple[Any, list[str], str]] = {
    "unreadable": (
        lambda view: replace(
            view, index=replace(view.index, rejected=(Rejected("dogs/x.jpg", "empty file"),))
        ),
        ["dogs/x.jpg"],
        "1 file is left out: empty file: dogs/x.jpg",
    ),
    "odd-files": ({"looks": {"oddities": {3: CMYK}}}, ["cats/03.jpg"], "1 photo in CMYK"),
    "exact-duplicates": (
        {"sha256": {6: "a", 1: "a"}},
        ["cats/01.jpg", "cats/06.jpg"],
        "2 files hold the same",
    ),
    "near-duplicates": (
        {"twins": {5: "t", 6: "t"}, "sizes": {5: (100, 80), 6: (200, 160)}},
        ["cats/06.jpg", "cats/05.jpg"],
        "cats/06.jpg (200×160), cats/05.jpg (100×80)",
    ),
    "likely-duplicates": (
        lambda view: replace(view, likely=Likely(np.where(np.isin(ROWS, (5, 6)), 5, -1), ROWS < 0)),
        ["cats/06.jpg", "cats/05.jpg"],
        "2 files probably show the same photo",
    ),
    "conflicting-labels": (
        {"sha256": {0: "a", 60: "a"}},
        ["cats/00.jpg", "dogs/00.jpg"],
        "the same photo has 2 labels: 'cats' (1×), 'dogs' (1×)",
    ),
    "leakage": (
        {"sha256": {0: "a", 4: "a"}},
        ["cats/04.jpg", "cats/00.jpg"],
        "1 of 36 test photos (2.8 %) is also in train (the same content); scores on test are too good",
    ),
    "look-alikes": (
        lambda view: replace(view, large=(Lookalikes(),)),
        ["cats/00.jpg", "cats/01.jpg"],
        "2 photos of 'cats' (30 % of it)",
    ),
    "imbalance": (
        {"labels": dict.fromkeys(range(60, 95), 0)},
        [],
        "3.8 times the photos of the smallest, 'dogs' (95 and 25): always answering 'cats' is right for 53 %",
    ),
    "tiny-classes": (
        {"labels": dict.fromkeys(range(72, 120), -1), "splits": dict.fromkeys(range(60, 66), "test")},
        [],
        "1 class with fewer than 20 photos: 'dogs' (12)",
    ),
    "blank": ({"looks": {"contrast": {8: 0.4}}}, ["cats/08.jpg"], "1 photo of one colour"),
    "dark": ({"looks": {"brightness": {9: 4.0}}}, ["cats/09.jpg"], "1 photo almost black"),
    "blurred": ({"looks": {"sharpness": {10: 1.0}}}, ["cats/10.jpg"], "1 photo far less sharp"),
    "tiny": ({"sizes": {11: (30, 24)}}, ["cats/11.jpg"], "cats/11.jpg (30×24)"),
    "extreme-aspect": ({"sizes": {12: (1500, 240)}}, ["cats/12.jpg"], "cats/12.jpg (1500×240)"),
    "shortcuts": (
        {"looks": {"format": dict.fromkeys(DOG, FORMATS.index("PNG"))}},
        [],
        "the file format alone tells the class of 67 % of the photos, all classes counted alike "
        "(chance 33 %): 60 of 120 with JPEG are 'cats', 60 of 60 with PNG are 'dogs'",
    ),
    "label-errors": (
        {"labels": {20: 1}},
        ["cats/20.jpg"],
        "cats/20.jpg is labelled 'dogs' but looks like 'cats'",
    ),
}


def planted(view: AuditView, name: str, change: Callable[..., AuditView]) -> AuditView:
    what = PLANTED[name][0]
    if callable(what):
        changed: AuditView = what(view)
        return changed
    return change(view, **what)


def test_a_plant_for_every_check() -> None:
    assert list(PLANTED) == [check.name for check in CHECKS]


def test_nothing_is_said_of_a_clean_folder(clean: AuditView) -> None:
    result = run_audit(clean)
    assert result.findings == ()
    assert result.ran == tuple(check.name for check in CHECKS)
    assert result.skipped == {}


@pytest.mark.parametrize("name", PLANTED)
def test_what_is_planted_is_found(name: str, clean: AuditView, change: Callable[..., AuditView]) -> None:
    found = run_audit(planted(clean, name, change), only=[name])
    assert found.ran == (name,)
    (finding,) = found.findings
    assert finding.check == name
    assert list(finding.photos) == PLANTED[name][1]
    assert PLANTED[name][2] in finding.message
    assert finding.remedy


@pytest.mark.parametrize(
    "name", sorted(set(PLANTED) - {"odd-files", "shortcuts", "leakage", "conflicting-labels"})
)
def test_a_plant_alarms_no_check_but_its_own(
    name: str, clean: AuditView, change: Callable[..., AuditView]
) -> None:
    # Files of another format also have another extension; wrong labels also change the sizes of classes.
    quick = name not in ("label-errors", "likely-duplicates")
    result = run_audit(planted(clean, name, change), quick=quick)
    allowed = {name, "imbalance"} if name == "tiny-classes" else {name}
    assert {finding.check for finding in result.findings} <= allowed


@pytest.mark.parametrize("name", PLANTED)
def test_an_empty_folder_has_no_faults(name: str, clean: AuditView) -> None:
    nobody = clean.index[clean.index.labels < 0]
    assert run_audit(AuditView(nobody, features=None), only=[name]).findings == ()


def test_photos_without_labels_are_looked_at_too(clean: AuditView, change: Callable[..., AuditView]) -> None:
    view = change(
        clean, labels=dict.fromkeys(range(180), -1), sha256={6: "a", 1: "a"}, looks={"contrast": {8: 0.4}}
    )
    found = run_audit(view)
    assert {finding.check for finding in found.findings} == {"exact-duplicates", "blank"}
