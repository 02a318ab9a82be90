"""sweep: a space of configurations, or a study → a run for each, a table and a conclusion."""

from __future__ import annotations

import contextlib
import os
import shutil
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from sortograph import runs
from sortograph.api.concluding import conclude
from sortograph.api.reading import read_photos
from sortograph.api.sweep_folders import (
    check_same,
    found_in,
    is_halved,
    kept_run,
    newest_open,
    own_space,
    write_space,
)
from sortograph.api.telling import tell_notes, tell_rejected
from sortograph.api.training import train
from sortograph.api.writing import check_place
from sortograph.cores import cores
from sortograph.dataset.thinning import is_thinned
from sortograph.errors import DataError, Interrupted, MissingExtra, RunError, UsageError, command, counted
from sortograph.files import make_folder, write_atomic
from sortograph.recipe import Recipe, load_recipe
from sortograph.records import DatasetIndex, Progress, RunRecord, Said, Step, silent
from sortograph.records.sweeps import Configuration, Runner, RunOutcome, RunTask, Swept
from sortograph.sweeps.course import Course, Means
from sortograph.sweeps.plan import check, recipe_data, resolved, samples
from sortograph.sweeps.reading import make_space, read_space, read_study
from sortograph.sweeps.runners import ProcessRunner, SerialRunner
from sortograph.sweeps.search import opened
from sortograph.sweeps.space import Space
from sortograph.sweeps.standings import choosing, write_table
from sortograph.sweeps.subset import chosen, write_subset

_RUNS, _RECIPES = "runs", "recipes"


def sweep(
    photos: str | os.PathLike[str],
    *,
    space: str | os.PathLike[str] | None = None,
    study: str | None = None,
    quick: bool = False,
    out: str | os.PathLike[str] | None = None,
    trials: int | None = None,
    seeds: Sequence[int] | None = None,
    budget: float | None = None,
    jobs: int = 1,
    overrides: Sequence[str] = (),
    progress: Progress = silent,
) -> Swept:
    """Train every configuration of a space with every seed, and tell which is best and how sure that is.

    space: a TOML file; study: the name of one that comes with sortograph; neither to go on with `out`
    quick: what [quick] of the space makes of it
    out: the folder of the sweep; None for runs/sweep-<name>-<date>-<time>, or that of the same sweep where it
        was left unfinished. One that has the same sweep goes on: what has finished is not repeated
    trials: how many configurations are tried; seeds: train.seed of their runs
    budget: seconds; no run begins that would end later, by the mean of those before
    jobs: runs at once, each in a process of its own, with its share of the processor's threads
    overrides: "section.key=value" for all configurations

    Half of the validation photos choose; they calibrate no run (split.reserve). Ctrl-C ends the run that goes
    on, which is begun anew by the same command.
    Raises UsageError for a space with mistakes, and for another space in the folder of a sweep; DataError
    without validation photos; Interrupted; and what `train` raises, but for GateError, which fails one
    configuration.
    """
    began = time.monotonic()
    _need_optuna()
    if jobs < 1 or (budget is not None and budget <= 0):
        raise UsageError(f"jobs = {jobs}, budget = {budget}", expected="at least 1, and more than 0 seconds")
    planned = _planned(space, study, out, quick)
    planned = _changed(planned, trials, seeds, overrides)
    check(planned, planned.name)
    check_place(Path(photos), Path("runs" if out is None else out))
    _check_buildable(planned, progress)
    index = _read(Path(photos), planned, progress)
    named = "--space" if space is not None else "--study"
    given = (named, space or study) if space or study else ("--out", out)
    _check_validation(index, ("sortograph", "sweep", photos, *given, *(("--quick",) if quick else ())))
    folder = _folder(planned, found_in(index, planned), None if out is None else Path(out), progress)
    job = _Job(Path(photos), index, planned, folder, jobs, progress, is_halved(folder))
    deadline = None if budget is None else began + budget
    with runs.lock(folder), opened(planned, folder) as search:
        course = Course(planned, search, Means(job.task, job.kept, _clear, deadline, job.halved))
        _go(job, course)
        # Where the photos lie is nobody else's business, and the page may be passed on.
        again = f"sortograph sweep PHOTOS --space {folder.name}/space.toml"
        return conclude(course, index, folder, again, time.monotonic() - began)


def _need_optuna() -> None:
    from importlib.util import find_spec

    for module in ("optuna", "tomli_w", "torch"):
        if find_spec(module) is None:
            raise MissingExtra.of("train", module)


