"""What the runs show, and what they do not."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from sortograph.evaluation.compare import holm
from sortograph.records.sweeps import Claimed, Configuration, Contrast, Standing
from sortograph.sweeps.answers import Answers
from sortograph.sweeps.pairing import Difference, difference
from sortograph.sweeps.space import PER_CLASS, Claim, Space

Known = Mapping[str, Mapping[str, Answers]]
_VERDICTS = {"better": "reproduced", "worse": "contradicted", "not shown": "not shown"}
_WORDS = {
    "better": "Shown to be better than {}: {}.",
    "worse": "Shown to be worse than {}: {}.",
    "not shown": "Not shown to differ from {}: {}.",
}
_NAMED = 6
CAUTION = (
    "All validation photos choose, those that calibrated the runs too, so what the chosen run promises of "
    "its thresholds and label sets is a little optimistic: `sortograph evaluate RUN PHOTOS` on photos kept "
    "apart is the honest judge. A new sweep keeps half of them for choosing alone, unless split.reserve is "
    "false."
)


@dataclass(frozen=True, slots=True)
class _Question:
    better: str
    worse: str
    measure: str
    found: Difference

    def answered(self, adjusted: float) -> Contrast:
        found = self.found
        names = (self.better, self.worse, self.measure)
        return Contrast(*names, found.estimate, found.p, adjusted, found.split, found.seeds)


def compared(against: str, others: Sequence[str], known: Known) -> tuple[Contrast, ...]:
    """Each of the others against one configuration, with Holm's correction for so many questions."""
    asked = [
        _Question(name, against, "accuracy", difference([known[name]], [known[against]]))
        for name in others
        if name != against and name in known and against in known
    ]
    return _corrected(asked)


def claimed(space: Space, configurations: Sequence[Configuration], known: Known) -> tuple[Claimed, ...]:
    """Each claim of a study, with Holm's correction for so many claims."""
    there = [one for one in configurations if one.name in known]
    asked = [(claim, _asked(claim, there, known)) for claim in space.claims]
    answers = iter(_corrected([question for _, question in asked if question is not None]))
    made = []
    for claim, question in asked:
        answer = None if question is None else next(answers)
        verdict = "not tried" if answer is None else _VERDICTS[answer.verdict]
        made.append(Claimed(claim.text, claim.argued, verdict, answer))
    return tuple(made)


def _corrected(asked: Sequence[_Question]) -> tuple[Contrast, ...]:
    adjusted = holm([question.found.p for question in asked])
    return tuple(question.answered(p) for question, p in zip(asked, adjusted, strict=True))


def _asked(claim: Claim, there: Sequence[Configuration], known: Known) -> _Question | None:
    """None where runs for one of the sides are missing."""
    better, worse = _side(claim.better, there), _side(claim.worse, there)
    if isinstance(claim.better, Mapping) and isinstance(claim.worse, Mapping):
        pairs = _matched(better, worse, {*claim.better, *claim.worse})
        better, worse = [a for a, _ in pairs], [b for _, b in pairs]
    if not better or not worse:
        return None
    first, second = ([known[one.name] for one in side] for side in (better, worse))
    found = difference(first, second, claim.measure)
    return _Question(_told(claim.better), _told(claim.worse), claim.measure, found)


def _side(side: str | Mapping[str, object], there: Sequence[Configuration]) -> list[Configuration]:
    if isinstance(side, str):
        return [one for one in there if one.variant == side]
    return [one for one in there if all(_all(one).get(key, ...) == value for key, value in side.items())]


def _all(one: Configuration) -> dict[str, object]:
    return {**one.settings, PER_CLASS: one.per_class}


def _matched(
    better: Sequence[Configuration], worse: Sequence[Configuration], keys: set[str]
) -> list[tuple[Configuration, Configuration]]:
    """Pairs that differ in nothing but these settings."""

    def rest(one: Configuration) -> dict[str, object]:
        return {key: value for key, value in _all(one).items() if key not in keys} | {"": one.variant}

    return [(a, b) for a in better for b in worse if rest(a) == rest(b)]


def _told(side: str | Mapping[str, object]) -> str:
    return side if isinstance(side, str) else ", ".join(f"{key} {value}" for key, value in side.items())


def paragraph(
    space: Space,
    standings: Sequence[Standing],
    comparisons: Sequence[Contrast],
    claims: Sequence[Claimed],
    left: Sequence[str],
) -> str:
    """The conclusion and how sure it is. `standings` are ranked; the first of them is the chosen one."""
    if not standings or standings[0].score is None:
        return "No run has finished: nothing can be concluded."
    chosen = standings[0]
    choice = (_chosen(space, chosen), _choosing(chosen))
    parts = [_unfinished(left), *choice, _against(chosen, comparisons), *_claims(claims)]
    return " ".join(part for part in parts if part)


