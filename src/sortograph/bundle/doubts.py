"""What a bundle's tables say of an answer: given, unsure, or withheld. No more than a manifest is needed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from sortograph.errors import UsageError
from sortograph.records import BundleManifest

LEVEL = 0.95  # of the sets of classes by which answers are called unsure
_NAMED = 3
UNLIKE = "unlike anything in training"


class Doubts:
    """
    withhold   answers up to this probability are withheld; None withholds nothing
    promise    why, for those that are
    in_set     classes at or above this probability belong to a photo's set; None where that is not known
    likeness   below this likeness a photo is unlike anything in training; None where that is not known
    """

    # No dataclass: making one takes as long as all of an answer that is asked for here.
    __slots__ = ("in_set", "likeness", "promise", "withhold")

    def __init__(
        self,
        withhold: float | None = None,
        promise: str = "",
        in_set: float | None = None,
        likeness: float | None = None,
    ) -> None:
        self.withhold, self.promise, self.in_set, self.likeness = withhold, promise, in_set, likeness

    def of(
        self, ranked: Sequence[tuple[str, float]], members: int, likeness: float | None
    ) -> tuple[bool, str | None]:
        """Whether the answer is withheld, and why it is unsure, or None.

        ranked: (class name, probability) of the most probable classes, best first
        members: how many classes belong to the photo's set, as `set_size` counts them
        """
        unlike = likeness is not None and self.likeness is not None and likeness < self.likeness
        reason = UNLIKE if unlike else self._ambiguous(ranked, members)
        if self.withhold is None:
            return False, reason
        if unlike:
            return True, reason
        if ranked[0][1] <= self.withhold:
            return True, self.promise
        return False, reason

    def set_size(self, probabilities: Any) -> int:
        """How many classes belong to the set of a photo, of its float (C,); 1 where that is not known."""
        return 1 if self.in_set is None else int((probabilities >= self.in_set).sum())

    def _ambiguous(self, ranked: Sequence[tuple[str, float]], members: int) -> str | None:
        if members == 1:
            return None
        if members == 0:
            return "no class is likely enough"
        named = [name for name, _ in ranked[:members][:_NAMED]]
        more = f" or {members - len(named)} more" if members > len(named) else ""
        if len(named) == 1:
            return f"could be one of {members} classes"
        head, last = ", ".join(named[:-1]), named[-1]
        return f"could be {head}, {last}{more}" if more else f"could be {head} or {last}"


def doubts(manifest: BundleManifest, max_error: float | None, where: str) -> Doubts:
    """What the tables of a bundle say.

    max_error: wanted share of wrong answers among those given, 0–1; None withholds nothing
    Raises UsageError where that cannot be promised; `where` names the bundle.
    """
    set_row = next((row for row in manifest.conformal if row["level"] == LEVEL), None)
    known = Doubts(
        in_set=None if set_row is None else float(set_row["threshold"]),
        likeness=float(manifest.likeness["threshold"]) if manifest.likeness else None,
    )
    if max_error is None:
        return known
    row = _row(manifest.abstain, max_error, where)
    n = manifest.calibrated.get("groups", "unknown")
    least, error = float(row["threshold"]), _percent(row["error"])
    promise = f"not above {least:.4g}, for at most {error} wrong (by {n} photos)"
    return Doubts(least, promise, known.in_set, known.likeness)


def _row(rows: Sequence[Mapping[str, Any]], max_error: float, where: str) -> Mapping[str, Any]:
    """The nearest row that is not laxer."""
    if not 0 < max_error < 1:
        raise UsageError(
            f"at most {_percent(max_error)} wrong answers", expected="a share such as 2% or 0.02"
        )
    if not rows:
        raise UsageError(
            "this model has no table of errors: no photos were left that had neither taught nor chosen",
            where=where,
            expected="a model with more validation photos",
            fix="sortograph train PHOTOS --set split.validation=0.2",
        )
    stricter = [row for row in rows if row["error"] <= max_error]
    kept = [row for row in stricter if row["threshold"] is not None]
    if kept:
        return max(kept, key=lambda row: float(row["error"]))
    possible = [row["error"] for row in rows if row["threshold"] is not None]
    if not stricter:
        least = min(row["error"] for row in rows)
        raise UsageError(
            f"at most {_percent(max_error)} wrong answers: nothing below {_percent(least)} was measured",
            where=where,
            fix=f"--max-error {_percent(min(possible))}" if possible else "",
        )
    reason = max(stricter, key=lambda row: float(row["error"]))["reason"]
    raise UsageError(
        f"at most {_percent(max_error)} wrong answers: {reason}",
        where=where,
        expected="more held-out photos, or a better model",
        fix=f"--max-error {_percent(min(possible))}" if possible else "leave out --max-error",
    )


def _percent(share: float) -> str:
    """
    >>> _percent(0.005), _percent(0.1)
    ('0.5%', '10%')
    """
    return f"{100 * share:.3g}%"
