"""diagnose: what a run suffers from, what helps, and whether it really does."""

from __future__ import annotations

import os
import time
from dataclasses import replace
from pathlib import Path

from sortograph import runs
from sortograph.api.placing import run_index
from sortograph.api.writing import check_place
from sortograph.caches import cache_folder
from sortograph.diagnosis import read_log, verdicts
from sortograph.errors import UsageError
from sortograph.recipe import make_recipe
from sortograph.records import Diagnosis, Progress, silent

_CURVE = "learning-curve"
_NO_PHOTOS = "it needs the photos: sortograph diagnose RUN --photos PHOTOS"


def diagnose(
    run: str | os.PathLike[str],
    *,
    photos: str | os.PathLike[str] | None = None,
    try_remedies: bool = False,
    budget: float | None = None,
    out: str | os.PathLike[str] | None = None,
    progress: Progress = silent,
) -> Diagnosis:
    """Tell from the records of a run what is wrong with it, the figures behind each verdict, and remedies.

    run: a run folder, whether it has finished, was interrupted or has failed
    photos: those that the run had, for a learning curve, and to try remedies on
    try_remedies: train short runs beside a baseline, and tell what each remedy really did to the validation
        photos; the best of those that helped becomes a recipe
    budget: seconds that those runs may take together; None for ten minutes
    out: their folder, new or empty; None for runs/diagnosis-<date>-<time>

    The run folder is not changed. Gains are guesses by rules of thumb until they are measured.
    Raises RunError when the folder is no run, or the photos are not those that it had; UsageError for options
    that need others; and with photos what reading them raises.
    """
    _check(photos, try_remedies, budget, out)
    record = runs.read_run(Path(run))
    index, log = run_index(record), read_log(record.folder)
    if photos is None:
        found = verdicts(record, index, log=log)
        return replace(found, skipped={**found.skipped, _CURVE: _NO_PHOTOS})
    from sortograph.api.curving import learning_curve

    source = Path(photos)
    check_place(source, cache_folder(), by="SORTOGRAPH_CACHE")
    check_place(source, Path("runs" if out is None else out))
    settings = make_recipe(record.recipe, str(record.folder / "recipe.toml"))
    index, curve, why = learning_curve(record, settings, source, progress)
    found = verdicts(record, index, log=log, curve=curve)
    if why:
        found = replace(found, skipped={**found.skipped, _CURVE: why})
    if not try_remedies:
        return found
    from sortograph.api.trying import BUDGET, Bench
    from sortograph.api.trying import try_remedies as tried

    folder = runs.new_run("diagnosis", None if out is None else Path(out))
    deadline = time.monotonic() + (BUDGET if budget is None else budget)
    with runs.lock(folder):
        return tried(Bench(record, settings, index, source, folder, deadline, progress), found)


def _check(
    photos: str | os.PathLike[str] | None,
    try_remedies: bool,
    budget: float | None,
    out: str | os.PathLike[str] | None,
) -> None:
    if try_remedies and photos is None:
        raise UsageError(
            "remedies are tried on the photos of the run",
            expected="--photos beside --try",
            fix="sortograph diagnose RUN --photos PHOTOS --try",
        )
    if not try_remedies and (budget is not None or out is not None):
        raise UsageError(
            "--budget and --out are for the runs of --try",
            fix="sortograph diagnose RUN --photos PHOTOS --try --budget 10m",
        )
    if budget is not None and budget <= 0:
        raise UsageError(f"a budget of {budget:g} s", expected="more than 0", fix="--budget 10m")