def _unfinished(left: Sequence[str]) -> str:
    if not left:
        return ""
    runs = "1 run is" if len(left) == 1 else f"{len(left)} runs are"
    return f"{runs} left to do, so this may still change."


def _chosen(space: Space, chosen: Standing) -> str:
    validation, test = chosen.validation, chosen.test
    by = chosen.choosing or validation
    n = f"n = {by.n}" if by else "none"
    seeds = f"{len(chosen.seeds)} seeds" if len(chosen.seeds) > 1 else "1 seed"
    figure = _figure(space, chosen.score or 0.0, chosen.spread)
    metric, name = space.metric.replace("_", " "), chosen.configuration.name
    told = f"By its mean {metric} over {seeds} ({figure}, {n}), {name} is chosen"
    if test is None:
        return f"{told}; no test photos were held out to judge it."
    ends = f"{100 * test.low:.1f} – {100 * test.high:.1f}"
    return (
        f"{told}; on the {test.n} test photos, which had no part in choosing, its mean accuracy is "
        f"{100 * test.value:.1f} % ({100 * test.level:g} % interval {ends})."
    )


def _choosing(chosen: Standing) -> str:
    """What the choice leaves of the promises of the chosen run."""
    some, every = chosen.choosing, chosen.validation
    if some is None or every is None:
        return CAUTION
    if some.n == every.n:
        return f"All {every.n} validation photos choose and none calibrate, since they cannot be halved."
    return (
        f"The {some.n} of {every.n} validation photos that choose calibrated no run: what the chosen one "
        "promises of its thresholds and label sets comes from the others, which had no part in choosing."
    )


def _figure(space: Space, value: float, spread: float | None) -> str:
    if space.is_loss:
        return f"{value:.3f}" + ("" if spread is None else f" ± {spread:.3f}")
    return f"{100 * value:.1f} %" + ("" if spread is None else f" ± {100 * spread:.1f}")


def _against(chosen: Standing, comparisons: Sequence[Contrast]) -> str:
    """Who is shown to be better or worse than the one that all were compared with."""
    if not comparisons:
        return ""
    against, name = comparisons[0].worse, chosen.configuration.name
    own = next((one for one in comparisons if one.better == name), None)
    parts = [] if own is None else [f"Against {against}: {difference_text(own)}, {shown_text(own)}."]
    groups = {
        word: [one.better for one in comparisons if one.verdict == word and one is not own] for word in _WORDS
    }
    parts += [_WORDS[word].format(against, _listed(names)) for word, names in groups.items() if names]
    return " ".join(parts)


def _listed(names: Sequence[str]) -> str:
    shown = ", ".join(names[:_NAMED])
    return shown if len(names) <= _NAMED else f"{shown} and {len(names) - _NAMED} others"


def difference_text(one: Contrast) -> str:
    """
    >>> from sortograph.records import Estimate
    >>> found = Estimate(0.014, -0.009, 0.037, 0.95, 336, "bootstrap")
    >>> difference_text(Contrast("a", "b", "accuracy", found, 0.2, 0.4, "test", 3))
    '+1.4 points on the same 336 test photos (95 % −0.9 to +3.7; p = 0.4, corrected)'
    >>> difference_text(Contrast("a", "b", "accuracy", found, 0.2, 0.4, "test", 1))[-49:]
    'p = 0.4, corrected; one seed alone shows nothing)'
    """
    d = one.difference
    what = "points" if one.measure == "accuracy" else "points less between train and held out"
    ends = f"{100 * d.level:g} % {points(d.low)} to {points(d.high)}"
    photos = f"the same {d.n} {one.split} photos"
    alone = "; one seed alone shows nothing" if one.seeds < 2 else ""
    return f"{points(d.value)} {what} on {photos} ({ends}; p = {one.adjusted:.2g}, corrected{alone})"


def shown_text(one: Contrast) -> str:
    if one.seeds < 2:
        return "which a single seed cannot show"
    return {"better": "shown to be better", "worse": "shown to be worse"}.get(
        one.verdict, "so a difference is not shown"
    )


def points(value: float) -> str:
    """
    >>> points(0.0144), points(-0.009)
    ('+1.4', '−0.9')
    """
    return f"{'−' if value < 0 else '+'}{abs(100 * value):.1f}"


def _claims(claims: Sequence[Claimed]) -> list[str]:
    if not claims:
        return []
    counts = {word: sum(one.verdict == word for one in claims) for word in (*_VERDICTS.values(), "not tried")}
    told = ", ".join(f"{count} {word}" for word, count in counts.items() if count)
    if len(claims) == 1:
        return [f"What was argued is {claims[0].verdict}."]
    return [f"Of the {len(claims)} things that were argued: {told}."]
