"""`diagnose`: what a run suffers from, and what helps."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from sortograph.cli import draw, options, streams, tables, times, words

if TYPE_CHECKING:
    from sortograph.records import Diagnosis, Estimate, LearningCurve, Remedy, Trial, Verdict

_SHOWN = 4  # remedies of a verdict
_GRAVE, _LOOK = 0.6, 0.3
Run = Annotated[Path, typer.Argument(metavar="RUN", help="A run folder.", show_default=False)]
PhotosOf = Annotated[Path | None, typer.Option("--photos", metavar="PHOTOS", help=words.DIAGNOSE_PHOTOS)]
Try = Annotated[bool, typer.Option("--try", help=words.DIAGNOSE_TRY)]
Budget = Annotated[str | None, typer.Option("--budget", metavar="TIME", help=words.DIAGNOSE_BUDGET)]


def diagnose(
    run: Run,
    photos: PhotosOf = None,
    try_remedies: Try = False,
    budget: Budget = None,
    out: options.Out = None,
    json: options.Json = False,
    quiet: options.Quiet = False,
    verbose: options.Verbose = False,
    _debug: options.Debug = False,
) -> int:
    """Tell what is wrong with a run, and what to do. Tries remedies on request."""
    from sortograph import api

    with draw.progress(quiet=quiet) as progress:
        found = api.diagnose(
            run,
            photos=photos,
            try_remedies=try_remedies,
            budget=times.seconds(budget),
            out=out,
            progress=progress,
        )
    if json:
        streams.out_json(found.to_json())
    else:
        _show(found, Path("PHOTOS") if photos is None else photos, verbose)
    return 0


def _show(found: Diagnosis, photos: Path, verbose: bool) -> None:
    for verdict in found.verdicts:
        _show_verdict(verdict, found.run, photos, verbose)
        streams.out()
    if not found.verdicts:
        streams.out("nothing can be said of this run")
    if found.learning_curve is not None:
        _show_curve(found.learning_curve)
        streams.out()
    if found.tried:
        _show_tried(found, photos)
        streams.out()
    reasons = dict.fromkeys(found.skipped.values())
    for reason in reasons:
        names = ", ".join(name for name, why in found.skipped.items() if why == reason)
        streams.out(streams.safe(f"not judged: {names} ({reason})"))


def _show_verdict(verdict: Verdict, run: Path, photos: Path, verbose: bool) -> None:
    streams.out(f"{verdict.name}{_grade(verdict)}")
    streams.out(streams.safe(f"  {verdict.message}"))
    shown = verdict.remedies if verbose else verdict.remedies[:_SHOWN]
    for remedy in shown:
        streams.out(streams.safe(f"    → {remedy.text}{_gain(remedy)}: {remedy.why}"))
        if command := remedy.words(run, photos):
            streams.out(streams.safe(f"      {tables.command(*command)}"))
    if more := len(verdict.remedies) - len(shown):
        streams.out(f"    and {more} more (--verbose lists all)")


def _grade(verdict: Verdict) -> str:
    if verdict.severity >= _GRAVE:
        return " (grave)"
    return " (worth a look)" if verdict.severity >= _LOOK else " (good to know)" if verdict.severity else ""


def _gain(remedy: Remedy) -> str:
    if remedy.gain is None:
        return ""
    sign = "−" if remedy.gain < 0 else "+"
    how = "perhaps " if remedy.guess else ""
    told = ", a guess" if remedy.guess else ", measured"
    return f" ({how}{sign}{abs(remedy.gain):.1f} points{told})"


def _show_curve(curve: LearningCurve) -> None:
    streams.out("learning curve")
    streams.out(streams.safe(f"  {curve.message}"))
    rows = [
        (
            str(point.photos),
            f"{100 * point.share:.0f} %",
            tables.percent(point.accuracy.value),
            _ends(point.accuracy),
        )
        for point in curve.points
    ]
    header = ("training photos", "of all", "validation accuracy", "95 % interval")
    tables.show(tables.Table(header, "rrrr", tuple(rows)))
    first = next(iter(curve.classes.items()), None)
    if first is not None:
        name, gain = first
        sure = "" if gain.low > 0 else ", which may be nothing"
        streams.out(
            streams.safe(f"  twice as many photos would do most for {name}: {_points(gain)} of recall{sure}")
        )


def _show_tried(found: Diagnosis, photos: Path) -> None:
    streams.out("tried, on the photos of the run; the test photos were left alone")
    header = ("remedy", "epochs", "validation", "difference", "gap", "change of the gap", "")
    rows = [_row(trial) for trial in found.tried if trial.accuracy is not None]
    tables.show(tables.Table(header, "lrrrrrl", tuple(rows)))
    if told := _level(found.tried):
        streams.out(told)
    for trial in found.tried:
        if trial.note:
            streams.out(streams.safe(f"  {trial.remedy.text}: {trial.note}"))
    if found.offered is None:
        streams.out("nothing helped beyond chance: no recipe is written")
        return
    command = tables.command(words.PROGRAM, "train", photos, "--recipe", found.offered)
    tables.facts([("recipe", str(found.offered)), ("next", command)])


def _level(tried: Sequence[Trial]) -> str:
    """What the intervals of the differences hold at, where several remedies share the risk of an error."""
    from sortograph.diagnosis.trials import corrected_for

    count = corrected_for(tried)
    level = max((trial.difference.level for trial in tried if trial.difference is not None), default=0.0)
    if count < 2:
        return ""
    return f"  intervals of changes are at {100 * level:.1f} %: {count} remedies together hold at 95 %"


def _row(trial: Trial) -> tuple[str, ...]:
    assert trial.accuracy is not None
    return (
        trial.remedy.text,
        "–" if trial.epochs is None else str(trial.epochs),
        f"{tables.percent(trial.accuracy.value)} of {trial.accuracy.n}",
        "" if trial.difference is None else _points(trial.difference),
        "" if trial.gap is None else f"{100 * trial.gap.value:.1f}",
        "" if trial.gap_change is None else _points(trial.gap_change),
        _effect(trial),
    )


def _effect(trial: Trial) -> str:
    if not trial.helped:
        return ""
    closes = trial.difference is not None and trial.difference.low <= 0
    return "closes the gap" if closes else "better"


def _points(estimate: Estimate) -> str:
    """
    >>> from sortograph.records import Estimate
    >>> _points(Estimate(0.012, -0.003, 0.03, 0.95, 100, ""))
    '+1.2 (−0.3 to +3.0)'
    """
    value, low, high = (
        f"{100 * x:+.1f}".replace("-", "−") for x in (estimate.value, estimate.low, estimate.high)
    )
    return f"{value} ({low} to {high})"


def _ends(estimate: Estimate) -> str:
    return f"{100 * estimate.low:.1f} – {100 * estimate.high:.1f}"
