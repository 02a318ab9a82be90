"""conclusion.md: the table, what was compared, and what may be concluded."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

from sortograph.files import write_atomic
from sortograph.records import Estimate
from sortograph.records.sweeps import Claimed, Contrast, Standing, Swept
from sortograph.sweeps.conclusions import points
from sortograph.sweeps.pairing import METHOD, RESAMPLES
from sortograph.sweeps.space import Space

PAGE = "conclusion.md"


def write_page(swept: Swept, space: Space, again: str) -> Path:
    """again: the command that repeats it. Raises StorageError."""
    parts = [
        f"# {swept.name}",
        space.about,
        f"Photos: {space.photos}" if space.photos else "",
        f"```console\n{again}\n```",
        _table(standing_header(swept.standings), map(standing_cells, swept.standings)),
        _NOTES.format(metric=swept.metric.replace("_", " "), half=_half(swept.standings)),
        swept.conclusion,
        *_compared(swept),
        *_claims(swept.claims),
        *_left(swept.left),
    ]
    text = "\n\n".join(part for part in parts if part) + "\n"
    page = swept.folder / PAGE
    write_atomic(page, text.encode("utf-8", "backslashreplace"))
    return page


_NOTES = (
    "Means over seeds; ± is the standard deviation over seeds, the interval Wilson's for as many photos. "
    "Best mean {metric} first: it alone chooses, test photos only judge. {half}The gap is mean accuracy of "
    "train minus that of all validation photos; seconds are those of one run. `trials.csv` has every run."
)


def _half(standings: Sequence[Standing]) -> str:
    if not any(one.choosing for one in standings):
        return ""
    return "It is measured on the half of the validation photos that is kept out of calibration. "


def standing_header(standings: Sequence[Standing]) -> tuple[str, ...]:
    """Names of the columns, each figure with its count of photos."""
    halves = [one.choosing for one in standings if one.choosing]
    chooser = f"choosing half{_count(halves)}"
    validation, test = (_count(getattr(one, split) for one in standings) for split in ("validation", "test"))
    return (
        "configuration",
        "settings",
        "seeds",
        chooser if halves else f"validation{validation}",
        "± seeds",
        f"test{test}",
        "95 % interval",
        "gap",
        "seconds",
    )


def _count(found: Iterable[Estimate | None]) -> str:
    counts = sorted({one.n for one in found if one is not None})
    return f", n = {counts[0]}" if len(counts) == 1 else ""


def standing_cells(one: Standing) -> tuple[str, ...]:
    test, chooser = one.test, one.choosing or one.validation
    return (
        one.configuration.name,
        settings_text(one),
        str(len(one.seeds)) if one.status == "finished" else f"{len(one.seeds)}, {one.status}",
        "–" if chooser is None else f"{100 * chooser.value:.1f} %",
        "–" if one.spread is None else _spread(one),
        "–" if test is None else f"{100 * test.value:.1f} %",
        "–" if test is None else f"{100 * test.low:.1f} – {100 * test.high:.1f}",
        "–" if one.gap is None else points(one.gap),
        f"{one.seconds:.0f}" if one.seeds else "–",
    )


def _spread(one: Standing) -> str:
    assert one.spread is not None
    return f"{100 * one.spread:.1f}"


def settings_text(one: Standing) -> str:
    """What sets a configuration apart: the names of settings without their sections."""
    told = dict(one.configuration.told)
    return ", ".join(f"{key.partition('.')[2]} {_value(value)}" for key, value in told.items())


def _value(value: object) -> str:
    if isinstance(value, float):
        return f"{value:.3g}"
    return "-".join(map(_value, value)) if isinstance(value, list | tuple) else str(value)


def compared_cells(one: Contrast) -> tuple[str, ...]:
    d = one.difference
    ends = f"{points(d.low)} to {points(d.high)}"
    return (one.better, one.worse, one.measure, points(d.value), ends, f"{one.adjusted:.2g}", one.verdict)


def _compared(swept: Swept) -> list[str]:
    if not swept.comparisons:
        return []
    n, split = swept.comparisons[0].difference.n, swept.comparisons[0].split
    header = ("configuration", "against", "measure", "points", "95 % interval", "p, corrected", "verdict")
    lead = (
        f"## Compared\n\nOn the same {n} {split} photos, photo by photo: {METHOD}; {RESAMPLES:,} resamples; "
        "p-values, never below those of a sign permutation test over photos, by Holm's correction for "
        f"{len(swept.comparisons)}."
    )
    return [lead, _table(header, map(compared_cells, swept.comparisons))]


def _claims(claims: Sequence[Claimed]) -> list[str]:
    if not claims:
        return []
    lines = []
    for claim in claims:
        argued = f" (argued: {claim.argued})" if claim.argued else ""
        lines.append(f"- **{claim.verdict}**: {claim.text}{argued}{_figures(claim.compared)}")
    return ["## What was argued", "\n".join(lines)]


def _figures(one: Contrast | None) -> str:
    if one is None:
        return ""
    d = one.difference
    what = "accuracy" if one.measure == "accuracy" else f"gap train − {one.split}, how much smaller"
    return (
        f". {one.better} against {one.worse}, {what}: {points(d.value)} points "
        f"[{points(d.low)}, {points(d.high)}], n = {d.n} {one.split} photos, {one.seeds} seeds, "
        f"p = {one.adjusted:.2g} after Holm's correction"
    )


def _left(left: Sequence[str]) -> list[str]:
    return ["## Left to do", "\n".join(f"- {name}" for name in left)] if left else []


def _table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join(f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in line)} |" for line in lines)