def _planned(
    space: str | os.PathLike[str] | None, study: str | None, out: str | os.PathLike[str] | None, quick: bool
) -> Space:
    if space is not None and study is not None:
        raise UsageError("both a space and a study", expected="--space FILE or --study NAME")
    if space is None and study is None:
        if out is None or not own_space(Path(out)).is_file():
            raise UsageError(
                "nothing says what to try",
                expected="--space FILE, --study NAME, or --out DIR of a sweep that shall go on",
                fix="sortograph sweep PHOTOS --study NAME --quick",
            )
        space, quick = own_space(Path(out)), False
    found = read_space(Path(space)) if space is not None else read_study(study or "")
    if quick and found.quick is None:
        raise UsageError(f"{found.name} has no [quick]", fix="leave out --quick")
    return found.quickened() if quick else found


def _changed(
    space: Space, trials: int | None, seeds: Sequence[int] | None, overrides: Sequence[str]
) -> Space:
    """The space with what the command line says, checked anew."""
    data = space.to_dict()
    data |= {} if trials is None else {"trials": trials}
    data |= {} if seeds is None else {"seeds": list(seeds)}
    data |= {"overrides": [*space.overrides, *overrides]} if overrides else {}
    return make_space(data, space.name)


def _check_buildable(space: Space, progress: Progress) -> None:
    """Refuses what cannot be made, such as a backbone whose weights are not at hand, before anything is
    trained. Backbones are exported here, once for all runs."""
    from sortograph.api.networks import NetworkMaker
    from sortograph.api.transfer import TransferMaker

    seen: set[str] = set()
    for one in samples(space):
        recipe = _with_overrides(space, one)
        parts = recipe.model_dump_json(include={"model", "backbone", "pixels"})
        if parts in seen:
            continue
        seen.add(parts)
        if recipe.model.kind == "backbone":
            TransferMaker(recipe, progress)
        elif recipe.model.kind != "auto":
            NetworkMaker(recipe, progress)


def _with_overrides(space: Space, one: Configuration) -> Recipe:
    import tempfile

    import tomli_w

    if not space.overrides:
        return resolved(space, one)
    with tempfile.TemporaryDirectory() as place:
        file = Path(place) / f"{one.name}.toml"
        file.write_bytes(tomli_w.dumps(recipe_data(space, one)).encode())
        return load_recipe(str(file), space.overrides)


def _read(photos: Path, space: Space, progress: Progress) -> DatasetIndex:
    """The photos as all runs will have them."""
    index = read_photos(photos, load_recipe(space.base, space.overrides), progress).index
    tell_notes(index, progress)
    tell_rejected(index, progress)
    return index


def _check_validation(index: DatasetIndex, words: Sequence[object]) -> None:
    """words: of the command that was typed."""
    if len(index.rows("validation")):
        return
    raise DataError(
        "no validation photos: nothing may choose between configurations",
        where=str(index.root),
        expected="a share of photos for validation, or photos that are marked so",
        fix=command(*words, "--set", "split.validation=0.15"),
    )


def _folder(space: Space, found: dict[str, Any], out: Path | None, progress: Progress) -> Path:
    """The folder of this very sweep, or a new one."""
    if out is None and (known := newest_open(space, found)) is not None:
        progress(Said(f"going on with {known}"))
        return known
    if out is not None and own_space(out).is_file():
        check_same(space, found, out)
        write_space(space, found, out)  # more trials may be asked for
        return out
    folder = runs.new_run(f"sweep-{space.name}"[:80], out)
    write_space(space, found, folder)
    return folder


