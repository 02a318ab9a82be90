"""What calibration promises, as text for the page and the model card."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from sortograph.errors import listed
from sortograph.evaluation import share
from sortograph.records import AbstainRow, EvaluationResult, LikenessRow, RunRecord, Trust
from sortograph.reporting.facts import Cell, rate

_MOST = 2  # rows of the table on the first screen
NONE = (
    "Nothing is promised: no photos were left to calibrate by that had neither taught nor chosen, or the run "
    "is older than calibration."
)


@dataclass(frozen=True, slots=True)
class Withheld:
    """A row of the table of thresholds; `answered` is None where `reason` says why nothing is promised."""

    error: str
    threshold: str
    answered: Cell | None
    wrong: int
    n: int
    reason: str


@dataclass(frozen=True, slots=True)
class Trusted:
    """The first screen's answer to "can I trust it?": sentences; () and "" where nothing is known.

    error   the calibration error, with its interval, after calibration and before it
    by      what it was calibrated by
    """

    error: Cell | None
    before: Cell | None
    measured: str
    by: str
    withhold: tuple[str, ...]
    unlike: str
    none: str


def trusted(run: RunRecord, result: EvaluationResult | None) -> Trusted:
    """How far the answers of a run can be trusted, by what it measured on `result`'s split."""
    metrics = {} if result is None else result.metrics
    error, before = metrics.get("ece"), metrics.get("ece_uncalibrated")
    trust = run.trust
    return Trusted(
        error=rate(error) if error else None,
        before=rate(before) if before else None,
        measured=f"{result.split}, n = {error.n}" if result and error else "",
        by=calibrated_by(trust) if trust else "",
        withhold=tuple(withholding(trust)) if trust else (),
        unlike=unlike(trust.likeness) if trust and trust.likeness else "",
        none="" if trust else NONE,
    )


def calibrated_by(trust: Trust) -> str:
    """
    >>> calibrated_by(Trust("validation", 118, 104, 0.6612, (), ()))
    'temperature 0.66, fitted to 118 validation photos (104 independent ones)'
    """
    alone = f" ({trust.groups} independent ones)" if trust.groups != trust.n else ""
    none = f", none of them of {listed(trust.lacking, 5)}" if trust.lacking else ""
    return f"temperature {trust.temperature:.2f}, fitted to {trust.n} {trust.split} photos{alone}{none}"


def best_rows(rows: Sequence[AbstainRow]) -> list[AbstainRow]:
    """What can be promised, the strictest first; laxer rows than one that answers all say no more.

    >>> rows = [AbstainRow(0.02, None, 0, 104, 0, "no"), AbstainRow(0.05, 0.0, 1, 104, 2),
    ...         AbstainRow(0.1, 0.0, 1, 104, 2)]
    >>> [row.error for row in best_rows(rows)]
    [0.05]
    """
    kept: list[AbstainRow] = []
    for row in sorted(rows, key=lambda row: row.error):
        if row.threshold is not None and not (kept and kept[-1].threshold == 0):
            kept.append(row)
    return kept


def withholding(trust: Trust) -> list[str]:
    """What comes of withholding answers, in up to three sentences.

    >>> withholding(Trust("validation", 9, 9, 1.0, (AbstainRow(0.1, None, 0, 9, 0, "unattainable: 9 photos "
    ...                                                        "promise at best 39 %"),), ()))
    ['At most 10 % wrong is unattainable: 9 photos promise at best 39 %.']
    """
    found = best_rows(trust.abstain)
    refused = [row for row in trust.abstain if row.threshold is None]
    words = [promise(row) for row in found[:_MOST]]
    if refused:
        laxest = max(refused, key=lambda row: row.error)
        words.append(f"At most {percent(laxest.error)} wrong is {laxest.reason}.")
    return words


def promise(row: AbstainRow) -> str:
    """
    >>> promise(AbstainRow(0.1, 0.637364, 0.74, 200, 7))
    'Withhold answers up to 0.637, and of those given at most 10 % are wrong: 74 % of photos are answered \
(67.5 – 79.6 %, n = 200).'
    >>> promise(AbstainRow(0.1, 0.0, 1.0, 104, 2))
    'Give every answer, and at most 10 % are wrong (n = 104).'
    """
    most = f"at most {percent(row.error)} are wrong"
    if not row.threshold and row.coverage >= 1:
        return f"Give every answer, and {most} (n = {row.n})."
    answered = f"{percent(row.coverage)} of photos are answered ({_answered(row).interval}, n = {row.n})"
    which = f"up to {probability(row.threshold)}" if row.threshold else "to photos unlike training alone"
    return f"Withhold answers {which}, and of those given {most}: {answered}."


def unlike(row: LikenessRow) -> str:
    """
    >>> unlike(LikenessRow(0.533, 1 / 105, 104))
    'Photos less than 0.53 like training are flagged: 1 in 105 like the held-out ones, too (n = 104).'
    """
    one_in = f"1 in {round(1 / row.share)}" if row.share else "none"
    return (
        f"Photos less than {row.threshold:.2f} like training are flagged: {one_in} like the held-out ones, "
        f"too (n = {row.n})."
    )


def withheld_rows(trust: Trust) -> list[Withheld]:
    """The whole table of thresholds, the strictest promise first."""
    return [_withheld(row) for row in sorted(trust.abstain, key=lambda row: row.error)]


def conformal_rows(trust: Trust) -> list[tuple[str, str, int]]:
    """Level, the probability from which a class belongs to the set of a photo, and photos.

    >>> from sortograph.records import ConformalRow
    >>> conformal_rows(Trust("validation", 9, 9, 1.0, (), (ConformalRow(0.95, 0.0, 9),)))
    [('95 %', 'every class', 9)]
    """
    return [
        (percent(row.level), probability(row.threshold) if row.threshold > 0 else "every class", row.n)
        for row in trust.conformal
    ]


def percent(part: float) -> str:
    """
    >>> percent(0.005), percent(0.74), percent(1.0)
    ('0.5 %', '74 %', '100 %')
    """
    return f"{100 * part:.3g} %"


def probability(value: float) -> str:
    """Three digits, or as many as it takes to tell it from 1.

    >>> probability(0.637364), probability(0.99987), probability(1.0)
    ('0.637', '0.9999', '1')
    """
    written = (f"{value:.{digits}g}" for digits in range(3, 17))
    return next((text for text in written if float(text) < 1), "1")


def _withheld(row: AbstainRow) -> Withheld:
    if row.threshold is None:
        return Withheld(percent(row.error), "–", None, row.wrong, row.n, row.reason)
    threshold = probability(row.threshold) if row.threshold else "none"
    return Withheld(percent(row.error), threshold, _answered(row), row.wrong, row.n, "")


def _answered(row: AbstainRow) -> Cell:
    """The share of photos that is answered, with its interval."""
    return rate(share(round(row.coverage * row.n), row.n))
