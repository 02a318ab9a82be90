"""What a step of `auto` may gain: by what such steps have gained in this run, else by a rule of thumb."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from sortograph.errors import counted

Kind = Literal["backbone", "joined", "mirror", "finetune"]
# The share of the errors that a step removes, as long as nothing is known.
_RULES: dict[Kind, float] = {"backbone": 0.2, "joined": 0.2, "mirror": 0.08, "finetune": 0.15}
_LEAST = 0.3  # of a photo: less cannot be noticed in cross-validation


@dataclass(frozen=True, slots=True)
class Seen:
    """A step of this run: errors in cross-validation before and after, 0–1."""

    kind: Kind
    before: float
    after: float

    @property
    def removed(self) -> float:
        """The share of the errors that are gone, 0–1."""
        return min(1.0, max(0.0, (self.before - self.after) / self.before)) if self.before else 0.0


@dataclass(frozen=True, slots=True)
class Hope:
    """gain: the share of photos, 0–1, that may become right; why: where this is from."""

    gain: float
    why: str

    @property
    def points(self) -> str:
        return f"perhaps {100 * self.gain:+.1f} points"


@dataclass(frozen=True, slots=True)
class Verdict:
    answer: Literal["go", "nothing to gain", "no time"]
    reason: str


def hoped(kind: Kind, error: float, taught: float, seen: Sequence[Seen]) -> Hope:
    """The gain to expect of a step.

    error: of the best model so far, in cross-validation; taught: its error on the photos that taught it, 0–1
    seen: the steps of this run so far, of which those of the same kind count, each as much as the rule of
        thumb. Mirrored views cannot remove the errors that the model makes on what it was taught.

    >>> hoped("joined", 0.5, 0.0, [])
    Hope(gain=0.1, why='20 % of the errors, a rule of thumb')
    >>> hoped("joined", 0.1, 0.0, [Seen("joined", 0.2, 0.1)]).why
    '35 % of the errors, by 1 such step in this run and a rule of thumb'
    """
    removed = [step.removed for step in seen if step.kind == kind]
    share = (_RULES[kind] + sum(removed)) / (1 + len(removed))
    known = f"by {counted(len(removed), 'such step')} in this run and " if removed else ""
    why = f"{100 * share:.0f} % of the errors, {known}a rule of thumb"
    gap = max(0.0, error - taught)
    if kind == "mirror" and gap < share * error:
        return Hope(gap, f"at most the {100 * gap:.1f} points between training and cross-validation")
    return Hope(share * error, why)


def weighed(hope: Hope, count: int, seconds: float, left: float) -> Verdict:
    """Whether a step is worth its seconds, of `left` seconds, with so many training photos.

    >>> weighed(Hope(0.02, "a guess"), 500, 30.0, 60.0)
    Verdict(answer='go', reason='about 30 s of 60 s left, for perhaps +2.0 points (a guess)')
    >>> weighed(Hope(0.0, "a guess"), 500, 30.0, 60.0).answer
    'nothing to gain'
    """
    if hope.gain * count < _LEAST:
        return Verdict("nothing to gain", f"nothing to gain with {count} photos, {hope.points} ({hope.why})")
    if seconds > left:
        return Verdict("no time", f"about {seconds:.0f} s for {hope.points}")
    told = "" if left == float("inf") else f" of {left:.0f} s left"
    return Verdict("go", f"about {seconds:.0f} s{told}, for {hope.points} ({hope.why})")


def with_more_time(left_out: Sequence[tuple[str, Hope]]) -> str:
    """What was left out, each with its hope; where hopes are from is said once for each reason.

    >>> with_more_time([("a, 9 s", Hope(0.1, "a guess")), ("b, 8 s", Hope(0.1, "a guess"))])
    'with more time: a, 9 s; b, 8 s (a guess)'
    """
    reasons: dict[str, list[str]] = {}
    for told, hope in left_out:
        reasons.setdefault(hope.why, []).append(told)
    return "with more time: " + "; ".join(f"{'; '.join(some)} ({why})" for why, some in reasons.items())