@dataclass(frozen=True, slots=True)
class _Job:
    """One call. `photos` as they were given; `index` what they are; `halved` as `Course` has it."""

    photos: Path
    index: DatasetIndex
    space: Space
    folder: Path
    jobs: int
    progress: Progress
    halved: bool

    def task(self, one: Configuration, seed: int) -> RunTask:
        """Writes the recipe, and the subset of photos where there is one."""
        return RunTask(
            configuration=one.name,
            seed=seed,
            recipe=self._recipe(one),
            overrides=self.space.overrides,
            photos=self._photos(one),
            folder=self.folder / _RUNS / f"{one.name}-seed{seed}",
            threads=self._threads(one),
        )

    def _recipe(self, one: Configuration) -> Path:
        import tomli_w

        file = make_folder(self.folder / _RECIPES) / f"{one.name}.toml"
        data = tomli_w.dumps(recipe_data(self.space, one, halved=self.halved)).encode()
        if not file.exists() or file.read_bytes() != data:
            write_atomic(file, data)
        return file

    def kept(self, task: RunTask, one: Configuration) -> RunRecord | None:
        """The run that an earlier call has finished by this recipe, on as many photos."""
        index, most = self.index, one.per_class
        count = len(index.rows("train"))
        if most is not None:
            count = sum(index.splits[row] == "train" for row in chosen(index, most).tolist())
        return kept_run(task, count)

    def _photos(self, one: Configuration) -> Path:
        if one.per_class is None:
            return self.photos
        table = self.folder / "photos" / f"train-{one.per_class}.csv"
        if table.is_file():
            return table
        return write_subset(self.index, one.per_class, self.folder, self.progress)

    def _threads(self, one: Configuration) -> int:
        if self.jobs == 1 or resolved(self.space, one).train.threads:
            return 0
        return max(1, cores() // self.jobs)


def _clear(folder: Path) -> None:
    """Removes a run that was cut off. Raises RunError while another process works in it."""
    if not folder.exists():
        make_folder(folder.parent)
        return
    with runs.lock(folder):
        pass
    shutil.rmtree(folder, ignore_errors=True)


def _go(job: _Job, course: Course) -> None:
    """All runs that are left, as far as the budget reaches."""
    runner = _runner(job, course)
    try:
        with contextlib.closing(runner.run(course.tasks())) as outcomes:
            for outcome in outcomes:
                _take(job, course, outcome)
    except (KeyboardInterrupt, Interrupted):
        raise Interrupted(
            f"interrupted with {counted(len(course.left()), 'run')} left",
            where=str(job.folder),
            fix=_again(job),
        ) from None
    if course.is_late:
        left = counted(len(course.left()), "run")
        job.progress(Said(f"the budget has no room for another run; {left} left", warning=True))


def _runner(job: _Job, course: Course) -> Runner:
    if job.jobs > 1:
        return ProcessRunner(job.jobs, runs.read_run, course.is_behind)
    return SerialRunner(_trained, course.is_behind, job.progress)


def _trained(task: RunTask, progress: Progress) -> RunRecord:
    return train(
        task.photos,
        recipe=str(task.recipe),
        overrides=task.overrides,
        seed=task.seed,
        out=task.folder,
        progress=progress,
    )


def _take(job: _Job, course: Course, outcome: RunOutcome) -> None:
    if outcome.status == "interrupted":
        raise KeyboardInterrupt
    if outcome.record is not None and is_thinned(outcome.record.decisions):
        raise RunError(
            "its budget had no time for all photos, and runs of a sweep must have the same",
            where=str(outcome.task.folder),
            expected="more time for a run: --set auto.budget=3600",
            fix=f"{_again(job)}, which goes further: embeddings are kept",
        )
    course.take(outcome)
    if outcome.status == "pruned":
        _mark(outcome.task.folder)
    write_table(job.folder, course.search.known, course.outcomes)
    job.progress(Said(_line(course, outcome, job.jobs), warning=outcome.status in ("failed", "killed")))
    if job.jobs > 1 and course.done < course.total:
        job.progress(Step("runs", course.done, course.total, "runs"))


def _mark(folder: Path) -> None:
    """A run that was cut short for good is no failure, and does not go on."""
    with contextlib.suppress(RunError):
        runs.write_run(replace(runs.read_run(folder), status="interrupted"))
    shutil.rmtree(folder / "checkpoints", ignore_errors=True)


def _line(course: Course, outcome: RunOutcome, jobs: int) -> str:
    """ "3 of 12: sgd, seed 1: validation 52.0 % of 150 photos, 34 s; 9 left, about 5 min"."""
    told = outcome.status if outcome.record is None else _figures(course, outcome.record)
    reason = f" ({outcome.reason})" if outcome.reason else ""
    line = f"{course.done} of {course.total}: {outcome.task.title()}: {told}{reason}, {outcome.seconds:.0f} s"
    left = len(course.left())
    if not left:
        return line
    minutes = left * course.mean_seconds() / jobs / 60
    about = f", about {max(1, round(minutes))} min" if minutes else ""
    return f"{line}; {left} left{about}"


def _figures(course: Course, record: RunRecord) -> str:
    found = choosing(record, halved=course.halved)["accuracy"]
    ends = f"{100 * found.low:.1f} – {100 * found.high:.1f}"
    return f"validation {100 * found.value:.1f} % ({ends}, n = {found.n})"


def _again(job: _Job) -> str:
    return f"sortograph sweep {job.photos} --out {job.folder}"
