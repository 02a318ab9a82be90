"""split-disagreement: splits that differ more than a random cut lets them."""

from __future__ import annotations

from collections.abc import Iterator

from sortograph.diagnosis import words
from sortograph.diagnosis.view import HELD_OUT, RunView, Skip
from sortograph.evaluation import difference
from sortograph.evaluation.intervals import z_value
from sortograph.records import Estimate, Remedy, Verdict

NAMES = ("split-disagreement",)
_LEVEL = 0.99  # every run has such a pair: at 95 %, one in twenty would be told of for nothing


def judge(view: RunView) -> Iterator[Verdict | Skip]:
    """Validation against test; and, where training finds held-out photos easier than its own, train."""
    found = {split: view.record.evaluation.get(split) for split in ("train", *HELD_OUT)}
    judged = {split: result.metrics["accuracy"] for split, result in found.items() if result is not None}
    if not all(split in judged for split in HELD_OUT):
        lacking = " and ".join(split for split in HELD_OUT if split not in judged)
        yield Skip("split-disagreement", f"{lacking} photos were not judged")
    else:
        gap = surer(difference(judged["validation"], judged["test"]))
        if gap.low > 0 or gap.high < 0:
            yield _verdict(view, "validation", "test", gap)
    for split in HELD_OUT:
        if split in judged and "train" in judged:
            gap = surer(difference(judged[split], judged["train"]))
            if gap.low > 0:
                yield _verdict(view, split, "train", gap)
                return


def surer(gap: Estimate) -> Estimate:
    """The difference at 99 %: both ends further away by the ratio of the normal quantiles."""
    factor = z_value(_LEVEL) / z_value(gap.level)
    low, high = (gap.value + factor * (end - gap.value) for end in (gap.low, gap.high))
    return Estimate(gap.value, max(-1.0, low), min(1.0, high), _LEVEL, gap.n, gap.method)


def _verdict(view: RunView, first: str, second: str, gap: Estimate) -> Verdict:
    results = view.record.evaluation
    one, other = (results[split].metrics["accuracy"] for split in (first, second))
    chose = first == "validation" and view.record.best_epoch is not None
    why = "; validation also chose the epoch, which makes it look better" if chose and gap.value > 0 else ""
    least = min(abs(gap.low), abs(gap.high))
    return Verdict(
        name="split-disagreement",
        message=(
            f"{words.share(one, f'{first} photos')} are named right, but "
            f"{words.share(other, f'{second} photos')}: a difference of {words.points(gap)}, "
            f"more than chance allows{why}"
        ),
        severity=words.clipped(0.3 + 2 * least, most=0.7),
        figures={"difference": words.figures(gap), first: words.figures(one), second: words.figures(other)},
        remedies=_against(view),
    )


def _against(view: RunView) -> tuple[Remedy, ...]:
    look = Remedy(
        "compare the splits: sortograph audit PHOTOS",
        "splits that come from other sources, or hold copies, differ in more than chance",
    )
    seed = view.get("split.seed")
    again = Remedy("another cut", "the difference stays if it is in the photos", (f"split.seed={seed + 1}",))
    return (look, again)
