"""Copies and versions of photos, and what of them may be set aside."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from sortograph.auditing import AuditView, run_audit
from sortograph.records import AuditResult

Change = Callable[..., AuditView]


def audited(view: AuditView) -> AuditResult:
    return run_audit(view, quick=True)


def set_aside(result: AuditResult) -> set[str]:
    return {path for finding in result.findings for path in finding.set_aside}


def test_all_copies_but_the_shortest_path_can_go(clean: AuditView, change: Change) -> None:
    view = change(clean, sha256={0: "a", 1: "a", 2: "a"}, paths={0: "cats/00 (copy).jpg"})
    view = change(
        view, looks={"bytes": dict.fromkeys(range(3), 5_000)}, sizes=dict.fromkeys(range(3), (9, 9))
    )
    (finding,) = audited(view).of("exact-duplicates")
    assert finding.photos == ("cats/01.jpg", "cats/02.jpg", "cats/00 (copy).jpg")
    assert finding.set_aside == finding.photos[1:]


def test_copies_in_several_splits_are_a_leak_and_no_duplicates(clean: AuditView, change: Change) -> None:
    result = audited(change(clean, sha256={0: "a", 4: "a"}))
    assert [finding.check for finding in result.findings] == ["leakage"]
    assert set_aside(result) == {"cats/00.jpg"}


def test_photos_of_no_split_are_compared_too(clean: AuditView, change: Change) -> None:
    view = change(clean, splits=dict.fromkeys(range(180), ""), sha256={0: "a", 4: "a"})
    assert [finding.check for finding in audited(view).findings] == ["exact-duplicates"]


def test_of_one_photo_in_copies_and_versions_one_file_is_left(clean: AuditView, change: Change) -> None:
    rows = (0, 1, 2, 5)
    view = change(clean, twins=dict.fromkeys(rows, "t"), sha256={0: "a", 1: "a", 5: "a"})
    view = change(view, sizes=dict.fromkeys(rows, (200, 160)), looks={"bytes": dict.fromkeys(rows, 5_000)})
    result = audited(view)
    assert {finding.check for finding in result.findings} == {"exact-duplicates", "near-duplicates"}
    (near,) = result.of("near-duplicates")
    assert near.photos == ("cats/00.jpg", "cats/02.jpg")
    assert set_aside(result) == {"cats/01.jpg", "cats/02.jpg", "cats/05.jpg"}


def test_exact_copies_alone_are_no_near_duplicates(clean: AuditView, change: Change) -> None:
    view = change(clean, twins={0: "t", 1: "t"}, sha256={0: "a", 1: "a"})
    assert audited(view).of("near-duplicates") == []


@pytest.mark.parametrize("column", ["sha256", "twins"])
def test_nothing_of_a_photo_with_two_labels_is_set_aside(
    column: str, clean: AuditView, change: Change
) -> None:
    result = audited(change(clean, **{column: {0: "a", 60: "a", 64: "a"}}))
    (finding,) = result.of("conflicting-labels")
    assert finding.photos == ("cats/00.jpg", "dogs/00.jpg", "dogs/04.jpg")
    assert finding.message.startswith("the same" if column == "sha256" else "nearly the same")
    # The dog of the test split is also the dog of the training split: that is a leak of its own.
    assert set_aside(result) == ({"dogs/00.jpg"} if column == "sha256" else set())


def test_labels_of_twins_conflict_through_a_common_copy(clean: AuditView, change: Change) -> None:
    view = change(clean, sha256={0: "a", 1: "a"}, twins={1: "t", 60: "t"})
    (finding,) = audited(view).of("conflicting-labels")
    assert set(finding.photos) == {"cats/00.jpg", "cats/01.jpg", "dogs/00.jpg"}
    assert finding.message.startswith("nearly the same photo has 2 labels")
