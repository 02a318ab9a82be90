from __future__ import annotations

from dataclasses import replace

from sortograph.records import AbstainRow, ConformalRow, Trust
from sortograph.reporting import promises


def trust(*rows: AbstainRow) -> Trust:
    return Trust("validation", 90, 80, 1.25, rows, (ConformalRow(0.95, 0.2, 80),))


GIVEN = AbstainRow(0.02, 0.99987, 0.5, 80, 0)


def test_the_strictest_two_are_told_and_nothing_laxer_than_answering_all() -> None:
    rows = [AbstainRow(0.1, 0.3, 0.9, 80, 4), GIVEN, AbstainRow(0.05, 0.8, 0.7, 80, 1)]
    assert [row.error for row in promises.best_rows(rows)] == [0.02, 0.05, 0.1]
    said = promises.withholding(trust(*rows))
    assert [sentence.split(",")[0] for sentence in said] == [
        "Withhold answers up to 0.9999",
        "Withhold answers up to 0.8",
    ]
    everything = AbstainRow(0.05, 0.0, 1.0, 80, 1)
    assert promises.best_rows([GIVEN, everything, AbstainRow(0.1, 0.0, 1.0, 80, 1)]) == [GIVEN, everything]


def test_what_cannot_be_promised_says_why() -> None:
    no = tuple(AbstainRow(error, None, 0.0, 80, 0, "unattainable: 80 photos") for error in (0.01, 0.02))
    assert promises.withholding(trust(*no)) == ["At most 2 % wrong is unattainable: 80 photos."]
    first, second = promises.withheld_rows(trust(*no))
    assert (first.error, first.answered, first.reason) == ("1 %", None, "unattainable: 80 photos")
    assert second.threshold == "–"


def test_the_share_that_is_answered_has_its_interval() -> None:
    (row,) = promises.withheld_rows(trust(GIVEN))
    assert row.answered is not None
    assert row.answered.low < 50 < row.answered.high
    assert "(39.3 – 60.7 %, n = 80)" in promises.promise(GIVEN)


def test_classes_without_a_photo_are_named() -> None:
    told = replace(trust(), lacking=("cat", "dog"))
    assert promises.calibrated_by(told).endswith(
        "validation photos (80 independent ones), none of them of cat, dog"
    )


def test_independent_photos_are_told_apart() -> None:
    assert promises.calibrated_by(trust()).endswith("fitted to 90 validation photos (80 independent ones)")
