from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from sortograph.auditing import AuditView, run_audit
from sortograph.records import Finding

Change = Callable[..., AuditView]


def leaks(view: AuditView) -> list[Finding]:
    return list(run_audit(view, only=["leakage"]).findings)


def test_a_photo_counts_by_its_closest_tie(clean: AuditView, change: Change) -> None:
    view = change(
        clean,
        sha256={0: "a", 4: "a"},
        twins={0: "t", 4: "t", 9: "t"},
        groups={1: "house", 9: "house", 14: "house"},
    )
    said = [finding.message.split(";")[0] for finding in leaks(view)]
    assert said == [
        "1 of 36 test photos (2.8 %) is also in train (the same content)",
        "1 of 36 test photos (2.8 %) is nearly the same as photos in train",
        "1 of 36 test photos (2.8 %) is of a group that is in train, too",
    ]


def test_validation_leaks_are_told_by_pair(clean: AuditView, change: Change) -> None:
    view = change(clean, sha256={0: "a", 3: "a", 4: "a"})
    pairs = [finding.message.split(" (the")[0] for finding in leaks(view)]
    assert pairs == [
        "1 of 36 validation photos (2.8 %) is also in train",
        "1 of 36 test photos (2.8 %) is also in train",
        "1 of 36 test photos (2.8 %) is also in validation",
    ]


def test_only_training_copies_of_the_same_label_are_set_aside(clean: AuditView, change: Change) -> None:
    view = change(clean, sha256={0: "a", 1: "a", 4: "a", 60: "a", 13: "b", 14: "b"})
    found = {finding.set_aside for finding in leaks(view)}
    assert found == {("cats/00.jpg", "cats/01.jpg"), ()}


def test_each_leaked_photo_stands_beside_what_it_meets(clean: AuditView, change: Change) -> None:
    view = change(clean, sha256={0: "a", 4: "b", 5: "b", 9: "a", 10: "b"})
    (finding,) = leaks(view)
    assert finding.photos == ("cats/09.jpg", "cats/00.jpg", "cats/04.jpg", "cats/05.jpg", "cats/10.jpg")
    assert finding.message.startswith("2 of 36 test photos (5.6 %) are")


def test_more_leaks_are_graver(clean: AuditView, change: Change) -> None:
    one = change(clean, sha256={0: "a", 4: "a"})
    many = change(clean, sha256={row: f"x{row // 5}" for row in range(100) if row % 5 in (0, 4)})
    assert 0.5 < leaks(one)[0].severity < leaks(many)[0].severity == 0.9


def test_the_remedy_hangs_on_who_made_the_splits(clean: AuditView, change: Change) -> None:
    view = change(clean, groups={0: "house", 4: "house"})
    given, made = leaks(view)[0], leaks(replace(view, given=False))[0]
    assert "have the splits cut anew" in made.remedy
    assert "into one split" in given.remedy
