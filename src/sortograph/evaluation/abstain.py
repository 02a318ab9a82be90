"""When to say "I don't know": thresholds below which answers are withheld, a promise about the others."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from sortograph.evaluation.binomial import chance_of_at_most, upper_limit
from sortograph.records import AbstainRow

WANTED = (0.005, 0.01, 0.02, 0.05, 0.1)
DOUBT = 0.05
# Shares of the photos that are answered, tried from the surest on; at those of _STARTS the test may begin.
_SHARES = tuple(share / 100 for share in range(20, 101, 2))
_STARTS = (0.2, 0.4, 0.7, 1.0)


def abstain_table(
    confidence: NDArray[np.float64], right: NDArray[np.bool_], wanted: tuple[float, ...] = WANTED
) -> tuple[AbstainRow, ...]:
    """For each wanted error rate the least confidence that keeps it, and the share of photos above.

    confidence: float64 (N,), 0–1, of the answers to photos that nothing was chosen by, each for itself; 0 for
                one that is withheld in any case
    right: bool (N,)

    With probability 95 % over these photos, of answers more confident than the threshold no more than the
    wanted share is wrong, among photos like these. The threshold lies at a rank, so that the photos above it
    are a sample of those that will lie above it, and the number of wrong ones among them is binomial: an
    exact test of each share of photos answered, the surest first. Of the 5 % doubt a quarter each is given to
    four of them; what a test has that passed goes on to the next (the fallback procedure of Wiens, "A fixed
    sequence Bonferroni procedure", Pharmaceutical Statistics 2 (2003), 211–215; among those that
    Angelopoulos, Bates, Candès, Jordan, Lei, "Learn then test", arXiv:2110.01052, section 3, apply to
    thresholds). A promise assumes that surer answers are not wrong more often than less sure ones.
    """
    return tuple(_row(rate, confidence, right) for rate in wanted)


def one_of_each(groups: NDArray[np.int64]) -> NDArray[np.int64]:
    """Places of one photo of each group, drawn by a fixed generator, ascending: they are independent then."""
    order = np.random.default_rng(0).permutation(len(groups))
    return np.sort(order[np.unique(groups[order], return_index=True)[1]])


def _row(rate: float, confidence: NDArray[np.float64], right: NDArray[np.bool_]) -> AbstainRow:
    n = len(confidence)
    order = np.argsort(-confidence, kind="stable")
    ranked, wrong = confidence[order], np.cumsum(~right[order])
    best, held, least = None, 0.0, 1.0
    for share in _SHARES:
        held += DOUBT / len(_STARTS) if share in _STARTS else 0.0
        count = _answered(round(share * n), ranked)
        if not held or not count:
            continue
        least = min(least, upper_limit(int(wrong[count - 1]), count, held))
        if chance_of_at_most(int(wrong[count - 1]), count, rate) <= held:
            best = count
        else:
            held = 0.0
    if best is None:
        return AbstainRow(
            rate, None, 0.0, n, 0, f"unattainable: {n} photos promise at best {_percent(least)}"
        )
    threshold = 0.0 if best == n else float(ranked[best])  # 0, too, where the rest is never answered
    return AbstainRow(rate, threshold, best / n, n, int(wrong[best - 1]))


def _answered(rank: int, ranked: NDArray[np.float64]) -> int:
    """How many lie strictly above the photo at this rank, the threshold; above 0 where none is left."""
    threshold = ranked[rank] if rank < len(ranked) else 0.0
    return int((ranked > threshold).sum())


def _percent(rate: float) -> str:
    """Two digits, never less than it is."""
    digits = 1 - math.floor(math.log10(100 * rate))
    return f"{math.ceil(100 * rate * 10**digits) / 10**digits:g} %"
